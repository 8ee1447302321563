/*
 * The rates of top, between two readings.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "tools/top.h"

#define SECOND UINT64_C(1000000000)

static struct top top;

static void forget_top(void)
{
	top_done(&top);
}

TestSuite(top, .fini = forget_top);

static void read_at(uint64_t seconds, const char *metrics)
{
	struct status status = { .directory = "d" };

	status_parse(&status, metrics);
	top_add(&top, &status, seconds * SECOND);
}

#define OF "{volume=\"bcache0\",uuid=\"u\"} "
#define OF_1 "{volume=\"bcache1\",uuid=\"v\"} "
#define COUNT "bcachefuse_volume_request_seconds_bucket{volume=\"bcache0\",uuid=\"u\",kind="

static void read_twice(void)
{
	read_at(10, "bcachefuse_volume_reads_total" OF "100\n"
		    "bcachefuse_volume_read_bytes_total" OF "4096\n"
		    "bcachefuse_volume_dirty_bytes" OF "8192\n"
		    COUNT "\"read_hit\",le=\"+Inf\"} 50\n"
		    COUNT "\"read_miss\",le=\"+Inf\"} 50\n");
	read_at(12, "bcachefuse_volume_reads_total" OF "140\n"
		    "bcachefuse_volume_read_bytes_total" OF "12288\n"
		    "bcachefuse_volume_writes_total" OF "10\n"
		    "bcachefuse_volume_dirty_bytes" OF "4096\n"
		    COUNT "\"read_hit\",le=\"+Inf\"} 80\n"
		    COUNT "\"read_miss\",le=\"+Inf\"} 60\n"
		    COUNT "\"write_bypass\",le=\"+Inf\"} 10\n");
}

static struct top_rates rates_of(unsigned i)
{
	return top_rates(&top, &top.now.volumes[i]);
}

Test(top, has_no_rates_after_one_reading)
{
	read_at(10, "bcachefuse_volume_reads_total" OF "100\n");
	cr_expect(not(rates_of(0).is_known));
	cr_expect(eq(int, rates_of(0).hit_percent, -1));
}

Test(top, has_the_difference_by_the_second)
{
	read_twice();
	cr_expect(eq(dbl, rates_of(0).reads, 20));
	cr_expect(eq(dbl, rates_of(0).writes, 5));
	cr_expect(eq(dbl, rates_of(0).read_bytes, 4096));
	cr_expect(eq(dbl, rates_of(0).dirty_bytes, -2048));
}

Test(top, has_percentages_of_the_interval_alone)
{
	read_twice();
	cr_expect(eq(int, rates_of(0).hit_percent, 75));	/* 30 of 40 reads */
	cr_expect(eq(int, rates_of(0).bypass_percent, 20));	/* 10 of 50 requests */
}

Test(top, has_latencies_of_the_interval_alone)
{
	struct top_rates rates;
	struct latency reads;

	read_twice();
	rates = rates_of(0);
	reads = top_latency(&rates, TRAFFIC_READ_HIT, TRAFFIC_READ_BYPASS);
	cr_expect(eq(u64, latency_count(&reads), 40));
}

/* Another daemon: its counters began at 0. */
Test(top, of_counters_that_shrink_is_nothing)
{
	read_at(10, "bcachefuse_volume_reads_total" OF "100\n");
	read_at(11, "bcachefuse_volume_reads_total" OF "5\n");
	cr_expect(zero(dbl, rates_of(0).reads));
}

Test(top, of_a_volume_that_is_new_has_no_rates)
{
	read_at(10, "bcachefuse_volume_reads_total" OF "100\n");
	read_at(11, "bcachefuse_volume_reads_total" OF "100\n"
		    "bcachefuse_volume_reads_total" OF_1 "7\n");
	cr_expect(rates_of(0).is_known);
	cr_expect(not(rates_of(1).is_known));
}

Test(top, sorts_by_requests_or_dirty_data)
{
	const struct status_volume **sorted;

	read_at(10, "bcachefuse_volume_reads_total" OF "0\n"
		    "bcachefuse_volume_reads_total" OF_1 "0\n");
	read_at(11, "bcachefuse_volume_reads_total" OF "1\n"
		    "bcachefuse_volume_reads_total" OF_1 "7\n"
		    "bcachefuse_volume_dirty_bytes" OF "512\n");
	top.order = TOP_BY_REQUESTS;
	sorted = top_sorted(&top);
	cr_expect(eq(str, (char *)sorted[0]->name, "bcache1"));
	free(sorted);
	top.order = TOP_BY_DIRTY;
	sorted = top_sorted(&top);
	cr_expect(eq(str, (char *)sorted[0]->name, "bcache0"));
	free(sorted);
}

static void reads_of(const unsigned *rates, unsigned count)
{
	uint64_t reads = 0;
	char line[100];

	for (unsigned i = 0; i <= count; i++) {
		snprintf(line, sizeof(line), "bcachefuse_volume_reads_total" OF "%lu\n",
			 (unsigned long)reads);
		read_at(10 + i, line);
		reads += i < count ? rates[i] : 0;
	}
}

Test(top, draws_rates_as_bars_of_which_the_highest_is_full)
{
	char spark[TOP_SPARK_BYTES];

	top.is_ascii = true;
	reads_of((const unsigned[]){ 0, 1, 400, 800 }, 4);
	cr_expect(eq(str, (char *)top_print_spark(spark, &top, "bcache0"), " .-#"));
	top.is_ascii = false;
	cr_expect(eq(str, (char *)top_print_spark(spark, &top, "bcache0"), " ▁▄█"));
}

Test(top, draws_the_last_minute_only)
{
	char spark[TOP_SPARK_BYTES];
	unsigned rates[TOP_SPARKS + 10] = { 1000 };

	rates[TOP_SPARKS + 9] = 8;
	top.is_ascii = true;
	reads_of(rates, TOP_SPARKS + 10);
	top_print_spark(spark, &top, "bcache0");
	cr_expect(eq(sz, strlen(spark), TOP_SPARKS));
	cr_expect(eq(chr, spark[TOP_SPARKS - 1], '#'));
}
