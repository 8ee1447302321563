/*
 * Buckets: which are free, and what the others are worth.
 *
 * A bucket has a generation, which every pointer to it repeats: raising it
 * makes all pointers stale at once.  Reuse means: choose victims nobody needs,
 * raise their generations, make a table with the new generations durable
 * (and a journal entry that names it), and only then hand them out.
 *
 *    victims --raise--> incoming --table, entry durable--> free[PRIO, BTREE, DATA]
 *       ^                                                     |
 *       +----- gc: nobody needs it <---- used, pinned <-------+
 *
 * (SPACE-1) No byte is written into a reused bucket before ORDER-1 holds: the table and
 *     an entry that names it are durable.
 * (SPACE-2) A pinned bucket is never a victim.  Pins: reads in flight, extents whose
 *     key is not in the index yet, open buckets, buckets on free lists.
 * (SPACE-3) A bucket whose freed record is not durable yet has its old generation in a
 *     table (freed_pending), so refill never waits for a plan (ORDER-2).
 * (SPACE-4) A generation is at most GENERATIONS_BEHIND ahead of the oldest pointer. On
 *     disk pointers may be one more apart, see survey.c.
 * (SPACE-5) free[PRIO] has room for exactly one table.
 *
 * A table costs the same for one bucket as for thousands.  So how many are made free in
 * advance follows what data wanted lately (data_target): many where they ran out, or where
 * many hold nothing that would be lost; few else, since what is free caches nothing.
 *
 * Every function is called inside the set, unless it says otherwise.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "bcachefuse/prio.h"
#include "bcachefuse/superblock.h"
#include "format/bkey.h"
#include "journal/journal.h"

enum bucket_use { USE_PRIO, USE_BTREE, USE_DATA, USES };
enum bucket_mark { MARK_NONE, MARK_RECLAIMABLE, MARK_DIRTY, MARK_METADATA };
enum { GENERATIONS_BEHIND = 96, OPEN_BUCKETS_MAX = 128 };

struct bucket {
	uint32_t pins;			/* every extent of every request may lie in this bucket */
	uint16_t prio;
	uint16_t used_sectors;		/* live, saturating; as of the last gc */
	uint8_t generation;
	uint8_t oldest;			/* generation of the oldest pointer (kernel: last_gc) */
	uint8_t mark : 2;
	uint8_t is_listed : 1;		/* on a free list, or incoming */
	uint8_t freed_pending : 1;	/* SPACE-3 */
	uint8_t is_chosen : 1;		/* while refill draws victims */
};

/* A ring of bucket numbers of an exact size. */
struct bucket_ring {
	uint32_t *bucket;
	unsigned size, count, first;
};

/* A bucket that is being filled with data. */
struct open_bucket {
	struct list_link link;		/* in lru order */
	uint32_t bucket;
	unsigned sectors_left;		/* 0: none is open here */
	unsigned volume;		/* of the last extent, and where it ended: */
	uint64_t end;
	uint32_t stream;
	bool is_flash;	/* data of flash-only and of cached volumes are never mixed (LESSON-28) */
};

enum refill_state {
	REFILL_IDLE,
	REFILL_CHOOSE,
	REFILL_STARVED,		/* too few victims: waits for a gc, a freed bucket, or a while */
	REFILL_TABLE,		/* parts of the table are being written */
	REFILL_ENTRY,		/* the entry that names it */
};

struct space_setup {
	struct lock *lock;		/* of the set: refill enters by it */
	struct device *device;
	struct health *health;
	struct reactor *reactor;
	struct journal *journal;
	uint64_t set_magic;
	uint64_t buckets;
	unsigned block_sectors, bucket_sectors, meta_bucket_sectors;
	unsigned first_bucket;
	unsigned prio_per_part, prio_parts;
	unsigned journal_buckets;	/* right behind first_bucket */
	enum replacement replacement;
	uint64_t seed;
	bool is_read_only;		/* no table will be written */
};

struct victim;

