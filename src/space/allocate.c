/*
 * Takes buckets from the free lists, and allocates extents in open data buckets.
 *
 * Data that are written together are likely to be read, and to become useless, together.
 * So an extent goes after the extent that it continues; else after the last one of the
 * same task; else into a new bucket, or the open bucket that was unused for longest.
 */
#include <errno.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "space/internal.h"

/* Before refill runs, while a set starts, unused buckets are taken directly. */
static LOCKED bool take_unused(struct space *space, struct bucket_ring *ring)
{
	for (; space->cursor < space->setup.buckets; space->cursor++) {
		struct bucket *bucket = &space->bucket[space->cursor];

		if (bucket->mark != MARK_NONE || bucket->pins || bucket->is_listed ||
		    (uint8_t)(bucket->generation - bucket->oldest) >= GENERATIONS_BEHIND)
			continue;
		space_raise(space, space->cursor);
		return ring_push(ring, space->cursor);
	}
	return false;
}

/* Before refill runs, fills the list from unused buckets, up to `count`. */
static LOCKED void top_up(struct space *space, enum bucket_use use, unsigned count)
{
	struct bucket_ring *ring = &space->free[use];

	while (!space->is_running && space->marks_valid && ring->count < count &&
	       take_unused(space, ring))
		;
}

unsigned space_unused(struct space *space, enum bucket_use use)
{
	top_up(space, use, space->free[use].size);
	return space->free[use].count;
}

int space_bootstrap(struct space *space, struct error *error)
{
	const struct bucket_ring *prio = &space->free[USE_PRIO];

	assert(space->marks_valid && !space->is_running);
	for (enum bucket_use use = USE_PRIO; use <= USE_BTREE; use++)
		top_up(space, use, space->free[use].size);
	if (prio->count < prio->size)
		return error_set(error, ENOSPC, "only %u unused buckets to start with, wanted %u",
				 prio->count, prio->size);
	return 0;
}

/* The pin that the bucket had on the free list becomes the caller's. */
static LOCKED void hand_out(struct space *space, enum bucket_use use, uint32_t number)
{
	struct bucket *bucket = &space->bucket[number];

	assert(bucket->is_listed && bucket->pins == 1);
	bucket->is_listed = 0;
	bucket->used_sectors = min_u64(space->setup.bucket_sectors, UINT16_MAX);
	if (use == USE_DATA)
		bucket->prio = PRIO_INITIAL;
	else
		space_mark_metadata(space, number);
}

int space_take(struct space *space, enum bucket_use use, unsigned count, uint32_t *buckets,
	       struct op *op)
{
	struct bucket_ring *ring = &space->free[use];
	int error = health_error(space->setup.health);

	if (error)
		return error;
	assert(count <= ring->size);
	space->data_is_wanted |= use == USE_DATA;
	top_up(space, use, count);
	if (ring->count < count) {
		if (!space->is_running)
			return -ENOSPC;
		space->data_was_short |= use == USE_DATA;
		if (op)
			waitlist_join(&space->waiting[use], op);
		SIM_SOMETIMES_IF(use == USE_BTREE, "a plan waits for buckets");
		space_kick(space);
		return -EAGAIN;
	}
	for (unsigned i = 0; i < count; i++) {
		ring_pop(ring, &buckets[i]);
		hand_out(space, use, buckets[i]);
	}
	space_kick(space);
	return 0;
}

bool space_take_spare(struct space *space, uint32_t *bucket)
{
	if (health_error(space->setup.health) || !space->is_running ||
	    !space_can_spare(space, USE_BTREE, 1))
		return false;
	ring_pop(&space->free[USE_BTREE], bucket);
	hand_out(space, USE_DATA, *bucket);
	space_kick(space);
	return true;
}

bool space_can_spare(const struct space *space, enum bucket_use use, unsigned count)
{
	const struct bucket_ring *ring = &space->free[use];

	return !space->is_running || ring->count >= count + ring->size / 2;
}

/* Gives up the rest of an open bucket; gc counts what is used of it. */
static LOCKED void close_bucket(struct space *space, struct open_bucket *open)
{
	if (open->sectors_left)
		space_unpin_bucket(space, open->bucket);
	open->sectors_left = 0;
}

/* How well does the stream fit?  0: not at all; 2: same task; 3: it continues the last extent. */
static int affinity(const struct open_bucket *open, const struct stream *stream)
{
	if (open->sectors_left < stream->block_sectors || open->is_flash != stream->is_flash)
		return 0;
	if (open->volume == stream->volume && open->end == stream->start)
		return 3;
	return open->volume == stream->volume && open->stream == stream->task ? 2 : 1;
}

