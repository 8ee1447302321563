/*
 * The journal: makes changes of the index durable before the leaves are written, and is
 * the one commit point of the root, the table of volumes and the priority table.
 *
 * A ring of buckets, filled entry by entry.  One entry is open in memory and takes keys;
 * at most one is being written.
 *
 *          oldest needed          writing   open
 *               |   pinned entries   |       |
 *        -------[====================[#######[+++
 *
 * (JOURNAL-1) An entry is needed until every key in it is also in a durable leaf.  A leaf
 *     with such keys pins the oldest of their entries.
 * (JOURNAL-2) Entries become durable in order.  The device is flushed before an entry,
 *     which is written FUA: so the data that its keys point to are durable, too (ORDER-9).
 * (JOURNAL-3) last_sequence never decreases.  A bucket is overwritten only if the newest
 *     *durable* entry needs none of its entries (ORDER-13).
 * (JOURNAL-4) An entry enters the last free bucket only if its own last_sequence frees
 *     another one; otherwise it waits for leaf writes.  So even a full ring can record
 *     durably that entries are no longer needed, and after any power cut one bucket is
 *     free for replay: only then may an entry enter it without freeing another (RECOVER-3).
 * (JOURNAL-5) The header of an entry has the roots (struct journal_roots) as they are when
 *     the entry is closed.
 *
 * If keys do not fit into the open entry, callers wait in `room`.  If the ring is getting
 * full, the journal wakes `pressure`: the index then writes the leaves that pin the
 * oldest entry.
 *
 * All functions are called with the set lock held, and the set lock guards all fields,
 * unless it says otherwise.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bcachefuse/superblock.h"
#include "format/bkey.h"
#include "format/superblock.h"
#include "format/journal_entry.h"
#include "io/device.h"
#include "io/lock.h"
#include "io/reactor.h"
#include "journal/health.h"

struct journal_pin {
	uint64_t sequence;	/* of the pinned entry; 0: none */
	bool is_busy;		/* const: its owner is being written, so pressure skips it */
	struct list_link link;	/* in the entry's `pins` */
};

struct journal_entry {
	struct list pins;
};

/* The roots that the header of the next entry will have (JOURNAL-5). */
struct journal_roots {
	struct bkey btree_root;
	unsigned btree_level;
	struct bkey uuid_bucket;
	uint64_t prio_bucket;
};

enum journal_state {
	JOURNAL_IDLE,		/* no write is wanted */
	JOURNAL_BUCKET,		/* the open entry waits for a free bucket of the ring (JOURNAL-4) */
	JOURNAL_FLUSH,		/* the closed entry waits for the flush before it */
	JOURNAL_WRITE,		/* its FUA write is in flight */
};

struct journal_setup {
	struct lock *lock;		/* the set lock, for the writer's own steps */
	struct device *device;
	struct health *health;
	struct waitlist *when_idle;	/* woken whenever one of its ops becomes idle; or NULL */
	struct reactor *reactor;
	uint64_t set_magic;
	unsigned block_sectors, bucket_sectors;
	unsigned bucket_count;		/* of the ring */
	const uint64_t *buckets;
	unsigned member;		/* the device's index in prio_bucket[] of an entry */
};

/*
 * With the ring, as the superblock tells; the rest is the caller's.  `sb` stays in place as long as
 * the setup.
 */
struct journal_setup journal_setup_of(const struct superblock *sb);

struct journal {
	struct journal_setup setup;			/* const */
	uint64_t bucket[JOURNAL_BUCKETS_MAX];		/* const: the ring, as bucket numbers */
	uint64_t bucket_newest[JOURNAL_BUCKETS_MAX];	/* highest sequence in each; 0: none */
	unsigned current;		/* ring index of the bucket written last */
	unsigned current_sectors;	/* used sectors in it */

	struct journal_roots roots;
	bool roots_changed;		/* since the last entry was closed */

	struct journal_entry *entries;	/* ring: entry n is entries[n & entries_mask] */
	uint64_t entries_mask;
	/* Sequences.  `oldest` may exceed durable_last; only the latter frees buckets. */
	uint64_t oldest;		/* the oldest pinned entry, or the open one */
	uint64_t open;			/* the open entry */
	uint64_t durable;		/* the newest durable entry */
	uint64_t durable_last;		/* its last_sequence */
	uint64_t last_begun;		/* last_sequence of the newest closed entry (JOURNAL-3) */

	struct journal_entry_disk *buffer[2];	/* the open entry's, and the written one's */
	unsigned open_buffer;		/* index of the open entry's */
	unsigned words;			/* of the keys in the open entry */
	unsigned words_max;

	bool accepts;			/* entries may be written */
	uint64_t replaying;		/* the first entry that is not replayed yet; 0: none */
	bool write_wanted;		/* write the open entry as soon as possible */
	enum journal_state state;
	struct op writer;
	unsigned writing_sectors;	/* size of the entry being written */
	uint64_t writing_last;		/* its last_sequence */
	struct timer delay;		/* until keys are written that nobody waits for */
	struct op delayed;		/* awaits `delay` */
	uint64_t delay_ns;

	struct waitlist room;		/* inserts that wait for the next entry */
	struct waitlist pressure;	/* the index's pressure op waits here for work */
	struct waitlist reclaimed;	/* the writer waits here for `oldest` to advance */
	struct waitlist open_waiters;	/* ops that wait for the open entry to be durable */
	struct waitlist writing_waiters;	/* and for the one being written */