struct space {
	struct space_setup setup;
	struct bucket *bucket;
	struct bucket_ring free[USES];
	struct bucket_ring incoming;
	struct waitlist waiting[USES];
	struct waitlist refilled;	/* fills wait here for the refill under way to end */
	unsigned batch_min;		/* buckets that refill makes free at a time, at least */
	unsigned data_min, data_target;	/* how many free[DATA] should hold */
	bool data_was_short;		/* since the last batch was chosen */
	struct waitlist gc_wanted;	/* gc waits here for work */
	bool gc_is_wanted;
	bool gc_was_useless;		/* the last one left nothing to choose from */
	bool has_gc;			/* somebody waits in gc_wanted, or is at it */
	struct waitlist gc_ended;	/* for room that the next gc may find */
	uint64_t hidden_since_gc;	/* dirty sectors overwritten or discarded since it began */
	uint64_t dirty_promised;	/* buckets that dirty writes under way may still open */
	struct timer starved_timer;
	bool marks_valid;		/* no gc is under way */
	bool is_surveyed;		/* all pointers on the disk have been seen */
	bool is_running;		/* refill may work */
	bool data_is_wanted;		/* since the start; else nothing is evicted for it */
	uint64_t available; /* buckets of mark none or reclaimable; during a gc: as before it */
	unsigned metadata_reserved;	/* what free[PRIO] and free[BTREE] hold when full */

	struct open_bucket open_bucket[OPEN_BUCKETS_MAX];
	struct list open_lru;
	unsigned open_limit;

	enum refill_state refill_state;
	struct op refill;
	uint64_t cursor;		/* fifo: the next bucket to look at */
	struct victim *victims;		/* scratch for choosing: a heap, the worst on top */
	bool incoming_is_durable;	/* what is in `incoming` may be handed out */
	unsigned char *part_buffers;	/* what is not zero of each part */
	uint32_t *table, *old_table;	/* buckets of the table being written, of the durable one */
	uint64_t table_sequence;
	bool have_table;
	uint16_t prio_min;
	int64_t rescale_left;		/* sectors until priorities sink */
	int64_t gc_left;		/* sectors until a gc is wanted */
	struct random random;

	uint64_t sectors_written;	/* of data; btree and metadata are counted where written */
	uint64_t metadata_sectors_written;
	uint64_t buckets_reused, tables_written;
};

/* Outside the set. 64 bytes a bucket at most, all told.  -ENOMEM: there is nothing to be done. */
int space_init(struct space *space, const struct space_setup *setup,
	       struct error *error) MUST_CHECK;
void space_done(struct space *space);

static inline uint64_t space_bucket_of(const struct space *space, uint64_t ptr)
{
	return pointer_sector(ptr) / space->setup.bucket_sectors;
}

/* Into a bucket behind the journal's, with `sectors` behind it inside one bucket? */
bool space_pointer_is_valid(const struct space *space, uint64_t ptr, unsigned sectors) IN_SET;
/* 0: the bucket has not been reused since; 1..128: by how much the pointer is stale. */
unsigned space_staleness(const struct space *space, uint64_t ptr) IN_SET;

void space_pin(struct space *space, uint64_t ptr) IN_SET;
void space_unpin(struct space *space, uint64_t ptr) IN_SET;
void space_hit(struct space *space, uint64_t ptr) IN_SET;	/* its priority rises again */
void space_count_io(struct space *space, unsigned sectors) IN_SET; /* priorities sink with i/o */

/*
 * `count` buckets of `use`, all or none.  0, -EAGAIN: `op` (if not NULL) waits, -errno: dead.
 * They come pinned, marked metadata unless for data; (SPACE-1) holds for them.
 */
int space_take(struct space *space, enum bucket_use use, unsigned count, uint32_t *buckets,
	       struct op *op) IN_SET MUST_CHECK;
/* Could `count` be taken now, and half of the list would be left?  While a set starts: yes. */
bool space_can_spare(const struct space *space, enum bucket_use use, unsigned count) IN_SET;
uint64_t space_pointer(const struct space *space, uint32_t bucket) IN_SET;	/* to its start */
/* It was taken and not written: back to its list. */
void space_give_back(struct space *space, enum bucket_use use, uint32_t bucket) IN_SET;

/* The node in it was replaced: pointers of now are stale at once; (SPACE-3) until space_freed(). */
void space_free_begin(struct space *space, uint32_t bucket) IN_SET;
/* Its freed record (or the entry naming another root) is durable: it may be a victim. */
void space_freed(struct space *space, uint32_t bucket) IN_SET;
/* The plan failed: the pointers to it are good again. */
void space_free_undo(struct space *space, uint32_t bucket) IN_SET;
/* A pinned metadata bucket is named now: it loses the pin it was taken with. */
void space_settle(struct space *space, uint32_t bucket) IN_SET;

