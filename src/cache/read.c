/*
 * Reading: from the cache what is there, the rest from the backing device.
 *
 *	LOOKUP --each extent--> transfers --all there--> DATA ----> done
 *	  ^  ^ |                                           |
 *	  |  +-+ a node is read                   a cache read failed,
 *	  |                                       nothing dirty touched
 *	  |                                                |
 *	UNDER <--a gap of parts of blocks -----------------+
 *
 * Where a gap begins or ends within a block of the volume (a kernel cuts extents
 * anywhere), all is read from the backing device, which may not be able to read
 * less than blocks; then what the cache has is read over it.
 *
 * The bucket of a hit is pinned until its data are here, so that it can't be
 * reused meanwhile (L43).  A failed read that touched dirty data is an error:
 * what is on the backing device is old (L13, L14).
 */
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "cache/cache_set.h"
#include "cache/request.h"
#include "cache/volume.h"

static void cache_read_step(struct op *op);
static void go_on(struct cache_read *read);

void cache_read_start(struct cache_read *read)
{
	read->state = READ_LOOKUP;
	read->at = read->start;
	read->missed = read->hit_dirty = read->hit_clean = false;
	read->wants_under = read->has_under = read->skips_clean = false;
	read->gap_sectors = 0;
	read->pinned_count = 0;
	op_init(&read->op, read->parent->home, cache_read_step);
	op_await(read->parent);
	go_on(read);
}

static unsigned char *data_at(const struct cache_read *read, uint64_t sector)
{
	return read->data + (sector - read->start) * 512;
}

static void finish(struct cache_read *read, int error)
{
	assert(!read->pinned_count);
	op_arrive(read->parent, error);
}

static bool is_of_blocks(const struct cache_read *read, uint64_t start, uint64_t sectors)
{
	const struct volume *volume = read->volume;
	uint64_t from = start - volume->data_offset, to = from + sectors;

	return from % volume->block_sectors == 0 &&
	       (to % volume->block_sectors == 0 || to == volume->sectors);
}

static void read_backing(struct cache_read *read, uint64_t start, uint64_t sectors)
{
	device_read(read->volume->backing, data_at(read, start), start, sectors, &read->op);
}

static IN_SET void take_hit(struct cache_read *read, const struct lookup *found)
{
	struct cache_set *set = read->volume->set;

	if (read->skips_clean && !bkey_is_dirty(&found->key))
		return;
	SIM_SOMETIMES_IF(read->has_under && bkey_is_dirty(&found->key),
			 "dirty data are read over the backing device's");
	space_pin(&set->space, found->key.ptr);
	space_hit(&set->space, found->key.ptr);
	read->pinned[read->pinned_count++] = found->key.ptr;
	if (bkey_is_dirty(&found->key))
		read->hit_dirty = true;
	else
		read->hit_clean = true;
	device_read(set->device, data_at(read, read->at), pointer_sector(found->key.ptr),
		    found->sectors, &read->op);
}

/* False: the gap is no gap of blocks, and all is to be read first. */
static bool take_gap(struct cache_read *read, const struct lookup *found)
{
	read->missed = true;
	if (read->has_under)
		return true;
	if (read->volume->is_flash) {
		memset(data_at(read, read->at), 0, found->sectors * 512);
		return true;
	}
	if (!is_of_blocks(read, read->at, found->sectors)) {
		SIM_SOMETIMES("a gap is not aligned to the volume's blocks");
		read->wants_under = true;
		return false;
	}
	if (!read->gap_sectors) {
		read->gap_start = read->at;
		read->gap_sectors = found->sectors;
	} else if (read->gap_start + read->gap_sectors == read->at) {
		SIM_SOMETIMES("a gap goes across two leaves");
		read->gap_sectors += found->sectors;	/* the same gap, across leaves */
	}
	read_backing(read, read->at, found->sectors);
	return true;
}

