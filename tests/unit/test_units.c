/* Numbers and words in the kernel's formats. */
#include "base/units.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "base/compiler.h"

static const struct {
	int64_t bytes;
	const char *text;
} printed[] = {
	{ 0, "0.0k" }, { 512, "0.5k" }, { 1023, "0.9k" }, { 4096, "4.0k" }, { 524288, "512.0k" },
	{ 999 * 1024, "999.0k" }, { 1024000, "0.9M" }, { 1048576, "1.0M" }, { 4194304, "4.0M" },
	{ INT64_C(1) << 40, "1.0T" }, { -5 * 1048576, "-5.0M" },
	{ INT64_C(2147483647) * 512, "0.9T" }, { -1, "-0.0k" }, { INT64_MAX, "7.9E" },
	{ INT64_MIN, "-8.0E" },
};

Test(units, prints_sizes_as_the_kernel_does)
{
	char text[UNITS_TEXT_BYTES];

	for (size_t i = 0; i < ARRAY_SIZE(printed); i++)
		cr_expect(eq(str, (char *)units_print_size(text, printed[i].bytes),
			     (char *)printed[i].text));
}

static int parse_number(const char *text, uint64_t *value)
{
	*value = 4711;
	return units_parse_number(text, value);
}

Test(units, reads_a_decimal_number)
{
	uint64_t value;

	cr_expect(eq(int, parse_number("0", &value), 0));
	cr_expect(eq(u64, value, 0));
	cr_expect(eq(int, parse_number("+12\n", &value), 0));
	cr_expect(eq(u64, value, 12));
	cr_expect(eq(int, parse_number("18446744073709551615", &value), 0));
	cr_expect(eq(u64, value, UINT64_MAX));
}

Test(units, refuses_what_is_no_number)
{
	static const char *const bad[] = { "",   "\n",   "+",  " 1",    "1 ",
					   "-1", "0x10", "1k", "1\n\n", "a" };
	uint64_t value;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cr_expect(eq(int, parse_number(bad[i], &value), -EINVAL), "\"%s\"", bad[i]);
		cr_expect(eq(u64, value, 4711));
	}
}

Test(units, says_when_a_number_is_too_large)
{
	uint64_t value;

	cr_expect(eq(int, parse_number("18446744073709551616", &value), -ERANGE));
	cr_expect(eq(int, parse_number("99999999999999999999999999\n", &value), -ERANGE));
	cr_expect(eq(u64, value, 4711));
}

static const struct {
	const char *text;
	uint64_t bytes;
} sizes[] = {
	{ "0", 0 }, { "512\n", 512 }, { "4k", 4096 }, { "4K\n", 4096 }, { "3m", 3 << 20 },
	{ "2G", UINT64_C(2) << 30 }, { "1t", UINT64_C(1) << 40 }, { "1P", UINT64_C(1) << 50 },
	{ "15e", UINT64_C(15) << 60 }, { "0z", 0 }, { "0Y", 0 },
};

Test(units, reads_sizes_with_one_letter)
{
	uint64_t bytes;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		cr_expect(eq(int, units_parse_size(sizes[i].text, &bytes), 0), "\"%s\"",
			  sizes[i].text);
		cr_expect(eq(u64, bytes, sizes[i].bytes), "\"%s\"", sizes[i].text);
	}
}

Test(units, refuses_what_is_no_size)
{
	static const char *const bad[] = {
		"",    "k",   "4kB",    "4KiB", "1.5k", "4 k", " 4k",
		"-4k", "4kk", "4k\n\n", "16e",  "1z",   "1y",  "18446744073709551616",
		"4x"
	};
	uint64_t bytes = 4711;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect(eq(int, units_parse_size(bad[i], &bytes), -EINVAL), "\"%s\"", bad[i]);
	cr_expect(eq(u64, bytes, 4711));
}

Test(units, takes_any_nonzero_number_for_true)
{
	bool value = true;

	cr_expect(eq(int, units_parse_bool("0\n", &value), 0));
	cr_expect(not(value));
	cr_expect(eq(int, units_parse_bool("2", &value), 0));
	cr_expect(value);
	cr_expect(eq(int, units_parse_bool("on", &value), -EINVAL));
}

static const char *const modes[] = { "writethrough", "writeback", "writearound", "none", NULL };

Test(units, finds_a_word_in_a_list)
{
	cr_expect(eq(int, units_parse_choice("writeback", modes), 1));
	cr_expect(eq(int, units_parse_choice("none\n", modes), 3));
}

Test(units, refuses_a_word_that_is_not_in_the_list)
{
	static const char *const bad[] = { "", "\n", "write", "writebackx", " none", "none ",
					   "none\n\n", "NONE" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect(eq(int, units_parse_choice(bad[i], modes), -EINVAL), "\"%s\"", bad[i]);
}

Test(units, puts_brackets_around_the_chosen_word)
{
	char text[80];

	units_print_choice(text, sizeof(text), modes, 1);
	cr_expect(eq(str, text, "writethrough [writeback] writearound none"));
}

Test(units, cuts_a_list_that_does_not_fit)
{
	char text[16] = "not yet written";

	units_print_choice(text, 10, modes, 1);
	cr_expect(eq(str, text, "writethro"));
}

static const uint8_t uuid[16] = { 0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x33, 0x33,
				  0x44, 0x44, 0x55, 0x55, 0x55, 0x55, 0xab, 0xcd };

Test(units, prints_a_uuid_in_groups)
{
	char text[40];

	cr_expect(eq(str, (char *)units_print_uuid(text, uuid),
		     "11111111-2222-3333-4444-55555555abcd"));
}

Test(units, reads_a_uuid_with_and_without_dashes)
{
	static const char *const good[] = { "11111111-2222-3333-4444-55555555ABCD\n",
					    "1111111122223333444455555555abcd",
					    "11:11:11:11:22:22:33:33:44:44:55:55:55:55:ab:cd" };
	uint8_t found[16];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		memset(found, 0, sizeof(found));
		cr_expect(eq(int, units_parse_uuid(good[i], found), 0));
		cr_expect(not(memcmp(found, uuid, sizeof(uuid))));
	}
}

Test(units, refuses_a_uuid_that_is_too_short_or_too_long)
{
	static const char *const bad[] = { "", "1111111122223333",
					   "1111111122223333444455555555abc",
					   "1111111122223333444455555555abcde",
					   "1111111122223333444455555555abcg" };
	uint8_t found[16] = { 7 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect(eq(int, units_parse_uuid(bad[i], found), -EINVAL));
	cr_expect(eq(u8, found[0], 7));
}
