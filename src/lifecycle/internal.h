/*
 * What the files of lifecycle share and nobody else may call.
 *
 * A job is an op with states that lives on the heap from its beginning to its
 * end.  What users ask for (register, attach, stop, ...) takes turns: such a job
 * begins when the one before it has ended.  It may begin others, which run
 * within its turn.
 *
 * (JOB-1) A job ends once, by job_end(): its parent arrives, and it is gone.
 * (JOB-2) A refusal is an errno and a sentence in job->error, which is the caller's.
 * (JOB-3) A job whose subject has gone before its turn ends with ENODEV, without a
 *     step.
 */
#pragma once

#include "lifecycle/daemon.h"

struct job {
	struct op op;
	void (*step)(struct job *job, int error);	/* `error`: of what was awaited */
	struct daemon *daemon;
	struct op *parent;		/* NULL: nobody waits for it */
	struct error *error;		/* never NULL */
	struct error own_error;		/* where nobody wants to hear it */
	bool has_turn, has_begun;
	/* Whom it is about (0: nobody): either may have gone before its turn comes (JOB-3). */
	uint64_t volume_birth, set_birth;
};

/* Memory for a job of `bytes`, zeroed; its first member is the struct job. Its parent awaits it. */
void *job_new(struct daemon *daemon, size_t bytes, void (*step)(struct job *job, int error),
	      struct error *error, struct op *parent);
void job_begin(struct job *job);		/* within somebody's turn */
/* When its turn has come; about a volume, a set, or neither. */
void job_begin_in_turn(struct job *job, const struct volume *volume,
		       const struct cache_set *set);
void job_end(struct job *job, int code);
/* Ends with the sentence of an errno, if there is none yet. */
void job_end_because(struct job *job, int code, const char *what);

/* ---- sets and volumes as members of the daemon (daemon.c) ---- */

/* A name for DIR/sys/block, made of the device's and unlike all others. */
void daemon_name_member(const struct daemon *daemon, const struct device *device,
			char name[64]);
/* Into the list of volumes, under the lowest free number (DAEMON-1); out of it again. */
void daemon_add_volume(struct daemon *daemon, struct volume *volume);
void daemon_remove_volume(struct daemon *daemon, struct volume *volume);
struct volume *volume_at(struct list_link *link);	/* in daemon->volumes; NULL of NULL */
struct cache_set *set_at(struct list_link *link);

/* ---- members.c: what is wrong with a member, before and when it is registered ---- */

/* Blocking; the sentence is without the device's name. */
int member_read_superblock(struct device *device, struct superblock *sb, struct error *error);
int member_check_cache(const char *path, const struct superblock *sb, struct error *error);
int member_say_duplicate(const char *path, struct error *error);
int member_say_missing(const char *path, const struct superblock *sb, struct error *error);
/* Logs that a volume runs without a cache, which its set would have. */
void member_warn_uncached(const char *path, const struct superblock *sb);
int member_say_not_taken(const char *path, const struct superblock *sb, const char *why,
			 struct error *error);

/* ---- within a turn; `op` awaits the end ---- */

/* The set's superblock as it is in memory, one write younger, becomes durable (superblocks.c). */
void set_write_superblock(struct cache_set *set, struct op *op);
/* The table of volumes becomes durable, with an entry that names it (uuids.c). */
void uuids_write(struct cache_set *set, struct error *error, struct op *op);
/* From the table's bytes, as version `journal_version` of the journal has them. */
void uuids_decode(struct cache_set *set, const void *table, unsigned bytes,
		  unsigned journal_version);
void uuids_encode(const struct cache_set *set, void *table);
/* In memory: what the set has of the volume will never be believed again. */
void uuids_retire(struct cache_set *set, unsigned slot);
int uuids_find(const struct cache_set *set, const uint8_t uuid[16]);	/* -1: none */
int uuids_find_free(const struct cache_set *set);			/* -1: none */

/*
 * From what is on the device to a running set; `set` has been through set_init().
 * If it fails the set is to be torn down (recover.c).
 */
void recover_start(struct cache_set *set, struct error *error, struct op *op);
/* The volume joins the set that its superblock names (attach.c). */
void attach_start(struct volume *volume, struct cache_set *set, struct error *error,
		  struct op *op);
/* A set without volumes ends, cleanly if it can, and its memory is gone (stop.c). */
void set_teardown(struct cache_set *set, struct error *error, struct op *op);
/* The volume, which has no dirty data, leaves its set (detach.c). */
void detach_start(struct volume *volume, struct error *error, struct op *op);
