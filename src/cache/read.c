/*
 * Reads: cached extents from the cache, gaps from the backing device.
 *
 *	LOOKUP --transfers started--> DATA --end of the range--> done
 *	 ^  |  ^                       | |
 *	 |  |  `-------more------------' | a gap is not aligned to blocks, or
 *	 |  `-waits for a node-.         | a cache read failed and some of it
 *	 |  ^------------------'         | was clean
 *	 |                               v
 *	 `-----start again----- WHOLE_BACKING: all of it from the backing device
 *
 * A gap that is not aligned to the volume's blocks (kernels cut extents anywhere)
 * cannot be read alone from a backing device that transfers whole blocks only.  Then
 * the whole range is read from there first, and the cached extents are read over it.  If writeback
 * has copied some of these to the backing device meanwhile, the read begins again: they may be
 * clean by now, or gone from the cache (range->was_copied).
 *
 * The bucket of a hit is pinned until its data have arrived, so that it cannot be
 * reused meanwhile (LESSON-43).  When a cache read fails, clean extents are read from
 * the backing device instead.  For dirty extents the read fails, since the backing
 * device has an older version (LESSON-13, LESSON-14).
 *
 * After the set has failed, a range of which the nodes in memory say that nothing is dirty
 * is read from the backing device as a whole (ORDER-26).  With `errors` = readonly such a set
 * is read as before, as long as these nodes tell where the data are.
 *
 * Nor is the backing device read where a node of the index is lost (INDEX-6), unless the volume is
 * clean: the read fails.
 *
 * A read proceeds in batches: the transfers that one step started.  The next step
 * runs when all of them have ended, so an error belongs to the current batch, and
 * whether earlier batches were clean or dirty does not matter for it.
 */
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "cache/cache_set.h"
#include "cache/request.h"
#include "cache/volume.h"

/* Half of all transfers are for requests, half for the engine itself. */
_Static_assert((uint64_t)REQUESTS_MAX * (REQUEST_PARTS_MAX + 1) <= DEVICE_TRANSFERS_MAX / 2,
	       "no request is refused a transfer");
_Static_assert((uint64_t)REQUESTS_MAX * (REQUEST_PARTS_MAX + INSERT_KEYS_MAX) <= UINT32_MAX / 2,
	       "a bucket can hold all the pins that there may be");
_Static_assert((int)INSERT_KEYS_MAX < (int)REQUEST_PARTS_MAX, "a write has no more transfers");

static void cache_read_step(struct op *op);
static void backing_step(struct op *op);
static void go_on(struct cache_read *read);

void cache_read_start(struct cache_read *read)
{
	read->state = READ_LOOKUP;
	read->at = read->start;
	read->missed = false;
	read->wants_under = read->has_under = read->skips_clean = false;
	read->gap_sectors = 0;
	read->backing_error = 0;
	read->batch.pinned_count = 0;
	op_init(&read->op, read->parent->home, cache_read_step);
	op_init(&read->backing_op, read->parent->home, backing_step);
	op_await(read->parent);
	go_on(read);
}

static unsigned char *data_at(const struct cache_read *read, uint64_t sector)
{
	return read->data + (sector - read->start) * 512;
}

/* All pins must be dropped by now. */
static void finish(struct cache_read *read, int error)
{
	assert(!read->batch.pinned_count);
	op_arrive(read->parent, error);
}

/* `read->op` awaits `backing_op` once; that awaits all transfers from the backing device. */
static void read_backing(struct cache_read *read, uint64_t start, uint64_t sectors)
{
	if (op_is_idle(&read->backing_op))
		op_await(&read->op);
	device_read(read->volume->backing, data_at(read, start), start, sectors,
		    &read->backing_op);
	read->batch.transfers++;
}

/* The error is kept apart, so that it is not taken for one of the cache device. */
static void backing_step(struct op *op)
{
	struct cache_read *read = container_of(op, struct cache_read, backing_op);
	int error = op_take_error(op);

	read->backing_error = read->backing_error ?: error;
	op_arrive(&read->op, 0);
}

/*
 * In a flash-only volume of a kernel, a key may end inside a block, where the volume ended at that
 * time; the cache device is read in whole blocks all the same.
 */
