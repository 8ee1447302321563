/*
 * Buckets: allocation, reference counts (pins), priorities, and reuse.
 *
 * Every bucket has a generation, and every pointer holds the generation of its bucket.
 * Raising the generation invalidates all pointers into the bucket at once: they are
 * *stale*.  To reuse buckets, refill chooses victims, raises their generations, makes a
 * table with the new generations durable, and a journal entry that names the table, and
 * only then puts the buckets on the free lists.
 *
 *    victims --raise--> incoming --table, entry durable--> free[PRIO, BTREE, DATA]
 *       ^                                                     |
 *       +----- gc: not referenced <---- used, pinned <--------+
 *
 * (SPACE-1) No byte is written into a reused bucket before the table with its new
 *     generation and an entry that names the table are durable (ORDER-1).
 * (SPACE-2) A pinned bucket is never a victim.  A pin is held by a read in flight, by an
 *     extent whose key is not in the index yet, by an open bucket, by a free list, and
 *     by metadata that no durable structure references yet.
 * (SPACE-3) While the freed record of a replaced node is not durable, a table holds the
 *     old generation of its bucket (freed_pending).  So refill never waits for a plan
 *     (ORDER-2).
 * (SPACE-4) A generation is at most GENERATIONS_BEHIND ahead of the oldest pointer into
 *     the bucket.  On disk the distance may be one more, see survey.c.
 * (SPACE-5) free[PRIO] has room for exactly the buckets of one table, and is full whenever a
 *     table is begun.
 * (SPACE-6) Whatever looks at every bucket is a sweep: a step handles at most slice_buckets
 *     of them, and requests run between the steps.  So any bucket may change while a sweep
 *     is half done, before its cursor or behind it; each sweep says why that does no harm.
 *
 * The sweep that begins a gc clears the marks of buckets that are neither pinned nor being
 * freed.  It ends before the walk begins.  A bucket that is cleared is found by the walk if
 * a key points to it; one that is allocated is pinned, so the sweep keeps its mark.
 * (SPACE-7) found_available and found_unmarked count the marks of buckets before gc_cursor
 *     as they are now: a change of a mark there changes them at once.  When the gc ends,
 *     they are the counts of all buckets, without a look at any.
 *
 * A choice of victims is a sweep, too.  A victim may be pinned, hit or filled before it is
 * raised, or a gc may begin (at the start of a set), which makes its mark say nothing:
 * (SPACE-8) A bucket is raised only in a step in which marks are valid and it may be a
 *     victim, whatever it was when it was chosen.
 * (SPACE-9) No gc begins during the sweep of a choice.  Otherwise a gc that is wanted again
 *     and again would make every choice void, and nothing would ever be reused.
 * The table is encoded in slices after all victims were raised.  Until the table is written
 * no other generation rises but those of nodes that are being freed, and of these either
 * generation is right (SPACE-3); priorities may be of any time.
 *
 * Writing a table costs the same for one bucket as for thousands.  The number of buckets
 * that are made free in advance (data_target) therefore follows the recent demand: high
 * if they ran out, or if many buckets are empty anyway; low otherwise, since a free
 * bucket caches nothing.
 *
 * All functions are called with the set lock held, and the set lock guards all fields,
 * unless it says otherwise.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "bcachefuse/prio.h"
#include "bcachefuse/superblock.h"
#include "format/bkey.h"
#include "format/superblock.h"
#include "journal/journal.h"

enum bucket_use { USE_PRIO, USE_BTREE, USE_DATA, USES };
/* The use of a bucket; gc finds it, allocation sets it.  The first two are *available*. */
enum bucket_mark { MARK_NONE, MARK_RECLAIMABLE, MARK_DIRTY, MARK_METADATA };
enum { GENERATIONS_BEHIND = 96, OPEN_BUCKETS_MAX = 128 };

