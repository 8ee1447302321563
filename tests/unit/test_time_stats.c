/* How long events take, and how often they come. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "base/time_stats.h"

Test(time_stats, of_the_first_are_what_it_took)
{
	struct time_stats stats = { 0 };

	time_stats_add(&stats, 100, 180);
	cr_expect(eq(u64, stats.count, 1));
	cr_expect(eq(u64, stats.average_ns, 80));
	cr_expect(eq(u64, stats.max_ns, 80));
	cr_expect(eq(u64, stats.last_ns, 180));
	cr_expect(zero(u64, stats.interval_average_ns));
}

Test(time_stats, weigh_the_newest_by_an_eighth)
{
	struct time_stats stats = { 0 };

	time_stats_add(&stats, 100, 180);
	time_stats_add(&stats, 1000, 1000);
	cr_expect(eq(u64, stats.average_ns, 70));
	cr_expect(eq(u64, stats.max_ns, 80));
	cr_expect(eq(u64, stats.interval_average_ns, 820));
	time_stats_add(&stats, 1020, 1020);
	cr_expect(eq(u64, stats.interval_average_ns, (820 * 7 + 20) / 8));
}

/* A first event without duration counts: the second does not take its place. */
Test(time_stats, begin_with_nothing)
{
	struct time_stats stats = { 0 };

	time_stats_add(&stats, 5, 5);
	time_stats_add(&stats, 5, 85);
	cr_expect(eq(u64, stats.average_ns, 10));
}