static uint64_t whole_blocks(const struct cache_read *read, uint64_t sectors)
{
	const struct volume *volume = read->volume;
	unsigned block = volume->set->cache.superblock.block_sectors;

	if (!volume->is_flash)
		return sectors;
	return min_u64(round_up(sectors, block), read->start + read->sectors - read->at);
}

/* Then the batch ends: the rest of the block is not of the volume, and is filled in afterwards. */
static bool ends_inside_block(const struct cache_read *read, const struct lookup *found)
{
	return whole_blocks(read, found->sectors) != found->sectors;
}

static LOCKED void take_hit(struct cache_read *read, const struct lookup *found)
{
	struct cache_device *cache = cache_device_of(read->volume->set, found->key.ptr);
	struct read_batch *batch = &read->batch;
	uint64_t sectors = whole_blocks(read, found->sectors);

	if (!bkey_is_dirty(&found->key)) {
		if (read->skips_clean)
			return;
		batch->has_clean = true;
	}
	space_pin(&cache->space, found->key.ptr);
	space_hit(&cache->space, found->key.ptr);
	batch->pinned[batch->pinned_count++] = found->key.ptr;
	batch->transfers++;
	if (cache_device_has_blocks(cache, found->key.ptr, sectors)) {
		device_read(cache->device, data_at(read, read->at),
			    pointer_sector(found->key.ptr), sectors, &read->op);
		return;
	}
	op_await(&read->op);
	op_arrive(&read->op, -EIO);	/* as if the device had failed */
}

/* False: the gap is not aligned to blocks, so the whole range must be read first. */
static bool take_gap(struct cache_read *read, const struct lookup *found)
{
	read->missed = true;
	if (read->has_under)
		return true;
	if (read->volume->is_flash) {
		memset(data_at(read, read->at), 0, found->sectors * 512);
		return true;
	}
	if (!volume_has_blocks(read->volume, read->at, found->sectors)) {
		read->wants_under = true;
		return false;
	}
	if (!read->gap_sectors) {
		read->gap_start = read->at;
		read->gap_sectors = found->sectors;
	} else if (read->gap_start + read->gap_sectors == read->at) {
		read->gap_sectors += found->sectors;	/* the gap continues in the next leaf */
	}
	read_backing(read, read->at, found->sectors);
	return true;
}

/*
 * After a failure clean data may differ from the backing device: a write that was under way may
 * have reached that, and its keys can go in no more.
 */
static bool is_outdated(const struct cache_read *read, const struct bkey *key)
{
	return volume_reads_failed_set(read->volume) && !bkey_is_dirty(key) &&
	       !read->volume->is_flash;
}

/*
 * Dirty data may have been in a node that is lost, so that the backing device is no answer; clean
 * data of a volume that says CLEAN are there.
 */
static bool is_lost(const struct cache_read *read, const struct lookup *found)
{
	return found->is_lost && volume_needs_set(read->volume);
}

/* A set that has failed, and is still read, is looked up in memory. */
static LOCKED int look_up_one(struct cache_read *read, uint64_t sectors, struct lookup *found)
{
	struct volume *volume = read->volume;
	struct index *index = &volume->set->index;

	if (volume_reads_failed_set(volume))
		return index_peek(index, volume->slot, read->at, sectors, found);
	return index_lookup(index, volume->slot, read->at, sectors, found, &read->op);
}

/*
 * Looks up extents and starts their transfers.  0: up to the end, or as many as a batch may have.
 * -EAGAIN: `op` waits for a node, too.  Other -errno: the set failed.
 */
static LOCKED int look_up(struct cache_read *read)
{
	uint64_t end = read->start + read->sectors;
	struct lookup found;
	bool ends_batch = false;

	while (read->at < end && read->batch.transfers < REQUEST_PARTS_MAX && !ends_batch) {
		int error = look_up_one(read, end - read->at, &found);

		if (error)
			return error;
		if (is_lost(read, &found)) {
			read->backing_error = -EIO;
			return 0;
		}
		if (found.is_hit && !is_outdated(read, &found.key))
			take_hit(read, &found);
		else if (!take_gap(read, &found))
			break;
		ends_batch = found.is_hit && ends_inside_block(read, &found);
		read->at += found.sectors;
	}
	return 0;
}

