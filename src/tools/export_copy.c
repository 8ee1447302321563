/*
 * Reads a volume and hands it on; see export_copy.h.
 */
#include "tools/export_copy.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "cache/volume.h"
#include "io/buffer.h"
#include "io/reactor.h"

enum {
	PIECE_BYTES = REQUEST_BYTES_MAX,
	STEP_RATIO = 16,		/* a step that failed becomes so many smaller ones */
};

#define STREAM_POLL_NS UINT64_C(5000000)

/* ---- reading ---- */

static void next_piece(struct export_copy *copy, struct copy_piece *piece)
{
	piece->offset = copy->given;
	piece->bytes = min_u64(PIECE_BYTES, copy->bytes - copy->given);
	piece->at = 0;
	piece->step_bytes = PIECE_BYTES;
	memset(piece->is_bad, 0, PIECE_BYTES / copy->block_bytes * sizeof(*piece->is_bad));
	copy->given += piece->bytes;
}

/* Smaller steps, once one has failed; false: it was a block. */
static bool can_shrink(struct copy_piece *piece)
{
	uint64_t block = piece->copy->block_bytes;

	if (piece->step_bytes == block)
		return false;
	piece->step_bytes = max_u64(block, piece->step_bytes / STEP_RATIO);
	return true;
}

/* The steps grow again as far as they are aligned; the whole piece has failed already. */
static void grow_step(struct copy_piece *piece)
{
	uint64_t next = piece->step_bytes * STEP_RATIO;

	if (next < PIECE_BYTES && piece->at % next == 0)
		piece->step_bytes = next;
}

/* COPY-1: the step starts the next one. */
static void piece_was_read(struct request *request, int error)
{
	struct copy_piece *piece = request->context;
	struct export_copy *copy = piece->copy;

	assert(piece->is_reading && !request->skew);
	piece->is_reading = false;
	waitlist_wake_all(&copy->ended, 0);
	if (error && can_shrink(piece))
		return;
	if (error) {
		piece->is_bad[piece->at / copy->block_bytes] = true;
		copy->failures++;
		copy->last_error = error;
	}
	piece->at += request->bytes;
	grow_step(piece);
}

static void read_step(struct copy_piece *piece)
{
	struct request *request = &piece->request;

	assert(!piece->is_reading && piece->at < piece->bytes);
	piece->is_reading = true;
	*request = (struct request){
		.kind = REQUEST_READ, .volume = piece->copy->volume,
		.offset = piece->offset + piece->at,
		.bytes = min_u64(piece->step_bytes, piece->bytes - piece->at),
		.data = piece->data + piece->at, .sync = true, .task = 1,
		.done = piece_was_read, .context = piece,
	};
	request_start(request);
}

static void read_all(struct export_copy *copy)
{
	for (unsigned i = 0; i < COPY_PIECES; i++) {
		struct copy_piece *piece = &copy->pieces[i];

		if (!piece->is_reading && piece->at < piece->bytes)
			read_step(piece);
	}
}

/* ---- copying ---- */

/* Length of the run of blocks from `at` on that are bad, or are not, as the first one. */
static uint64_t bad_run_bytes(const struct copy_piece *piece, uint64_t at)
{
	uint64_t block = piece->copy->block_bytes, end = at - at % block;
	bool is_bad = piece->is_bad[at / block];

	while (end < piece->bytes && piece->is_bad[end / block] == is_bad)
		end += block;
	return min_u64(end, piece->bytes) - at;
}

/* Begins at the output's position: a stream may have taken a part before. */
static int copy_piece_out(struct export_copy *copy, const struct copy_piece *piece,
			  struct error *error)
{
	struct export_output *output = copy->output;
	uint64_t end = piece->offset + piece->bytes;
	int result = 0;

	while (output->at < end && !result) {
		uint64_t at = output->at - piece->offset;
		uint64_t bytes = bad_run_bytes(piece, at);

		result = piece->is_bad[at / copy->block_bytes] ?
			 export_output_skip(output, bytes, error) :
			 export_output_write(output, piece->data + at, bytes, error);
	}
	return result;
}

static int note_bad(struct export_copy *copy, const struct copy_piece *piece)
{
	uint64_t at = 0;
	int result = 0;

	while (at < piece->bytes && !result) {
		uint64_t bytes = bad_run_bytes(piece, at);

		if (piece->is_bad[at / copy->block_bytes])
			result = rescue_map_add(copy->map, piece->offset + at, bytes);
		at += bytes;
	}
	return result;
}

/* One piece a step, so that the reads of the others are started and submitted meanwhile. */
int copy_step(struct export_copy *copy, struct op *op, struct error *error)
{
	struct copy_piece *piece = &copy->pieces[copy->oldest];
	int result;

	read_all(copy);
	if (!piece->bytes)
		return 0;
	if (piece->at < piece->bytes) {
		waitlist_join(&copy->ended, op);
		return -EAGAIN;
	}
	result = copy_piece_out(copy, piece, error);
	if (result == -EAGAIN)
		timer_start(&copy->timer, STREAM_POLL_NS, op);
	if (result)
		return result;
	result = note_bad(copy, piece);
	if (result)
		return error_set(error, -result, "no memory for the ranges that cannot be read");
	next_piece(copy, piece);
	copy->oldest = (copy->oldest + 1) % COPY_PIECES;
	op_queue(op);
	return -EAGAIN;
}

/* ---- begin and end ---- */

int copy_begin(struct export_copy *copy, struct volume *volume, struct export_output *output,
	       struct rescue_map *map, struct error *error)
{
	uint64_t block_bytes = volume->block_sectors * UINT64_C(512);

	assert(block_bytes <= REQUEST_BLOCK_BYTES_MAX);
	*copy = (struct export_copy){
		.volume = volume, .output = output, .map = map,
		.bytes = volume->sectors * 512, .block_bytes = block_bytes,
	};
	waitlist_init(&copy->ended);
	for (unsigned i = 0; i < COPY_PIECES; i++) {
		struct copy_piece *piece = &copy->pieces[i];

		piece->copy = copy;
		piece->data = buffer_try_new(PIECE_BYTES + REQUEST_SLACK_BYTES);
		piece->is_bad = calloc(PIECE_BYTES / block_bytes, sizeof(*piece->is_bad));
		if (!piece->data || !piece->is_bad)
			return error_set(error, ENOMEM, "no memory for the pieces of the copy");
		next_piece(copy, piece);
	}
	return 0;
}

void copy_done(struct export_copy *copy)
{
	for (unsigned i = 0; i < COPY_PIECES; i++) {
		assert(!copy->pieces[i].is_reading);
		buffer_free(copy->pieces[i].data);
		free(copy->pieces[i].is_bad);
	}
}
