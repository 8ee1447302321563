/* Progress lines: the numbers in them, and when they are printed. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "tools/progress.h"

#define SECOND 1000000000ull
#define MIB 1048576ull

static struct progress progress;
static char *printed;
static size_t printed_bytes;

static void begin(enum progress_style style)
{
	progress_begin(&progress, "flush", style, open_memstream(&printed, &printed_bytes), SECOND);
	progress_phase(&progress, "writing back", 100 * MIB, SECOND);
}

static void end(void)
{
	fclose(progress.stream);
	free(printed);
}

Test(progress, knows_no_rate_at_first)
{
	char line[PROGRESS_TEXT_BYTES];

	begin(PROGRESS_LINES);
	progress_line(&progress, line);
	cr_assert_str_eq(line, "flush: writing back  0 %  0.0k of 100.0M  0.0k/s  "
			       "time left unknown");
	end();
}

Test(progress, says_rate_and_time_left)
{
	char line[PROGRESS_TEXT_BYTES];

	begin(PROGRESS_LINES);
	progress.errors = 2;
	progress_update(&progress, 20 * MIB, 3 * SECOND);
	progress_line(&progress, line);
	cr_assert_str_eq(line, "flush: writing back  20 %  20.0M of 100.0M  10.0M/s  0:08 left  "
			       "2 errors");
	end();
}

/* PROGRESS-2 */
Test(progress, forgets_what_was_30_seconds_ago)
{
	begin(PROGRESS_NONE);
	progress_update(&progress, 90 * MIB, 2 * SECOND);
	for (unsigned s = 3; s < 40; s++)
		progress_update(&progress, 90 * MIB, s * SECOND);
	cr_expect(eq(u64, progress_rate(&progress), 0));
	cr_expect(eq(u64, progress_ns_left(&progress), UINT64_MAX));
	end();
}

/* PROGRESS-1 */
Test(progress, never_says_more_than_all)
{
	char line[PROGRESS_TEXT_BYTES];

	begin(PROGRESS_NONE);
	progress_update(&progress, 110 * MIB, 2 * SECOND);
	progress_line(&progress, line);
	cr_assert_str_eq(line, "flush: writing back  100 %  110.0M of 110.0M  110.0M/s  0:00 left");
	end();
}

Test(progress, prints_a_line_every_ten_seconds)
{
	unsigned lines = 0;

	begin(PROGRESS_LINES);
	for (unsigned s = 2; s <= 31; s++)
		progress_update(&progress, s * MIB, s * SECOND);
	for (const char *c = printed; *c; c++) {
		lines += *c == '\n';
		cr_expect(ne(chr, *c, '\r'));
	}
	cr_expect(eq(uint, lines, 3));
	end();
}

Test(progress, draws_on_a_terminal_four_times_a_second)
{
	unsigned draws = 0;

	begin(PROGRESS_TERMINAL);
	for (unsigned ms = 10; ms <= 1000; ms += 10)
		progress_update(&progress, ms, SECOND + ms * 1000000ull);
	for (const char *c = printed; *c; c++) {
		draws += *c == '\r';
		cr_expect(ne(chr, *c, '\n'));
	}
	cr_expect(eq(uint, draws, 4));
	end();
}

Test(progress, prints_json)
{
	begin(PROGRESS_JSON);
	progress_update(&progress, 20 * MIB, 3 * SECOND);
	cr_assert_str_eq(printed, "{\"phase\":\"writing back\",\"done\":20971520,"
				  "\"total\":104857600,\"errors\":0,\"rate\":10485760,"
				  "\"eta_ms\":8000,\"time_ms\":2000}\n");
	end();
}

Test(progress, says_nothing_if_asked_for_nothing)
{
	begin(PROGRESS_NONE);
	progress_update(&progress, MIB, 30 * SECOND);
	progress_print(&progress, 31 * SECOND);
	progress_end(&progress);
	cr_expect(eq(sz, printed_bytes, 0));
	end();
}