static void unpin_all(struct cache_read *read)
{
	struct cache_set *set = read->volume->set;
	struct read_batch *batch = &read->batch;

	if (!batch->pinned_count)
		return;
	set_lock(set);
	while (batch->pinned_count)
		space_unpin(&set->cache.space, batch->pinned[--batch->pinned_count]);
	set_unlock(set);
}

/* Does the set that failed have dirty data of the range, or may it have any? */
static bool range_may_be_dirty(const struct cache_read *read)
{
	const struct volume *volume = read->volume;
	uint64_t at = read->start, end = read->start + read->sectors;
	struct lookup found;
	bool may_be = volume->is_flash;

	set_lock(volume->set);
	for (; !may_be && at < end; at += found.sectors) {
		found = (struct lookup){ .is_hit = false };
		may_be = index_peek(&volume->set->index, volume->slot, at, end - at, &found) ||
			 found.is_lost || (found.is_hit && bkey_is_dirty(&found.key));
	}
	set_unlock(volume->set);
	SIM_SOMETIMES_IF(!may_be && volume_needs_set(volume),
			 "a set has failed, and a clean range of a dirty volume is read");
	return may_be;
}

/*
 * The volume has no set, or the set failed.  If it has no dirty data of the range, all of that is
 * read from the backing device: not only the rest, since the index may have failed inside a block.
 */
static void read_without_index(struct cache_read *read)
{
	struct volume *volume = read->volume;

	read->at = read->start + read->sectors;
	read->missed = true;
	read->gap_sectors = 0;
	if (volume->set && volume_needs_set(volume) && range_may_be_dirty(read))
		read->backing_error = -EIO;
	else
		read_backing(read, read->start, read->sectors);
}

/* Starts the next batch. */
static void go_on(struct cache_read *read)
{
	struct cache_set *set = read->volume->set;
	int error = 0;

	unpin_all(read);
	read->batch.start = read->at;
	read->batch.transfers = 0;
	read->batch.has_clean = false;
	op_await(&read->op);		/* holds the op until all transfers are started */
	if (set) {
		set_lock(set);
		error = look_up(read);
		set_unlock(set);
	}
	/* Transfers in flight must end first: they may write to the same memory. */
	if ((!set || (error && error != -EAGAIN)) && !read->batch.transfers)
		read_without_index(read);
	read->state = error == -EAGAIN ? READ_LOOKUP : READ_DATA;
	op_arrive(&read->op, 0);
}

/* Starts again from the backing device; the lookups that follow read over it. */
static void read_under(struct cache_read *read)
{
	unpin_all(read);
	read->wants_under = false;
	read->has_under = true;
	read->range->was_copied = false;
	read->at = read->start;
	read->gap_sectors = 0;
	read->batch.has_clean = false;
	read->state = READ_WHOLE_BACKING;
	read_backing(read, read->start, read->sectors);
}

/* A transfer from the cache failed, or a node could not be read and the set is dead. */
static void cache_failed(struct cache_read *read, int error)
{
	struct volume *volume = read->volume;
	struct cache_set *set = volume->set;

	if (health_error(&set->health) && !volume->is_flash && !volume_reads_failed_set(volume)) {
		read->at = read->batch.start;
		go_on(read);
	} else if (read->batch.has_clean && !volume->is_flash) {
		read->skips_clean = true;
		read_under(read);
	} else {
		unpin_all(read);
		finish(read, error);
	}
}

static void cache_read_step(struct op *op)
{
	struct cache_read *read = container_of(op, struct cache_read, op);
	int error = op_take_error(op);

	if (read->backing_error) {
		unpin_all(read);
		finish(read, read->backing_error);
	} else if (error) {
		cache_failed(read, error);
	} else if (read->wants_under && read->state == READ_DATA) {
		read_under(read);
	} else if (read->state == READ_DATA && read->at == read->start + read->sectors) {
		unpin_all(read);
		finish(read, 0);
	} else if (read->has_under && read->range->was_copied) {
		SIM_RARELY("a read from the backing device begins again after a copy",
			   "test_cache_writeback/lets_a_read_begin_again");
		read_under(read);
	} else {
		go_on(read);
	}
}
