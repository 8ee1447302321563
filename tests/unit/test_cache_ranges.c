/* Ranges in flight: which waits for which, and which fills are cancelled. */
#include "awaiter.h"
#include "cache/ranges.h"

enum { REQUESTS = 6 };

static struct reactor *reactor;
static struct ranges ranges;
static struct range range[REQUESTS];
static struct awaiter owner[REQUESTS];

static void setup(void)
{
	reactor = test_reactor();
	ranges_init(&ranges);
	for (unsigned i = 0; i < REQUESTS; i++)
		awaiter_init(&owner[i], reactor);
}

static void teardown(void)
{
	reactor_free(reactor);
}

TestSuite(ranges, .init = setup, .fini = teardown, .timeout = 60);

/* Request `i` comes; true: it need not wait. */
static bool read_comes(unsigned i, uint64_t start, uint64_t end)
{
	return range_take(&ranges, &range[i], RANGE_READ, start, end, &owner[i].op) == 0;
}

static bool write_comes(unsigned i, uint64_t start, uint64_t end)
{
	return range_take(&ranges, &range[i], RANGE_WRITE, start, end, &owner[i].op) == 0;
}

static void goes(unsigned i)
{
	range_release(&ranges, &range[i]);
}

static bool waits(unsigned i)
{
	return owner[i].op.awaited;
}

Test(ranges, let_the_first_in)
{
	cr_expect(write_comes(0, 0, 8));
	cr_expect(not(waits(0)));
}

Test(ranges, let_reads_overlap_reads)
{
	cr_expect(read_comes(0, 0, 8));
	cr_expect(read_comes(1, 4, 12));
	cr_expect(read_comes(2, 0, 8));
}

Test(ranges, let_in_what_lies_apart)
{
	cr_expect(write_comes(0, 8, 16));
	cr_expect(write_comes(1, 0, 8));
	cr_expect(write_comes(2, 16, 24));
	cr_expect(read_comes(3, 24, 32));
}

Test(ranges, make_a_write_wait_for_a_write)
{
	cr_expect(write_comes(0, 0, 8));
	cr_expect(not(write_comes(1, 7, 16)));
	cr_expect(waits(1));
	goes(0);
	cr_expect(not(waits(1)));
}

Test(ranges, make_a_write_wait_for_a_read)
{
	cr_expect(read_comes(0, 0, 8));
	cr_expect(not(write_comes(1, 0, 1)));
	goes(0);
	cr_expect(not(waits(1)));
}

Test(ranges, make_a_read_wait_for_a_write)
{
	cr_expect(write_comes(0, 0, 8));
	cr_expect(not(read_comes(1, 2, 4)));
	goes(0);
	cr_expect(not(waits(1)));
}

Test(ranges, make_a_write_wait_for_all_that_it_overlaps)
{
	cr_expect(read_comes(0, 0, 8));
	cr_expect(read_comes(1, 8, 16));
	cr_expect(not(write_comes(2, 4, 12)));
	goes(0);
	cr_expect(waits(2));
	goes(1);
	cr_expect(not(waits(2)));
}

Test(ranges, make_nobody_wait_for_what_has_gone)
{
	cr_expect(write_comes(0, 0, 8));
	goes(0);
	cr_expect(write_comes(1, 0, 8));
}

Test(ranges, wake_the_step_of_who_waited)
{
	cr_expect(write_comes(0, 0, 8));
	cr_expect(not(write_comes(1, 0, 8)));
	goes(0);
	cr_expect(zero(u32, owner[1].steps));
	cr_expect(zero(int, awaiter_wait(&owner[1])));
	cr_expect(eq(u32, owner[1].steps, 1));
}

Test(ranges, belong_to_who_was_woken)
{
	cr_expect(write_comes(0, 0, 8));
	cr_expect(not(write_comes(1, 0, 8)));
	goes(0);
	cr_expect(not(write_comes(2, 0, 8)));
	goes(1);
	cr_expect(not(waits(2)));
}

Test(ranges, serve_writes_in_their_order)
{
	cr_expect(write_comes(0, 0, 8));
	cr_expect(not(write_comes(1, 0, 8)));
	cr_expect(not(write_comes(2, 0, 8)));
	goes(0);
	cr_expect(not(waits(1)));
	cr_expect(waits(2));
	goes(1);
	cr_expect(not(waits(2)));
}

