/*
 * The status of a mount from its metrics, and what is counted as trouble.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "tools/status.h"

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
