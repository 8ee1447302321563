/*
 * What is in flight on a volume, as ranges of key sectors.
 *
 * Requests that overlap, of which one writes, run one after the other: the
 * later waits until the earlier one has gone.  Reads overlap freely with reads.
 * So index, cache and backing device agree on who was last.
 *
 * A read that missed becomes a pending fill when it is answered: its data may go
 * into the cache unless a write came meanwhile.  A write strikes out the
 * pending fills that it overlaps (request-path 4.0).
 *
 * (RANGE-1) A fill inserts only while it is not struck out.
 * (RANGE-2) A miss never begins while a write that overlaps it is in flight: reads wait
 *     for such writes, so striking is all that is needed.
 *
 * Belongs to the volume's reactor; not guarded by the set's lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/op.h"

enum range_kind { RANGE_READ, RANGE_WRITE, RANGE_FILL };

struct range {
	struct list_link link; /* in ranges->active or ranges->blocked, in order of arrival */
	enum range_kind kind;
	uint64_t start, end;
	bool is_struck;			/* a fill that must not be inserted any more */
	struct op *op;			/* waits, while blocked */
};

struct ranges {
	struct list active;
	struct list blocked;		/* in order of arrival */
};

void ranges_init(struct ranges *ranges);
/* Takes the range: true; or `op` waits until it has it (it is taken when `op` arrives). */
bool range_take(struct ranges *ranges, struct range *range, enum range_kind kind, uint64_t start,
		uint64_t end, struct op *op) MUST_CHECK;
/*
 * A read that missed has its data: they may go into the cache until a write strikes `fill` out.
 * Called while the read still holds its range, so that no write can slip between (RANGE-2).
 */
void range_begin_fill(struct ranges *ranges, struct range *fill, uint64_t start, uint64_t end);
void range_release(struct ranges *ranges, struct range *range);
