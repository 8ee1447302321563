/*
 * Writes: into the cache, to the backing device, or both.
 *
 *	DECIDE --> LOOK --> DATA --> SETTLE --> KEYS --> (DURABLE) --> done
 *	                     ^        |           |  ^
 *	                     |        |           v  |
 *	                     |        +-----> INVALIDATE
 *	                     +----more extents----+
 *
 * DECIDE waits for the superblock to say DIRTY, or for a gc that may make room; LOOK for a node,
 * or for a copy of writeback to end; DATA for a bucket; SETTLE for all transfers that were started;
 * KEYS for the insert; DURABLE, if FUA, for the journal entry with the keys.  INVALIDATE
 * follows a failure on the backing device that dirty data survive; it waits for a node.
 *
 * An error of the cache device is no error of a write that the backing device can take.
 * Dirty data that cannot be written go around the cache instead.  If the
 * set has failed, a volume without dirty data is written directly (VOLUME-3; the request
 * waits for the superblock), and a write that the backing device has already, has
 * succeeded.  A volume with dirty data refuses writes then: keys would be needed.
 *
 * The way decides where the data go:
 *
 *	way         backing device   cache                     key
 *	back        -                data                      dirty
 *	through     data             data                      clean
 *	around      data             -                         a hole
 *	direct      data             - (not attached, or       -
 *	                               the set has failed)
 *
 * Keys are inserted after all data were written (ORDER-9).  LOOK is there for a write
 * that is not dirty itself and hides dirty data: its data must be durable on the
 * backing device before its keys can be (ORDER-15), so it is written FUA there.
 * Otherwise a power cut could bring back what the backing device had before the dirty
 * data, although these had been flushed.
 */
#include <errno.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "cache/cache_set.h"
#include "cache/request.h"
#include "cache/volume.h"
#include "cache/write_internal.h"

static void cache_write_step(struct op *op);
static void decided(struct cache_write *write, int error);
static void backing_step(struct op *op);
static void data_arrived(struct cache_write *write, int cache_error);

static void write_begin(struct cache_write *write)
{
	write->state = WRITE_DECIDE;
	write->at = write->start;
	write->hides_dirty = false;
	write->backing_error = write->cache_error = 0;
	write->insert.count = 0;
}

void cache_write_start(struct cache_write *write)
{
	write_begin(write);
	write->is_promised = write->is_dirty_write = write->bypass = false;
	write->pinned_count = 0;
	op_init(&write->op, write->parent->home, cache_write_step);
	op_init(&write->backing_op, write->parent->home, backing_step);
	op_await(write->parent);
	decided(write, cache_write_decide(write));
}

static void end_promise(struct cache_write *write)
{
	struct cache_set *set = write->volume->set;

	if (!write->is_promised)
		return;
	set_lock(set);
	space_promise_ends(&set->cache.space, write->sectors);
	set_unlock(set);
	write->is_promised = false;
}

static void finish(struct cache_write *write, int error)
{
	assert(!write->pinned_count);
	end_promise(write);
	if (write->is_dirty_write) {
		assert(write->volume->dirty_writes);
		write->volume->dirty_writes--;
		writeback_wake(&write->volume->writeback);
	}
	op_arrive(write->parent, error);
}

/* ---- DATA ---- */

/* A write is short: there is room for all its holes. */
static void add_hole(struct cache_write *write, uint64_t start, uint64_t end)
{
	uint64_t added = insert_add_holes(&write->insert, write->volume->slot, start, end);

	assert(added == end);
}

/* Adds the key and starts the transfer; the pin keeps the bucket until the key is inserted. */
static LOCKED void add_extent(struct cache_write *write, const struct place *place)
{
	struct cache_device *cache = cache_device_of(write->volume->set, place->ptr);
	struct insert *insert = &write->insert;
	uint64_t end = write->at + place->sectors;
	struct bkey k = bkey_with_pointer(bkey_of(write->volume->slot, end, place->sectors),
					  place->ptr);

	assert(place->sectors % cache->superblock.block_sectors == 0);
	bkey_set_dirty(&k, write->way == WRITE_DIRTY);
	insert->keys[insert->count++] = k;
	write->pinned[write->pinned_count++] = place->ptr;
	device_write(cache->device, write->data + (write->at - write->start) * 512,
		     pointer_sector(place->ptr), place->sectors, false, &write->op);
	write->at = end;
}

/*
 * Allocates cache space and starts the transfers, which `op` awaits.  0: for all data, or for as
 * many as fit into one insert.  -EAGAIN: `op` waits for a bucket, too.  -errno: the set failed.
 */