	uint64_t entries_written, keys_written, sectors_written, pressure_rounds, buckets_reclaimed;
};

/* Called without the set lock.  The caller then sets `roots`, and calls journal_begin(). */
void journal_init(struct journal *journal, const struct journal_setup *setup);
void journal_done(struct journal *journal);

/*
 * Continues after the entries `oldest`..`newest` that were read (0, 0: a fresh set); from now on
 * they can be pinned.  `current` is the ring index of the newest.  Nothing is written before
 * journal_accept().
 */
void journal_begin(struct journal *journal, uint64_t oldest, uint64_t newest, unsigned current,
		   const uint64_t *bucket_newest) LOCKED;
void journal_accept(struct journal *journal) LOCKED;

/* 0: `words` fit into the open entry.  -EAGAIN: `op` waits for room.  Else the set failed. */
int journal_room(struct journal *journal, unsigned words, struct op *op) LOCKED MUST_CHECK;
/* Adds a key after journal_room(), in the same critical section.  Returns the entry's sequence. */
uint64_t journal_add(struct journal *journal, const struct bkey *k) LOCKED;

/* Moves the pin to `sequence`, unless it pins an older entry already. */
void journal_pin(struct journal *journal, struct journal_pin *pin, uint64_t sequence) LOCKED;
void journal_unpin(struct journal *journal, struct journal_pin *pin) LOCKED;

/*
 * Writes the open entry as soon as possible; `op` awaits that all keys and roots added before this
 * call are durable.
 */
void journal_commit(struct journal *journal, struct op *op) LOCKED;
/* `op` awaits that the entry `sequence` is durable. */
void journal_commit_entry(struct journal *journal, uint64_t sequence, struct op *op) LOCKED;
/* As journal_commit(), but writes an entry even if it is empty. */
void journal_commit_always(struct journal *journal, struct op *op) LOCKED;
/*
 * The roots of the next entry that is closed (JOURNAL-5).  The flush before that entry makes
 * durable what was written until then, so a root is set when the writes of what it names have
 * ended (ORDER-4, ORDER-5); in a fresh set, before its first entry is asked for.
 */
void journal_set_btree_root(struct journal *journal, const struct bkey *root,
			    unsigned level) LOCKED;
void journal_set_uuid_bucket(struct journal *journal, const struct bkey *bucket) LOCKED;
void journal_set_prio_bucket(struct journal *journal, uint64_t first_bucket) LOCKED;
/* To be called after these, once the set runs: an entry is written within the usual delay. */
void journal_roots_change(struct journal *journal) LOCKED;

/* The pins of the oldest entry, whose leaves should be written; NULL if there is no pressure. */
struct list *journal_front(struct journal *journal) LOCKED;
bool journal_is_under_pressure(const struct journal *journal) LOCKED;

/* The maximum number of entries that can be needed at a time. */
static inline uint64_t journal_entries_max(const struct journal *journal)
{
	return journal->entries_mask;
}
/*
 * After journal_begin(): is the bucket after the newest entry free?  Replay needs one for its first
 * entry, so if there is none, the set must be refused before anything is written.
 */
bool journal_can_go_on(const struct journal *journal) LOCKED;
/* Can the open entry be written now, if it has no keys?  (A start cannot wait for room.) */
bool journal_has_place(const struct journal *journal) LOCKED;
/* The set stops: nothing is written any more. */
void journal_stop(struct journal *journal) LOCKED;

/* The number of entries that a start after a crash would replay. */
uint64_t journal_active_entries(const struct journal *journal) LOCKED;

/* The set failed: wakes all waiters with `error`. */
void journal_abort(struct journal *journal, int error) LOCKED;
/* No write is in flight, and no step is due?  (For stopping a set.) */
bool journal_is_idle(const struct journal *journal) LOCKED;

/* journal/read.c: reads the journal at the start of a set.  Blocking; needs no set. */
struct journal_found {
	unsigned count;
	struct journal_entry_disk **entries;	/* oldest needed .. newest, no gap; owned */
	unsigned current;			/* ring index of the newest */
	unsigned newest_end;			/* where that one ends in its bucket, in sectors */
	uint64_t bucket_newest[JOURNAL_BUCKETS_MAX];
};
/* -errno and the reason, as "journal entries A-B missing! (replaying S-E)". */
int journal_read(struct journal_found *found, const struct journal_setup *setup,
		 bool gap_at_start_allowed, struct error *error) MUST_CHECK;

enum journal_fault {
	JOURNAL_FAULT_READ,		/* of a bucket: entries in it are not known */
	JOURNAL_FAULT_NONE,		/* there is no entry at all */
	JOURNAL_FAULT_GAP,		/* durable entries are missing */
	JOURNAL_FAULT_ENTRY,		/* one has nonsense in it, with a right checksum */
};
struct journal_faults {
	/* 0: goes on without what is at fault.  -errno: ends the reading. */
	int (*take)(struct journal_faults *faults, enum journal_fault kind,
		    const struct error *fault);
};
/*
 * As journal_read(), for those who want all that can be had: each fault is reported.  Afterwards
 * there may be gaps between the entries, and keys in them that bkey_decode() refuses.
 */
int journal_read_all(struct journal_found *found, const struct journal_setup *setup,
		     bool gap_at_start_allowed, struct journal_faults *faults,
		     struct error *error) MUST_CHECK;
void journal_found_done(struct journal_found *found);
