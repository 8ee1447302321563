/*
 * A request that reads: what is missing in the cache may be kept there.
 */
#include "cache/bypass.h"
#include "cache/cache_set.h"
#include "cache/request_internal.h"

/* Sectors that are read through the cache age the priorities of all buckets, in the same critical
 * section. */
static bool decide_bypass(const struct request *request)
{
	const struct cache_read *read = &request->read;
	struct cache_set *set = request->volume->set;
	bool bypass;

	if (!set)
		return true;
	set_lock(set);
	bypass = bypass_decide(request->volume, &(struct bypass_question){
		.kind = BYPASS_READ, .start = read->start, .sectors = read->sectors,
		.offset = request->offset, .bytes = request->bytes, .task = request->task });
	if (!bypass)
		space_count_io(&set->cache.space, read->sectors);
	set_unlock(set);
	return bypass;
}

void request_read_start(struct request *request)
{
	struct cache_read *read = &request->read;

	read->volume = request->volume;
	read->parent = &request->op;
	read->range = &request->range;
	read->start = request->start;
	read->sectors = request->end - request->start;
	read->data = request->data;
	read->bypass = decide_bypass(request);
	request->state = REQUEST_READING;
	cache_read_start(read);
}

/* Counts a read once, as the kernel does: a hit only if nothing was missing. */
static void count_read(struct request *request)
{
	const struct cache_read *read = &request->read;
	enum stats_counter counter = read->bypass ?
		(read->missed ? STATS_BYPASS_MISSES : STATS_BYPASS_HITS) :
		(read->missed ? STATS_MISSES : STATS_HITS);

	volume_count(request->volume, counter, 1);
	if (read->bypass)
		volume_count(request->volume, STATS_BYPASSED_SECTORS, read->sectors);
}

/* A flash-only volume has nothing but the cache; its gaps are zeros. */
static enum traffic_way way_of_read(const struct request *request)
{
	if (request->volume->is_flash)
		return TRAFFIC_READ_HIT;
	if (request->read.bypass)
		return TRAFFIC_READ_BYPASS;
	return request->read.missed ? TRAFFIC_READ_MISS : TRAFFIC_READ_HIT;
}

/* Caches the first gap of a read, if it consists of whole blocks of the set. */
static void fill_gap(struct request *request)
{
	const struct cache_read *read = &request->read;
	unsigned block = request->volume->set->cache.superblock.block_sectors;

	if (read->bypass || !read->gap_sectors || read->gap_start % block ||
	    read->gap_sectors % block)
		return;
	fill_start(request->volume, read->gap_start, read->gap_sectors,
		   read->data + (read->gap_start - read->start) * 512, request->task);
}

void request_read_ended(struct request *request, int error)
{
	struct volume *volume = request->volume;

	if (!error) {
		count_read(request);
		request->way = way_of_read(request);
		if (volume->set)
			fill_gap(request);
	}
	request->skew = request->offset -
			(request->start - volume->data_offset) * 512;
	request_finish(request, error);
}
