/*
 * The steps of a fill: copy the data, allocate cache space, write, insert the keys.
 */
#include "cache/fill.h"

#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "cache/cache_set.h"
#include "cache/request.h"
#include "cache/volume.h"

static void fill_step(struct op *op);

void fills_init(struct fills *fills, struct cache_set *set)
{
	fills->fill = calloc(FILLS_MAX, sizeof(*fills->fill));
	assert(fills->fill);
	fills->under_way = 0;
	for (unsigned i = 0; i < FILLS_MAX; i++) {
		struct fill *fill = &fills->fill[i];

		fill->set = set;
		op_init(&fill->op, set->reactor, fill_step);
		fill->op.when_idle = &set->when_idle;
	}
	fills->buffer_count = fills->buffers_made = 0;
}

void fills_done(struct fills *fills)
{
	assert(!fills->under_way && fills->buffer_count == fills->buffers_made);
	while (fills->buffer_count)
		buffer_free(fills->buffers[--fills->buffer_count]);
	free(fills->fill);
	fills->fill = NULL;
}

/* Makes a buffer if none is free; false: all are in use.  A set that never misses has none. */
static bool ensure_buffer(struct fills *fills)
{
	unsigned char *buffer;

	if (fills->buffer_count)
		return true;
	if (fills->buffers_made == FILL_BUFFERS_MAX)
		return false;
	buffer = buffer_try_new(REQUEST_BYTES_MAX + REQUEST_SLACK_BYTES);
	if (!buffer)
		return false;
	fills->buffers[fills->buffer_count++] = buffer;
	fills->buffers_made++;
	return true;
}

/* A fill without a buffer cannot start, so it must find both. */
static struct fill *free_fill(struct fills *fills)
{
	if (!ensure_buffer(fills))
		return NULL;
	for (unsigned i = 0; i < FILLS_MAX; i++) {
		if (fills->fill[i].state == FILL_FREE)
			return &fills->fill[i];
	}
	return NULL;
}

/*
 * Allocates cache space into keys[] and pinned[].  0: for everything, or for all that fits into one
 * insert.  -EAGAIN: buckets have run out.  -errno: the set failed.
 */
static LOCKED int allocate(struct fill *fill)
{
	struct volume *volume = fill->volume;
	struct insert *insert = &fill->insert;
	uint64_t end = fill->start + fill->sectors;

	while (fill->at < end && insert->count < INSERT_KEYS_MAX) {
		struct stream stream = { .volume = volume->slot, .start = fill->at,
					 .task = fill->task,
					 .block_sectors = volume->block_sectors };
		struct place place;
		int error = space_allocate(&fill->set->cache.space, &stream,
					   min_u64(end - fill->at, BKEY_SECTORS_MAX), false,
					   &place, NULL);

		if (error)
			return error;
		fill->at += place.sectors;
		fill->pinned[fill->pinned_count++] = place.ptr;
		insert->keys[insert->count++] =
			bkey_with_pointer(bkey_of(volume->slot, fill->at, place.sectors),
					  place.ptr);
	}
	return 0;
}

/* Not when the set stops or the volume is being frozen, since these wait for the fill. */
static bool may_wait(const struct fill *fill)
{
	return !fill->set->is_stopping && !fill->volume->is_frozen && fill->waits < FILL_WAITS_MAX;
}

/*
 * 0: the places that were found, perhaps for a part of the data only, are in keys[].  -EAGAIN: the
 * fill waits for a refill, and asks again.  -errno: the set failed.
 */
static LOCKED int find_places(struct fill *fill)
{
	int error = allocate(fill);

	if (error == -EAGAIN) {
		error = may_wait(fill) ? space_await_refill(&fill->set->cache.space, &fill->op) : 0;
		SIM_SOMETIMES_IF(!error && fill->insert.count,
				 "a fill finds buckets for a part of it");
	}
	SIM_SOMETIMES_IF(error == -EAGAIN, "a fill waits for a refill");
	fill->waits += error == -EAGAIN;
	return error;
}

