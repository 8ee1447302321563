/*
 * A cache set: one cache device, its journal, buckets and index, and the lock
 * that guards these (and gc, the location of the table of volumes, the health).
 *
 *	    cache_set
 *	    |- journal   recent index changes  \
 *	    |- cache     its buckets            > guarded by the set lock:
 *	    |- index     keys                  /  set_lock() .. set_unlock()
 *	    |- gc        walks the index, holding the set lock at each step
 *	    `- volumes, superblocks, settings, counters: the reactor thread only
 *
 * The lock is there so that journal, space and index may be used from several
 * reactors one day; today one reactor runs all steps, and nobody ever waits for it.
 *
 * (SET-1) A critical section is short: between set_lock() and set_unlock()
 *     nothing waits, and nothing fails half-way through a change.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache_device.h"
#include "cache/fill.h"
#include "cache/gc.h"
#include "cache/stats.h"
#include "format/uuid.h"
#include "index/index.h"
#include "io/lock.h"
#include "journal/journal.h"

struct daemon;
struct failure;
struct volume;
struct watch;

/* The reaction to a failure of the set: the file `errors`. */
enum failure_action {
	FAILURE_UNREGISTER,	/* nothing is transferred any more */
	FAILURE_PANIC,		/* the daemon ends at once */
	FAILURE_READONLY,	/* ours: what it has is still read */
};

/*
 * The guard of each field stands first in its comment:
 *	const	set before the set runs, never changed afterwards
 *	lock	the set lock
 *	reactor	only steps on the set's reactor touch it; no lock
 */
struct cache_set {
	struct lock *lock;			/* const: the set lock */
	struct list_link link;			/* reactor: in daemon->sets */
	struct daemon *daemon;			/* const */
	uint64_t birth;				/* const: no other volume or set has it */
	struct reactor *reactor;		/* const */
	struct cache_device cache;		/* its only one */
	struct health health;			/* lock to set; read without: it is final */
	struct journal journal;			/* lock */
	struct index index;			/* lock */
	struct gc gc;				/* lock */
	struct fills fills;			/* reactor */
	struct failure *failure;		/* reactor: of lifecycle; NULL: it never ran */
	struct watch *watch;			/* reactor: for errors of the cache device */
	enum failure_action on_failure;			/* reactor */
	struct waitlist left;			/* reactor: failed; until NONE is durable */
	struct waitlist when_idle;		/* reactor: an op of these has become idle */
	struct list volumes;			/* reactor: attached ones and flash-only ones */
	struct uuid_entry *uuids;		/* reactor: the table of volumes */
	unsigned uuid_slots;			/* const */
	struct bkey uuid_bucket;		/* lock: location of that table, which gc marks */
	bool is_running, is_stopping;		/* reactor */
	bool is_in_hurry;			/* reactor: set_hurry() */
	bool is_read_only;			/* const */
	struct stats stats;			/* reactor */

	unsigned cutoff_writeback, cutoff_writeback_sync;	/* const: percent in use */
	uint64_t writeback_keys_done, writeback_keys_failed;	/* reactor */
	uint64_t last_request_ns;		/* reactor: when a request of any volume began */
	bool idle_max_writeback_rate;		/* reactor: no limit while there are none */
};

/* The device on which the data of a usable pointer are. */
static inline struct cache_device *cache_device_of(struct cache_set *set, uint64_t ptr)
{
	assert(pointer_is_usable(ptr));
	return &set->cache;
}

/* Acquires and releases the set lock. */
void set_lock(struct cache_set *set) LOCKS_SET;
void set_unlock(struct cache_set *set) UNLOCKS_SET;

/*
 * Allocates everything that depends on the geometry in the superblock; reads and writes nothing.
 * `set` is zeroed memory with `device` and `superblock` filled in.  On -ENOMEM everything is freed
 * again.
 */
int set_init(struct cache_set *set, struct daemon *daemon, struct reactor *reactor,
	     size_t node_memory_bytes, bool read_only, struct error *error) MUST_CHECK;
void set_done(struct cache_set *set);
/* Fills in, from the superblock alone, what journal_read() needs before the set is started. */
void set_journal_setup(const struct cache_set *set, struct journal_setup *setup);

/* The obsolete layout of large buckets: as in the kernel, its volumes are read-only. */
static inline bool set_is_obsolete(const struct cache_set *set)
{
	return set->cache.superblock.feature_incompatible & FEATURE_OBSOLETE_LARGE_BUCKET;
}

/* Is the slot in use, by a volume that was not detached? */
bool set_has_volume(const struct cache_set *set, unsigned slot);
/*
 * To be called after slots of the table changed: keys of retired slots count as unusable from
 * now on, and gc removes them.
 */
void set_volumes_changed(struct cache_set *set) LOCKED;

/* "1f3a...-...": the set's uuid as text. */
const char *set_name(const struct cache_set *set, char text[40]);
