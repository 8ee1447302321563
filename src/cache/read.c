/*
 * Reading: from the cache what is there, the rest from the backing device.
 *
 *	LOOKUP --each extent--> transfers --all there--> DATA ----> done
 *	  ^  |                                             |
 *	  +--+ a node is read                     a cache read failed,
 *	                                          nothing dirty touched
 *	                                                   |
 *	                                                BACKING --> done
 *
 * The bucket of a hit is pinned until its data are here, so that it can't be
 * reused meanwhile (L43).  A failed read that touched dirty data is an error:
 * what is on the backing device is old (L13, L14).
 */
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "cache/cache_set.h"
#include "cache/request.h"
#include "cache/volume.h"

static void cache_read_step(struct op *op);

void cache_read_start(struct cache_read *read)
{
	read->state = READ_LOOKUP;
	read->at = read->start;
	read->missed = read->hit_dirty = read->hit_clean = false;
	read->gap_sectors = 0;
	read->pinned_count = 0;
	op_init(&read->op, read->parent->home, cache_read_step);
	op_await(read->parent);
	op_queue(&read->op);
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

static void read_backing(struct cache_read *read, uint64_t start, uint64_t sectors)
{
	device_read(read->volume->backing, data_at(read, start), start, sectors, &read->op);
}

static IN_SET void take_hit(struct cache_read *read, const struct lookup *found)
{
	struct cache_set *set = read->volume->set;

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

static void take_gap(struct cache_read *read, const struct lookup *found)
{
	if (read->volume->is_flash) {
		memset(data_at(read, read->at), 0, found->sectors * 512);
		return;
	}
	if (!read->gap_sectors) {
		read->gap_start = read->at;
		read->gap_sectors = found->sectors;
	} else if (read->gap_start + read->gap_sectors == read->at) {
		read->gap_sectors += found->sectors;	/* the same gap, across leaves */
	}
	read->missed = true;
	read_backing(read, read->at, found->sectors);
}

/* The set is dead: only what can't be dirty may still be read. */
static void read_without_index(struct cache_read *read)
{
	struct volume *volume = read->volume;

	if (volume->is_flash || volume_state(volume) == STATE_DIRTY ||
	    volume_state(volume) == STATE_STALE) {
		op_await(&read->op);
		op_arrive(&read->op, -EIO);
		read->hit_dirty = true;
	} else {
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
			return false;
		case LOOKUP_ERROR:
			read_without_index(read);
			return true;
		case LOOKUP_HIT:
			take_hit(read, &found);
			break;
		case LOOKUP_GAP:
			take_gap(read, &found);
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
	bool started;

	read->state = READ_LOOKUP;
	if (!set) {
		read_backing(read, read->start, read->sectors);
		read->at = read->start + read->sectors;
		started = true;
	} else {
		set_enter(set);
		started = look_up(read);
		set_leave(set);
	}
	if (!started)
		return;
	read->state = READ_DATA;
	if (!read->op.awaited)		/* nothing but zeros */
		op_queue(&read->op);
}

static void failed(struct cache_read *read, int error)
{
	struct volume *volume = read->volume;
	bool may_retry = volume->set && read->state != READ_BACKING && read->hit_clean &&
			 !read->hit_dirty;

	unpin_all(read);
	if (read->hit_clean || read->hit_dirty)
		volume->set->io_errors++;
	if (!may_retry) {
		finish(read, error);
		return;
	}
	read->state = READ_BACKING;
	read->gap_sectors = 0;
	read_backing(read, read->start, read->sectors);
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
		if (read->at < read->start + read->sectors)
			go_on(read);
		else
			finish(read, 0);
		return;
	case READ_BACKING:
		finish(read, 0);
		return;
	}
}
