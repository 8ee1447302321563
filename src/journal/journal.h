/*
 * The journal: index changes that are durable before the index itself is, and
 * the one commit point of root, uuid table and priority table.
 *
 * A ring of buckets, filled entry by entry.  One entry is open in memory and
 * takes keys; one at most is on its way to the device.
 *
 *          oldest needed          writing   open
 *               |   pinned entries   |       |
 *        -------[====================[#######[+++
 *
 * (JOURNAL-1) An entry is needed until every key in it is also in a written
 *     index node.  The leaf that holds the oldest such key pins the entry.
 * (JOURNAL-2) Entries become durable in order; an entry is flushed before it
 *     and written FUA, so the data its keys point to are durable too (ORDER-9).
 * (JOURNAL-3) last_sequence only grows.  A bucket is overwritten only when no entry in
 *     it is needed by the newest *durable* entry (ORDER-13).
 * (JOURNAL-4) The last free bucket is entered only by an entry whose own last_sequence
 *     frees another one; until then it waits for leaf writes.  So a full ring can
 *     always say durably that it is less full, and after any cut there is a bucket for
 *     replay.
 * (JOURNAL-5) Root, level, uuid bucket and prio bucket are written as they are at the
 *     moment the entry closes (journal_roots).
 *
 * When there is no room, callers wait in `room`.  When entries should be let
 * go, `pressure` is woken: the index writes the leaves that pin the oldest.
 *
 * Every function is called inside the set, unless it says otherwise.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bcachefuse/superblock.h"
#include "format/bkey.h"
#include "format/journal_entry.h"
#include "io/device.h"
#include "io/flush.h"
#include "io/lock.h"
#include "io/reactor.h"
#include "journal/health.h"

struct journal_pin {
	uint64_t sequence;	/* 0: pins nothing */
	bool is_busy;		/* its owner is being written already */
	struct list_link link;	/* in its entry's list */
};

struct journal_entry {
	struct list pins;
};

/* What every entry's header says, as of now (JOURNAL-5). */
struct journal_roots {
	struct bkey btree_root;
	unsigned btree_level;
	struct bkey uuid_bucket;
	uint64_t prio_bucket;
};

enum journal_state {
	JOURNAL_IDLE,		/* nobody wants a write */
	JOURNAL_ROOM,		/* the entry waits for a bucket (JOURNAL-4) */
	JOURNAL_FLUSH,		/* the data its keys name become durable */
	JOURNAL_WRITE,		/* FUA write under way */
};

struct journal_setup {
	struct lock *lock;		/* of the set: the writer enters by it */
	struct device *device;
	struct flush *flush;
	struct health *health;
	struct reactor *reactor;
	uint64_t set_magic;
	unsigned block_sectors, bucket_sectors;
	unsigned bucket_count;		/* of the ring */
	const uint64_t *buckets;
	unsigned member;		/* index into prio_bucket[] */
};

struct journal {
	struct journal_setup setup;
	uint64_t bucket[JOURNAL_BUCKETS_MAX];
	uint64_t bucket_newest[JOURNAL_BUCKETS_MAX];	/* highest sequence in it; 0: none */
	unsigned current;		/* ring index that was written last */
	unsigned current_sectors; /* used in it; the whole bucket: the next write takes another */

	struct journal_roots roots;
	bool roots_changed;		/* since the open entry was opened */

	struct journal_entry *entries;	/* ring: entry n is entries[n & entries_mask] */
	uint64_t entries_mask;
	uint64_t oldest;		/* oldest entry that is pinned, else the open one */
	uint64_t open;			/* sequence of the open entry */
	uint64_t durable;		/* newest durable entry */
	uint64_t durable_last;		/* its last_sequence */
	uint64_t last_begun;		/* of the newest entry that was closed (JOURNAL-3) */

	struct journal_entry_disk *buffer[2];
	unsigned open_buffer;
	unsigned words;			/* keys in the open entry */
	unsigned words_max;

	bool accepts;			/* running: entries may be written */
	uint64_t replaying;	/* the index lacks this entry and those behind it; 0: none */
	bool write_wanted;		/* the open entry shall be written as soon as possible */
	enum journal_state state;
	struct op writer;
	unsigned writing_sectors;
	uint64_t writing_last;
	struct timer delay;
	struct op delayed;
	uint64_t delay_ns;