/* Among open buckets that fit equally well, the least recently used wins. */
static struct open_bucket *best_open(struct space *space, const struct stream *stream,
				     int *how_good)
{
	struct open_bucket *best = NULL;

	*how_good = 0;
	for (struct list_link *link = list_first(&space->open_lru); link;
	     link = list_next(&space->open_lru, link)) {
		struct open_bucket *open = container_of(link, struct open_bucket, link);

		if (affinity(open, stream) > *how_good) {
			*how_good = affinity(open, stream);
			best = open;
		}
	}
	return best;
}

/* A place for another open bucket: an empty one, else the least recently used. */
static struct open_bucket *victim_of_opening(struct space *space)
{
	for (struct list_link *link = list_first(&space->open_lru); link;
	     link = list_next(&space->open_lru, link)) {
		struct open_bucket *open = container_of(link, struct open_bucket, link);

		if (!open->sectors_left)
			return open;
	}
	return container_of(list_first(&space->open_lru), struct open_bucket, link);
}

/* Takes the bucket before closing another one, so that nothing is lost if there is none. */
static LOCKED struct open_bucket *open_another(struct space *space, const struct stream *stream)
{
	struct open_bucket *open;
	uint32_t number;

	if (space_take(space, USE_DATA, 1, &number, NULL))
		return NULL;	/* the caller finds out why */
	open = victim_of_opening(space);
	close_bucket(space, open);
	open->bucket = number;
	open->sectors_left = space->setup.bucket_sectors;
	open->is_flash = stream->is_flash;
	return open;
}

static bool has_empty_place(const struct space *space)
{
	for (unsigned i = 0; i < space->open_limit; i++) {
		if (!space->open_bucket[i].sectors_left)
			return true;
	}
	return false;
}

/* Streams that do not fit get buckets of their own while there are empty places. */
static LOCKED struct open_bucket *choose_open(struct space *space, const struct stream *stream)
{
	int how_good;
	struct open_bucket *open = best_open(space, stream, &how_good);
	struct open_bucket *fresh = NULL;

	if (how_good >= 2)
		return open;
	if (!open || has_empty_place(space))
		fresh = open_another(space, stream);
	return fresh ?: open;
}

int space_await_refill(struct space *space, struct op *op)
{
	if (health_error(space->setup.health) || !space->is_running ||
	    space->refill_state == REFILL_IDLE || space->refill_state == REFILL_STARVED)
		return 0;
	waitlist_join(&space->refilled, op);
	return -EAGAIN;
}

/* Written data may have replaced other data: after enough of it, gc looks again. */
static LOCKED void count_written(struct space *space, unsigned sectors)
{
	space->sectors_written += sectors;
	space->gc_left -= sectors;
	if (space->gc_left < 0 && !space->gc_is_wanted)
		space_want_gc(space);
}

int space_allocate(struct space *space, const struct stream *stream, unsigned sectors, bool dirty,
		   struct place *place, struct op *op)
{
	struct open_bucket *open;
	int error = health_error(space->setup.health);
	unsigned given;

	if (error)	/* no waits in a failed set (LESSON-3) */
		return error;
	open = choose_open(space, stream);
	if (!open) {
		if (op)
			waitlist_join(&space->waiting[USE_DATA], op);
		return -EAGAIN;
	}
	given = min_u64(sectors, open->sectors_left);
	SIM_SOMETIMES_IF(given < sectors, "an extent ends with its bucket");
	if (given < sectors)
		given = round_down(given, stream->block_sectors);
	assert(given && given % space->setup.block_sectors == 0);
	place->sectors = given;
	place->ptr = space_pointer(space, open->bucket) +
		     ((uint64_t)(space->setup.bucket_sectors - open->sectors_left) << 8);
	space_pin(space, place->ptr);
	if (dirty)
		space_set_mark(space, open->bucket, MARK_DIRTY);
	else if (space->bucket[open->bucket].mark == MARK_NONE)
		space_set_mark(space, open->bucket, MARK_RECLAIMABLE);
	open->volume = stream->volume;
	open->end = stream->start + given;
	open->stream = stream->task;
	open->sectors_left -= given;
	if (!open->sectors_left)
		space_unpin_bucket(space, open->bucket);
	list_remove(&open->link);
	list_add_last(&space->open_lru, &open->link);
	count_written(space, given);
	return 0;
}
