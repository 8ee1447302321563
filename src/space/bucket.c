/*
 * Single buckets: generations, marks, pins, priorities; and all memory of space.
 */
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "io/buffer.h"
#include "space/internal.h"
#include "space/space.h"

enum {
	BTREE_LIST_MAX = 256,
	DATA_LIST_MIN = 8,
	BATCH_MIN = 16,
	BATCH_MAX = 4096,
	OPEN_LIMIT_MIN = 4,
	BUCKETS_PER_LIST_ENTRY = 64,
	BUCKETS_PER_FREE_ENTRY = 256,	/* in advance, for data: as many as the kernel's driver */
	BUCKETS_PER_ENTRY_AT_MOST = 4,	/* if many buckets are empty */
	GC_FRACTION = 16,		/* a gc after writes of 1/16 of the cache */
	AGING_ROUNDS = 1024,		/* while the whole cache is read or written once */
	SLICE_BUCKETS = 8192,		/* some 20 us of a sweep (SPACE-6) */
};

bool ring_init(struct bucket_ring *ring, unsigned size)
{
	*ring = (struct bucket_ring){ .size = size };
	ring->bucket = calloc(size, sizeof(*ring->bucket));
	return ring->bucket;
}

void ring_done(struct bucket_ring *ring)
{
	free(ring->bucket);
}

bool ring_push(struct bucket_ring *ring, uint32_t bucket)
{
	if (ring->count == ring->size)
		return false;
	ring->bucket[(ring->first + ring->count++) % ring->size] = bucket;
	return true;
}

bool ring_pop(struct bucket_ring *ring, uint32_t *bucket)
{
	if (!ring->count)
		return false;
	*bucket = ring->bucket[ring->first];
	ring->first = (ring->first + 1) % ring->size;
	ring->count--;
	return true;
}

/* False: no memory. */
static bool make_lists(struct space *space)
{
	uint64_t share = space->setup.buckets / BUCKETS_PER_LIST_ENTRY;
	uint64_t free_share = space->setup.buckets / BUCKETS_PER_FREE_ENTRY;
	uint64_t most = min_u64(space->setup.buckets / BUCKETS_PER_ENTRY_AT_MOST, BATCH_MAX);
	unsigned parts = space->setup.prio_parts;

	space->data_min = space->data_target = clamp_u64(free_share, DATA_LIST_MIN, BATCH_MAX);
	space->batch_min = max_u64(clamp_u64(free_share, BATCH_MIN, BATCH_MAX), 2 * parts);
	return ring_init(&space->free[USE_PRIO], parts) &&	/* SPACE-5 */
	       ring_init(&space->free[USE_BTREE],
			 clamp_u64(share, BTREE_LIST_MIN, BTREE_LIST_MAX)) &&
	       ring_init(&space->free[USE_DATA], max_u64(space->data_min, most)) &&
	       ring_init(&space->incoming, max_u64(space->batch_min, most + 2 * parts));
}

/* With -o ro no table is written, so there are no buffers for it (3 bytes a bucket). */
static bool make_tables(struct space *space)
{
	unsigned parts = space->setup.prio_parts;

	space->victims = calloc(space->incoming.size, sizeof(*space->victims));
	space->table = calloc(parts, sizeof(*space->table));
	space->old_table = calloc(parts, sizeof(*space->old_table));
	if (!space->victims || !space->table || !space->old_table)
		return false;
	if (space->setup.is_read_only)
		return true;
	space->part_buffers = buffer_try_new(parts * space_part_used_bytes(space));
	if (space->part_buffers)	/* what is behind the entries stays zero */
		memset(space->part_buffers, 0, parts * space_part_used_bytes(space));
	return space->part_buffers;
}

static bool make_memory(struct space *space)
{
	space->bucket = calloc(space->setup.buckets, sizeof(*space->bucket));
	return space->bucket && make_lists(space) && make_tables(space);
}

/* Tells how much memory the buckets need, since the size comes from the superblock. */
static int no_memory(struct space *space, struct error *error)
{
	uint64_t buckets = space->setup.buckets;
	uint64_t bytes = buckets * (sizeof(struct bucket) +
				    !space->setup.is_read_only * sizeof(struct bucket_prio_disk));

	space_done(space);
	return error_set(error, ENOMEM,
			 "no memory for so many buckets: found %llu, which want %llu MiB",
			 (unsigned long long)buckets, (unsigned long long)(bytes >> 20) + 1);
}