static LOCKED int allocate(struct cache_write *write)
{
	struct volume *volume = write->volume;
	uint64_t end = write->start + write->sectors;

	while (write->at < end) {
		struct stream stream = { volume->slot, write->at, write->task,
					 volume->block_sectors, volume->is_flash };
		bool dirty = write->way == WRITE_DIRTY;
		bool last_key = write->insert.count + 2 >= INSERT_KEYS_MAX;
		struct place place;
		int error = -EAGAIN;

		if (!last_key)
			error = space_allocate(&volume->set->cache.space, &stream,
					       min_u64(end - write->at, BKEY_SECTORS_MAX), dirty,
					       &place, dirty ? &write->op : NULL);
		if (!error) {
			add_extent(write, &place);
			continue;
		}
		if (error != -EAGAIN)
			return error;
		if (dirty && !last_key) {
			SIM_SOMETIMES("a dirty write waits for a bucket");
			return -EAGAIN;
		}
		SIM_SOMETIMES_IF(dirty, "a dirty write has more extents than keys fit");
		SIM_SOMETIMES_IF(!dirty, "a write through the cache finds no bucket");
		if (dirty)	/* too fragmented for one insert: the rest follows after KEYS */
			break;
		add_hole(write, write->at, end);
		write->at = end;
	}
	return 0;
}

/* FUA if the write hides dirty data (ORDER-15), or if it was asked for. */
static void write_backing(struct cache_write *write)
{
	SIM_SOMETIMES_IF(write->hides_dirty, "a write to the backing device hides dirty data");
	op_await(&write->op);
	device_write(write->volume->backing, write->data, write->start, write->sectors,
		     write->fua || write->hides_dirty, &write->backing_op);
}

static void backing_step(struct op *op)
{
	struct cache_write *write = container_of(op, struct cache_write, backing_op);

	write->backing_error = op_take_error(op);
	op_arrive(&write->op, 0);
}

/* Called again after a wait for a bucket; only dirty data wait for one. */
static void start_data(struct cache_write *write)
{
	struct cache_set *set = write->volume->set;
	int error = 0;

	if (write->way != WRITE_DIRTY)
		write_backing(write);
	if (write->way == WRITE_AROUND && !write->insert.count)
		add_hole(write, write->start, write->start + write->sectors);
	if (write->way == WRITE_DIRTY || write->way == WRITE_THROUGH) {
		set_lock(set);
		error = allocate(write);
		set_unlock(set);
	}
	if (error == -EAGAIN)
		return;
	write->state = WRITE_SETTLE;
	write->cache_error = error;
	if (op_is_idle(&write->op))	/* the set failed before anything was started */
		data_arrived(write, 0);
}

/* ---- KEYS ---- */

static void unpin_all(struct cache_write *write)
{
	struct cache_set *set = write->volume->set;

	if (!write->pinned_count)
		return;
	set_lock(set);
	while (write->pinned_count)
		space_unpin(&set->cache.space, write->pinned[--write->pinned_count]);
	set_unlock(set);
}

/*
 * After a failed transfer the cache device and the backing device may differ.  Holes make sure
 * that neither the new copy in the cache nor an older one is used.
 */
static void holes_instead(struct cache_write *write)
{
	write->insert.count = 0;
	add_hole(write, write->start, write->start + write->sectors);
}

/* Journaled: a completed write survives a crash once its entry is durable. */
static void insert_keys(struct cache_write *write)
{
	struct insert *insert = &write->insert;

	insert->index = &write->volume->set->index;
	insert->parent = &write->op;
	insert->is_journaled = true;
	insert->expected = NULL;
	insert->may_drop = false;
	insert->cancelled = NULL;
	insert->replayed = 0;
	write->state = WRITE_KEYS;
	insert_start(insert);
}

int cache_holes_around_dirty(struct volume *volume, struct insert *insert, uint64_t *at,
			     uint64_t end, struct op *op)
{
	struct cache_set *set = volume->set;
	struct lookup found;
	int error = 0;

	set_lock(set);
	while (*at < end && insert->count < INSERT_KEYS_MAX) {
		error = index_lookup(&set->index, volume->slot, *at,
				     min_u64(end - *at, BKEY_HOLE_SECTORS_MAX), &found, op);
		if (error)
			break;
		if (!found.is_hit || !bkey_is_dirty(&found.key))
			insert_add_holes(insert, volume->slot, *at, *at + found.sectors);
		*at += found.sectors;
	}
	set_unlock(set);
	return error;
}

/*
 * A write that was to hide dirty data failed on the backing device: these stay visible.  The rest
 * of its range may have been written there, so an older clean copy must not be used any more.
 */
static void invalidate(struct cache_write *write, int error)
{
	error = error ?: cache_holes_around_dirty(write->volume, &write->insert, &write->at,
						  write->start + write->sectors, &write->op);
	if (error == -EAGAIN)
		return;
	if (error || !write->insert.count)
		finish(write, write->backing_error);
	else
		insert_keys(write);
}

