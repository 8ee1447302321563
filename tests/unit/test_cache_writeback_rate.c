/* The controller and the limiter of writeback: figures computed by hand from the formulas. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "cache/writeback_rate.h"

#define SECOND UINT64_C(1000000000)

static struct writeback_tunables tunables;
static struct writeback_rate rate;
static struct writeback_load load;

static void setup(void)
{
	writeback_tunables_init(&tunables);
	writeback_rate_init(&rate);
	load = (struct writeback_load){ .target = 100000, .in_use_percent = 20,
					.dirty_buckets = 100, .bucket_sectors = 1024 };
}

TestSuite(rate, .init = setup, .timeout = 60);

static uint64_t update(uint64_t dirty, uint64_t now_ns)
{
	load.dirty = dirty;
	writeback_rate_update(&rate, &tunables, &load, now_ns);
	return rate.sectors_per_second;
}

Test(rate, begins_with_the_kernels)
{
	cr_expect(eq(u64, rate.sectors_per_second, 1024));
	cr_expect(zero(u64, writeback_rate_delay_ns(&rate, SECOND)));
}

Test(rate, is_the_minimum_below_the_target)
{
	cr_expect(eq(u64, update(50000, SECOND), 8));
	cr_expect(eq(i64, rate.proportional, -1250));
	cr_expect(eq(i64, rate.change, 8 - 1024));
	tunables.rate_minimum = 100;
	cr_expect(eq(u64, update(50000, SECOND), 100));
}

Test(rate, is_proportional_to_what_is_above_the_target)
{
	cr_expect(eq(u64, update(140000, SECOND), 1000));
	tunables.rate_p_term_inverse = 10;
	cr_expect(eq(u64, update(140000, SECOND), 4000));
}

/* 40000 sectors for 5 seconds, divided by 10000. */
Test(rate, integrates_while_the_device_keeps_up)
{
	rate.next_ns = 2 * SECOND;
	cr_expect(eq(u64, update(140000, SECOND), 1000 + 20));
	cr_expect(eq(u64, update(140000, SECOND), 1000 + 40));
	cr_expect(eq(i64, rate.integral, 40));
	update(140000, 3 * SECOND);		/* later than it should: it does not keep up */
	cr_expect(eq(i64, rate.integral, 40));
}

Test(rate, loses_its_integral_below_the_target_and_no_more)
{
	rate.next_ns = 2 * SECOND;
	update(140000, SECOND);
	update(60000, SECOND);
	cr_expect(zero(i64, rate.integral_sum));
	update(60000, SECOND);
	cr_expect(zero(i64, rate.integral_sum));
}

/* 2000 sectors in 100 buckets: 20 each. */
Test(rate, rises_when_the_cache_is_full_of_fragments)
{
	static const struct { unsigned in_use; uint64_t expected; } of[] = {
		{ 50, 8 }, { 51, 20 }, { 57, 140 }, { 58, 200 }, { 64, 1400 }, { 65, 20000 },
	};

	for (unsigned i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		load.in_use_percent = of[i].in_use;
		cr_expect(eq(u64, update(2000, SECOND), of[i].expected), "%u percent",
			  of[i].in_use);
	}
	tunables.consider_fragment = false;
	cr_expect(eq(u64, update(2000, SECOND), 8));
}

Test(rate, does_not_rise_when_the_buckets_are_full)
{
	load.in_use_percent = 70;
	cr_expect(eq(u64, update(100 * 1024 / 3, SECOND), 8));
	cr_expect(zero(i64, rate.integral));
}

Test(rate, has_an_upper_limit)
{
	tunables.rate_p_term_inverse = 1;
	cr_expect(eq(u64, update(UINT64_C(1) << 40, SECOND), WRITEBACK_RATE_MAX));
}

Test(rate, is_kept_by_pauses)
{
	const uint64_t now = 10 * SECOND;

	rate.next_ns = now;
	rate.sectors_per_second = 1000;
	writeback_rate_charge(&rate, 500, now);
	cr_expect(eq(u64, writeback_rate_delay_ns(&rate, now), SECOND / 2));
	cr_expect(zero(u64, writeback_rate_delay_ns(&rate, now + SECOND / 2)));
	writeback_rate_charge(&rate, 10000, now);
	cr_expect(eq(u64, writeback_rate_delay_ns(&rate, now), SECOND * 5 / 2));
}

/* Two seconds' worth may be caught up on. */
Test(rate, forgets_what_was_not_used)
{
	rate.sectors_per_second = 1000;
	rate.next_ns = SECOND;
	writeback_rate_charge(&rate, 1000, 10 * SECOND);
	cr_expect(eq(u64, rate.next_ns, 9 * SECOND));
	writeback_rate_charge(&rate, 3000, SECOND);	/* the clock's first second */
	cr_expect(eq(u64, rate.next_ns, SECOND * 7 / 2));
}

Test(rate, target_is_a_share_of_the_cache)
{
	cr_expect(eq(u64, writeback_target(1000000, 10, 300, 300), 100000));
	cr_expect(eq(u64, writeback_target(1000000, 10, 100, 400), 25000));
	cr_expect(eq(u64, writeback_target(1000000, 0, 100, 400), 0));
	cr_expect(eq(u64, writeback_target(1000000, 10, 1, UINT64_C(1) << 40), 6));
}