struct space_setup space_setup_of(const struct superblock *sb)
{
	return (struct space_setup){
		.set_magic = superblock_set_magic(sb),
		.buckets = sb->buckets,
		.block_sectors = sb->block_sectors,
		.bucket_sectors = sb->bucket_sectors,
		.meta_bucket_sectors = superblock_meta_bucket_sectors(sb),
		.first_bucket = sb->first_bucket,
		.prio_per_part = superblock_prio_per_part(sb),
		.prio_parts = superblock_prio_parts(sb),
		.journal_buckets = sb->journal_buckets,
	};
}

int space_init(struct space *space, const struct space_setup *setup, struct error *error)
{
	*space = (struct space){
		.setup = *setup,
		.open_limit = clamp_u64(setup->buckets / BUCKETS_PER_LIST_ENTRY, OPEN_LIMIT_MIN,
					OPEN_BUCKETS_MAX),
		.gc_left = setup->buckets * setup->bucket_sectors / GC_FRACTION,
		.cursor = setup->first_bucket,
		.random.state = setup->seed,
		.prio_lowest = PRIO_METADATA,
		.available = setup->buckets,
		.unmarked = setup->buckets,
		.gc_cursor = setup->buckets,
		.found_available = setup->buckets,
		.found_unmarked = setup->buckets,
	};
	if (!space->setup.slice_buckets)
		space->setup.slice_buckets = SLICE_BUCKETS;
	if (!make_memory(space))
		return no_memory(space, error);
	space->metadata_reserved = setup->prio_parts + space->free[USE_BTREE].size;
	for (unsigned use = 0; use < USES; use++)
		waitlist_init(&space->waiting[use]);
	waitlist_init(&space->refilled);
	waitlist_init(&space->gc_wanted);
	waitlist_init(&space->gc_ended);
	list_init(&space->open_lru);
	for (unsigned i = 0; i < space->open_limit; i++)
		list_add_last(&space->open_lru, &space->open_bucket[i].link);
	op_init(&space->refill, setup->reactor, space_refill_step);
	space->refill.when_idle = setup->when_idle;
	return 0;
}

void space_done(struct space *space)
{
	free(space->bucket);
	for (unsigned use = 0; use < USES; use++)
		ring_done(&space->free[use]);
	ring_done(&space->incoming);
	free(space->victims);
	free(space->table);
	free(space->old_table);
	buffer_free(space->part_buffers);
	*space = (struct space){ .bucket = NULL };
}

/* The pointer must have been checked: space_pointer_is_valid(). */
static struct bucket *bucket_of(const struct space *space, uint64_t ptr)
{
	uint64_t number = space_bucket_of(space, ptr);

	assert(number >= space->setup.first_bucket && number < space->setup.buckets);
	return &space->bucket[number];
}

bool space_pointer_is_valid(const struct space *space, uint64_t ptr, unsigned sectors)
{
	struct bucket_range range = space_range(space);

	return pointer_is_within(&range, ptr, sectors);
}

unsigned space_staleness(const struct space *space, uint64_t ptr)
{
	return generation_after(bucket_of(space, ptr)->generation, pointer_generation(ptr));
}

/* How the mark changes a number of available buckets, and one of unmarked ones. */
static void count_mark(uint64_t *available, uint64_t *unmarked, enum bucket_mark old,
		       enum bucket_mark mark)
{
	*available += mark <= MARK_RECLAIMABLE;
	*available -= old <= MARK_RECLAIMABLE;
	*unmarked += mark == MARK_NONE;
	*unmarked -= old == MARK_NONE;
}

void space_see_mark(struct space *space, uint32_t number, enum bucket_mark mark)
{
	struct bucket *bucket = &space->bucket[number];

	if (number < space->gc_cursor)				/* SPACE-7 */
		count_mark(&space->found_available, &space->found_unmarked, bucket->mark, mark);
	bucket->mark = mark;
}

void space_set_mark(struct space *space, uint32_t number, enum bucket_mark mark)
{
	SIM_SOMETIMES_IF(number < space->gc_cursor && space->gc_cursor < space->setup.buckets,
			 "a mark changes before the cursor of a gc that begins");
	SIM_SOMETIMES_IF(number >= space->gc_cursor,
			 "a mark changes behind the cursor of a gc that begins");
	count_mark(&space->available, &space->unmarked, space->bucket[number].mark, mark);
	space_see_mark(space, number, mark);
}