/* Or reads that come all the time would make a write wait for ever. */
Test(ranges, make_a_read_wait_behind_a_write_that_waits)
{
	cr_expect(read_comes(0, 0, 8));
	cr_expect(not(write_comes(1, 0, 8)));
	cr_expect(not(read_comes(2, 0, 8)));
	goes(0);
	cr_expect(not(waits(1)));
	cr_expect(waits(2));
	goes(1);
	cr_expect(not(waits(2)));
}

Test(ranges, let_nobody_overtake_a_write_that_still_waits)
{
	cr_expect(write_comes(0, 0, 8));
	cr_expect(write_comes(1, 8, 16));
	cr_expect(not(write_comes(2, 4, 12)));
	cr_expect(not(read_comes(3, 0, 6)));
	goes(0);
	cr_expect(waits(2));
	cr_expect(waits(3));
	goes(1);
	cr_expect(not(waits(2)));
	cr_expect(waits(3));
	goes(2);
	cr_expect(not(waits(3)));
}

Test(ranges, let_in_what_overlaps_nobody_who_waits)
{
	cr_expect(write_comes(0, 0, 8));
	cr_expect(not(write_comes(1, 0, 8)));
	cr_expect(write_comes(2, 8, 16));
}

Test(ranges, let_all_reads_in_when_the_write_has_gone)
{
	cr_expect(write_comes(0, 0, 8));
	cr_expect(not(read_comes(1, 0, 8)));
	cr_expect(not(read_comes(2, 0, 4)));
	cr_expect(not(write_comes(3, 0, 8)));
	goes(0);
	cr_expect(not(waits(1)));
	cr_expect(not(waits(2)));
	cr_expect(waits(3));
}

Test(ranges, let_a_later_one_go_first_where_it_overlaps_nothing_before_it)
{
	cr_expect(write_comes(0, 0, 8));
	cr_expect(write_comes(1, 8, 16));
	cr_expect(not(write_comes(2, 0, 8)));
	cr_expect(not(write_comes(3, 8, 16)));
	goes(1);
	cr_expect(waits(2));
	cr_expect(not(waits(3)));
}

/* ---- fills ---- */

static void fill_begins(unsigned i, uint64_t start, uint64_t end)
{
	range_begin_fill(&ranges, &range[i], start, end);
}

Test(ranges, make_nobody_wait_for_a_fill)
{
	fill_begins(0, 0, 8);
	cr_expect(read_comes(1, 0, 8));
	goes(1);
	cr_expect(write_comes(2, 0, 8));
}

Test(ranges, cancel_a_fill_by_a_write)
{
	fill_begins(0, 0, 8);
	cr_expect(not(range[0].is_cancelled));
	cr_expect(write_comes(1, 7, 9));
	cr_expect(range[0].is_cancelled);
}

Test(ranges, cancel_all_fills_that_a_write_overlaps)
{
	fill_begins(0, 0, 8);
	fill_begins(1, 8, 16);
	fill_begins(2, 16, 24);
	cr_expect(write_comes(3, 4, 12));
	cr_expect(range[0].is_cancelled);
	cr_expect(range[1].is_cancelled);
	cr_expect(not(range[2].is_cancelled));
}

Test(ranges, leave_a_fill_beside_a_write)
{
	fill_begins(0, 8, 16);
	cr_expect(write_comes(1, 0, 8));
	cr_expect(write_comes(2, 16, 24));
	cr_expect(not(range[0].is_cancelled));
}

Test(ranges, leave_a_fill_that_is_read)
{
	fill_begins(0, 0, 8);
	cr_expect(read_comes(1, 0, 8));
	cr_expect(not(range[0].is_cancelled));
}

/* The read still holds its range when its fill begins: the write that waits comes after both. */
Test(ranges, cancel_a_fill_when_a_write_that_waited_begins)
{
	cr_expect(read_comes(0, 0, 8));
	cr_expect(not(write_comes(1, 0, 8)));
	fill_begins(2, 0, 8);
	cr_expect(not(range[2].is_cancelled));
	goes(0);
	cr_expect(not(waits(1)));
	cr_expect(range[2].is_cancelled);
}

Test(ranges, forget_a_fill_that_has_gone)
{
	fill_begins(0, 0, 8);
	goes(0);
	cr_expect(write_comes(1, 0, 8));
	cr_expect(not(range[0].is_cancelled));
	cr_expect(not(list_linked(&range[0].link)));
}
