/*
 * Which way a write goes, and whether it hides dirty data: the states DECIDE and LOOK of write.c.
 */
#include <errno.h>

#include "base/sometimes.h"
#include "cache/bypass.h"
#include "cache/cache_set.h"
#include "cache/volume.h"
#include "cache/write_internal.h"

/* A flash-only volume has nothing else to go to. */
static LOCKED bool decide_bypass(const struct cache_write *write)
{
	struct volume *volume = write->volume;

	if (write->is_zeros)
		return !volume->is_flash;
	return bypass_decide(volume, &(struct bypass_question){
		.kind = BYPASS_WRITE, .start = write->start, .sectors = write->sectors,
		.offset = write->offset, .bytes = write->bytes, .task = write->task });
}

/*
 * Partial stripes are expensive, and the write makes one more complete.  As in the kernel it is
 * then kept although it would go around the cache, if that takes only whole blocks of it.
 */
static LOCKED bool completes_stripe(const struct cache_write *write, const struct cache_set *set)
{
	const struct stripes *stripes = write->volume->stripes;
	unsigned block = set->cache.superblock.block_sectors;
	bool completes = stripes && !write->is_zeros && write->start % block == 0 &&
			 write->sectors % block == 0 &&
			 stripes_are_dirty(stripes, write->start, write->start + write->sectors);

	SIM_SOMETIMES_IF(completes && write->bypass, "a write is kept since its stripe is dirty");
	return completes;
}

/* Above the cutoff no more dirty data are admitted, as in the kernel. */
static LOCKED bool wants_writeback(const struct cache_write *write, const struct cache_set *set)
{
	unsigned in_use = space_in_use_percent(&set->cache.space);
	const struct volume *volume = write->volume;

	if (volume->is_flash)
		return true;
	if (volume->mode != MODE_WRITEBACK || volume->is_detaching ||
	    in_use > set->cutoff_writeback_sync)
		return false;
	if (completes_stripe(write, set))
		return true;
	if (write->bypass)
		return false;
	return in_use <= (write->sync ? set->cutoff_writeback_sync : set->cutoff_writeback);
}

static LOCKED bool promise(struct cache_write *write, struct cache_set *set)
{
	write->is_promised = space_promise_dirty(&set->cache.space, write->sectors);
	if (write->is_promised)
		space_count_io(&set->cache.space, write->sectors);
	return write->is_promised;
}

/*
 * 0: `way` is chosen, and what goes into the cache has aged the priorities, once.  -EAGAIN: `op`
 * waits for a gc, which may make room.  -ENOSPC: it can't.
 */
static LOCKED int choose_way(struct cache_write *write, struct cache_set *set)
{
	struct volume *volume = write->volume;

	write->way = WRITE_DIRTY;
	if (write->is_promised)
		return 0;
	/* Decided once, since streams are counted: one that comes here again has its promise, or
	 * has `bypass` set by not_dirty(), or is of a flash-only volume, which never has it. */
	write->bypass = write->bypass || decide_bypass(write);
	if (wants_writeback(write, set)) {
		if (promise(write, set))
			return 0;
		SIM_SOMETIMES_IF(!volume->is_flash, "dirty data are not let in for lack of room");
		SIM_RARELY_IF(volume->is_flash, "a flash-only volume finds no room",
			      "test_lifecycle_flash/destroyed_volumes_give_their_buckets_back");
		if (volume->is_flash)
			return space_await_gc(&set->cache.space, &write->op);
	}
	if (volume->mode == MODE_WRITEBACK)
		space_suggest_gc(&set->cache.space);
	write->way = write->bypass ? WRITE_AROUND : WRITE_THROUGH;
	if (!write->bypass)
		space_count_io(&set->cache.space, write->sectors);
	return 0;
}

int cache_write_decide(struct cache_write *write)
{
	struct volume *volume = write->volume;
	struct cache_set *set = volume->set;
	int error;

	if (!set) {
		write->way = WRITE_DIRECT;
		return 0;
	}
	if (volume_set_has_failed(volume)) {
		/* Data would be mixed: the backing device may have older ones than the set. */
		write->way = WRITE_DIRECT;
		return volume_lost_error(volume);
	}
	set_lock(set);
	error = choose_way(write, set);
	set_unlock(set);
	if (!error && write->way == WRITE_DIRTY && !volume->is_flash) {
		if (!volume->dirty_writes && !volume_dirty_bytes(volume))
			dirty_age_restart(&volume->writeback.age, clock_ns(volume->reactor));
		volume->dirty_writes += !write->is_dirty_write;
		write->is_dirty_write = true;
		error = volume_make_dirty(volume, &write->op);
	}
	if (!error && write->way == WRITE_AROUND)
		volume_count(volume, STATS_BYPASSED_SECTORS, write->sectors);
	return error;
}

int cache_write_look(struct cache_write *write)
{
	struct volume *volume = write->volume;
	struct cache_set *set = volume->set;
	uint64_t end = write->start + write->sectors;
	struct lookup found;
	int error = 0;

	if (write->way == WRITE_DIRECT || write->way == WRITE_DIRTY)
		return 0;
	error = writeback_begin_change(&volume->writeback, write->start, end, &write->op);
	if (error)
		return error;
	set_lock(set);
	while (set->index.dirty_sectors[volume->slot] && write->at < end && !write->hides_dirty) {
		error = index_lookup(&set->index, volume->slot, write->at, end - write->at, &found,
				     &write->op);
		SIM_SOMETIMES_IF(error == -EAGAIN,
				 "a write that looks for dirty data waits for a node");
		if (error)
			break;
		write->hides_dirty = found.is_hit && bkey_is_dirty(&found.key);
		write->at += found.sectors;
	}
	set_unlock(set);
	return error;
}
