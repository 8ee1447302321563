/*
 * The control files of daemons that run: how commands find, read and write them.
 *
 * (LIVE-1) A control file that is gone, since its set or volume is, reads as an empty text; no
 *     command takes that for a number.
 * (LIVE-2) A value is written by one write(), which is one command to the daemon.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum { LIVE_MOUNTS_MAX = 64, LIVE_TEXT_BYTES = 4096 };

struct live_mounts {
	char *points[LIVE_MOUNTS_MAX];
	unsigned count;
};

/* The mount on `directory`; NULL: all mounts of ours, at least one.  0 or -errno. */
int live_find(const char *directory, struct live_mounts *mounts, struct error *error) MUST_CHECK;
/*
 * The only one: without `directory` there must be no other, so that a setting does not reach
 * another set by chance.
 */
int live_find_only(const char *directory, struct live_mounts *mounts,
		   struct error *error) MUST_CHECK;
void live_done(struct live_mounts *mounts);

/* Is it the errno of a mount whose daemon has died, or is just dying? */
bool live_is_dead(int code);
/* The whole file, a sentence if it cannot be read; to be freed.  NULL after an error. */
char *live_read_all(const char *path, struct error *error);
/* The first line of the file `point`/`directory`/`name`, without its newline (LIVE-1). */
const char *live_read(char text[LIVE_TEXT_BYTES], const char *point, const char *directory,
		      const char *name);
/* Writes the value (LIVE-2); a refusal says the sentence of last_error. */
int live_write(const char *point, const char *path, const char *value,
	       struct error *error) MUST_CHECK;
/* Is it below the directory of an object?  "internal/keys" is, "../pid" is not. */
bool live_is_name(const char *text);
/*
 * The directory of the control files of an object: a volume (bcacheN), a member (its name, or a
 * path that ends in it), a set (its UUID), or "all".  To be freed; NULL: there is none.
 */
char *live_object(const char *point, const char *object, struct error *error);
