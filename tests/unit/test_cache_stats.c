/* Statistics: what is collected, what is shown, how it fades. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "cache/stats.h"

static void tick(struct stats *stats, unsigned times)
{
	while (times--)
		stats_tick(stats);
}

static uint64_t hits(const struct stats *stats, enum stats_period period)
{
	return stats_value(stats, period, STATS_HITS);
}

Test(stats, begin_with_nothing)
{
	struct stats stats = { .ticks = 0 };

	for (unsigned period = 0; period < STATS_PERIODS; period++)
		for (unsigned counter = 0; counter < STATS_COUNTERS; counter++)
			cr_expect(zero(u64, stats_value(&stats, period, counter)));
}

Test(stats, show_at_once_in_total_what_is_collected)
{
	struct stats stats = { .ticks = 0 };

	stats_count(&stats, STATS_HITS, 3);
	stats_count(&stats, STATS_HITS, 4);
	cr_expect(eq(u64, hits(&stats, STATS_TOTAL), 7));
}

Test(stats, show_in_the_other_periods_what_was_collected_before_the_tick)
{
	struct stats stats = { .ticks = 0 };

	stats_count(&stats, STATS_HITS, 320);
	for (unsigned period = STATS_FIVE_MINUTE; period < STATS_PERIODS; period++)
		cr_expect(zero(u64, hits(&stats, period)));
	stats_tick(&stats);
	for (unsigned period = STATS_FIVE_MINUTE; period < STATS_PERIODS; period++)
		cr_expect(ne(u64, hits(&stats, period), 0));
}

Test(stats, count_nothing_twice)
{
	struct stats stats = { .ticks = 0 };

	stats_count(&stats, STATS_HITS, 320);
	tick(&stats, 5);
	cr_expect(eq(u64, hits(&stats, STATS_TOTAL), 320));
}

Test(stats, keep_their_counters_apart)
{
	struct stats stats = { .ticks = 0 };

	for (unsigned counter = 0; counter < STATS_COUNTERS; counter++)
		stats_count(&stats, counter, 100 + counter);
	stats_tick(&stats);
	for (unsigned counter = 0; counter < STATS_COUNTERS; counter++)
		cr_expect(eq(u64, stats_value(&stats, STATS_TOTAL, counter), 100 + counter));
}

Test(stats, never_fade_in_total)
{
	struct stats stats = { .ticks = 0 };

	stats_count(&stats, STATS_HITS, 1000000);
	tick(&stats, 10000);
	cr_expect(eq(u64, hits(&stats, STATS_TOTAL), 1000000));
}

Test(stats, fade_by_a_32nd_at_each_tick_over_five_minutes)
{
	struct stats stats = { .ticks = 0 };

	stats_count(&stats, STATS_HITS, 1024);
	stats_tick(&stats);
	cr_expect(eq(u64, hits(&stats, STATS_FIVE_MINUTE), 1024 / 32 * 31));
	stats_tick(&stats);
	cr_expect(eq(u64, hits(&stats, STATS_FIVE_MINUTE), 1024 / 32 / 32 * 31 * 31));
}

Test(stats, fade_at_each_12th_tick_over_an_hour)
{
	struct stats stats = { .ticks = 0 };

	stats_count(&stats, STATS_HITS, 1024);
	tick(&stats, 11);
	cr_expect(eq(u64, hits(&stats, STATS_HOUR), 1024));
	stats_tick(&stats);
	cr_expect(eq(u64, hits(&stats, STATS_HOUR), 992));
	tick(&stats, 11);
	cr_expect(eq(u64, hits(&stats, STATS_HOUR), 992));
	stats_tick(&stats);
	cr_expect(eq(u64, hits(&stats, STATS_HOUR), 961));
}

Test(stats, fade_at_each_288th_tick_over_a_day)
{
	struct stats stats = { .ticks = 0 };

	stats_count(&stats, STATS_HITS, 1024);
	tick(&stats, 287);
	cr_expect(eq(u64, hits(&stats, STATS_DAY), 1024));
	stats_tick(&stats);
	cr_expect(eq(u64, hits(&stats, STATS_DAY), 992));
	tick(&stats, 288);
	cr_expect(eq(u64, hits(&stats, STATS_DAY), 961));
}

/* 22 ticks are five minutes. */
Test(stats, fade_by_half_in_their_period)
{
	struct stats stats = { .ticks = 0 };

	stats_count(&stats, STATS_HITS, 1000000);
	tick(&stats, 22);
	cr_expect(ge(u64, hits(&stats, STATS_FIVE_MINUTE), 495000));
	cr_expect(le(u64, hits(&stats, STATS_FIVE_MINUTE), 505000));
}

