/* Escapes: what is shown of text from outside. */
#include "base/escape.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

static char *line(const char *text)
{
	static char to[100];

	escape_line(to, sizeof(to), text);
	return to;
}

static char *quoted(const char *text)
{
	static char to[100];

	escape_quoted(to, sizeof(to), text);
	return to;
}

static bool is_letter(char c, bool is_first)
{
	return (c >= 'a' && c <= 'z') || (c == '.' && !is_first);
}

static char *name(const char *text)
{
	static char to[100];

	escape_name(to, sizeof(to), text, is_letter);
	return to;
}

Test(escape_line, leaves_what_can_be_printed)
{
	cr_expect(eq(str, line("a \"b\" \\c~"), "a \"b\" \\c~"));
	cr_expect(eq(str, line("K\xc3\xbc" "che \xe2\x82\xac \xf0\x9f\x8d\xb5"),
		     "K\xc3\xbc" "che \xe2\x82\xac \xf0\x9f\x8d\xb5"));
	cr_expect(eq(str, line(""), ""));
}

Test(escape_line, shows_control_characters)
{
	cr_expect(eq(str, line("a\nb\tc\x1b[2J\x7f\x01"), "a\\x0ab\\x09c\\x1b[2J\\x7f\\x01"));
	/* U+009B begins a command as ESC [ does; U+00A0 is a blank. */
	cr_expect(eq(str, line("\xc2\x9b" "2J\xc2\xa0"), "\\xc2\\x9b2J\xc2\xa0"));
}

Test(escape_line, shows_bytes_that_are_not_utf8)
{
	cr_expect(eq(str, line("\xff\xfe"), "\\xff\\xfe"));
	cr_expect(eq(str, line("\xc3"), "\\xc3"), "ends within a character");
	cr_expect(eq(str, line("\xe2\x82z"), "\\xe2\\x82z"));
	cr_expect(eq(str, line("\xc0\xaf"), "\\xc0\\xaf"), "longer than it needs to be");
	cr_expect(eq(str, line("\xed\xa0\x80"), "\\xed\\xa0\\x80"), "a surrogate");
	cr_expect(eq(str, line("\xf5\x80\x80\x80"), "\\xf5\\x80\\x80\\x80"), "beyond Unicode");
}

Test(escape_line, is_cut_between_characters)
{
	char to[6];

	escape_line(to, sizeof(to), "abc\xe2\x82\xac");
	cr_expect(eq(str, to, "abc"));
	escape_line(to, sizeof(to), "ab\nc");
	cr_expect(eq(str, to, "ab"));
	escape_line(to, sizeof(to), "abcdefg");
	cr_expect(eq(str, to, "abcde"));
	escape_line(to, 1, "abc");
	cr_expect(eq(str, to, ""));
}

Test(escape_name, escapes_what_is_not_plain)
{
	cr_expect(eq(str, name("a.b/c\\d e"), "a.b\\x2fc\\x5cd\\x20e"));
	cr_expect(eq(str, name(".."), "\\x2e."));
	cr_expect(eq(str, name("\xc3\xbc\xff\n"), "\xc3\xbc\\xff\\x0a"));
}

Test(escape_quoted, escapes_quotes_backslashes_and_newlines)
{
	cr_expect(eq(str, quoted("a \"b\" \\c\nd"), "a \\\"b\\\" \\\\c\\nd"));
}

Test(escape_quoted, escapes_the_others_so_that_they_can_be_read)
{
	cr_expect(eq(str, quoted("\x1b\xff\xc3\xbc"), "\\\\x1b\\\\xff\xc3\xbc"));
}
