/*
 * Which buckets moving gc empties, and where their data go.
 *
 *	how full, in sixteenths   0  1  2  3  ...  11 | 12 ... 15   not worth it
 *	buckets                  40 13  9  2          |
 *	                         `-- as many classes as the spare buckets can take
 *
 * A sweep counts the buckets of each class, as the last gc has found them, from which follows
 * how full a bucket may be to be emptied.  Data of different fates do not share a bucket: clean
 * ones may go at any time, dirty ones when they are written back, those of flash-only volumes
 * never do (LESSON-28).
 *
 * (RELOCATE-1) The new buckets are those that splits can spare, half of the list of nodes at most.
 *     So a cache without a free bucket for data can still be tidied, and splits go on meanwhile.
 * (RELOCATE-2) A run gains more buckets than it leaves half full, or it is not made.  Else what is
 *     left half full by one would be moved by the next, for ever.
 */
#include <errno.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "space/internal.h"

enum { SIXTEENTHS = 16 };

void space_move_begin(struct space *space, bool only_dirty)
{
	assert(space->marks_valid);
	space->move = (struct relocation){ .is_only_dirty = only_dirty };
}

/* Open buckets, and those filled since the gc, count as full. */
static bool may_be_emptied(const struct space *space, const struct bucket *bucket)
{
	bool has_kind = bucket->mark == MARK_DIRTY ||
			(bucket->mark == MARK_RECLAIMABLE && !space->move.is_only_dirty);

	return has_kind && bucket->used_sectors && !bucket->is_listed && !bucket->freed_pending;
}

/* A large bucket may have more live sectors than are counted: then it is as good as full. */
static unsigned class_of(const struct space *space, const struct bucket *bucket)
{
	if (bucket->used_sectors == USED_SECTORS_MAX)
		return SIXTEENTHS;
	return (uint64_t)bucket->used_sectors * SIXTEENTHS / space->setup.bucket_sectors;
}

/* Sectors that fit into the buckets that splits can spare. */
static uint64_t spare_sectors(const struct space *space)
{
	const struct bucket_ring *ring = &space->free[USE_BTREE];

	return (uint64_t)(ring->count - min_u64(ring->count, divide_up(ring->size, 2))) *
	       space->setup.bucket_sectors;
}

/* All classes were counted: takes the emptiest, as long as there is room for them. */
static void choose_limit(struct space *space)
{
	struct relocation *move = &space->move;
	uint64_t room = spare_sectors(space), sectors = 0, buckets = 0;
	unsigned class;

	for (class = 0; class < MOVE_CLASSES && sectors < room; class++) {
		sectors += move->sectors[class];
		buckets += move->buckets[class];
	}
	SIM_SOMETIMES_IF(buckets > 1, "buckets are nearly empty when a gc has ended");
	if (buckets <= divide_up(sectors, space->setup.bucket_sectors) + MOVE_KINDS)
		return;			/* RELOCATE-2 */
	move->end_class = class;
}

bool space_move_sweep(struct space *space)
{
	struct relocation *move = &space->move;
	uint64_t end = min_u64(move->cursor + space->setup.slice_buckets, space->setup.buckets);

	for (; move->cursor < end; move->cursor++) {
		const struct bucket *bucket = &space->bucket[move->cursor];
		unsigned class = class_of(space, bucket);

		if (class >= MOVE_CLASSES || bucket->pins || !may_be_emptied(space, bucket))
			continue;
		move->buckets[class]++;
		move->sectors[class] += bucket->used_sectors;
	}
	if (end < space->setup.buckets)
		return false;
	choose_limit(space);
	return true;
}

bool space_move_is_worth(const struct space *space)
{
	return space->move.end_class;
}

bool space_move_wants(const struct space *space, const struct bkey *k)
{
	const struct bucket *bucket = &space->bucket[space_bucket_of(space, k->ptr)];

	return (bkey_is_dirty(k) || !space->move.is_only_dirty) && may_be_emptied(space, bucket) &&
	       class_of(space, bucket) < space->move.end_class;
}

static LOCKED void close_bucket(struct space *space, struct open_bucket *open)
{
	if (open->sectors_left)
		space_unpin_bucket(space, open->bucket);
	open->sectors_left = 0;
}

int space_move_allocate(struct space *space, enum move_kind kind, const struct bkey *k,
			uint64_t *ptr)
{
	struct open_bucket *open = &space->move.open[kind];
	unsigned sectors = bkey_sectors(k);

	assert(sectors <= space->setup.bucket_sectors);
	assert(kind != MOVE_CLEAN || !bkey_is_dirty(k));
	if (open->sectors_left < sectors) {	/* an extent is not cut: who knows its blocks? */
		close_bucket(space, open);
		if (!space_take_spare(space, &open->bucket))
			return -ENOSPC;
		open->sectors_left = space->setup.bucket_sectors;
		space->bucket[open->bucket].prio =
			space->bucket[space_bucket_of(space, k->ptr)].prio;
	}
	*ptr = space_pointer(space, open->bucket) +
	       ((uint64_t)(space->setup.bucket_sectors - open->sectors_left) << 8);
	space_pin(space, *ptr);
	if (kind != MOVE_CLEAN)
		space_set_mark(space, open->bucket, MARK_DIRTY);
	else if (space->bucket[open->bucket].mark == MARK_NONE)
		space_set_mark(space, open->bucket, MARK_RECLAIMABLE);
	open->sectors_left -= sectors;
	if (!open->sectors_left)
		space_unpin_bucket(space, open->bucket);
	space->sectors_written += sectors;
	return 0;
}

void space_move_end(struct space *space)
{
	for (unsigned kind = 0; kind < MOVE_KINDS; kind++)
		close_bucket(space, &space->move.open[kind]);
}
