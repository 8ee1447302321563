/*
 * A request from its arrival to its answer.
 *
 *	BEGIN -> RANGE --read-----> READING -------------------------> done
 *	  |        |--write, zero-> (EDGES) --> WRITING --more--> ... -> done
 *	  |        `--discard-----> TRIM --> HOLES --more--> ... -----> done
 *	  `--flush--> FLUSHING ----------------------------------------> done
 *
 * In BEGIN the volume is frozen; in RANGE an overlapping request is in flight.
 *
 * A write that covers blocks only in part takes the range of all blocks it
 * touches, reads the blocks at its edges through the cache, and writes whole blocks.
 */
#include "cache/request.h"

#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "cache/cache_set.h"
#include "cache/volume.h"

static void request_step(struct op *op);
static void begin(struct request *request);

static uint64_t block_bytes(const struct request *request)
{
	return request->volume->block_sectors * 512;
}

/* The key sector of `offset`, a multiple of the block. */
static uint64_t key_sector(const struct volume *volume, uint64_t offset)
{
	return offset / 512 + volume->data_offset;
}

static uint64_t block_start(const struct request *request, uint64_t offset)
{
	return round_down(offset, block_bytes(request));
}

/*
 * `offset` rounded up to the end of a block.  The last block of a backing device may be short.  All
 * blocks of a flash-only volume are whole, even if its size is not a multiple of them: a cache
 * device transfers whole blocks only, and nobody uses the sectors beyond the end.
 */
static uint64_t block_end(const struct request *request, uint64_t offset)
{
	const struct volume *volume = request->volume;
	uint64_t end = round_up(offset, block_bytes(request));

	return volume->is_flash ? end : min_u64(end, volume->sectors * 512);
}

static void finish(struct request *request, int error)
{
	struct volume *volume = request->volume;

	if (list_linked(&request->range.link))
		range_release(&volume->ranges, &request->range);
	volume_request_end(volume);
	request->done(request, error);	/* REQUEST-1; `request` may be freed now */
}

/* ---- reads ---- */

/*
 * No fills for a volume that leaves its set, or whose set stops: both would have to wait for them.
 */
static bool bypasses_read(struct request *request)
{
	struct volume *volume = request->volume;
	struct cache_set *set = volume->set;
	bool bypass;

	if (!set || set->is_read_only || set->is_stopping || volume->is_flash ||
	    volume->is_detaching || volume->mode == MODE_NONE)
		return true;
	set_lock(set);
	bypass = space_in_use_percent(&set->space) > IN_USE_BYPASS_ABOVE;
	if (!bypass)
		space_count_io(&set->space, request->end - request->start);
	set_unlock(set);
	return bypass;
}