static void begin_invalidate(struct cache_write *write)
{
	write->state = WRITE_INVALIDATE;
	write->insert.count = 0;
	invalidate(write, 0);
}

/* The set has failed, or the cache device has not taken what was to be dirty. */
static void decide_again(struct cache_write *write)
{
	assert(!write->pinned_count);
	end_promise(write);
	write_begin(write);
	decided(write, cache_write_decide(write));
}

/* Nothing has been inserted, or the first part of the data: the holes take its place. */
static void not_dirty(struct cache_write *write, int cache_error)
{
	const struct volume *volume = write->volume;

	SIM_SOMETIMES("dirty data cannot be written to the cache");
	unpin_all(write);
	if (volume->is_flash) {
		finish(write, cache_error);
		return;
	}
	write->bypass = true;
	decide_again(write);
}

/*
 * The set failed while it took the keys, or made them durable.  The backing device has the data,
 * unless they are dirty data; then a volume that has no dirty data is written directly.
 */
static void keys_failed(struct cache_write *write, int error)
{
	struct volume *volume = write->volume;

	if (write->backing_error || !volume_set_has_failed(volume) || volume->is_flash)
		finish(write, write->backing_error ?: volume_lost_error(volume) ?: error);
	else if (write->way == WRITE_DIRTY)
		decide_again(write);
	else
		finish(write, volume_lost_error(volume));
}

/* All transfers have ended, to the cache and to the backing device. */
static void data_arrived(struct cache_write *write, int cache_error)
{
	cache_error = cache_error ?: write->cache_error;
	if (write->way == WRITE_DIRECT) {
		finish(write, write->backing_error);
		return;
	}
	if (write->way == WRITE_DIRTY && cache_error) {
		not_dirty(write, cache_error);
		return;
	}
	if (write->backing_error && write->hides_dirty) {
		SIM_SOMETIMES("a write that was to hide dirty data fails on the backing device");
		unpin_all(write);
		write->at = write->start;
		begin_invalidate(write);
		return;
	}
	if (cache_error || write->backing_error) {
		SIM_SOMETIMES("holes are inserted for a write that failed");
		holes_instead(write);
	}
	insert_keys(write);
}

/* Continues with the rest of the data, waits for durability, or is done. */
static void keys_are_in(struct cache_write *write, int error)
{
	struct cache_set *set = write->volume->set;

	unpin_all(write);
	if (!error && write->backing_error && write->hides_dirty &&
	    write->at < write->start + write->sectors) {
		begin_invalidate(write);
		return;
	}
	if (error) {
		keys_failed(write, error);
		return;
	}
	error = write->backing_error;
	if (!error && write->at < write->start + write->sectors && write->way == WRITE_DIRTY) {
		write->insert.count = 0;
		write->state = WRITE_DATA;
		op_queue(&write->op);
		return;
	}
	if (error || !write->fua) {
		finish(write, error);
		return;
	}
	write->state = WRITE_DURABLE;
	set_lock(set);
	journal_commit_entry(&set->journal, write->insert.sequence, &write->op);
	set_unlock(set);
}

static void looked(struct cache_write *write, int error)
{
	error = error ?: cache_write_look(write);
	if (error == -EAGAIN)
		return;
	if (error && volume_set_has_failed(write->volume)) {
		decide_again(write);
		return;
	}
	if (error) {
		finish(write, error);
		return;
	}
	write->at = write->start;
	write->state = WRITE_DATA;
	start_data(write);
}

static void decided(struct cache_write *write, int error)
{
	if (error == -EAGAIN)
		return;
	if (error) {
		finish(write, error);
		return;
	}
	write->state = WRITE_LOOK;
	looked(write, 0);
}

static void cache_write_step(struct op *op)
{
	struct cache_write *write = container_of(op, struct cache_write, op);
	int error = op_take_error(op);

	switch (write->state) {
	case WRITE_DECIDE:
		decided(write, error ?: cache_write_decide(write));
		return;
	case WRITE_LOOK:
		looked(write, error);
		return;
	case WRITE_DATA:
		if (error) {	/* the set failed during the wait for a bucket, or a transfer did */
			write->state = WRITE_SETTLE;
			data_arrived(write, error);
			return;
		}
		start_data(write);
		return;
	case WRITE_SETTLE:
		data_arrived(write, error);
		return;
	case WRITE_INVALIDATE:
		invalidate(write, error);
		return;
	case WRITE_KEYS:
		keys_are_in(write, error);
		return;
	case WRITE_DURABLE:
		if (error)
			keys_failed(write, error);
		else
			finish(write, 0);
		return;
	}
}
