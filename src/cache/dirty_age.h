/*
 * How old the oldest dirty data of a volume are at most: that is how far back a user would lose
 * writes if the cache died now.  Data are born when their key enters the index.
 *
 * No key has a time, so the age is a bound, from the starts of the passes of writeback:
 *
 *	      pass 1 begins     ends         pass 2 begins       ends
 *	----------|---------------|----------------|---------------|------> time
 *	all that was dirty here ..is clean now,    ^
 *	   so what is dirty is younger             and now younger than that
 *
 * A pass may leave extents dirty: a write was in flight there, or came between copy and swap and
 * replaced a part of them, or a transfer failed.  Such leftovers keep the birth that they had
 * before the pass: that of a leftover of the pass before which they overlap, or else the begin of
 * that pass.
 *
 * (AGE-1) No dirty extent is older than `since_ns`.
 * (AGE-2) Except for the leftovers, none is older than the begin of the last pass that saw the
 *     whole volume, and each leftover is no older than its `since_ns`.
 * (AGE-3) `since_ns` only grows.  A pass that does not see the whole volume changes nothing.
 *
 * 0 means: perhaps dirty already when the set was started.  Nothing here knows a clock.
 */
#pragma once

#include <stdint.h>

enum { DIRTY_LEFTOVERS_MAX = 64 };

/* Key sectors that were still dirty after a pass. */
struct dirty_leftover {
	uint64_t start, end;
	uint64_t since_ns;
};

struct dirty_leftovers {
	unsigned count;
	struct dirty_leftover of[DIRTY_LEFTOVERS_MAX];
};

struct dirty_age {
	uint64_t since_ns;
	uint64_t last_pass_ns;			/* begin of the last whole pass */
	uint64_t pass_ns;			/* begin of the current one */
	struct dirty_leftovers last, current;
};

/* The first data of a volume without any become dirty, at `now_ns` or later. */
void dirty_age_restart(struct dirty_age *age, uint64_t now_ns);
void dirty_age_begin_pass(struct dirty_age *age, uint64_t now_ns);
/* The pass has found these key sectors dirty, and leaves them so. */
void dirty_age_leave(struct dirty_age *age, uint64_t start, uint64_t end);
/* The pass has seen the whole volume, and all that it did not leave is clean, or newer. */
void dirty_age_end_pass(struct dirty_age *age);
