/*
 * Functions shared by the files of space; private to this folder.
 */
#pragma once

#include "space/space.h"

enum { BTREE_LIST_MIN = 24 };	/* the largest plan, twice, and a table of volumes */
enum { USED_SECTORS_MAX = UINT16_MAX };	/* as many or more */

struct victim {
	uint64_t worth;
	uint32_t bucket;
};

bool ring_init(struct bucket_ring *ring, unsigned size) MUST_CHECK;	/* false: no memory */
void ring_done(struct bucket_ring *ring);
bool ring_push(struct bucket_ring *ring, uint32_t bucket);	/* false: full */
bool ring_pop(struct bucket_ring *ring, uint32_t *bucket);	/* false: empty */

/*
 * Changes the mark and the count of available buckets.  The bucket must be pinned: gc does not
 * clear the marks of pinned buckets, so the old mark is still counted.
 */
void space_set_mark(struct space *space, uint32_t bucket, enum bucket_mark mark) LOCKED;
/* The bucket's metadata are no longer referenced: it becomes available. */
void space_release(struct space *space, uint32_t bucket) LOCKED;
/* Sets a mark that gc or the survey found: it counts when the gc ends (SPACE-7). */
void space_see_mark(struct space *space, uint32_t bucket, enum bucket_mark mark) LOCKED;
void space_mark_metadata(struct space *space, uint32_t bucket) LOCKED;
/* Invalidates the bucket: raises its generation, and marks it empty, pinned and listed. */
void space_raise(struct space *space, uint32_t bucket) LOCKED;
/* Starts refill if a free list is low. */
void space_kick(struct space *space) LOCKED;
/* Wakes refill from REFILL_STARVED: there may be victims now. */
void space_wake_starved(struct space *space) LOCKED;
void space_refill_step(struct op *op);
/* Refill wants one; not too soon after one that has won nothing. */
void space_want_gc_again(struct space *space) LOCKED;
/* It has ended: how long may refill want no other? */
void space_judge_gc(struct space *space) LOCKED;

/* A bucket for data that splits can spare, of the list for nodes; false: there is none. */
bool space_take_spare(struct space *space, uint32_t *bucket) LOCKED;

bool space_may_be_victim(const struct space *space, uint64_t number);
/* victims.c: the next slice of the sweep; true: it was the last. */
bool space_sweep(struct space *space) LOCKED;
/* Leaves out what may be no victim any more (SPACE-8); all, if a gc has begun. */
void space_check_victims(struct space *space) LOCKED;

/* Bytes of a part of the table that hold entries; the rest of its bucket is zero. */
size_t space_part_used_bytes(const struct space *space);
/*
 * A new table: takes its buckets; encodes it, slice by slice, true when all is; starts the writes
 * of the next parts, which `op` awaits.
 */
void space_begin_table(struct space *space) LOCKED;
bool space_encode_table(struct space *space) LOCKED;
void space_write_table(struct space *space, struct op *op) LOCKED;
static inline bool space_table_is_written(const struct space *space)
{
	return space->parts_written == space->setup.prio_parts;
}
/* A durable entry names the new table: releases the buckets of the old one (ORDER-7). */
void space_finish_table(struct space *space) LOCKED;