/* The data are not FUA: their keys are not written before a flush (INDEX-2). */
static void write_data(struct fill *fill)
{
	const struct insert *insert = &fill->insert;

	fill->state = FILL_DATA;
	for (unsigned i = 0; i < insert->count; i++) {
		const struct bkey *k = &insert->keys[i];

		device_write(cache_device_of(fill->set, k->ptr)->device,
			     fill->buffer + (bkey_start(k) - fill->start) * 512,
			     pointer_sector(k->ptr), bkey_sectors(k), false, &fill->op);
	}
}

/* The data are written, or will not be: another fill may use the buffer. */
static void give_buffer_back(struct fill *fill)
{
	struct fills *fills = &fill->set->fills;

	if (fill->buffer)
		fills->buffers[fills->buffer_count++] = fill->buffer;
	fill->buffer = NULL;
}

/* Unpins the buckets: the keys are in the index now, or the fill has failed. */
static void free_one(struct fill *fill)
{
	struct cache_set *set = fill->set;

	give_buffer_back(fill);
	set_lock(set);
	while (fill->pinned_count)
		space_unpin(&set->cache.space, fill->pinned[--fill->pinned_count]);
	set_unlock(set);
	range_release(&fill->volume->ranges, &fill->range);
	volume_request_end(fill->volume);
	fill->state = FILL_FREE;
	set->fills.under_way--;
}

void fill_start(struct volume *volume, uint64_t start, uint64_t sectors, const void *data,
		uint32_t task)
{
	struct cache_set *set = volume->set;
	struct fill *fill = free_fill(&set->fills);
	int error;

	SIM_SOMETIMES_IF(!fill, "a miss finds all fills in use");
	if (!fill || set->is_stopping || health_error(&set->health))
		return;
	assert(sectors * 512 <= REQUEST_BYTES_MAX + REQUEST_SLACK_BYTES);
	fill->volume = volume;
	fill->start = fill->at = start;
	fill->sectors = sectors;
	fill->task = task;
	fill->waits = 0;
	fill->insert.count = 0;
	set_lock(set);
	error = find_places(fill);
	set_unlock(set);
	assert(!error || error == -EAGAIN);	/* it has not failed: see above */
	if (!error && !fill->insert.count)
		return;
	fill->buffer = set->fills.buffers[--set->fills.buffer_count];
	memcpy(fill->buffer, data, sectors * 512);
	range_begin_fill(&volume->ranges, &fill->range, start, start + sectors);
	volume_request_ref(volume);	/* allowed: the request that missed is still in flight */
	set->fills.under_way++;
	if (error == -EAGAIN)
		fill->state = FILL_PLACE;
	else
		write_data(fill);
}

/* The awaited refill has ended, with or without new buckets. */
static void look_again(struct fill *fill)
{
	int error;

	set_lock(fill->set);
	error = find_places(fill);
	set_unlock(fill->set);
	if (error == -EAGAIN)
		return;
	if (!error && fill->insert.count)
		write_data(fill);
	else
		free_one(fill);
}

/* May be dropped, and is not journaled: a lost fill costs a miss. */
static void insert_keys(struct fill *fill)
{
	struct insert *insert = &fill->insert;

	give_buffer_back(fill);
	insert->index = &fill->set->index;
	insert->parent = &fill->op;
	insert->is_journaled = false;
	insert->expected = NULL;
	insert->may_drop = true;
	insert->may_not_plan = false;
	insert->cancelled = &fill->range.is_cancelled;	/* FILL-1 */
	insert->replayed = 0;
	fill->state = FILL_KEY;
	insert_start(insert);
}

/* An error in any state ends the fill. */
static void fill_step(struct op *op)
{
	struct fill *fill = container_of(op, struct fill, op);
	int error = op_take_error(op);

	SIM_SOMETIMES_IF(fill->state == FILL_KEY && fill->range.is_cancelled,
			 "a fill is cancelled while its keys go in");
	SIM_SOMETIMES_IF(fill->state == FILL_DATA && error, "the data of a fill cannot be written");
	if (fill->state == FILL_PLACE && !error && !fill->range.is_cancelled) {
		look_again(fill);
		return;
	}
	if (fill->state == FILL_DATA && !error && !fill->range.is_cancelled) {
		insert_keys(fill);
		return;
	}
	if (fill->range.is_cancelled)
		volume_count(fill->volume, STATS_MISS_COLLISIONS, 1);
	free_one(fill);
}
