/*
 * Functions shared by the files of lifecycle; private to this folder.
 *
 * A job is an op, allocated when it is requested and freed at its end.  Most are tables of
 * steps: the table reads as the description of the operation, and its undo column as what
 * happens if one fails.
 *
 * Jobs that users ask for (register, attach, stop, ...) take turns: each begins when
 * the one before has ended.  A job may start others within its turn, and await them.
 *
 * (JOB-1) A job ends once, by job_end(), which lets its parent arrive and frees it.
 * (JOB-2) A job that fails gives an errno, and the reason in job->error, which belongs
 *     to the caller.
 * (JOB-3) A job whose volume or set is gone when its turn comes ends with ENODEV before
 *     its first step.
 * (JOB-4) A step begins when the one before it is done.  An error ends the job, except in
 *     steps that report it (the job goes on, and ends with the first one) or ignore it.
 * (JOB-5) A step that fails leaves nothing behind.  The steps before it are undone, the
 *     last one first; only then the job ends.
 */
#pragma once

#include "lifecycle/daemon.h"

struct job;

enum { JOB_DONE = 1 };

/* A row of a table of steps; the last row is empty. */
struct job_step {
	const char *what;	/* begins the reason, if the step failed without its own */
	/*
	 * 0: done, or begun: then the job's op awaits the end, and receives the error.
	 * -EAGAIN: the op is in a list; asks again when it is woken.  JOB_DONE: the job ends
	 * here, the rest of the table is not needed.  Otherwise -errno.
	 */
	int (*start)(struct job *job);
	/* Takes the step back; it may start what the op awaits, but cannot fail. */
	void (*undo)(struct job *job);
	enum on_error { STEP_FAILS, STEP_REPORTS, STEP_IGNORES } on_error;	/* JOB-4 */
};

struct job {
	struct op op;
	void (*step)(struct job *job, int error);	/* `error`: the first of what it awaited */
	struct daemon *daemon;
	struct op *parent;		/* awaits its end; may be NULL */
	struct error *error;		/* never NULL: the caller's, or own_error */
	struct error own_error;
	bool has_turn, has_begun;
	const struct job_step *steps;	/* NULL: `step` has states of its own */
	unsigned at;			/* the current step; with is_undoing: the last one undone */
	bool has_started, is_undoing;	/* the current step; the job */
	int code;			/* the first error of its steps */
	const struct health *health;	/* has the reason, if a step fails without one; or NULL */
	/* `birth` of its volume and of its set, to find out whether they still exist (JOB-3);
	 * 0: it has none. */
	uint64_t volume_birth, set_birth;
};

/* A zeroed job of `bytes`, which begins with a struct job; `parent` awaits it from now on. */
void *job_new(struct daemon *daemon, size_t bytes, void (*step)(struct job *job, int error),
	      struct error *error, struct op *parent);
/* The same for a table of steps, which must stay in place. */
void *job_of_steps(struct daemon *daemon, size_t bytes, const struct job_step *steps,
		   struct error *error, struct op *parent);
void job_begin(struct job *job);		/* within the turn of another job */
/* Begins when its turn comes.  `volume` and `set` may be NULL. */
void job_begin_in_turn(struct job *job, const struct volume *volume,
		       const struct cache_set *set);
void job_end(struct job *job, int code);
/* The last step of a table whose steps report: logs the error of a job that nobody awaits. */
void job_log_if_alone(struct job *job, const char *what);
/* Ends the job; if there is no reason yet, makes one of `what` and the errno. */
void job_end_because(struct job *job, int code, const char *what);

/* ---- sets and volumes as members of the daemon (daemon.c) ---- */

/* A unique name for DIR/sys/block, made from the name of the device. */
void daemon_name_member(const struct daemon *daemon, const struct device *device,
			char name[64]);
/* Adds the volume under the lowest free number (DAEMON-1); removes it. */
void daemon_add_volume(struct daemon *daemon, struct volume *volume);
void daemon_remove_volume(struct daemon *daemon, struct volume *volume);

/* A volume that is not attached; `backing` is NULL for a flash-only volume (register.c). */
struct volume *volume_new(struct daemon *daemon, struct device *backing);
/* Makes the flash-only volume that a slot describes: it needs nothing but its set (flash.c). */
void flash_add(struct cache_set *set, unsigned slot);
/* The part of volume_set_label() for flash-only volumes: a job of its own (flash.c). */
void flash_set_label(struct volume *volume, const char *label, struct error *error,
		     struct op *op);

/* ---- members.c: checks of members, and the reasons why one is refused ---- */

/* Blocking.  The reason does not name the device. */
int member_read_superblock(struct device *device, struct superblock *sb, struct error *error);
int member_check_cache(const char *path, const struct superblock *sb, struct error *error);
int member_say_duplicate(const char *path, struct error *error);
int member_say_missing(const char *path, const struct superblock *sb, struct error *error);
/* Logs that a volume runs uncached because its set has no cache device here. */
void member_warn_uncached(const char *path, const struct superblock *sb);
int member_say_not_taken(const char *path, const struct superblock *sb, const char *why,
			 struct error *error);