static void start_read(struct request *request)
{
	struct cache_read *read = &request->read;

	read->volume = request->volume;
	read->parent = &request->op;
	read->start = request->start;
	read->sectors = request->end - request->start;
	read->data = request->data;
	read->bypass = bypasses_read(request);
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

/* Caches the first gap of a read, if it consists of whole blocks of the set. */
static void fill_gap(struct request *request)
{
	const struct cache_read *read = &request->read;
	unsigned block = request->volume->set->superblock.block_sectors;

	if (read->bypass || !read->gap_sectors || read->gap_start % block ||
	    read->gap_sectors % block)
		return;
	fill_start(request->volume, read->gap_start, read->gap_sectors,
		   read->data + (read->gap_start - read->start) * 512, request->task);
}

static void read_ended(struct request *request, int error)
{
	struct volume *volume = request->volume;

	if (!error) {
		count_read(request);
		if (volume->set)
			fill_gap(request);
	}
	request->skew = request->offset -
			(request->start - volume->data_offset) * 512;
	finish(request, error);
}

/* ---- writes ---- */

/* Long requests are split into chunks that fit the buffer. */
static bool next_chunk(struct request *request)
{
	uint64_t end = request->offset + request->bytes;

	request->chunk_offset += request->chunk_bytes;
	if (request->chunk_offset >= end)
		return false;
	request->chunk_bytes = min_u64(end - request->chunk_offset, REQUEST_BYTES_MAX);
	if (request->kind == REQUEST_ZERO)
		memset(request->data, 0, request->chunk_bytes);
	return true;
}

/* Zeros go around the cache: they would only displace other data. */
static void write_chunk(struct request *request)
{
	struct cache_write *write = &request->write;
	uint64_t start = block_start(request, request->chunk_offset);
	uint64_t end = block_end(request, request->chunk_offset + request->chunk_bytes);

	write->volume = request->volume;
	write->parent = &request->op;
	write->start = key_sector(request->volume, start);
	write->sectors = (end - start) / 512;
	write->data = request->data;
	write->fua = request->fua;
	write->around = request->kind == REQUEST_ZERO;
	write->sync = request->sync;
	write->task = request->task;
	request->state = REQUEST_WRITING;
	cache_write_start(write);
}

/* Room for the two edge blocks of an unaligned write, after the data. */
static unsigned char *edges(const struct request *request)
{
	return (unsigned char *)request->data + REQUEST_BYTES_MAX + 2 * REQUEST_BLOCK_BYTES_MAX;
}

static void read_edge(struct request *request, uint64_t offset, unsigned char *data)
{
	struct cache_read *read = &request->read;

	read->volume = request->volume;
	read->parent = &request->op;
	read->start = key_sector(request->volume, offset);
	read->sectors = (block_end(request, offset + 1) - offset) / 512;
	read->data = data;
	read->bypass = true;
	request->state = REQUEST_EDGES;
	cache_read_start(read);
}

/* Must the last block be read, and is it not the first one, which is read anyway? */
static bool has_tail_edge(const struct request *request, bool has_head_edge)
{
	uint64_t end = request->chunk_offset + request->chunk_bytes;

	return block_end(request, end) != end &&
	       !(has_head_edge && block_start(request, end) ==
				  block_start(request, request->chunk_offset));
}

static void start_chunk(struct request *request)
{
	uint64_t start = block_start(request, request->chunk_offset);
	uint64_t end = request->chunk_offset + request->chunk_bytes;
	bool has_head_edge = start != request->chunk_offset;

	request->has_tail_edge = has_tail_edge(request, has_head_edge);
	if (!has_head_edge && !request->has_tail_edge) {
		write_chunk(request);
		return;
	}
	if (has_head_edge) {
		read_edge(request, start, edges(request));
		return;
	}
	request->has_tail_edge = false;
	read_edge(request, block_start(request, end), edges(request) + block_bytes(request));
}

/* Moves the payload to its place in the blocks, and completes them from the edge blocks. */
static void merge_edges(struct request *request)
{
	unsigned char *data = request->data;
	uint64_t start = block_start(request, request->chunk_offset);
	uint64_t end = request->chunk_offset + request->chunk_bytes;
	uint64_t last = block_start(request, end);
	unsigned skew = request->chunk_offset - start;
	bool one_block = skew && last == start;
	const unsigned char *tail = one_block ? edges(request) :
						edges(request) + block_bytes(request);

	memmove(data + skew, data, request->chunk_bytes);
	memcpy(data, edges(request), skew);
	if (block_end(request, end) != end)
		memcpy(data + (end - start), tail + (end - last), block_end(request, end) - end);
}

/* One edge block after the other, since a request has one cache_read. */
static void edge_is_there(struct request *request)
{
	uint64_t end = request->chunk_offset + request->chunk_bytes;

	if (request->has_tail_edge) {
		request->has_tail_edge = false;
		read_edge(request, block_start(request, end),
			  edges(request) + block_bytes(request));
		return;
	}
	merge_edges(request);
	write_chunk(request);
}

static void start_write(struct request *request)
{
	request->chunk_offset = request->offset;
	request->chunk_bytes = 0;
	if (next_chunk(request))
		start_chunk(request);
	else
		finish(request, 0);
}

/* ---- discards ---- */

/*
 * The backing device discards first: until the holes are inserted, dirty data still hide what is
 * below them, so a power cut leaves either the dirty data or zeros.  If the volume has dirty data,
 * the discard is made durable before the holes that hide them (ORDER-15).
 */
static void start_discard(struct request *request)
{
	struct volume *volume = request->volume;

	if (volume->set && health_error(&volume->set->health)) {
		finish(request, -EIO);	/* as for writes, see decide() in write.c */
		return;
	}
	volume_count(volume, STATS_BYPASSED_SECTORS, request->end - request->start);
	request->chunk_offset = request->start;
	request->state = REQUEST_TRIM;
	if (!volume->backing) {
		op_queue(&request->op);
		return;
	}
	device_discard(volume->backing, request->start, request->end - request->start,
		       &request->op);
}

static void trimmed(struct request *request, int error)
{
	struct volume *volume = request->volume;
	bool has_dirty = volume->set && volume_dirty_bytes(volume);

	/*
	 * After an error, dirty data stay visible.  Without any, the holes are inserted all the
	 * same: the range may be discarded in part, and cached clean data would differ from it.
	 */
	if (error == -EOPNOTSUPP || (error && has_dirty)) {
		finish(request, error);
		return;
	}
	request->error = error;
	request->state = REQUEST_HOLES;
	if (volume->backing && has_dirty)
		device_flush(volume->backing, &request->op);
	else
		op_queue(&request->op);
}

/* Inserts holes (keys without pointers) for the next part of the range. */
static void insert_holes(struct request *request)
{
	struct volume *volume = request->volume;
	struct insert *insert = &request->insert;
	uint64_t at = request->chunk_offset;	/* for a discard, a key sector */

	if (at == request->end || !volume->set) {
		finish(request, request->error);
		return;
	}
	*insert = (struct insert){
		.index = &volume->set->index,
		.parent = &request->op,
		.is_journaled = true,
	};
	while (at < request->end && insert->count < INSERT_KEYS_MAX) {
		uint64_t to = min_u64(request->end, at + BKEY_HOLE_SECTORS_MAX);

		insert->keys[insert->count++] = bkey_of(volume->slot, to, to - at);
		at = to;
	}
	request->chunk_offset = at;
	insert_start(insert);
}

/* ---- flushes ---- */

static void backing_is_flushed(struct op *op)
{
	struct request *request = container_of(op, struct request, backing_op);

	op_arrive(&request->op, op_take_error(op));
}

/* Both flushes at once: the journal's is of the cache device, the other of the backing device. */
static void start_flush(struct request *request)
{
	struct volume *volume = request->volume;
	struct cache_set *set = volume->set;

	request->state = REQUEST_FLUSHING;
	op_await(&request->op);
	if (set && !set->is_read_only) {
		set_lock(set);
		journal_commit(&set->journal, &request->op);	/* ORDER-10 */
		set_unlock(set);
	}
	if (volume->backing && !volume->is_mounted_read_only) {
		op_init(&request->backing_op, request->op.home, backing_is_flushed);
		op_await(&request->op);
		device_flush(volume->backing, &request->backing_op);
	}
	op_arrive(&request->op, 0);
}

/* ---- the op ---- */

/* The blocks that the request touches; for a discard, those that it covers entirely. */
static void find_blocks(struct request *request)
{
	const struct volume *volume = request->volume;
	uint64_t end = request->offset + request->bytes;
	uint64_t first = block_start(request, request->offset);
	uint64_t last = block_end(request, end);

	if (request->kind == REQUEST_DISCARD) {
		first = round_up(request->offset, block_bytes(request));
		if (end != volume->sectors * 512)
			last = block_start(request, end);
		last = max_u64(first, last);
	}
	request->start = key_sector(volume, first);
	request->end = key_sector(volume, last);
}

/* An empty discard (less than a block) has nothing to do. */
static void take_range(struct request *request)
{
	enum range_kind kind = request->kind == REQUEST_READ ? RANGE_READ : RANGE_WRITE;

	find_blocks(request);
	if (request->start == request->end) {
		finish(request, 0);
		return;
	}
	request->state = REQUEST_RANGE;
	if (range_take(&request->volume->ranges, &request->range, kind, request->start,
		       request->end, &request->op))
		begin(request);
}

static bool is_change(const struct request *request)
{
	return request->kind != REQUEST_READ && request->kind != REQUEST_FLUSH;
}

/* Once a request has entered, its volume's set is constant, and so is what it allows (VOLUME-1). */
static void begin_on_volume(struct request *request)
{
	if (!volume_request_begin(request->volume, &request->op))
		return;
	if (is_change(request) && volume_is_read_only(request->volume))
		finish(request, -EROFS);
	else if (request->kind == REQUEST_FLUSH)
		start_flush(request);
	else
		take_range(request);
}

static void begin(struct request *request)
{
	switch (request->kind) {
	case REQUEST_READ:
		start_read(request);
		return;
	case REQUEST_WRITE:
	case REQUEST_ZERO:
		start_write(request);
		return;
	case REQUEST_DISCARD:
		start_discard(request);
		return;
	case REQUEST_FLUSH:
		break;
	}
	assert(!"a flush takes no range");
}

void request_start(struct request *request)
{
	const struct volume *volume = request->volume;

	assert(request->offset + request->bytes <= volume->sectors * 512);
	request->state = REQUEST_BEGIN;
	request->skew = 0;
	request->range = (struct range){ .start = 0 };
	op_init(&request->op, volume->reactor, request_step);
	begin_on_volume(request);
}

static void request_step(struct op *op)
{
	struct request *request = container_of(op, struct request, op);
	int error = op_take_error(op);

	switch (request->state) {
	case REQUEST_BEGIN:
		begin_on_volume(request);
		return;
	case REQUEST_RANGE:
		begin(request);
		return;
	case REQUEST_READING:
		read_ended(request, error);
		return;
	case REQUEST_EDGES:
		if (error)
			finish(request, error);
		else
			edge_is_there(request);
		return;
	case REQUEST_WRITING:
		if (!error && next_chunk(request))
			start_chunk(request);
		else
			finish(request, error);
		return;
	case REQUEST_TRIM:
		trimmed(request, error);
		return;
	case REQUEST_HOLES:
		if (error)
			finish(request, error);
		else
			insert_holes(request);
		return;
	case REQUEST_FLUSHING:
		finish(request, error);
		return;
	}
}
