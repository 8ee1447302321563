/*
 * The ranges of key sectors that requests and fills of a volume have in flight.
 *
 * If two requests overlap and one of them writes, the later one waits until the
 * earlier one has ended; reads may overlap.  So index, cache device and backing
 * device see overlapping writes in the same order.
 *
 * When a read that missed is answered, its range becomes that of a pending fill.
 * A write cancels the pending fills that it overlaps: otherwise a fill could
 * insert the data from before the write over the write's own.
 *
 * (RANGE-1) A cancelled fill inserts nothing.
 * (RANGE-2) A read that may miss never runs while an overlapping write is in flight,
 *     since reads wait for such writes.  So every fill that a write could harm is
 *     already pending when the write starts, and cancelling it is enough.
 *
 * Only the volume's reactor thread uses this; the set lock does not guard it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/op.h"

enum range_kind { RANGE_READ, RANGE_WRITE, RANGE_FILL };

struct range {
	struct list_link link;		/* in ranges->active or ranges->blocked */
	enum range_kind kind;
	uint64_t start, end;		/* key sectors; `end` is the first one after it */
	bool is_cancelled;			/* a cancelled fill */
	struct op *op;			/* of a request; waits while the range is blocked */
};

struct ranges {
	struct list active;		/* in flight, in order of arrival */
	struct list blocked;		/* waiting, in order of arrival: nobody overtakes */
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
