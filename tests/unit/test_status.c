/*
 * The status of a mount from its metrics, and what is counted as trouble.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/status.h"
#include "tools/table.h"

static struct status status;

static void forget_status(void)
{
	status_done(&status);
}

TestSuite(status, .fini = forget_status);

Test(status, of_an_empty_text_has_no_trouble)
{
	status_parse(&status, "");
	cr_expect(eq(uint, status.set_count + status.volume_count + status.trouble_count, 0));
}

Test(status, puts_the_metrics_of_a_volume_together)
{
	status_parse(&status,
		     "# TYPE bcachefuse_volume_size_bytes gauge\n"
		     "bcachefuse_volume_size_bytes{volume=\"bcache0\",uuid=\"u\"} 33546240\n"
		     "bcachefuse_volume_size_bytes{volume=\"bcache1\",uuid=\"v\"} 4096\n"
		     "bcachefuse_volume_dirty_bytes{volume=\"bcache0\",uuid=\"u\"} 512\n");
	cr_assert(eq(uint, status.volume_count, 2));
	cr_expect(eq(str, status.volumes[0].name, "bcache0"));
	cr_expect(eq(u64, status.volumes[0].size_bytes, 33546240));
	cr_expect(eq(u64, status.volumes[0].dirty_bytes, 512));
	cr_expect(eq(u64, status.volumes[1].size_bytes, 4096));
}

Test(status, takes_the_value_behind_a_label_with_spaces_and_quotes)
{
	status_parse(&status, "bcachefuse_volume_dirty_bytes{volume=\"bcache0\",uuid=\"u\","
			      "label=\"a \\\" 7} 8\"} 512\n");
	cr_assert(eq(uint, status.volume_count, 1));
	cr_expect(eq(u64, status.volumes[0].dirty_bytes, 512));
}

Test(status, keeps_all_digits_of_a_large_size)
{
	status_parse(&status, "bcachefuse_volume_size_bytes{volume=\"bcache0\"} "
			      "1125899906842112\n");
	cr_assert(eq(uint, status.volume_count, 1));
	cr_expect(eq(u64, status.volumes[0].size_bytes, 1125899906842112));
}

Test(status, of_a_set_that_runs_has_no_trouble)
{
	status_parse(&status, "bcachefuse_set_running{set=\"s\"} 1\n");
	cr_assert(eq(uint, status.set_count, 1));
	cr_expect(status.sets[0].is_running);
	cr_expect(eq(uint, status.trouble_count, 0));
}

Test(status, tells_a_set_that_does_not_run)
{
	status_parse(&status, "bcachefuse_set_running{set=\"s\"} 0\n");
	cr_assert(eq(uint, status.trouble_count, 1));
	cr_expect(eq(str, (char *)status.troubles[0].id, "set-not-running"));
	cr_expect(eq(str, status.troubles[0].place, "s"));
}

Test(status, tells_an_inconsistent_volume)
{
	status_parse(&status, "bcachefuse_volume_state{volume=\"bcache0\"} 3\n"
			      "bcachefuse_volume_state{volume=\"bcache1\"} 2\n");
	cr_assert(eq(uint, status.trouble_count, 1));
	cr_expect(eq(str, (char *)status.troubles[0].id, "volume-inconsistent"));
	cr_expect(eq(str, status.troubles[0].place, "bcache0"));
}

Test(status, tells_errors_of_a_device_once)
{
	status_parse(&status,
		     "bcachefuse_device_errors_total{device=\"/dev/sdb\",kind=\"read\"} 2\n"
		     "bcachefuse_device_errors_total{device=\"/dev/sdb\",kind=\"write\"} 1\n"
		     "bcachefuse_device_errors_total{device=\"/dev/sdc\",kind=\"write\"} 0\n");
	cr_assert(eq(uint, status.trouble_count, 1));
	cr_expect(eq(str, (char *)status.troubles[0].id, "device-errors"));
	cr_expect(eq(str, status.troubles[0].place, "/dev/sdb"));
}

Test(status, is_not_confused_by_a_line_that_is_cut)
{
	status_parse(&status, "bcachefuse_volume_size_bytes{volume=\"bcache0\n"
			      "bcachefuse_volume_size_bytes\n"
			      "bcachefuse_set_running{ 1");
	cr_expect(eq(uint, status.set_count + status.volume_count, 0));
}

/* The samples are cumulative, and the volume counts by classes. */
Test(status, takes_the_latencies_of_requests_apart)
{
	const struct latency *hits;

	status_parse(&status,
		     "bcachefuse_volume_request_seconds_bucket{volume=\"bcache0\",uuid=\"u\","
		     "label=\"\",kind=\"read_hit\",le=\"8.192e-06\"} 2\n"
		     "bcachefuse_volume_request_seconds_bucket{volume=\"bcache0\",uuid=\"u\","
		     "label=\"\",kind=\"read_hit\",le=\"1.6384e-05\"} 5\n"
		     "bcachefuse_volume_request_seconds_bucket{volume=\"bcache0\",uuid=\"u\","
		     "label=\"\",kind=\"read_hit\",le=\"2.147483648\"} 5\n"
		     "bcachefuse_volume_request_seconds_bucket{volume=\"bcache0\",uuid=\"u\","
		     "label=\"\",kind=\"read_hit\",le=\"+Inf\"} 6\n"
		     "bcachefuse_volume_request_seconds_sum{volume=\"bcache0\",uuid=\"u\","
		     "label=\"\",kind=\"read_hit\"} 3.5\n");
	cr_assert(eq(uint, status.volume_count, 1));
	hits = &status.volumes[0].latency[TRAFFIC_READ_HIT];
	cr_expect(eq(u64, hits->counts[0], 2));
	cr_expect(eq(u64, hits->counts[1], 3));
	cr_expect(zero(u64, hits->counts[LATENCY_CLASSES - 2]));
	cr_expect(eq(u64, hits->counts[LATENCY_CLASSES - 1], 1));
	cr_expect(eq(u64, latency_count(hits), 6));
	cr_expect(eq(u64, hits->sum_ns, 3500000000));
}