void space_release(struct space *space, uint32_t number)
{
	struct bucket *bucket = &space->bucket[number];

	bool was_counted = bucket->mark > MARK_RECLAIMABLE;

	/* A running gc may have cleared its mark already; `available` still counts the old one. */
	if (was_counted || !space->marks_valid)
		count_mark(&space->available, &space->unmarked, MARK_METADATA, MARK_NONE);
	else
		count_mark(&space->available, &space->unmarked, bucket->mark, MARK_NONE);
	space_see_mark(space, number, MARK_NONE);
	bucket->prio = PRIO_NEVER_USED;
	bucket->used_sectors = 0;
}

void space_pin(struct space *space, uint64_t ptr)
{
	struct bucket *bucket = bucket_of(space, ptr);

	bucket->pins++;
	assert(bucket->pins);
}

void space_unpin(struct space *space, uint64_t ptr)
{
	struct bucket *bucket = bucket_of(space, ptr);

	assert(bucket->pins);
	if (!--bucket->pins && bucket->mark <= MARK_RECLAIMABLE)
		space_wake_starved(space);
}

void space_unpin_bucket(struct space *space, uint32_t bucket)
{
	space_unpin(space, space_pointer(space, bucket));
}

void space_hit(struct space *space, uint64_t ptr)
{
	struct bucket *bucket = bucket_of(space, ptr);

	if (bucket->prio != PRIO_METADATA)
		bucket->prio = PRIO_INITIAL;
}

static void age(struct space *space, struct bucket *bucket)
{
	if (!bucket->prio || bucket->prio == PRIO_METADATA || bucket->pins)
		return;
	bucket->prio--;
	space->prio_lowest = min_u64(space->prio_lowest, bucket->prio);
}

/*
 * While 1/1024 of the cache is read or written, each bucket has its turn, one after the other.  So
 * two buckets that were not used differ by one for a while: that is no matter for a choice.
 */
void space_count_io(struct space *space, unsigned sectors)
{
	uint64_t first = space->setup.first_bucket, round = space->setup.buckets - first;
	uint64_t due;

	space->io_sectors += sectors;
	due = space->io_sectors * AGING_ROUNDS / space->setup.bucket_sectors;
	if (due - space->aged > round)
		space->aged = due - round;
	due = min_u64(due, space->aged + space->setup.slice_buckets);
	for (; space->aged < due; space->aged++) {
		age(space, &space->bucket[first + space->aged % round]);
		if (space->aged % round != round - 1)
			continue;
		space->prio_min = space->prio_lowest == PRIO_METADATA ? 0 : space->prio_lowest;
		space->prio_lowest = PRIO_METADATA;
	}
}

uint64_t space_pointer(const struct space *space, uint32_t bucket)
{
	return pointer_of(0, (uint64_t)bucket * space->setup.bucket_sectors,
			  space->bucket[bucket].generation);
}

void space_raise(struct space *space, uint32_t number)
{
	struct bucket *bucket = &space->bucket[number];

	assert(!bucket->pins && !bucket->is_listed);			/* SPACE-2 */
	/* SPACE-4 */
	assert((uint8_t)(bucket->generation - bucket->oldest) < GENERATIONS_BEHIND);
	SIM_SOMETIMES_IF(bucket->generation == UINT8_MAX, "a generation wraps");
	bucket->generation++;
	bucket->prio = PRIO_INITIAL;
	bucket->used_sectors = 0;
	bucket->pins = 1;
	bucket->is_listed = 1;
	space_set_mark(space, number, MARK_NONE);
	space->buckets_reused++;
}

void space_free_begin(struct space *space, uint32_t number)
{
	struct bucket *bucket = &space->bucket[number];

	assert(!bucket->freed_pending);
	SIM_SOMETIMES_IF(!space->marks_valid, "a node is replaced during a gc");
	bucket->generation++;
	bucket->freed_pending = 1;
	if (!space->marks_valid)	/* the walk comes too late to find it */
		space_see_metadata(space, number);
}

void space_freed(struct space *space, uint32_t number)
{
	struct bucket *bucket = &space->bucket[number];

	assert(bucket->freed_pending);
	bucket->freed_pending = 0;
	space_release(space, number);
	space_wake_starved(space);
}