struct bucket {
	uint32_t pins;			/* refcount; 32 bits, as one bucket may get all pins */
	uint16_t prio;			/* see bcachefuse/prio.h */
	uint16_t used_sectors;		/* live data as of the last gc, saturating */
	uint8_t generation;
	uint8_t oldest;			/* generation of the oldest pointer (kernel: last_gc) */
	uint8_t mark : 2;		/* enum bucket_mark */
	uint8_t is_listed : 1;		/* on a free list, or incoming */
	uint8_t freed_pending : 1;	/* SPACE-3 */
	uint8_t is_chosen : 1;		/* it is a victim of the random choice under way */
};

/* A ring buffer of bucket numbers, of an exact size (LESSON-7). */
struct bucket_ring {
	uint32_t *bucket;
	unsigned size, count, first;
};

/* A bucket that is being filled with data. */
struct open_bucket {
	struct list_link link;		/* in open_lru, least recently used first */
	uint32_t bucket;
	unsigned sectors_left;		/* 0: this place holds no bucket */
	unsigned volume;		/* of the last extent */
	uint64_t end;			/* key sector at which the last extent ended */
	uint32_t stream;		/* task that wrote the last extent */
	bool is_flash;	/* data of flash-only and of cached volumes are never mixed (LESSON-28) */
};

/* Moved data of different fates do not share a bucket. */
enum move_kind { MOVE_CLEAN, MOVE_DIRTY, MOVE_FLASH, MOVE_KINDS };
enum { MOVE_CLASSES = 12 };	/* of sixteenths: fuller buckets are not emptied */

/* Which buckets moving gc empties: those of the classes before end_class.  And those it fills. */
struct relocation {
	bool is_only_dirty;
	uint64_t cursor;		/* of the sweep that counts them */
	uint64_t buckets[MOVE_CLASSES], sectors[MOVE_CLASSES];
	unsigned end_class;		/* 0: none are worth it */
	struct open_bucket open[MOVE_KINDS];
};

enum refill_state {
	REFILL_IDLE,
	REFILL_CHOOSE,
	REFILL_SWEEP,		/* looks for victims, slice by slice */
	REFILL_STARVED,		/* too few victims: waits for a gc, a freed bucket, or a timeout */
	REFILL_ENCODE,		/* encodes the table, slice by slice */
	REFILL_TABLE,		/* waits for the writes of the table */
	REFILL_ENTRY,		/* waits for the entry that names it to be durable */
};

struct space_setup {
	struct lock *lock;		/* the set lock, for refill's own steps */
	struct device *device;
	struct health *health;
	struct waitlist *when_idle;	/* woken whenever one of its ops becomes idle; or NULL */
	struct reactor *reactor;
	struct journal *journal;
	uint64_t set_magic;
	uint64_t buckets;
	unsigned block_sectors, bucket_sectors, meta_bucket_sectors;
	unsigned first_bucket;
	unsigned prio_per_part, prio_parts;
	unsigned journal_buckets;	/* they begin at first_bucket */
	enum replacement replacement;	/* lock: the next sweep goes by it */
	uint64_t seed;
	unsigned slice_buckets;		/* SPACE-6; 0: default */
	bool is_read_only;		/* -o ro: no table will be written */
};

/* With the shape of the buckets, as the superblock tells; the rest is the caller's. */
struct space_setup space_setup_of(const struct superblock *sb);

struct victim;

/* A sweep for victims.  It changes no bucket but is_chosen. */
struct choice {
	unsigned wanted, count;	/* of space->victims */
	uint64_t tried;		/* buckets looked at, or drawn */
	uint16_t prio_min;	/* as when the sweep began, so that all are compared alike */
	enum replacement by;	/* the policy when it began: it may change before the end */
	bool takes_any;		/* random: draws found none, so any are taken in turn */
};

/* The table is encoded part by part; the checksum grows with each slice. */
struct encoding {
	unsigned part, bytes;	/* of this part, so many are encoded, zeros at its end included */
	uint64_t checksum;
};

