/*
 * The options of `mount`: its parsed command line and -o lists.
 *
 * The options are those of mount(8), which calls the program as its helper: -f is "fake",
 * -s is "sloppy" (unknown options are ignored).  In a list, "\," is a comma in a value,
 * "\\" a backslash.  The last of repeated options counts, but each device= adds a member.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* A control file to be written before the mount is ready: cache_mode=writeback. */
struct mount_tunable {
	char *name;
	char *value;
};

enum { POLL_US_DEFAULT = 30, POLL_US_MAX = 1000 };

struct mount_options {
	char *spec;			/* path of a member, or "none" */
	char *directory;
	char **devices;			/* the other members */
	unsigned device_count;
	bool read_only, has_read_only;	/* has: it was said, either way */
	bool allow_other;
	bool fake, foreground, verbose, sloppy;
	bool no_fail;			/* a missing member is not an error */
	bool remount;			/* changes settings of a mount; `spec` may be missing */
	bool help, version;		/* then `spec` and `directory` may be missing */
	bool has_uid, has_gid, has_umask;
	uid_t uid;
	gid_t gid;
	mode_t umask;
	uint64_t node_memory_bytes;	/* for the index in memory; 0: the default */
	unsigned requests;		/* maximum in flight; 0: the default */
	unsigned poll_us;		/* longest wait awake; 0: none */
	char *overlay;			/* the file that takes all writes; NULL: none */
	char *kernel_flags;		/* "nosuid,nodev": for the mount itself; NULL if none */
	struct mount_tunable *tunables;
	unsigned tunable_count;

	/* Called when every volume is ready: lets `mount` return. */
	void (*ready)(const struct mount_options *options);
	void *ready_context;
};

/*
 * -EINVAL and the reason: an unknown option, a bad value, a missing argument.
 * `is_tunable` tells which control files are options.  mount_options_done() must be called in any
 * case.
 */
int mount_options_parse(struct mount_options *options, int argc, char **argv,
			bool (*is_tunable)(const char *name), struct error *error) MUST_CHECK;
void mount_options_done(struct mount_options *options);

/*
 * The daemon: opens the members, mounts, calls `ready`, serves until the end.
 * Returns an error of the start, or 0 after a clean end.
 */
int mount_run(const struct mount_options *options, struct error *error) MUST_CHECK;
/* Writes the settings to the control files of what is mounted on the directory. */
int remount(const struct mount_options *options, struct error *error) MUST_CHECK;
/* Is there a control file of this name that may be given as a mount option? */
bool mount_knows_tunable(const char *name);
