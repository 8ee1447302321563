/*
 * Ranges in flight are few at a time, so lists suffice.
 */
#include <errno.h>

#include "base/sometimes.h"
#include "cache/ranges.h"

void ranges_init(struct ranges *ranges)
{
	list_init(&ranges->active);
	list_init(&ranges->blocked);
	list_init(&ranges->copies);
	waitlist_init(&ranges->copied);
}

static struct range *range_at(struct list_link *link)
{
	return link ? container_of(link, struct range, link) : NULL;
}

static bool is_within(const struct range *range, uint64_t start, uint64_t end)
{
	return range->start < end && start < range->end;
}

static bool overlaps(const struct range *a, const struct range *b)
{
	return is_within(a, b->start, b->end);
}

/* A fill delays nothing, and reads do not delay each other. */
static bool conflicts(const struct range *a, const struct range *b)
{
	if (a->kind == RANGE_FILL || b->kind == RANGE_FILL)
		return false;
	return (a->kind == RANGE_WRITE || b->kind == RANGE_WRITE) && overlaps(a, b);
}

/* Does any range in `list` before `end` (NULL: any at all) conflict with `range`? */
static bool is_in_the_way(const struct list *list, const struct range *range,
			  const struct range *end)
{
	for (struct list_link *link = list_first(list); link; link = list_next(list, link)) {
		if (range_at(link) == end)
			return false;
		if (conflicts(range_at(link), range))
			return true;
	}
	return false;
}

static void cancel_fills(struct ranges *ranges, const struct range *write)
{
	for (struct list_link *link = list_first(&ranges->active); link;
	     link = list_next(&ranges->active, link)) {
		struct range *fill = range_at(link);

		if (fill->kind == RANGE_FILL && overlaps(fill, write)) {
			SIM_SOMETIMES("a write cancels a pending fill");
			fill->is_cancelled = true;		/* RANGE-1 */
		}
	}
}

/* A write cancels fills when it starts, not when it is requested: until then they are right. */
static void activate(struct ranges *ranges, struct range *range)
{
	list_add_last(&ranges->active, &range->link);
	if (range->kind == RANGE_WRITE)
		cancel_fills(ranges, range);
}

int range_take(struct ranges *ranges, struct range *range, enum range_kind kind, uint64_t start,
	       uint64_t end, struct op *op)
{
	*range = (struct range){ .kind = kind, .start = start, .end = end, .op = op };
	if (is_in_the_way(&ranges->active, range, NULL) ||
	    is_in_the_way(&ranges->blocked, range, NULL)) {
		SIM_SOMETIMES_IF(kind == RANGE_READ, "a read waits for an overlapping write");
		SIM_SOMETIMES_IF(kind == RANGE_WRITE, "a write waits for an overlapping request");
		op_await(op);
		list_add_last(&ranges->blocked, &range->link);
		return -EAGAIN;
	}
	activate(ranges, range);
	return 0;
}

void range_begin_fill(struct ranges *ranges, struct range *fill, uint64_t start, uint64_t end)
{
	*fill = (struct range){ .kind = RANGE_FILL, .start = start, .end = end };
	activate(ranges, fill);
}

/* Blocked ranges that overlapped this one may start, unless an earlier one still blocks them. */
void range_release(struct ranges *ranges, struct range *range)
{
	struct list_link *link, *next;

	list_remove(&range->link);
	for (link = list_first(&ranges->blocked); link; link = next) {
		struct range *blocked = range_at(link);

		next = list_next(&ranges->blocked, link);
		if (is_in_the_way(&ranges->active, blocked, NULL) ||
		    is_in_the_way(&ranges->blocked, blocked, blocked))
			continue;
		list_remove(&blocked->link);
		activate(ranges, blocked);
		op_arrive(blocked->op, 0);
	}
}

/* ---- writeback ---- */

bool ranges_have_write(const struct ranges *ranges, uint64_t start, uint64_t end)
{
	for (struct list_link *link = list_first(&ranges->active); link;
	     link = list_next(&ranges->active, link)) {
		if (range_at(link)->kind == RANGE_WRITE && is_within(range_at(link), start, end))
			return true;
	}
	return false;
}

void range_begin_copy(struct ranges *ranges, struct range *copy, uint64_t start, uint64_t end)
{
	assert(!ranges_have_write(ranges, start, end));		/* RANGE-3 */
	*copy = (struct range){ .kind = RANGE_COPY, .start = start, .end = end };
	list_add_last(&ranges->copies, &copy->link);
}

void range_end_copy(struct ranges *ranges, struct range *copy)
{
	struct list_link *link;

	assert(copy->kind == RANGE_COPY);
	list_remove(&copy->link);
	for (link = list_first(&ranges->active); link; link = list_next(&ranges->active, link))
		range_at(link)->was_copied |= overlaps(range_at(link), copy);
	waitlist_wake_all(&ranges->copied, 0);
}

int ranges_await_copies(struct ranges *ranges, uint64_t start, uint64_t end, struct op *op)
{
	for (struct list_link *link = list_first(&ranges->copies); link;
	     link = list_next(&ranges->copies, link)) {
		if (is_within(range_at(link), start, end)) {
			SIM_SOMETIMES("a write around the cache waits for a copy of writeback");
			waitlist_join(&ranges->copied, op);
			return -EAGAIN;
		}
	}
	return 0;
}
