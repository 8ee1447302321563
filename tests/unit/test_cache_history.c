/*
 * The samples of the last hour of a volume, and rates from them.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

#include "cache/history.h"

#define SECOND UINT64_C(1000000000)

static struct history history;

static void add(uint64_t seconds, uint64_t dirty_bytes, uint64_t copied_bytes)
{
	history_add(&history, &(struct history_sample){
		.time_ns = seconds * SECOND, .dirty_bytes = dirty_bytes,
		.uncopied_bytes = dirty_bytes, .copied_bytes = copied_bytes });
}

static struct history_writeback rates(uint64_t seconds, uint64_t dirty_bytes,
				      uint64_t copied_bytes)
{
	return history_writeback(&history, &(struct history_sample){
		.time_ns = seconds * SECOND, .dirty_bytes = dirty_bytes,
		.uncopied_bytes = dirty_bytes, .copied_bytes = copied_bytes });
}

Test(history, has_its_samples_in_their_order)
{
	add(10, 1, 0);
	add(20, 2, 0);
	cr_assert(eq(uint, history.count, 2));
	cr_expect(eq(u64, history_at(&history, 0)->dirty_bytes, 1));
	cr_expect(eq(u64, history_at(&history, 1)->dirty_bytes, 2));
}

Test(history, forgets_what_is_older_than_an_hour)
{
	for (unsigned i = 1; i <= HISTORY_SAMPLES + 5; i++)
		add(10 * i, i, 0);
	cr_assert(eq(uint, history.count, HISTORY_SAMPLES));
	cr_expect(eq(u64, history_at(&history, 0)->dirty_bytes, 6));
	cr_expect(eq(u64, history_at(&history, HISTORY_SAMPLES - 1)->dirty_bytes,
		     HISTORY_SAMPLES + 5));
}

Test(history, of_two_samples_of_one_moment_has_the_later_one)
{
	add(10, 1, 0);
	add(10, 2, 0);
	cr_assert(eq(uint, history.count, 1));
	cr_expect(eq(u64, history_at(&history, 0)->dirty_bytes, 2));
}

Test(history, of_no_samples_has_no_rates)
{
	struct history_writeback writeback = rates(5, 4096, 0);

	cr_expect(zero(dbl, writeback.copied));
	cr_expect(isinf(writeback.seconds_left));
}

Test(history, of_a_volume_without_dirty_data_has_no_time_left)
{
	add(10, 100, 0);
	cr_expect(zero(dbl, rates(15, 0, 100).seconds_left));
}

Test(history, of_dirty_data_that_shrink_tells_how_long_still)
{
	struct history_writeback writeback;

	add(10, 1000, 0);
	writeback = rates(20, 400, 600);
	cr_expect(eq(dbl, writeback.copied, 60));
	cr_expect(eq(dbl, writeback.shrinks, 60));
	cr_expect(eq(dbl, writeback.seconds_left, 400 / 60.0));
}

/* As much is written as is written back: it will never be clean. */
Test(history, of_dirty_data_that_stay_tells_no_time)
{
	struct history_writeback writeback;

	add(10, 1000, 0);
	writeback = rates(20, 1000, 600);
	cr_expect(eq(dbl, writeback.copied, 60));
	cr_expect(isinf(writeback.seconds_left));
}

/* The burst at the begin is over: it does not hide that dirty data shrink. */
Test(history, has_rates_since_the_newest_sample_of_some_age)
{
	add(10, 0, 0);
	add(20, 1000, 5000);
	add(30, 900, 5100);
	cr_expect(eq(dbl, rates(35, 800, 5200).copied, 200 / 15.0));
	cr_expect(eq(dbl, rates(50, 700, 5300).copied, 10));
	cr_expect(eq(dbl, rates(50, 700, 5300).seconds_left, 70));
}