Test(status, of_a_volume_that_waits_for_its_set_is_trouble)
{
	status_parse(&status, "bcachefuse_volume_running{volume=\"bcache0\",uuid=\"u\"} 0\n");
	cr_assert(eq(uint, status.trouble_count, 1));
	cr_expect(eq(str, (char *)status.troubles[0].id, "volume-waits-for-set"));
	cr_expect(eq(str, status.troubles[0].place, "u"));
}

/* ---- words ---- */

static struct status_volume volume = {
	.backing = "sdb", .dirty_bytes = 1 << 20, .copied_rate = 1 << 19, .seconds_left = 480,
	.dirty_age_seconds = 240,
};

static const char *work(void)
{
	static char text[STATUS_TEXT_BYTES];

	status_describe_work(&volume, text);
	return text;
}

static const char *oldest(void)
{
	static char text[DURATION_TEXT_BYTES];

	status_describe_oldest(&volume, text);
	return text;
}

Test(status, says_how_fast_and_how_long_still)
{
	cr_expect(eq(str, (char *)work(), "writeback 512.0k/s, 8 min left"));
	volume.is_detaching = true;
	cr_expect(eq(str, (char *)work(), "detaching 512.0k/s, 8 min left"));
}

Test(status, says_how_long_at_least_while_as_much_is_written)
{
	volume.seconds_left = INFINITY;
	volume.uncopied_bytes = 1 << 20;
	cr_expect(eq(str, (char *)work(), "writeback 512.0k/s, at least 2 s left"));
}

Test(status, says_no_time_before_something_was_written_back)
{
	volume.copied_rate = 0;
	cr_expect(eq(str, (char *)work(), "writeback"));
}

Test(status, says_that_nothing_is_written_back)
{
	volume.is_held = true;
	cr_expect(eq(str, (char *)work(), "nothing is written back"));
}

Test(status, says_nothing_of_a_clean_volume)
{
	volume.dirty_bytes = 0;
	cr_expect(eq(str, (char *)work(), "-"));
	cr_expect(eq(str, (char *)oldest(), "-"));
}

Test(status, says_how_old_dirty_data_are)
{
	cr_expect(eq(str, (char *)oldest(), "4 min"));
	volume.dirty_age_seconds = INFINITY;
	cr_expect(eq(str, (char *)oldest(), "before mount"));
}

static const char *said(double seconds)
{
	static char text[DURATION_TEXT_BYTES];

	return duration_print(text, seconds);
}

Test(duration, has_the_unit_that_fits)
{
	cr_expect(eq(str, (char *)said(0.2), "1 s"));
	cr_expect(eq(str, (char *)said(119), "119 s"));
	cr_expect(eq(str, (char *)said(120), "2 min"));
	cr_expect(eq(str, (char *)said(7200), "2 h"));
	cr_expect(eq(str, (char *)said(200000), "2 days"));
	cr_expect(eq(str, (char *)said(INFINITY), "unknown"));
}

static const char *took(uint64_t ns)
{
	static char text[DURATION_TEXT_BYTES];

	return latency_print(text, ns);
}

Test(duration, of_a_request_has_three_digits)
{
	cr_expect(eq(str, (char *)took(8192), "8 us"));
	cr_expect(eq(str, (char *)took(999400), "999 us"));
	cr_expect(eq(str, (char *)took(999600), "1.0 ms"));
	cr_expect(eq(str, (char *)took(12345678), "12.3 ms"));
	cr_expect(eq(str, (char *)took(123456789), "123 ms"));
	cr_expect(eq(str, (char *)took(2147483648), "2.1 s"));
}

/* ---- tables ---- */

Test(table, has_columns_as_wide_as_their_cells)
{
	struct table table;
	size_t bytes;
	char *text;
	FILE *stream = open_memstream(&text, &bytes);

	table_begin(&table, "lrl");
	for (unsigned i = 0; i < 6; i++)
		table_add(&table, "%u", i * i * i * i * i);
	table_end(&table, " ", stream);
	fclose(stream);
	cr_expect(eq(str, text, " 0       1  32\n 243  1024  3125\n"));
	free(text);
}