/* The set is dead: only what can't be dirty may still be read. */
static void read_without_index(struct cache_read *read)
{
	struct volume *volume = read->volume;

	if (volume->is_flash || volume_state(volume) == STATE_DIRTY ||
	    volume_state(volume) == STATE_STALE) {
		SIM_SOMETIMES("a read of a volume that may be dirty finds its set dead");
		op_await(&read->op);
		op_arrive(&read->op, -EIO);
		read->hit_dirty = true;
	} else {
		SIM_SOMETIMES("a read of a clean volume goes on without its dead set");
		read_backing(read, read->at, read->start + read->sectors - read->at);
	}
	read->at = read->start + read->sectors;
}

/* Starts transfers for as much as is known; true when all are under way. */
static IN_SET bool look_up(struct cache_read *read)
{
	struct volume *volume = read->volume;
	uint64_t end = read->start + read->sectors;
	struct lookup found;

	while (read->at < end && read->pinned_count < REQUEST_PARTS_MAX) {
		switch (index_lookup(&volume->set->index, volume->slot, read->at, end - read->at,
				     &found, &read->op)) {
		case LOOKUP_WAIT:
			SIM_SOMETIMES_IF(read->pinned_count, "a read with hits waits for a node");
			return false;
		case LOOKUP_ERROR:
			read_without_index(read);
			return true;
		case LOOKUP_HIT:
			take_hit(read, &found);
			break;
		case LOOKUP_GAP:
			if (!take_gap(read, &found))
				return true;
			break;
		}
		read->at += found.sectors;
	}
	return true;
}

static void unpin_all(struct cache_read *read)
{
	struct cache_set *set = read->volume->set;

	if (!read->pinned_count)
		return;
	set_enter(set);
	while (read->pinned_count)
		space_unpin(&set->space, read->pinned[--read->pinned_count]);
	set_leave(set);
}

static void go_on(struct cache_read *read)
{
	struct cache_set *set = read->volume->set;
	bool started = true;

	read->state = READ_LOOKUP;
	op_await(&read->op);		/* for our own part: perhaps nothing else is to wait for */
	if (!set) {
		read_backing(read, read->start, read->sectors);
		read->at = read->start + read->sectors;
	} else {
		set_enter(set);
		started = look_up(read);
		set_leave(set);
	}
	if (started)
		read->state = READ_DATA;
	op_arrive(&read->op, 0);
}

static void read_under(struct cache_read *read)
{
	read->wants_under = false;
	read->has_under = true;
	read->at = read->start;
	read->gap_sectors = 0;
	read->state = READ_UNDER;
	read_backing(read, read->start, read->sectors);
}

/*
 * Clean extents are on the backing device, too: all is read from there, and what
 * is dirty then over it (L13, L43).  Where dirty extents took part it may be they
 * that can't be read.
 */
static void failed(struct cache_read *read, int error)
{
	struct volume *volume = read->volume;
	bool had_parts = read->hit_clean || read->hit_dirty;

	unpin_all(read);
	if (read->state == READ_LOOKUP && !had_parts && !read->missed && volume->set) {
		SIM_SOMETIMES("a set dies while a read waits for a node");
		go_on(read);		/* the set died while we waited for a node */
		return;
	}
	if (had_parts && !read->missed && read->state == READ_DATA)
		volume->set->io_errors++;
	else if (!had_parts || read->state == READ_UNDER)
		volume->io_errors++;
	if (!volume->set || volume->is_flash || read->skips_clean || read->hit_dirty ||
	    !read->hit_clean) {
		finish(read, error);
		return;
	}
	SIM_SOMETIMES("a read of the cache fails and the backing device has the data");
	read->skips_clean = true;
	read_under(read);
}

static void cache_read_step(struct op *op)
{
	struct cache_read *read = container_of(op, struct cache_read, op);
	int error = op_take_error(op);

	if (error) {
		failed(read, error);
		return;
	}
	switch (read->state) {
	case READ_LOOKUP:
		go_on(read);
		return;
	case READ_DATA:
		unpin_all(read);
		if (read->wants_under)
			read_under(read);
		else if (read->at < read->start + read->sectors)
			go_on(read);
		else
			finish(read, 0);
		return;
	case READ_UNDER:
		go_on(read);
		return;
	}
}
