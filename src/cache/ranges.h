/*
 * The ranges of key sectors that requests, fills and writeback of a volume have in flight.
 *
 * If two requests overlap and one of them writes, the later one waits until the
 * earlier one has ended; reads may overlap.  So index, cache device and backing
 * device see overlapping writes in the same order.
 *
 * When a read that missed is answered, its range becomes that of a pending fill.
 * A write cancels the pending fills that it overlaps: otherwise a fill could
 * insert the data from before the write over the write's own.
 *
 * Writeback copies dirty data to the backing device while requests go on.  A write into the
 * cache may overlap such a copy: its newer key stays dirty (writeback.h).  Whatever else changes
 * the backing device waits for the copy, which would otherwise overwrite it with older data.
 *
 * A read that first reads all of its range from the backing device, and then dirty data over it,
 * would miss data that turn clean in between; `was_copied` tells it to begin again.
 *
 * (RANGE-1) A cancelled fill inserts nothing.
 * (RANGE-2) A read that may miss never runs while an overlapping write is in flight,
 *     since reads wait for such writes.  So every fill that a write could harm is
 *     already pending when the write starts, and cancelling it is enough.
 * (RANGE-3) No copy of writeback begins where a write is in flight, and none is in flight
 *     where a request changes the backing device of an attached volume.
 *
 * Only the volume's reactor thread uses this; the set lock does not guard it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/op.h"

enum range_kind { RANGE_READ, RANGE_WRITE, RANGE_FILL, RANGE_COPY };

struct range {
	struct list_link link;		/* in one of the lists of `ranges` */
	enum range_kind kind;
	uint64_t start, end;		/* key sectors; `end` is the first one after it */
	bool is_cancelled;		/* a cancelled fill */
	bool was_copied;		/* a copy has ended within it: the backing device changed */
	struct op *op;			/* of a request; waits while the range is blocked */
};

struct ranges {
	struct list active;		/* in flight, in order of arrival */
	struct list blocked;		/* waiting, in order of arrival: nobody overtakes */
	struct list copies;		/* of writeback, in flight */
	struct waitlist copied;		/* ops that wait until one of these has ended, or a swap */
};

void ranges_init(struct ranges *ranges);
/* 0: the range is taken.  -EAGAIN: `op` waits, and has the range when it is woken. */
int range_take(struct ranges *ranges, struct range *range, enum range_kind kind, uint64_t start,
	       uint64_t end, struct op *op) MUST_CHECK;
/*
 * Registers the pending fill of a read that missed.  Called while the read still holds its range,
 * so that no write can start in between (RANGE-2).
 */
void range_begin_fill(struct ranges *ranges, struct range *fill, uint64_t start, uint64_t end);
void range_release(struct ranges *ranges, struct range *range);

/* Is a write in flight in [start, end)?  Then no copy may begin there (RANGE-3). */
bool ranges_have_write(const struct ranges *ranges, uint64_t start, uint64_t end);
/* In the same step as that question: the copy is in flight. */
void range_begin_copy(struct ranges *ranges, struct range *copy, uint64_t start, uint64_t end);
void range_end_copy(struct ranges *ranges, struct range *copy);
/*
 * For a request that holds its range and is about to change the backing device.  0: no copy is in
 * flight there, and none begins until the range is released.  -EAGAIN: `op` waits; ask again.
 */
int ranges_await_copies(struct ranges *ranges, uint64_t start, uint64_t end,
			struct op *op) MUST_CHECK;
