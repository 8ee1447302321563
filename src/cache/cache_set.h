/*
 * The set: one lock, and all that it guards.
 *
 *	    cache_set
 *	    |- journal   what must survive
 *	    |- space     buckets          guarded by the one lock:
 *	    |- index     keys             set_enter() .. set_leave()
 *	    |- volumes   who uses it
 *	    `- gc, settings, counters
 *
 * (SET-1) The lock is held for moments, never across a wait: between
 *     set_enter() and set_leave() nothing waits and nothing fails half-way.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/failure.h"
#include "cache/fill.h"
#include "cache/gc.h"
#include "cache/stats.h"
#include "format/superblock.h"
#include "format/uuid.h"
#include "index/index.h"
#include "io/device.h"
#include "io/flush.h"
#include "io/lock.h"
#include "journal/journal.h"
#include "space/space.h"

struct daemon;
struct volume;

struct cache_set {
	struct lock *lock;
	struct list_link link;			/* in daemon->sets */
	struct daemon *daemon;
	uint64_t birth;				/* unlike that of any other volume or set */
	struct reactor *reactor;
	struct device *device;			/* the cache device */
	char member_name[64];			/* DIR/sys/block/<member_name> */
	struct superblock superblock;
	unsigned char *superblock_buffer;	/* 4 KiB, for its writes */
	struct health health;
	struct flush flush;			/* of the cache device */
	struct journal journal;
	struct space space;
	struct index index;
	struct gc gc;
	struct fills fills;
	struct failure failure;
	struct list volumes;			/* attached ones and flash-only ones */
	struct uuid_entry *uuids;		/* the table */
	unsigned uuid_slots;
	struct bkey uuid_bucket;		/* where the table lies */
	bool is_running, is_stopping, is_read_only;
	struct stats stats;

	unsigned cutoff_writeback, cutoff_writeback_sync;	/* percent in use */
	uint64_t io_errors;
	uint64_t cache_read_races, writeback_keys_done, writeback_keys_failed;
};

void set_enter(struct cache_set *set) ENTERS_SET;
void set_leave(struct cache_set *set) LEAVES_SET;

/*
 * Makes the parts that depend on the superblock's geometry; nothing is read or
 * written.  `set` is zeroed memory with device and superblock filled in.  -ENOMEM: there is
 * nothing to be done.
 */
int set_init(struct cache_set *set, struct daemon *daemon, struct reactor *reactor,
	     size_t node_memory_bytes, bool read_only, struct error *error) MUST_CHECK;
void set_done(struct cache_set *set);
/* What must be known to read a journal, before there is a set: by superblock. */
void set_journal_setup(const struct cache_set *set, struct journal_setup *setup);

/* A layout that the kernel gave up: its volumes can be read only, as with the kernel. */
static inline bool set_is_obsolete(const struct cache_set *set)
{
	return set->superblock.feature_incompatible & FEATURE_OBSOLETE_LARGE_BUCKET;
}

/* Is there a volume of this number? */
bool set_has_volume(const struct cache_set *set, unsigned slot);
/* The table of volumes was read, or one was retired: the index forgets what that left in it. */
void set_volumes_changed(struct cache_set *set) IN_SET;

/* "1f3a...-...": the set's uuid as text. */
const char *set_name(const struct cache_set *set, char text[40]);