	struct waitlist room;		/* for keys in the open entry */
	struct waitlist pressure;	/* the index's flusher waits here for work */
	struct waitlist reclaimed;	/* the writer waits here for pins to go (JOURNAL-4) */
	struct waitlist open_waiters;	/* for the open entry to be durable */
	struct waitlist writing_waiters;

	uint64_t entries_written, keys_written, sectors_written, pressure_rounds, buckets_reclaimed;
};

/* Outside the set; `roots` and position follow with journal_begin(). */
void journal_init(struct journal *journal, const struct journal_setup *setup);
void journal_done(struct journal *journal);

/*
 * Where to go on: the entries `oldest`..`newest` were read (0, 0: a fresh set), their keys can
 * be pinned from now on; `current` is the ring index of the newest.  Nothing
 * is written before journal_accept().
 */
void journal_begin(struct journal *journal, uint64_t oldest, uint64_t newest, unsigned current,
		   const uint64_t *bucket_newest) IN_SET;
void journal_accept(struct journal *journal) IN_SET;

/* 0: `words` fit into the open entry now. -EAGAIN: `op` waits for room. -errno: dead. */
int journal_room(struct journal *journal, unsigned words, struct op *op) IN_SET MUST_CHECK;
/* Adds a key, for which room was found in the same stay; its entry's sequence. */
uint64_t journal_add(struct journal *journal, const struct bkey *k) IN_SET;

/* The pin moves to `sequence` if that is older than what it pins, or it pins nothing. */
void journal_pin(struct journal *journal, struct journal_pin *pin, uint64_t sequence) IN_SET;
void journal_unpin(struct journal *journal, struct journal_pin *pin) IN_SET;

/*
 * `op` awaits that all keys and roots that were given before this call are
 * durable; arrives at once when they are.  The write starts now.
 */
void journal_commit(struct journal *journal, struct op *op) IN_SET;
/* Same, but waits at least for entry `sequence` (which may be durable). */
void journal_commit_entry(struct journal *journal, uint64_t sequence, struct op *op) IN_SET;
/* As journal_commit(), and an entry is written in any case, empty or not. */
void journal_commit_always(struct journal *journal, struct op *op) IN_SET;
/* Roots were changed: the next entry carries them, within the usual delay. */
void journal_roots_change(struct journal *journal) IN_SET;

/* The pins of the oldest entry, which reclaim wants to be let go; NULL without pressure. */
struct list *journal_front(struct journal *journal) IN_SET;
bool journal_is_under_pressure(const struct journal *journal) IN_SET;

/* So many entries can be pinned at a time. */
static inline uint64_t journal_entries_max(const struct journal *journal)
{
	return journal->entries_mask;
}
/*
 * After journal_begin(): is the bucket behind the newest entry free?  Replay frees none before it
 * has written an entry, so without one the set must be refused before anything is written.
 */
bool journal_can_go_on(const struct journal *journal) IN_SET;
/* Could the open entry be written now, if it has no keys?  (a start cannot wait for that) */
bool journal_has_place(const struct journal *journal) IN_SET;
/* The set stops: nothing is written any more by itself. */
void journal_stop(struct journal *journal) IN_SET;

/* Entries that a start would replay. */
uint64_t journal_active_entries(const struct journal *journal) IN_SET;

/* The set died: everybody who waits is told `error`. */
void journal_abort(struct journal *journal, int error) IN_SET;
/* Is nothing under way?  (for stop) */
bool journal_is_idle(const struct journal *journal) IN_SET;

/* journal/read.c: what is left after a stop.  Blocking; outside any set. */
struct journal_found {
	unsigned count;
	struct journal_entry_disk **entries;	/* oldest needed .. newest, no gap; owned */
	unsigned current;			/* ring index of the newest */
	uint64_t bucket_newest[JOURNAL_BUCKETS_MAX];
};
/* -errno and the reason, as "journal entries A-B missing! (replaying S-E)". */
int journal_read(struct journal_found *found, const struct journal_setup *setup,
		 bool gap_at_start_allowed, struct error *error) MUST_CHECK;
void journal_found_done(struct journal_found *found);
