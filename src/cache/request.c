/*
 * A request from its arrival to its answer.
 *
 *	BEGIN -> RANGE --read-----> READING ---------------------------> done
 *	  |        |--write, zero-> (EDGES) --> WRITING --more--> ... -> done
 *	  |        `--discard-----> see request_discard.c
 *	  `--flush--> FLUSHING ----------------------------------------> done
 *
 * In BEGIN the volume is frozen; in RANGE an overlapping request is in flight.  Reads, writes
 * and discards go on in files of their own, and end in request_finish().  If the set has failed,
 * all but reads wait in LEAVING until the superblock says that the volume is alone.
 */
#include <errno.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "cache/cache_set.h"
#include "cache/request_internal.h"
#include "cache/volume.h"

static void request_step(struct op *op);

uint64_t request_block_start(const struct request *request, uint64_t offset)
{
	return round_down(offset, request_block_bytes(request));
}

uint64_t request_block_end(const struct request *request, uint64_t offset)
{
	const struct volume *volume = request->volume;
	uint64_t end = round_up(offset, request_block_bytes(request));

	return volume->is_flash ? end : min_u64(end, volume->sectors * 512);
}

static bool is_change(const struct request *request)
{
	return request->kind != REQUEST_READ && request->kind != REQUEST_FLUSH;
}

static void request_answer(struct request *request, int error)
{
	struct volume *volume = request->volume;

	if (list_linked(&request->range.link))
		range_release(&volume->ranges, &request->range);
	list_remove(&request->link);
	volume_request_end(volume);
	request->done(request, error);	/* REQUEST-1; `request` may be freed now */
}

/*
 * VOLUME-3: what the backing device has been told is not answered before the superblock says that
 * the cache, which does not know of it, counts no more (ORDER-18).
 */
void request_finish(struct request *request, int error)
{
	struct volume *volume = request->volume;

	if (!error && request->kind != REQUEST_READ && volume_set_has_failed(volume) &&
	    !volume_needs_set(volume)) {
		request->state = REQUEST_LEAVING;
		error = volume_make_alone(volume, &request->op);
		SIM_SOMETIMES_IF(error == -EAGAIN,
				 "a request waits for the superblock that leaves a failed set");
		if (error == -EAGAIN)
			return;
	}
	request_answer(request, error);
}

/* ---- flushes ---- */

static void backing_is_flushed(struct op *op)
{
	struct request *request = container_of(op, struct request, backing_op);

	op_arrive(&request->op, op_take_error(op));
}

/* Does a flush of the volume include its set?  Not if that failed, and has nothing of it. */
static bool flush_needs_set(const struct volume *volume)
{
	const struct cache_set *set = volume->set;

	return set && !set->is_read_only &&
	       (!volume_set_has_failed(volume) || volume_needs_set(volume));
}

/* Both flushes at once: the journal's is of the cache device, the other of the backing device. */
static void start_flush(struct request *request)
{
	struct volume *volume = request->volume;
	struct cache_set *set = volume->set;

	request->state = REQUEST_FLUSHING;
	request->flushes_set = flush_needs_set(volume);
	op_await(&request->op);
	if (request->flushes_set) {
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

/* After the set has failed during the flush, that of the backing device alone is repeated. */
static void flushed(struct request *request, int error)
{
	struct volume *volume = request->volume;

	if (error && request->flushes_set && volume_set_has_failed(volume) &&
	    !flush_needs_set(volume)) {
		SIM_SOMETIMES("a set fails during a flush of a volume that needs it no more");
		start_flush(request);
		return;
	}
	if (error && request->flushes_set)
		error = volume_lost_error(volume) ?: error;
	request_finish(request, volume_tell_users(volume, error));
}

/* ---- the op ---- */

static void begin(struct request *request)
{
	switch (request->kind) {
	case REQUEST_READ:
		request_read_start(request);
		return;
	case REQUEST_WRITE:
	case REQUEST_ZERO:
		request_write_start(request, request->offset, request->offset + request->bytes);
		return;
	case REQUEST_DISCARD:
		request_discard_start(request);
		return;
	case REQUEST_FLUSH:
		break;
	}
	assert(!"a flush takes no range");
}

void request_written(struct request *request, int error)
{
	if (request->kind == REQUEST_DISCARD)
		request_discard_written(request, error);
	else
		request_finish(request, error);
}

/* The range is that of all blocks which the request touches.  An empty one has nothing to do. */
static void take_range(struct request *request)
{
	enum range_kind kind = request->kind == REQUEST_READ ? RANGE_READ : RANGE_WRITE;
	const struct volume *volume = request->volume;
	uint64_t end = request_block_end(request, request->offset + request->bytes);

	if (!request->bytes) {
		request_finish(request, 0);
		return;
	}
	request->start = volume_key_sector(volume,
					   request_block_start(request, request->offset));
	request->end = volume_key_sector(volume, end);
	request->state = REQUEST_RANGE;
	if (!range_take(&request->volume->ranges, &request->range, kind, request->start,
			request->end, &request->op))
		begin(request);
}

/* The volume may have shrunk since the request was made. */
static bool is_beyond_end(const struct request *request)
{
	return request->offset + request->bytes > request->volume->sectors * 512;
}

/* Once a request has entered, its volume's set is constant, and so is what it allows (VOLUME-1). */
static void begin_on_volume(struct request *request)
{
	if (volume_request_begin(request->volume, &request->op))
		return;
	if (request->volume->set)
		request->volume->set->last_request_ns = clock_ns(request->volume->reactor);
	if (request->volume->io_disable)
		request_answer(request, -EIO);
	else if (is_change(request) && volume_is_read_only(request->volume))
		request_finish(request, -EROFS);
	else if (is_beyond_end(request))
		request_finish(request, is_change(request) ? -ENOSPC : -EIO);
	else if (request->kind == REQUEST_FLUSH)
		start_flush(request);
	else
		take_range(request);
}

/* As long as nothing better is known; an empty request stays at that. */
static enum traffic_way way_of_kind(enum request_kind kind)
{
	static const enum traffic_way ways[] = {
		[REQUEST_READ] = TRAFFIC_READ_HIT, [REQUEST_WRITE] = TRAFFIC_WRITE_BYPASS,
		[REQUEST_FLUSH] = TRAFFIC_WAY_FLUSH, [REQUEST_DISCARD] = TRAFFIC_WAY_DISCARD,
		[REQUEST_ZERO] = TRAFFIC_WAY_DISCARD,
	};

	return ways[kind];
}

void request_start(struct request *request)
{
	const struct volume *volume = request->volume;

	request->state = REQUEST_BEGIN;
	request->skew = 0;
	request->way = way_of_kind(request->kind);
	request->began_ns = clock_ns(volume->reactor);
	list_add_last(&request->volume->requests, &request->link);
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
		request_read_ended(request, error);
		return;
	case REQUEST_EDGES:
	case REQUEST_WRITING:
		request_write_step(request, error);
		return;
	case REQUEST_COPIED:
	case REQUEST_TRIM:
	case REQUEST_TRIM_FLUSH:
	case REQUEST_HOLES:
		request_discard_step(request, error);
		return;
	case REQUEST_FLUSHING:
		flushed(request, error);
		return;
	case REQUEST_LEAVING:
		request_answer(request, error);
		return;
	}
}