unsigned space_mark_pointer(struct space *space, uint64_t ptr, unsigned sectors, bool metadata,
			    bool dirty)
{
	struct bucket *bucket = bucket_of(space, ptr);
	uint32_t number = space_bucket_of(space, ptr);
	unsigned stale = space_mark_stale(space, ptr);

	if (stale)
		return stale;
	bucket->used_sectors = min_u64(bucket->used_sectors + sectors, USED_SECTORS_MAX);
	if (metadata) {
		if (bucket->mark != MARK_METADATA && bucket->mark != MARK_NONE)
			health_fail(space->setup.health, EINVAL,
				    "inconsistent ptrs: mark = %u, level > 0, bucket %u",
				    bucket->mark, number);
		space_see_metadata(space, number);
	} else if (bucket->mark == MARK_METADATA) {
		health_fail(space->setup.health, EINVAL,
			    "inconsistent ptrs: mark = %u, level = 0, bucket %u", bucket->mark,
			    number);
	} else if (dirty) {
		space_see_mark(space, number, MARK_DIRTY);
	} else if (bucket->mark == MARK_NONE) {
		space_see_mark(space, number, MARK_RECLAIMABLE);
	}
	if (!metadata && bucket->prio == PRIO_METADATA)
		bucket->prio = PRIO_INITIAL;
	return 0;
}

unsigned space_mark_stale(struct space *space, uint64_t ptr)
{
	struct bucket *bucket = bucket_of(space, ptr);

	if (generation_after(bucket->oldest, pointer_generation(ptr)))
		bucket->oldest = pointer_generation(ptr);
	return space_staleness(space, ptr);
}

void space_mark_metadata(struct space *space, uint32_t number)
{
	space_set_mark(space, number, MARK_METADATA);
	space->bucket[number].prio = PRIO_METADATA;
}

void space_see_metadata(struct space *space, uint32_t number)
{
	space_see_mark(space, number, MARK_METADATA);
	space->bucket[number].prio = PRIO_METADATA;
}

void space_gc_begin(struct space *space)
{
	space->marks_valid = false;
	space->gc_is_wanted = false;
	space->hidden_since_gc = 0;
	space->gc_has_won = false;
	space->gc_left = space->setup.buckets * space->setup.bucket_sectors / GC_FRACTION;
	space->gc_cursor = space->found_available = space->found_unmarked = 0;
}

/* The walk lowers `oldest` to the generation of each pointer that it finds. */
static void clear_bucket(struct bucket *bucket)
{
	bucket->oldest = bucket->generation;
	if (bucket->pins)
		return;
	bucket->used_sectors = 0;
	if (bucket->freed_pending) {
		bucket->mark = MARK_METADATA;
		bucket->prio = PRIO_METADATA;
	} else {
		bucket->mark = MARK_NONE;
	}
}

bool space_gc_clear(struct space *space)
{
	uint64_t end = min_u64(space->gc_cursor + space->setup.slice_buckets,
			       space->setup.buckets);

	assert(!space->marks_valid);
	for (; space->gc_cursor < end; space->gc_cursor++) {
		struct bucket *bucket = &space->bucket[space->gc_cursor];

		clear_bucket(bucket);
		space->found_available += bucket->mark <= MARK_RECLAIMABLE;
		space->found_unmarked += bucket->mark == MARK_NONE;
	}
	return end == space->setup.buckets;
}

/* Marks buckets that are in use although no key points to them. */
static LOCKED void mark_fixed(struct space *space)
{
	const struct space_setup *setup = &space->setup;

	for (unsigned i = 0; i < setup->first_bucket + setup->journal_buckets; i++)
		space_see_mark(space, i, MARK_METADATA);
	for (unsigned i = 0; space->have_table && i < setup->prio_parts; i++)
		space_see_metadata(space, space->table[i]);
	if (space->refill_state == REFILL_ENCODE || space->refill_state == REFILL_TABLE ||
	    space->refill_state == REFILL_ENTRY) {
		for (unsigned i = 0; i < setup->prio_parts; i++)
			space_see_metadata(space, space->old_table[i]);
	}
}

void space_gc_end(struct space *space)
{
	assert(space->gc_cursor == space->setup.buckets);	/* SPACE-7 */
	mark_fixed(space);
	space_judge_gc(space);
	space->available = space->found_available;
	space->unmarked = space->found_unmarked;
	space->marks_valid = space->is_surveyed = true;
	waitlist_wake_all(&space->gc_ended, 0);
	space_wake_starved(space);
	space_kick(space);
}
