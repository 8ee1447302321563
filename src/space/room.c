/*
 * How much room is left: what is in use, what dirty writes are promised, and when a gc is wanted
 * because it may find some.
 */
#include <errno.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "space/internal.h"

#define GC_REST_MIN_NS UINT64_C(200000000)
#define GC_REST_MAX_NS UINT64_C(10000000000)

enum {
	GC_HIDDEN_FRACTION = 64,	/* a gc, if dirty writes lack room and 1/64 was hidden */
	SHORT_FRACTION = 16,
};

void space_want_gc(struct space *space)
{
	space->gc_is_wanted = true;
	waitlist_wake_all(&space->gc_wanted, 0);
}

/*
 * The rest doubles while nothing is won: without one, a full cache whose data all are dirty has a
 * gc with each look of refill, five times a second.
 */
void space_judge_gc(struct space *space)
{
	uint64_t rest = space->gc_rest_ns ? 2 * space->gc_rest_ns : GC_REST_MIN_NS;

	if (space->found_available > space->available)
		space->gc_has_won = true;
	space->gc_ended_ns = clock_ns(space->setup.reactor);
	SIM_SOMETIMES_IF(!space->gc_has_won, "a gc wins nothing");
	if (space->gc_has_won)
		space->gc_rest_ns = 0;
	else if (space->gc_is_for_refill)
		space->gc_rest_ns = min_u64(rest, GC_REST_MAX_NS);
	space->gc_is_for_refill = false;
}

void space_gc_wins(struct space *space)
{
	space->gc_has_won = true;
}

void space_want_gc_again(struct space *space)
{
	uint64_t since = clock_ns(space->setup.reactor) - space->gc_ended_ns;

	SIM_RARELY_IF(since < space->gc_rest_ns, "refill wants no gc so soon",
		      "test_space_refill/rests_longer_and_longer_while_it_wins_nothing");
	if (since < space->gc_rest_ns)
		return;
	space->gc_is_for_refill = true;
	space_want_gc(space);
}

bool space_gc_may_begin(const struct space *space)
{
	return space->gc_is_wanted && space->refill_state != REFILL_SWEEP;
}

bool space_has_waiters(const struct space *space)
{
	for (unsigned use = 0; use < USES; use++) {
		if (!waitlist_empty(&space->waiting[use]))
			return true;
	}
	return false;
}

unsigned space_in_use_percent(const struct space *space)
{
	return (space->setup.buckets - space->available) * 100 / space->setup.buckets;
}

/* The number of buckets that so many sectors may open: both ends may share a bucket. */
static unsigned promise_of(const struct space *space, unsigned sectors)
{
	return sectors / space->setup.bucket_sectors + 2;
}

/*
 * `kept` is what others may take: the full lists of metadata, the open buckets, and another btree
 * list of minimum size.
 */
static uint64_t kept(const struct space *space)
{
	return space->metadata_reserved + space->open_limit + BTREE_LIST_MIN +
	       space->dirty_promised;
}

bool space_is_short(const struct space *space)
{
	return space->available <= kept(space) + space->setup.buckets / SHORT_FRACTION;
}

bool space_promise_dirty(struct space *space, unsigned sectors)
{
	unsigned need = promise_of(space, sectors);

	if (space->available <= kept(space) + need)
		return false;
	space->dirty_promised += need;
	return true;
}

void space_promise_ends(struct space *space, unsigned sectors)
{
	assert(space->dirty_promised >= promise_of(space, sectors));
	space->dirty_promised -= promise_of(space, sectors);
}

void space_hidden(struct space *space, unsigned sectors)
{
	space->hidden_since_gc += sectors;
	space->gc_was_useless = false;
	space->gc_rest_ns = 0;
	space->gc_left -= sectors;
	if (space->gc_left < 0 && !space->gc_is_wanted)
		space_want_gc(space);
}

int space_await_gc(struct space *space, struct op *op)
{
	if (!space->hidden_since_gc && space->marks_valid && !space->gc_is_wanted)
		return -ENOSPC;
	if (space->hidden_since_gc)
		space_want_gc(space);
	waitlist_join(&space->gc_ended, op);
	return -EAGAIN;
}

void space_suggest_gc(struct space *space)
{
	uint64_t all = space->setup.buckets * space->setup.bucket_sectors;

	if (space->hidden_since_gc >= all / GC_HIDDEN_FRACTION)
		space_want_gc(space);
}
