/*
 * The dirty sectors of each stripe of a volume.
 *
 * Where partial stripes are expensive (RAID 5: the rest must be read, to compute the parity),
 * writeback writes first the stripes that are dirty as a whole, and writes into one that is
 * dirty in part go into the cache as dirty data even if they would bypass it, so that it
 * becomes whole.
 *
 *	counted by their changes | not counted yet
 *	-------------------------+----------------
 *	                    counted_to --->
 *
 * The counts are made while the index is in use.  A change counts as far as it is before
 * `counted_to`; what is behind is counted when the scan comes there, in the critical section in
 * which it looks.
 *
 * (STRIPES-1) The count of a stripe is the number of its sectors before `counted_to` that are
 *     dirty and usable.
 *
 * A stripe may have any size: with three data disks it is no power of two.  Its number is that of
 * the sector on the backing device, divided by its size.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct stripes {
	uint64_t stripe_sectors;
	uint64_t count;			/* of stripes; a sector behind them all is in none */
	uint64_t counted_to;
	uint32_t *dirty;		/* by stripe */
};

#define STRIPE_SECTORS_MAX (UINT64_C(1) << 31)

/* For sectors before `end`, none of which is counted yet.  NULL: no memory. */
struct stripes *stripes_new(uint64_t stripe_sectors, uint64_t end) MUST_CHECK;
void stripes_free(struct stripes *stripes);
/* So many sectors from `start` on have become dirty, or are dirty no more. */
void stripes_changed(struct stripes *stripes, uint64_t start, int64_t sectors);
/* The scan has seen so many sectors from `counted_to` on. */
void stripes_see(struct stripes *stripes, uint64_t sectors, bool are_dirty);
/* Is anything dirty in a stripe that has a sector of the range? */
bool stripes_are_dirty(const struct stripes *stripes, uint64_t start, uint64_t end);
/* The next stripes in a row, from that with `from` on, which are dirty as a whole. */
bool stripes_next_full(const struct stripes *stripes, uint64_t from, uint64_t *start,
		       uint64_t *end);
