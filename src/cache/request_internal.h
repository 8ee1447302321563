/*
 * Shared by the files of requests (request*.c); private to this folder.
 *
 * Offsets are bytes of the volume.
 */
#pragma once

#include "cache/request.h"
#include "cache/volume.h"

static inline uint64_t request_block_bytes(const struct request *request)
{
	return request->volume->block_sectors * 512;
}

/* `offset` rounded down to the start of a block. */
uint64_t request_block_start(const struct request *request, uint64_t offset);
/*
 * `offset` rounded up to the end of a block.  The last block of a backing device may be short.  All
 * blocks of a flash-only volume are whole, even if its size is not a multiple of them: a cache
 * device transfers whole blocks only, and nobody uses the sectors beyond the end.
 */
uint64_t request_block_end(const struct request *request, uint64_t offset);

/* Answers the request, which its owner may then free. */
void request_finish(struct request *request, int error);

/* request_read.c: one read, which ends the request. */
void request_read_start(struct request *request);
void request_read_ended(struct request *request, int error);

/* request_write.c: writes the data, or zeros, to [from, to); request_written() is called then. */
void request_write_start(struct request *request, uint64_t from, uint64_t to);
void request_write_step(struct request *request, int error);
void request_written(struct request *request, int error);

/* request_discard.c */
void request_discard_start(struct request *request);
void request_discard_step(struct request *request, int error);
void request_discard_written(struct request *request, int error);
