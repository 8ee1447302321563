/*
 * The bound of the age of dirty data.  Times are small numbers.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "cache/dirty_age.h"

static struct dirty_age age;

static void pass(uint64_t now_ns)
{
	dirty_age_begin_pass(&age, now_ns);
	dirty_age_end_pass(&age);
}

static void pass_that_leaves(uint64_t now_ns, uint64_t start, uint64_t end)
{
	dirty_age_begin_pass(&age, now_ns);
	dirty_age_leave(&age, start, end);
	dirty_age_end_pass(&age);
}

Test(dirty_age, of_what_was_dirty_before_the_start_is_unknown)
{
	cr_expect(zero(u64, age.since_ns));
}

Test(dirty_age, begins_with_the_first_dirty_data)
{
	dirty_age_restart(&age, 5);
	cr_expect(eq(u64, age.since_ns, 5));
}

Test(dirty_age, is_since_the_begin_of_a_whole_pass)
{
	dirty_age_restart(&age, 5);
	dirty_age_begin_pass(&age, 10);
	cr_expect(eq(u64, age.since_ns, 5));	/* not before it has ended */
	dirty_age_end_pass(&age);
	cr_expect(eq(u64, age.since_ns, 10));
}

Test(dirty_age, of_a_pass_that_does_not_end_stays)
{
	pass(10);
	dirty_age_begin_pass(&age, 20);
	dirty_age_begin_pass(&age, 30);
	cr_expect(eq(u64, age.since_ns, 10));
	dirty_age_end_pass(&age);
	cr_expect(eq(u64, age.since_ns, 30));
}

/* They were dirty when the pass began, but not when the one before did. */
Test(dirty_age, of_leftovers_is_since_the_pass_before)
{
	pass(10);
	pass_that_leaves(20, 100, 108);
	cr_expect(eq(u64, age.since_ns, 10));
}

Test(dirty_age, of_what_is_left_again_and_again_stays)
{
	pass(10);
	pass_that_leaves(20, 100, 108);
	pass_that_leaves(30, 104, 106);
	pass_that_leaves(40, 100, 200);
	cr_expect(eq(u64, age.since_ns, 10));
	pass(50);
	cr_expect(eq(u64, age.since_ns, 50));
}

/* Another extent: it was clean, or newer, when the last pass ended. */
Test(dirty_age, of_other_leftovers_is_since_the_last_pass)
{
	pass(10);
	pass_that_leaves(20, 100, 108);
	pass_that_leaves(30, 108, 116);
	cr_expect(eq(u64, age.since_ns, 20));
	pass_that_leaves(40, 92, 100);
	cr_expect(eq(u64, age.since_ns, 30));
}

Test(dirty_age, of_more_leftovers_than_there_is_room_for_is_no_less)
{
	pass(10);
	dirty_age_begin_pass(&age, 20);
	for (unsigned i = 0; i < DIRTY_LEFTOVERS_MAX + 10; i++)
		dirty_age_leave(&age, 8 * i, 8 * i + 8);
	dirty_age_end_pass(&age);
	cr_expect(eq(u64, age.since_ns, 10));
	pass_that_leaves(30, 8 * (DIRTY_LEFTOVERS_MAX + 9), 8 * (DIRTY_LEFTOVERS_MAX + 10));
	cr_expect(eq(u64, age.since_ns, 10));
	pass_that_leaves(40, 8 * (DIRTY_LEFTOVERS_MAX + 10), 8 * (DIRTY_LEFTOVERS_MAX + 11));
	cr_expect(eq(u64, age.since_ns, 30));
}

Test(dirty_age, that_has_begun_again_does_not_go_back)
{
	dirty_age_begin_pass(&age, 10);
	dirty_age_leave(&age, 0, 8);
	dirty_age_restart(&age, 15);
	dirty_age_end_pass(&age);
	cr_expect(eq(u64, age.since_ns, 15));
	pass_that_leaves(20, 100, 108);
	cr_expect(eq(u64, age.since_ns, 15));
}
