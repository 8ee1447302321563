/*
 * What the files of space share and nobody else may call.
 */
#pragma once

#include "space/space.h"

struct victim {
	uint64_t worth;
	uint32_t bucket;
};

bool ring_init(struct bucket_ring *ring, unsigned size) MUST_CHECK;	/* false: no memory */
void ring_done(struct bucket_ring *ring);
bool ring_push(struct bucket_ring *ring, uint32_t bucket);	/* false: full */
bool ring_pop(struct bucket_ring *ring, uint32_t *bucket);	/* false: empty */

/* What the bucket is used for changes: it is pinned, so gc has left its mark as it was. */
void space_set_mark(struct space *space, uint32_t bucket, enum bucket_mark mark) IN_SET;
/* What was metadata is of no use any more. */
void space_release(struct space *space, uint32_t bucket) IN_SET;
void space_mark_metadata(struct space *space, uint32_t bucket) IN_SET;
/* Nothing in the bucket is of use any more: empty, with the next generation, pinned and listed. */
void space_raise(struct space *space, uint32_t bucket) IN_SET;
/* Refill looks whether something is to be done. */
void space_kick(struct space *space) IN_SET;
/* Something may be there to choose from now. */
void space_wake_starved(struct space *space) IN_SET;
void space_refill_step(struct op *op);

/* So many bytes of a part of the table are more than zeros. */
size_t space_part_used_bytes(const struct space *space);
/* The table as of now into the part buffers, its writes started; `op` awaits them. */
void space_start_table(struct space *space, struct op *op) IN_SET;
/* The table that was written is named by a durable entry: the old one's buckets may go. */
void space_finish_table(struct space *space) IN_SET;