struct space {
	struct space_setup setup;
	struct bucket *bucket;
	struct bucket_ring free[USES];
	struct bucket_ring incoming;
	struct waitlist waiting[USES];	/* ops that wait for buckets of this use */
	struct waitlist refilled;	/* fills that wait for the running refill to end */
	unsigned batch_min;		/* minimum number of buckets that refill makes free */
	unsigned data_min, data_target;	/* minimum and target for free[DATA] */
	bool data_was_short;		/* free[DATA] ran out since the last batch */
	struct waitlist gc_wanted;	/* gc waits here for work */
	bool gc_is_wanted;
	bool gc_was_useless;		/* refill found no victims although marks were valid */
	/* Refill wants no gc before this is over: the last ones have won nothing. */
	uint64_t gc_ended_ns, gc_rest_ns;
	bool has_gc;			/* gc was started (not so during replay) */
	struct waitlist gc_ended;	/* writes that wait for room that the next gc may find */
	uint64_t hidden_since_gc;	/* dirty sectors overwritten or discarded since gc began */
	uint64_t dirty_promised;	/* buckets that dirty writes in flight may still open */
	struct timer starved_timer;
	bool marks_valid;		/* no gc is running */
	bool is_surveyed;		/* survey.c has seen all pointers on the disk */
	bool is_running;		/* refill may run */
	bool data_is_wanted;		/* data were allocated; until then none are evicted */
	/* Available ones, and those of MARK_NONE, listed ones included; gc counts them anew. */
	uint64_t available, unmarked;
	uint64_t gc_cursor;		/* SPACE-7; all buckets: the marks are cleared */
	uint64_t found_available, found_unmarked;
	bool gc_has_won, gc_is_for_refill;	/* the running one, see gc_rest_ns */
	unsigned metadata_reserved;	/* free[PRIO] and free[BTREE] together, when full */

	struct open_bucket open_bucket[OPEN_BUCKETS_MAX];
	struct list open_lru;		/* all open_limit places */
	unsigned open_limit;

	enum refill_state refill_state;
	struct op refill;
	uint64_t cursor;		/* fifo: last bucket tried; during start: next unused one */
	struct choice choice;
	struct victim *victims;		/* of the choice: for lru a heap, worst on top */
	struct encoding encoding;
	unsigned parts_written;		/* of the newest table: written, or being written */
	bool incoming_is_durable;	/* ORDER-1 holds for all of `incoming` */
	unsigned char *part_buffers;	/* the entries of each part, as on disk */
	uint32_t *table, *old_table;	/* buckets of the newest table and of the one before */
	uint64_t table_sequence;
	bool have_table;		/* false: a fresh set before its first table */
	uint64_t io_sectors;		/* read and written: it ages priorities */
	uint64_t aged;			/* buckets that had their turn, over all rounds */
	uint16_t prio_min;		/* lowest priority in the last round */
	uint16_t prio_lowest;		/* in the current round until now */
	int64_t gc_left;		/* sectors of writes until the next gc */
	struct random random;

	struct relocation move;

	uint64_t sectors_written;	/* data; writers of btree and metadata count their own */
	uint64_t metadata_sectors_written;
	uint64_t buckets_reused, tables_written;
};

/* Called without the set lock.  At most 64 bytes per bucket.  On -ENOMEM everything is freed. */
int space_init(struct space *space, const struct space_setup *setup,
	       struct error *error) MUST_CHECK;
void space_done(struct space *space);

static inline uint64_t space_bucket_of(const struct space *space, uint64_t ptr)
{
	return pointer_sector(ptr) / space->setup.bucket_sectors;
}

/* Does the extent lie inside one bucket, after those of the journal? */
bool space_pointer_is_valid(const struct space *space, uint64_t ptr, unsigned sectors) LOCKED;
/* 0: the pointer is current; 1..128: it is stale by so many generations. */
unsigned space_staleness(const struct space *space, uint64_t ptr) LOCKED;

void space_pin(struct space *space, uint64_t ptr) LOCKED;
void space_unpin(struct space *space, uint64_t ptr) LOCKED;
void space_hit(struct space *space, uint64_t ptr) LOCKED;	/* resets its priority to initial */
void space_count_io(struct space *space, unsigned sectors) LOCKED; /* i/o ages all priorities */

