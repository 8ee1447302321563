/*
 * A request that writes data or zeros, chunk by chunk.
 *
 *	(EDGES --> EDGES) --> WRITING --more--> (EDGES ...) --> WRITING --> request_written()
 *
 * A write that covers blocks only in part has taken the range of all blocks it touches.  It
 * reads the blocks at its edges through the cache, and writes whole blocks.
 */
#include <string.h>

#include "base/numbers.h"
#include "cache/request_internal.h"

/* Long requests are split into chunks that fit the buffer. */
static bool next_chunk(struct request *request)
{
	request->chunk_offset += request->chunk_bytes;
	if (request->chunk_offset >= request->chunks_end)
		return false;
	request->chunk_bytes = min_u64(request->chunks_end - request->chunk_offset,
				       REQUEST_BYTES_MAX);
	if (request->kind != REQUEST_WRITE)
		memset(request->data, 0, request->chunk_bytes);
	return true;
}

static void write_chunk(struct request *request)
{
	struct cache_write *write = &request->write;
	uint64_t start = request_block_start(request, request->chunk_offset);
	uint64_t end = request_block_end(request, request->chunk_offset + request->chunk_bytes);

	write->volume = request->volume;
	write->parent = &request->op;
	write->start = volume_key_sector(request->volume, start);
	write->sectors = (end - start) / 512;
	write->data = request->data;
	write->fua = request->fua;
	write->offset = request->chunk_offset;
	write->bytes = request->chunk_bytes;
	write->is_zeros = request->kind != REQUEST_WRITE;
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
	read->range = &request->range;
	read->start = volume_key_sector(request->volume, offset);
	read->sectors = (request_block_end(request, offset + 1) - offset) / 512;
	read->data = data;
	request->state = REQUEST_EDGES;
	cache_read_start(read);
}

/* Must the last block be read, and is it not the first one, which is read anyway? */
static bool has_tail_edge(const struct request *request, bool has_head_edge)
{
	uint64_t end = request->chunk_offset + request->chunk_bytes;

	return request_block_end(request, end) != end &&
	       !(has_head_edge && request_block_start(request, end) ==
				  request_block_start(request, request->chunk_offset));
}

static void start_chunk(struct request *request)
{
	uint64_t start = request_block_start(request, request->chunk_offset);
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
	read_edge(request, request_block_start(request, end),
		  edges(request) + request_block_bytes(request));
}

/* Moves the payload to its place in the blocks, and completes them from the edge blocks. */
static void merge_edges(struct request *request)
{
	unsigned char *data = request->data;
	uint64_t start = request_block_start(request, request->chunk_offset);
	uint64_t end = request->chunk_offset + request->chunk_bytes;
	uint64_t last = request_block_start(request, end);
	uint64_t last_end = request_block_end(request, end);
	unsigned skew = request->chunk_offset - start;
	bool one_block = skew && last == start;
	const unsigned char *tail = one_block ? edges(request) :
						edges(request) + request_block_bytes(request);

	memmove(data + skew, data, request->chunk_bytes);
	memcpy(data, edges(request), skew);
	if (last_end != end)
		memcpy(data + (end - start), tail + (end - last), last_end - end);
}

/* One edge block after the other, since a request has one cache_read. */
static void edge_is_there(struct request *request)
{
	uint64_t end = request->chunk_offset + request->chunk_bytes;

	if (request->has_tail_edge) {
		request->has_tail_edge = false;
		read_edge(request, request_block_start(request, end),
			  edges(request) + request_block_bytes(request));
		return;
	}
	merge_edges(request);
	write_chunk(request);
}

void request_write_start(struct request *request, uint64_t from, uint64_t to)
{
	request->chunk_offset = from;
	request->chunk_bytes = 0;
	request->chunks_end = to;
	if (next_chunk(request))
		start_chunk(request);
	else
		request_written(request, 0);
}

static enum traffic_way way_of_write(const struct cache_write *write)
{
	static const enum traffic_way ways[] = {
		[WRITE_DIRTY] = TRAFFIC_WRITE_BACK, [WRITE_THROUGH] = TRAFFIC_WRITE_THROUGH,
		[WRITE_AROUND] = TRAFFIC_WRITE_BYPASS, [WRITE_DIRECT] = TRAFFIC_WRITE_BYPASS,
	};

	return ways[write->way];
}

/* A write has one chunk. */
static void request_all_written(struct request *request)
{
	if (request->kind == REQUEST_WRITE)
		request->way = way_of_write(&request->write);
	request_written(request, 0);
}

void request_write_step(struct request *request, int error)
{
	if (error)
		request_written(request, error);
	else if (request->state == REQUEST_EDGES)
		edge_is_there(request);
	else if (next_chunk(request))
		start_chunk(request);
	else
		request_all_written(request);
}
