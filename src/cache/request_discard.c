/*
 * A request that discards: its range reads as zeros afterwards.
 *
 *	HEAD --zeros written--> BODY: TRIM --> HOLES --more--> ... --> TAIL --zeros written--> done
 *	                          |  (after COPIED)                     |
 *	                          `--device cannot-> zeros written -----'
 *
 * The whole blocks in the middle are discarded; the rest at both ends is written as
 * zeros, and so is all of it if the backing device cannot discard.  (Loop devices and mkfs rely on
 * zeros.)
 *
 * The backing device discards first (TRIM): until the holes are inserted, dirty data
 * still hide what is below them, so a power cut leaves either the dirty data or zeros.  If the
 * volume has dirty data, the discard is made durable before the holes that hide them (ORDER-15).
 * After an error of the backing device, dirty data stay visible.  For all else the holes are
 * inserted all the same: the range may be discarded in part, and clean data in the cache would
 * differ from it.
 */
#include <errno.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "cache/cache_set.h"
#include "cache/request_internal.h"

/* The whole blocks of the range, which is not the same as the blocks it touches. */
static void find_body(struct request *request)
{
	const struct volume *volume = request->volume;
	uint64_t end = request->offset + request->bytes;
	uint64_t first = round_up(request->offset, request_block_bytes(request));
	/* The last block ends with the volume, even if it is short. */
	uint64_t last = end == volume->sectors * 512 ? request_block_end(request, end) :
						       request_block_start(request, end);

	request->body_offset = first;
	request->body_end = max_u64(first, last);
}

static bool can_discard(const struct volume *volume)
{
	return !volume->backing || device_can_discard(volume->backing);
}

static void trim(struct request *request)
{
	struct volume *volume = request->volume;
	uint64_t start = volume_key_sector(volume, request->body_offset);
	uint64_t end = volume_key_sector(volume, request->body_end);
	int error = volume_lost_error(volume);	/* as in write.c */

	if (error) {
		request_finish(request, error);
		return;
	}
	request->hole_at = start;
	request->state = REQUEST_COPIED;
	if (volume->set && writeback_begin_change(&volume->writeback, start, end, &request->op))
		return;
	request->state = REQUEST_TRIM;
	if (volume->backing)
		device_discard(volume->backing, start, end - start, &request->op);
	else
		op_queue(&request->op);
}

static void start_body(struct request *request)
{
	request->discard_part = DISCARD_BODY;
	if (can_discard(request->volume))
		trim(request);
	else
		request_write_start(request, request->body_offset, request->body_end);
}

static void start_tail(struct request *request)
{
	uint64_t end = request->offset + request->bytes;

	request->discard_part = DISCARD_TAIL;
	request_write_start(request, min_u64(request->body_end, end), end);
}

void request_discard_start(struct request *request)
{
	uint64_t end = request->offset + request->bytes;

	request->error = 0;
	find_body(request);
	request->discard_part = DISCARD_HEAD;
	if (request->body_offset < request->body_end) {
		request_write_start(request, request->offset, request->body_offset);
		return;
	}
	request->discard_part = DISCARD_TAIL;	/* less than a block: all of it is written */
	request_write_start(request, request->offset, end);
}

/* Zeros were written. */
void request_discard_written(struct request *request, int error)
{
	if (error || request->discard_part == DISCARD_TAIL)
		request_finish(request, error);
	else if (request->discard_part == DISCARD_HEAD)
		start_body(request);
	else
		start_tail(request);
}

static void trimmed(struct request *request, int error)
{
	struct volume *volume = request->volume;
	bool has_dirty = volume->set && volume_dirty_bytes(volume);

	if (error == -EOPNOTSUPP) {	/* the device knows that only now */
		SIM_SOMETIMES("a discard becomes a write of zeros");
		request_write_start(request, request->body_offset, request->body_end);
		return;
	}
	volume_count(volume, STATS_BYPASSED_SECTORS,
		     (request->body_end - request->body_offset) / 512);
	request->error = error;
	request->spares_dirty = error && has_dirty;
	request->state = volume->backing && has_dirty && !error ? REQUEST_TRIM_FLUSH :
								  REQUEST_HOLES;
	if (request->state == REQUEST_TRIM_FLUSH)
		device_flush(volume->backing, &request->op);
	else
		op_queue(&request->op);
}

/* Inserts holes (keys without pointers) for the next part of the body. */
static void insert_holes(struct request *request)
{
	struct volume *volume = request->volume;
	struct insert *insert = &request->insert;
	uint64_t end = volume_key_sector(volume, request->body_end), from = request->hole_at;

	if (request->hole_at == end || !volume->set || volume_set_has_failed(volume)) {
		if (request->error)
			request_finish(request, request->error);
		else
			start_tail(request);
		return;
	}
	*insert = (struct insert){
		.index = &volume->set->index,
		.parent = &request->op,
		.is_journaled = true,
	};
	if (!request->spares_dirty) {
		request->hole_at = insert_add_holes(insert, volume->slot, request->hole_at, end);
		insert_start(insert);
		return;
	}
	SIM_SOMETIMES("a discard of a volume with dirty data fails on the backing device");
	if (cache_holes_around_dirty(volume, insert, &request->hole_at, end, &request->op) ==
	    -EAGAIN)
		request->hole_at = from;	/* looks again, when the node is there */
	else
		insert_start(insert);	/* of nothing, perhaps, or into a set that has failed */
}

/* If the set failed meanwhile, a volume without dirty data needs no holes. */
static void holes_are_in(struct request *request, int error)
{
	const struct volume *volume = request->volume;
	int lost = volume_lost_error(volume);

	SIM_SOMETIMES_IF(volume_set_has_failed(volume) && !lost,
			 "a set fails during a discard of a volume that needs it no more");
	if (volume_set_has_failed(volume))
		error = lost;
	if (error)
		request_finish(request, error);
	else
		insert_holes(request);
}

void request_discard_step(struct request *request, int error)
{
	if (request->state == REQUEST_COPIED) {
		trim(request);
		return;
	}
	if (request->state == REQUEST_TRIM) {
		trimmed(request, error);
		return;
	}
	if (request->state == REQUEST_TRIM_FLUSH) {
		request->error = error;
		request->spares_dirty = error;
		request->state = REQUEST_HOLES;
		error = 0;
	}
	holes_are_in(request, error);
}

uint64_t request_step_bytes(const struct volume *volume, enum request_kind kind)
{
	switch (kind) {
	case REQUEST_ZERO:
		return REQUEST_BYTES_MAX;
	case REQUEST_DISCARD:
		return can_discard(volume) ? DISCARD_BYTES_MAX : REQUEST_BYTES_MAX;
	default:
		return UINT64_MAX;
	}
}