/*
 * Takes `count` buckets of `use`, all or none.  0; -EAGAIN: too few, and `op`, if not NULL, waits;
 * -ENOSPC: too few, and refill does not run yet; other -errno: the set failed.  Each bucket has one
 * pin, and is marked as metadata unless it is for data.  SPACE-1 holds for all.
 */
int space_take(struct space *space, enum bucket_use use, unsigned count, uint32_t *buckets,
	       struct op *op) LOCKED MUST_CHECK;
/* Can `count` be taken now such that half of the list remains?  Always true while a set starts. */
bool space_can_spare(const struct space *space, enum bucket_use use, unsigned count) LOCKED;
uint64_t space_pointer(const struct space *space, uint32_t bucket) LOCKED; /* to its first sector */

/* Its node was replaced: makes all pointers to it stale; SPACE-3 until space_freed(). */
void space_free_begin(struct space *space, uint32_t bucket) LOCKED;
/* Its freed record, or the entry that names another root, is durable: it may be reused. */
void space_freed(struct space *space, uint32_t bucket) LOCKED;
/* Drops the pin from space_take(), once a durable structure references the bucket. */
void space_unpin_bucket(struct space *space, uint32_t bucket) LOCKED;

/* Where an extent comes from.  Extents of one stream are placed next to each other. */
struct stream {
	unsigned volume;
	uint64_t start;		/* key sector */
	uint32_t task;		/* id of the writing task */
	unsigned block_sectors;	/* of the volume: extents are multiples of it */
	bool is_flash;
};
/* A place in the cache: a pointer, and for how many sectors there is room. */
struct place {
	uint64_t ptr;
	unsigned sectors;
};
/*
 * Allocates up to `sectors` (a multiple of the stream's block) for one extent, in an open bucket;
 * less at the end of a bucket, whose rest is too small.  0: the bucket has one pin for the extent.
 * -EAGAIN: no bucket is free, and `op`, if not NULL, waits for one.  -errno: the set failed.
 */
int space_allocate(struct space *space, const struct stream *stream, unsigned sectors, bool dirty,
		   struct place *place, struct op *op) LOCKED MUST_CHECK;
/*
 * For a fill that found no bucket.  -EAGAIN: `op` waits until the running refill has ended, with or
 * without new buckets.  0: no refill is running, so there is nothing to wait for.
 */
int space_await_refill(struct space *space, struct op *op) LOCKED MUST_CHECK;
/*
 * Reserves room for the dirty data of one write.  True: enough buckets remain for metadata even if
 * all promises are used.  The caller ends the promise with the same number of sectors.
 */
bool space_promise_dirty(struct space *space, unsigned sectors) LOCKED MUST_CHECK;
void space_promise_ends(struct space *space, unsigned sectors) LOCKED;
/* Reports overwritten or discarded dirty sectors, whose buckets a gc may find empty. */
void space_hidden(struct space *space, unsigned sectors) LOCKED;
/*
 * For a write that finds no room.  -EAGAIN: a gc is running, or wanted since it may find some; `op`
 * waits for its end.  -ENOSPC: nothing was hidden since the last one, so it would find none.
 */
int space_await_gc(struct space *space, struct op *op) LOCKED MUST_CHECK;
bool space_has_waiters(const struct space *space) LOCKED;	/* ops that wait for buckets */
void space_suggest_gc(struct space *space) LOCKED;	/* wants one that is likely to find much */
unsigned space_in_use_percent(const struct space *space) LOCKED;

/*
 * For gc and the start of a set.  A gc makes marks invalid, and clears them slice by slice, before
 * it looks for pointers.
 */
void space_gc_begin(struct space *space) LOCKED;
bool space_gc_clear(struct space *space) LOCKED;	/* the next slice; true: it was the last */
/* Marks the bucket of a pointer, unless that is stale; returns by how many generations. */
unsigned space_mark_pointer(struct space *space, uint64_t ptr, unsigned sectors, bool metadata,
			    bool dirty) LOCKED;