/* Which write this belongs to, so that what is written together lies together. */
struct stream {
	unsigned volume;
	uint64_t start;		/* key sector */
	uint32_t task;
	unsigned block_sectors;	/* of the volume: an extent is a multiple of it */
	bool is_flash;
};
/*
 * Up to `sectors` for one extent: the sectors given, *ptr to the first; the bucket is pinned once
 * for it.  `sectors` is a multiple of the stream's block, and so is what is given, where the bucket
 * allows it.  0: no free bucket; `op` (if not NULL) waits for one.
 */
unsigned space_allocate(struct space *space, const struct stream *stream, unsigned sectors,
			bool dirty, uint64_t *ptr, struct op *op) IN_SET MUST_CHECK;
/*
 * By a fill that found no bucket: `op` waits until the refill under way has ended, with buckets or
 * without; false: there is none.
 */
bool space_await_refill(struct space *space, struct op *op) IN_SET MUST_CHECK;
/*
 * Dirty data of one write may be let in: enough stays for metadata, whatever the
 * others do that were promised room.  To be ended with the same number.
 */
bool space_promise_dirty(struct space *space, unsigned sectors) IN_SET MUST_CHECK;
void space_promise_ends(struct space *space, unsigned sectors) IN_SET;
/* Dirty sectors were overwritten or discarded: a gc may find their buckets empty. */
void space_hidden(struct space *space, unsigned sectors) IN_SET;
/*
 * Could a gc find room?  Then one is wanted, and `op` waits for its end; without an op that
 * waits, only if it is likely to find much.
 */
bool space_gc_may_help(struct space *space, struct op *op) IN_SET;
unsigned space_in_use_percent(const struct space *space) IN_SET;

/* gc, and the start of a set. */
void space_gc_begin(struct space *space) IN_SET;	/* marks become invalid */
/* A live or stale pointer was seen; `level` > 0 or metadata marks so.  Returns its staleness. */
unsigned space_mark_pointer(struct space *space, uint64_t ptr, unsigned sectors, bool metadata,
			    bool dirty) IN_SET;
/* A dead pointer that is still on disk: how stale it is. */
unsigned space_mark_stale(struct space *space, uint64_t ptr) IN_SET;
void space_see_metadata(struct space *space, uint32_t bucket) IN_SET;
void space_gc_end(struct space *space) IN_SET;		/* marks are valid again; refill goes on */
void space_want_gc(struct space *space) IN_SET;
bool space_gc_is_wanted(const struct space *space) IN_SET;
/*
 * At start, before any allocation, every pointer there is to a bucket of ours (survey.c): it proves
 * a generation at least as new.  -EINVAL if it contradicts those that were seen before.
 */
int space_survey(struct space *space, uint64_t ptr, struct error *error) IN_SET MUST_CHECK;
/* And it is a live one to metadata, which it marks; or to an extent, live or stale. */
int space_survey_metadata(struct space *space, uint64_t ptr, unsigned sectors,
			  struct error *error) IN_SET MUST_CHECK;
int space_survey_extent(struct space *space, uint64_t ptr, unsigned sectors, bool dirty,
			struct error *error) IN_SET MUST_CHECK;
/*
 * At start, when marks are valid: unused buckets go straight to the lists for PRIO and BTREE, since
 * nothing points to them.  -ENOSPC if there are too few.
 */
enum { BUCKETS_TO_START = 8 };	/* of BTREE; of PRIO: one table */
int space_bootstrap(struct space *space, struct error *error) IN_SET MUST_CHECK;
/* While refill does not work yet: how many buckets of `use` could be had now. */
unsigned space_unused(struct space *space, enum bucket_use use) IN_SET;
/* Refill begins to work; it ends as soon as it is through. */
void space_run(struct space *space) IN_SET;
void space_stop(struct space *space) IN_SET;
void space_abort(struct space *space, int error) IN_SET;
bool space_is_idle(const struct space *space) IN_SET;

/* The table, blocking, outside any set: fills prio and generation of all buckets. */
int space_read_table(struct space *space, uint64_t first_bucket_of_table,
		     struct error *error) MUST_CHECK;
/* A fresh set's table, which the first journal entry will name: `op` awaits its writes. */
void space_write_first_table(struct space *space, struct op *op) IN_SET;
