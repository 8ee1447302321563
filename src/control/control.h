/*
 * A control file: a name, who may do what with it, how it is shown and how it
 * is stored.  A new file is a new row in one of the tables below.
 *
 * What is written is one command.  It is refused at once, done at once, or it
 * is a job of lifecycle, and the writer waits for its end:
 *
 *	control_store_start --> store() --refused, done--> done
 *	                          |                          ^
 *	                          `--op awaits a job---------'
 *
 * (CONTROL-1) A file is never empty and ends in one newline.
 * (CONTROL-2) Every store that was started calls `done` once.
 * (CONTROL-3) A refusal is an errno for the writer, and a sentence in the daemon's
 *     last_error and in the log.
 * (CONTROL-4) What store() began may have freed the subject by the time of `done`.
 */
#pragma once

#include "cache/stats.h"
#include "control/text.h"
#include "lifecycle/daemon.h"

enum {
	CONTROL_TEXT_MAX = 4095,	/* of one write */
	/* The size that stat() reports: as in sysfs; of a longer file, its true one. */
	CONTROL_FILE_BYTES = 4096,
};

enum {	/* beside the mode bits of a file */
	CONTROL_MODE_BITS = 0777,
	CONTROL_LONG = 01000,		/* it may be longer than a page */
	CONTROL_OF_PARTITION = 02000,	/* it is there only where the member is a partition */
};

/* What a file belongs to. */
struct control_subject {
	struct daemon *daemon;
	struct cache_set *set;		/* NULL: of the daemon, or a volume without a set */
	struct volume *volume;		/* NULL: of the daemon or a set */
	const struct device_disk *disk;	/* not NULL: of a disk with partitions that are members */
	enum stats_period period;	/* of a file in stats_... */
};

struct control_store;
typedef void control_show_fn(const struct control_subject *subject, struct text *text);
/* 0: done, or store->op awaits the end.  -errno, with or without a sentence in store->error. */
typedef int control_store_fn(struct control_store *store);

struct control_file {
	const char *name;
	unsigned mode;			/* 0444, 0400, 0200 or 0644, and CONTROL_... bits */
	control_show_fn *show;
	control_store_fn *store;
	const char *help;		/* the manual's line */
};

struct control_store {
	/* filled by the caller: */
	struct control_subject subject;
	const struct control_file *file;
	char text[CONTROL_TEXT_MAX + 1];
	void (*done)(struct control_store *store, int error);
	void *context;
	bool is_quiet;			/* the caller tells of a refusal himself */
	/* inside: */
	struct op op;
	struct error error;
	int (*answer)(int error);	/* set by store(): what the writer is told instead */
	char subject_name[64];
};

/*
 * A refusal that comes before any store (CONTROL-3): of an open, of a name.  `error` is -errno, and
 * returned.
 */
int control_refuse(const struct control_subject *subject, const char *name, int error,
		   const char *why);

/* `file` can be stored.  `done` is called later, from a step. */
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

/* Shared by the tables: of a member's device. */
bool control_is_partition(const struct control_subject *subject);
void control_show_partition(const struct control_subject *subject, struct text *text);
/* A number between two limits, silently brought there; -EINVAL, -ERANGE. */
int control_parse_clamped(const char *text, uint64_t low, uint64_t high, uint64_t *value);
