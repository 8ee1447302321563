/*
 * Classes of latency, and percentiles from them.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "base/latency.h"

static struct latency latency;

Test(latency, class_includes_its_upper_bound)
{
	cr_expect(eq(uint, latency_class(0), 0));
	cr_expect(eq(uint, latency_class(LATENCY_CLASS_NS), 0));
	cr_expect(eq(uint, latency_class(LATENCY_CLASS_NS + 1), 1));
	cr_expect(eq(uint, latency_class(2 * LATENCY_CLASS_NS), 1));
	cr_expect(eq(uint, latency_class(2 * LATENCY_CLASS_NS + 1), 2));
}

Test(latency, class_of_each_time_is_the_first_with_a_bound_that_is_no_less)
{
	for (unsigned class = 1; class < LATENCY_CLASSES - 1; class++) {
		cr_expect(eq(uint, latency_class(latency_bound_ns(class)), class));
		cr_expect(eq(uint, latency_class(latency_bound_ns(class - 1) + 1), class));
	}
}

Test(latency, last_class_takes_all_that_is_longer)
{
	cr_expect(eq(uint, latency_class(latency_bound_ns(LATENCY_CLASSES - 2) + 1),
		     LATENCY_CLASSES - 1));
	cr_expect(eq(uint, latency_class(UINT64_MAX), LATENCY_CLASSES - 1));
}

Test(latency, sums_what_was_added)
{
	latency_add(&latency, 5000);
	latency_add(&latency, 7000000);
	cr_expect(eq(u64, latency_count(&latency), 2));
	cr_expect(eq(u64, latency.sum_ns, 7005000));
}

Test(latency, percentile_of_none_is_zero)
{
	cr_expect(eq(u64, latency_percentile_ns(&latency, 99), 0));
}

Test(latency, percentile_is_spread_over_its_class)
{
	for (unsigned i = 0; i < 4; i++)
		latency_add(&latency, 10000);		/* class 1: 8192 to 16384 */
	cr_expect(eq(u64, latency_percentile_ns(&latency, 50), 8192 + 4096));
	cr_expect(eq(u64, latency_percentile_ns(&latency, 100), 16384));
}

Test(latency, percentile_skips_what_is_shorter)
{
	for (unsigned i = 0; i < 99; i++)
		latency_add(&latency, 1000);
	latency_add(&latency, 3000000);			/* 2097152 to 4194304 */
	cr_expect(le(u64, latency_percentile_ns(&latency, 50), 8192));
	cr_expect(eq(u64, latency_percentile_ns(&latency, 100), 4194304));
}

Test(latency, percentile_in_the_last_class_is_its_lower_bound)
{
	latency_add(&latency, UINT64_MAX / 4);
	cr_expect(eq(u64, latency_percentile_ns(&latency, 50),
		     latency_bound_ns(LATENCY_CLASSES - 2)));
}
