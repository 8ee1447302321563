/* The dirty sectors of stripes, counted while they change. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "index/stripes.h"

enum { SIZE = 24, END = 1000 };		/* no power of two */

static struct stripes *stripes;

static void setup(void)
{
	stripes = stripes_new(SIZE, END);
	cr_assert(stripes != NULL);
}

static void teardown(void)
{
	stripes_free(stripes);
}

TestSuite(stripes, .init = setup, .fini = teardown);

static void see_all(void)
{
	stripes_see(stripes, END - stripes->counted_to, false);
}

static void expect_full(uint64_t from, uint64_t wanted_start, uint64_t wanted_end)
{
	uint64_t start, end;

	cr_assert(stripes_next_full(stripes, from, &start, &end));
	cr_expect(eq(u64, start, wanted_start));
	cr_expect(eq(u64, end, wanted_end));
}

static void expect_none(uint64_t from)
{
	uint64_t start, end;

	cr_expect(not(stripes_next_full(stripes, from, &start, &end)));
}

Test(stripes, are_enough_for_the_whole_volume)
{
	cr_expect(eq(u64, stripes->count, END / SIZE + 1));
}

Test(stripes, share_a_change_that_crosses_their_ends)
{
	see_all();
	stripes_changed(stripes, SIZE - 4, 4 + SIZE + 8);
	cr_expect(eq(u32, stripes->dirty[0], 4));
	cr_expect(eq(u32, stripes->dirty[1], SIZE));
	cr_expect(eq(u32, stripes->dirty[2], 8));
	stripes_changed(stripes, SIZE, -8);
	cr_expect(eq(u32, stripes->dirty[1], SIZE - 8));
	cr_expect(eq(u32, stripes->dirty[0], 4));
}

/* What changes behind the scan is counted by that, and only once. */
Test(stripes, count_a_change_before_the_scan_only)
{
	stripes_see(stripes, SIZE + 4, false);
	stripes_changed(stripes, SIZE, 8);
	cr_expect(eq(u32, stripes->dirty[1], 4));
	stripes_see(stripes, 4, true);
	cr_expect(eq(u32, stripes->dirty[1], 8));
	stripes_changed(stripes, 2 * SIZE, 8);
	cr_expect(zero(u32, stripes->dirty[2]));
}

Test(stripes, that_are_whole_are_found_in_a_row)
{
	see_all();
	stripes_changed(stripes, SIZE - 1, 3 * SIZE);
	stripes_changed(stripes, 10 * SIZE, SIZE);
	expect_full(0, SIZE, 3 * SIZE);
	expect_full(2 * SIZE, 2 * SIZE, 3 * SIZE);
	expect_full(3 * SIZE, 10 * SIZE, 11 * SIZE);
	expect_none(11 * SIZE);
	expect_none(END);
}

Test(stripes, are_dirty_if_any_sector_is)
{
	see_all();
	stripes_changed(stripes, 2 * SIZE, 1);
	cr_expect(stripes_are_dirty(stripes, 3 * SIZE - 1, 3 * SIZE));
	cr_expect(not(stripes_are_dirty(stripes, 3 * SIZE, 4 * SIZE)));
	cr_expect(stripes_are_dirty(stripes, 0, END));
	cr_expect(not(stripes_are_dirty(stripes, 0, 2 * SIZE)));
}

Test(stripes, end_with_the_volume)
{
	see_all();
	stripes_changed(stripes, END - 8, 100);
	cr_expect(eq(u32, stripes->dirty[END / SIZE], 8));
	stripes_changed(stripes, END + 200, 8);
	cr_expect(not(stripes_are_dirty(stripes, END + 100, END + 300)));
}
