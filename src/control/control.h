/*
 * Control files: each is a row in one of the tables below, with its name, its mode, and
 * the functions that show its content and store a value.  A new file is a new row.
 *
 * A write is one command, a *store*.  It fails at once, succeeds at once, or starts a job
 * of lifecycle; then the writer waits until that has ended:
 *
 *	control_store_start() --> store() --failed or done--> done
 *	                            |                           ^
 *	                            `--op awaits a job----------'
 *
 * Only the reactor's thread runs any of this.
 *
 * (CONTROL-1) A file is never empty and ends with one newline.
 * (CONTROL-2) Every store that was started calls `done` once.
 * (CONTROL-3) An error gives the writer an errno; the reason goes to the daemon's
 *     last_error and to the log.
 * (CONTROL-4) The job of a store may free its subject (stop), so `done` must not use it.
 */
#pragma once

#include "cache/stats.h"
#include "control/text.h"
#include "lifecycle/daemon.h"

enum {
	CONTROL_TEXT_MAX = 4095,	/* bytes in one write */
	/* The size that stat() reports, as in sysfs; CONTROL_LONG files report their true size. */
	CONTROL_FILE_BYTES = 4096,
};

enum {	/* beside the mode bits of a file */
	CONTROL_MODE_BITS = 0777,
	CONTROL_LONG = 01000,		/* it may be longer than a page */
	CONTROL_OF_PARTITION = 02000,	/* exists only if the member is a partition */
	CONTROL_OF_KEYS = 04000,	/* read piece by piece (key_dump.h) instead of by show() */
	CONTROL_OF_BUCKETS = 010000,	/* likewise */
};

/* The subject of a control file. */
struct control_subject {
	struct daemon *daemon;
	struct cache_set *set;		/* NULL: the daemon, or a volume without a set */
	struct volume *volume;		/* NULL: the daemon or a set */
	const struct device_disk *disk;	/* not NULL: a disk of which a partition is a member */
	enum stats_period period;	/* for files in stats_... */
};

struct control_store;
typedef void control_show_fn(const struct control_subject *subject, struct text *text);
/* 0: done, or store->op awaits the end.  -errno: store->error may have the reason. */
typedef int control_store_fn(struct control_store *store);

struct control_file {
	const char *name;
	unsigned mode;			/* 0444, 0400, 0200 or 0644, and CONTROL_... bits */
	control_show_fn *show;
	control_store_fn *store;
	const char *help;		/* in the manual, and in errors after "wanted:" */
};

struct control_store {
	/* filled in by the caller: */
	struct control_subject subject;
	const struct control_file *file;
	char text[CONTROL_TEXT_MAX + 1];
	void (*done)(struct control_store *store, int error);
	void *context;
	bool is_quiet;			/* the caller reports errors itself: do not log them */
	/* private: */
	struct op op;
	struct error error;
	int (*answer)(int error);	/* set by store(): maps the result to the writer's errno */
	char subject_name[64];
};

/*
 * Reports an error of an open or of a name, before any store (CONTROL-3).  `error` is -errno, and
 * is returned.
 */
int control_refuse(const struct control_subject *subject, const char *name, int error,
		   const char *why);

/* Starts a store; `file` must have a store function.  `done` is called later, from a step. */
void control_store_start(struct control_store *store);

/* The tables; each ends with a row without a name. */
extern const struct control_file control_daemon_files[];	/* sys/fs/bcache */
extern const struct control_file control_root_files[];		/* the mounted directory */
extern const struct control_file control_system_files[];	/* sys */
extern const struct control_file control_set_files[];
extern const struct control_file control_set_internal_files[];
extern const struct control_file control_stats_files[];		/* of a set, of a volume */
extern const struct control_file control_device_files[];	/* the cache device's bcache/ */
extern const struct control_file control_device_block_files[];	/* beside it */
extern const struct control_file control_backing_files[];
extern const struct control_file control_backing_block_files[];
extern const struct control_file control_disk_files[];		/* of a member's partition */
extern const struct control_file control_flash_files[];
extern const struct control_file control_volume_block_files[];	/* sys/block/bcacheN */

/* Shared by the tables: is the member a partition, and which? */
bool control_is_partition(const struct control_subject *subject);
void control_show_partition(const struct control_subject *subject, struct text *text);
/* Of the last hour, backed or flash-only. */
void control_show_history(const struct control_subject *subject, struct text *text);
/* The label of a volume, backed or flash-only. */
void control_show_label(const struct control_subject *subject, struct text *text);
int control_store_label(struct control_store *store);
/* Takes the blanks around a path away, in place. */
const char *control_trim(char *text);
/* Parses a number and clamps it to low..high.  -EINVAL, -ERANGE. */
int control_parse_clamped(const char *text, uint64_t low, uint64_t high, uint64_t *value);