/* Notes a dead pointer that is still on disk; returns by how many generations it is stale. */
unsigned space_mark_stale(struct space *space, uint64_t ptr) LOCKED;
void space_see_metadata(struct space *space, uint32_t bucket) LOCKED;
void space_gc_end(struct space *space) LOCKED;		/* marks are valid; refill may choose */
void space_want_gc(struct space *space) LOCKED;
/* The running gc wins buckets in other ways than by marks: it has merged nodes. */
void space_gc_wins(struct space *space) LOCKED;
/* Wanted, and no choice is being made (SPACE-9); if not, gc_wanted is woken when it may. */
bool space_gc_may_begin(const struct space *space) LOCKED;

/* ---- moving gc: empties buckets with few live data (relocate.c) ---- */

/*
 * After a gc has ended: looks for buckets that are worth it, slice by slice, or only for those
 * with dirty data, whose clean ones stay.
 */
void space_move_begin(struct space *space, bool only_dirty) LOCKED;
bool space_move_sweep(struct space *space) LOCKED;	/* true: all were looked at */
bool space_move_is_worth(const struct space *space) LOCKED;
/* Is the extent, whose pointer is current, in one of them? */
bool space_move_wants(const struct space *space, const struct bkey *k) LOCKED;
/* A place for all of the extent, which has a pin.  -ENOSPC: no bucket can be spared. */
int space_move_allocate(struct space *space, enum move_kind kind, const struct bkey *k,
			uint64_t *ptr) LOCKED MUST_CHECK;
void space_move_end(struct space *space) LOCKED;
/* Are so few buckets available that dirty writes will soon be refused? */
bool space_is_short(const struct space *space) LOCKED;

/* ---- the start of a set ---- */

/*
 * At the start of a set, before any allocation, every pointer is passed to one of these (survey.c),
 * to find the newest generation of each bucket.  -EINVAL if it contradicts an earlier pointer.
 */
int space_survey(struct space *space, uint64_t ptr, struct error *error) LOCKED MUST_CHECK;
/* The same, and mark the bucket: for live pointers to metadata; for extents, live or stale. */
int space_survey_metadata(struct space *space, uint64_t ptr, unsigned sectors,
			  struct error *error) LOCKED MUST_CHECK;
int space_survey_extent(struct space *space, uint64_t ptr, unsigned sectors, bool dirty,
			struct error *error) LOCKED MUST_CHECK;
/*
 * At the start of a set, after space_gc_end(): puts unused buckets on the lists for PRIO and BTREE.
 * They need no table (ORDER-1), since no pointer to them exists.  -ENOSPC if there are too few for
 * one table, with which refill makes others free: a set that ran has kept so many (SPACE-5).  Where
 * all others have data none is left for BTREE, and a replay that needs some makes a checkpoint
 * first (RECOVER-3).
 */
int space_bootstrap(struct space *space, struct error *error) LOCKED MUST_CHECK;
/* Before refill runs: how many buckets of `use` can be taken now. */
unsigned space_unused(struct space *space, enum bucket_use use) LOCKED;
/* Refill may run from now on; no longer, once its current batch is done. */
void space_run(struct space *space) LOCKED;
void space_stop(struct space *space) LOCKED;
void space_abort(struct space *space, int error) LOCKED;
bool space_is_idle(const struct space *space) LOCKED;

/* Reads the table: priority and generation of all buckets.  Blocking; before the set runs. */
int space_read_table(struct space *space, uint64_t first_bucket_of_table,
		     struct error *error) MUST_CHECK;
/* Writes the table of a fresh set, which its first journal entry names; `op` awaits that. */
void space_write_first_table(struct space *space, struct op *op) LOCKED;

/*
 * For checks of keys that come from a disk: the buckets that they may point to, which are all but
 * those of the journal.
 */
static inline struct bucket_range space_range(const struct space *space)
{
	return (struct bucket_range){
		.first = space->setup.first_bucket + space->setup.journal_buckets,
		.end = space->setup.buckets,
		.sectors = space->setup.bucket_sectors,
	};
}
