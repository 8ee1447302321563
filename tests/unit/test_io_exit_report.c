/*
 * The report of a process at its end, which another one reads.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>
#include <unistd.h>

#include "io/exit_report.h"

/* Reads what was written, after the writer has closed it. */
static int tell(const char *text, char found[EXIT_REPORT_BYTES])
{
	int writer = exit_report_new(), reader, result;

	cr_assert(le(int, 0, writer));
	reader = exit_report_open(getpid());
	cr_assert(le(int, 0, reader));
	exit_report_write(writer, text);
	result = exit_report_read(reader, found);
	close(reader);
	return result;
}

Test(exit_report, is_what_was_written)
{
	char found[EXIT_REPORT_BYTES];

	cr_expect(zero(int, tell("cache.img: No space left on device", found)));
	cr_expect(eq(str, found, "cache.img: No space left on device"));
}

Test(exit_report, is_empty_if_nothing_failed)
{
	char found[EXIT_REPORT_BYTES];

	cr_expect(zero(int, tell("", found)));
	cr_expect(eq(str, found, ""));
}

Test(exit_report, is_cut_if_it_is_long)
{
	char text[2 * EXIT_REPORT_BYTES], found[EXIT_REPORT_BYTES];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	cr_expect(zero(int, tell(text, found)));
	cr_expect(eq(sz, strlen(found), EXIT_REPORT_BYTES - 2));
}

Test(exit_report, of_a_process_that_was_killed_is_none)
{
	char found[EXIT_REPORT_BYTES];
	int writer = exit_report_new(), reader = exit_report_open(getpid());

	close(writer);
	cr_expect(lt(int, exit_report_read(reader, found), 0));
	close(reader);
}

Test(exit_report, is_not_found_where_there_is_none)
{
	cr_expect(lt(int, exit_report_open(getpid()), 0));
}
