/* The text of control files: it grows, and writes lines as the kernel does. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "control/text.h"

static struct text text;

static void setup(void)
{
	text = (struct text){ 0 };
}

static void teardown(void)
{
	text_done(&text);
}

TestSuite(text, .init = setup, .fini = teardown, .timeout = 60);

Test(text, is_empty_at_first)
{
	cr_expect(eq(sz, text.used, 0));
	cr_expect(eq(ptr, text.bytes, NULL));
	text_done(&text);
	text_done(&text);
}

Test(text, adds_what_is_printed)
{
	text_print(&text, "%s:\t", "rate");
	text_print(&text, "%d%%\n", 7);
	cr_expect(eq(str, text.bytes, "rate:\t7%\n"));
	cr_expect(eq(sz, text.used, strlen(text.bytes)));
}

Test(text, prints_nothing)
{
	text_print(&text, "%s", "");
	cr_expect(eq(sz, text.used, 0));
	cr_expect(eq(str, text.bytes, ""));
}

Test(text, grows_with_many_small_pieces)
{
	for (unsigned i = 0; i < 5000; i++)
		text_print(&text, "%04u", i);
	cr_assert(eq(sz, text.used, 20000));
	cr_expect(lt(sz, text.used, text.room));
	cr_expect(eq(sz, strlen(text.bytes), 20000));
	for (unsigned i = 0; i < 5000; i++) {
		char piece[8];

		snprintf(piece, sizeof(piece), "%04u", i);
		cr_assert(zero(int, memcmp(text.bytes + 4 * i, piece, 4)));
	}
}

/* Just so that a piece and its NUL fit, and one byte more. */
Test(text, grows_at_the_edges)
{
	for (unsigned length = 500; length < 530; length++) {
		text_print(&text, "%*s", length, "x");
		cr_assert(eq(sz, text.used, length));
		cr_assert(lt(sz, text.used, text.room));
		cr_assert(eq(chr, text.bytes[length - 1], 'x'));
		cr_assert(eq(chr, text.bytes[length], '\0'));
		text_done(&text);
	}
}

Test(text, grows_by_one_large_piece)
{
	text_print(&text, "a%*s", 100000, "b");
	cr_assert(eq(sz, text.used, 100001));
	cr_expect(eq(chr, text.bytes[100000], 'b'));
}

Test(text, writes_numbers)
{
	text_number(&text, 0);
	text_number(&text, -1);
	text_number(&text, INT64_MAX);
	text_number(&text, INT64_MIN);
	cr_expect(eq(str, text.bytes, "0\n-1\n9223372036854775807\n-9223372036854775808\n"));
}

Test(text, writes_sizes_as_the_kernel_does)
{
	text_size(&text, 0);
	text_size(&text, 512);
	text_size(&text, 4 << 20);
	text_size(&text, -(5 << 20));
	text_size(&text, INT64_C(1) << 40);
	cr_expect(eq(str, text.bytes, "0.0k\n0.5k\n4.0M\n-5.0M\n1.0T\n"));
}

Test(text, writes_choices_with_the_chosen_one_in_brackets)
{
	static const char *const names[] = { "lru", "fifo", "random", NULL };

	text_choice(&text, names, 0);
	text_choice(&text, names, 2);
	cr_expect(eq(str, text.bytes, "[lru] fifo random\nlru fifo [random]\n"));
}