Test(stats, fade_to_nothing)
{
	struct stats stats = { .ticks = 0 };

	stats_count(&stats, STATS_HITS, 1000000);
	tick(&stats, 1000);
	cr_expect(zero(u64, hits(&stats, STATS_FIVE_MINUTE)));
}

Test(stats, fade_rightly_however_large_they_are)
{
	struct stats stats = { .ticks = 0 };

	stats_count(&stats, STATS_BYPASSED_SECTORS, UINT64_C(1) << 47);
	stats_tick(&stats);
	cr_expect(eq(u64, stats_value(&stats, STATS_FIVE_MINUTE, STATS_BYPASSED_SECTORS),
		     (UINT64_C(1) << 42) * 31));
}

Test(hit_ratio, of_nothing_is_zero)
{
	struct stats stats = { .ticks = 0 };

	cr_expect(zero(u32, stats_hit_ratio(&stats, STATS_TOTAL)));
}

Test(hit_ratio, is_in_percent_and_rounded_down)
{
	struct stats stats = { .ticks = 0 };

	stats_count(&stats, STATS_HITS, 2);
	stats_count(&stats, STATS_MISSES, 1);
	cr_expect(eq(u32, stats_hit_ratio(&stats, STATS_TOTAL), 66));
}

Test(hit_ratio, goes_from_none_to_all)
{
	struct stats stats = { .ticks = 0 };

	stats_count(&stats, STATS_MISSES, 5);
	cr_expect(zero(u32, stats_hit_ratio(&stats, STATS_TOTAL)));
	stats_clear_total(&stats);
	stats_count(&stats, STATS_HITS, 5);
	cr_expect(eq(u32, stats_hit_ratio(&stats, STATS_TOTAL), 100));
}

Test(hit_ratio, leaves_bypassed_requests_out)
{
	struct stats stats = { .ticks = 0 };

	stats_count(&stats, STATS_HITS, 1);
	stats_count(&stats, STATS_MISSES, 1);
	stats_count(&stats, STATS_BYPASS_HITS, 1000);
	stats_count(&stats, STATS_BYPASS_MISSES, 5);
	cr_expect(eq(u32, stats_hit_ratio(&stats, STATS_TOTAL), 50));
}

Test(hit_ratio, is_of_its_period)
{
	struct stats stats = { .ticks = 0 };

	stats_count(&stats, STATS_MISSES, 1000);
	tick(&stats, 1000);
	stats_count(&stats, STATS_HITS, 1000);
	stats_tick(&stats);
	cr_expect(eq(u32, stats_hit_ratio(&stats, STATS_TOTAL), 50));
	cr_expect(eq(u32, stats_hit_ratio(&stats, STATS_FIVE_MINUTE), 100));
}

Test(stats_clear_total, clears_the_total)
{
	struct stats stats = { .ticks = 0 };

	stats_count(&stats, STATS_HITS, 320);
	stats_tick(&stats);
	stats_count(&stats, STATS_HITS, 64);
	stats_clear_total(&stats);
	cr_expect(zero(u64, hits(&stats, STATS_TOTAL)));
	stats_tick(&stats);
	cr_expect(zero(u64, hits(&stats, STATS_TOTAL)));
}

Test(stats_clear_total, keeps_the_other_periods)
{
	struct stats stats = { .ticks = 0 };

	stats_count(&stats, STATS_HITS, 320);
	stats_clear_total(&stats);
	stats_tick(&stats);
	cr_expect(eq(u64, hits(&stats, STATS_FIVE_MINUTE), 310));
	cr_expect(eq(u64, hits(&stats, STATS_HOUR), 320));
	cr_expect(eq(u64, hits(&stats, STATS_DAY), 320));
}