/* ---- waiting.c ---- */

/* Says why a backing device is registered and has no volume: in the log, and in last_error. */
void waiting_say(const struct volume *volume);
/* Tries again to attach those that their set has refused: an obstacle may have gone. */
void waiting_retry(struct daemon *daemon);

/* ---- purge.c: removes the keys of a range ---- */

struct purge {
	struct cache_set *set;
	unsigned slot;
	uint64_t at, end;		/* key sectors that are still to be looked at */
	bool keeps_dirty;		/* only clean data are removed */
	bool is_inserting;
	bool has_inserted;		/* since the journal was last committed */
	struct insert insert;
};

void purge_begin(struct purge *purge, struct cache_set *set, unsigned slot, uint64_t start,
		 uint64_t end, bool keeps_dirty);
/*
 * 0: no key is left, and that is durable.  -EAGAIN: `op` waits, or awaits an insert; ask again.
 * Else -errno.
 */
int purge_go_on(struct purge *purge, struct op *op) MUST_CHECK;

/* ---- stripe_count.c ---- */

/*
 * Counts the stripes of the volume, which is in the set or about to join it, if they are wanted.
 * 0: it is done.  -EAGAIN: `op` waits; ask again.  Else -errno, and nothing is counted.
 */
int stripes_count(struct volume *volume, struct cache_set *set, unsigned slot,
		  struct op *op) MUST_CHECK;
/* The volume leaves the set, or its stripes are to be counted anew. */
void stripes_forget(struct volume *volume, struct cache_set *set, unsigned slot);

/* ---- grow.c: how far the dirty data of a volume reach, if behind its end ---- */

struct dirty_end {
	struct cache_set *set;
	unsigned slot;
	uint64_t at, end;		/* key sectors; `end` is 0 if there are none behind it */
};

void dirty_end_begin(struct dirty_end *find, const struct volume *volume, struct cache_set *set,
		     unsigned slot);
/* 0: `end` is found.  -EAGAIN: `op` waits; ask again.  Else -errno. */
int dirty_end_go_on(struct dirty_end *find, struct op *op) MUST_CHECK;
/* The volume cannot be written if that is behind its end. */
void volume_set_dirty_end(struct volume *volume, uint64_t key_sector);

/* ---- parts of jobs, within their turn; `op` awaits the end ---- */

/* Makes the set's superblock durable, with its sequence raised by one (superblocks.c). */
void set_write_superblock(struct cache_set *set, struct op *op);
/* Makes the table of volumes durable, and a journal entry that names it (uuids.c). */
void uuids_write(struct cache_set *set, struct error *error, struct op *op);
/* Decodes the table; the version of the newest journal entry tells its layout. */
void uuids_decode(struct cache_set *set, const void *table, unsigned bytes,
		  unsigned journal_version);
void uuids_encode(const struct cache_set *set, void *table);
/* Retires a slot in memory: from now on keys with its number are unusable, for ever. */
void uuids_retire(struct cache_set *set, unsigned slot);
int uuids_find(const struct cache_set *set, const uint8_t uuid[16]);	/* -1: none */
int uuids_find_free(const struct cache_set *set);			/* -1: none */

/*
 * Starts a set from the content of its device, after set_init() (recover.c).  If that fails the
 * caller must tear the set down.
 */
void recover_start(struct cache_set *set, struct error *error, struct op *op);
/* Attaches the volume to `set` (attach.c). */
void attach_start(struct volume *volume, struct cache_set *set, struct error *error,
		  struct op *op);
/* Stops a set without volumes, cleanly if it can, and frees it (stop.c). */
void set_teardown(struct cache_set *set, struct error *error, struct op *op);
enum { SET_ERROR_LIMIT = 8, VOLUME_ERROR_LIMIT = 64 };	/* the kernel's */
/* Watches a device for errors (watch.c). */
void watch_set(struct cache_set *set);
void watch_volume(struct volume *volume);
void watch_end(struct watch *watch, struct op *op);	/* `op` awaits it; NULL: there is none */
/* Starts to watch the health of the set, when it runs (failure.c).  Without the set lock. */
void failure_watch(struct cache_set *set);
/* Stops watching, when the set stops.  Without the set lock. */
void failure_stop(struct cache_set *set);
/* A volume has joined the set: if that has failed meanwhile, the volume leaves again. */
void failure_see_volume(struct cache_set *set);
bool failure_is_idle(const struct cache_set *set);
void failure_free(struct cache_set *set);
/* It ends: its metadata wait for room some seconds more, so that the end comes (stop_set.c). */
void set_hurry(struct cache_set *set);
/* Wakes all waiters of journal, space and index with -EIO, and stops gc. */
void set_abort(struct cache_set *set) LOCKED;
/* Detaches the volume (detach.c). */
void detach_start(struct volume *volume, struct error *error, struct op *op);
