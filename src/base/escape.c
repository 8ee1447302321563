/* Copies text character by character, or writes escapes. */
#include "base/escape.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct target {
	char *to;
	size_t room, used;
};

unsigned escape_utf8_length(const char *text)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *c = (const unsigned char *)text;
	unsigned length = *c < 0x80 ? 1 : *c >> 5 == 6 ? 2 : *c >> 4 == 14 ? 3
			: *c >> 3 == 30 ? 4 : 0;
	uint32_t character = *c & 0x7f >> length;

	if (length < 2)
		return length;
	for (unsigned i = 1; i < length; i++) {
		if (c[i] >> 6 != 2)
			return 0;
		character = character << 6 | (c[i] & 0x3f);
	}
	if (character < smallest[length] || character > 0x10ffff ||
	    (character >= 0xd800 && character < 0xe000))
		return 0;
	return length;
}

/* The same, but 0 for control characters: below a blank, DEL, and U+0080 to U+009F. */
static unsigned printable_length(const char *text)
{
	unsigned char c = text[0], next = c ? text[1] : 0;

	if (c < ' ' || c == 0x7f || (c == 0xc2 && next < 0xa0))
		return 0;
	return escape_utf8_length(text);
}

static void target_init(struct target *target, char *to, size_t room)
{
	*target = (struct target){ .to = to, .room = room };
	if (room)
		to[0] = '\0';
}

/* Appends all of it, or nothing (ESCAPE-2). */
static bool target_add(struct target *target, const char *bytes, size_t count)
{
	if (target->used + count >= target->room)
		return false;
	memcpy(target->to + target->used, bytes, count);
	target->used += count;
	target->to[target->used] = '\0';
	return true;
}

static bool target_add_escape(struct target *target, const char *before, char c)
{
	char escape[8];
	int bytes = snprintf(escape, sizeof(escape), "%sx%02x", before, (unsigned char)c);

	return target_add(target, escape, bytes);
}

void escape_line(char *to, size_t room, const char *text)
{
	struct target target;
	bool fits = true;

	target_init(&target, to, room);
	while (*text && fits) {
		unsigned length = printable_length(text);

		fits = length ? target_add(&target, text, length)
			      : target_add_escape(&target, "\\", *text);
		text += length ? length : 1;
	}
}

void escape_name(char *to, size_t room, const char *text, escape_is_plain_fn *is_plain)
{
	struct target target;
	bool fits = true;

	target_init(&target, to, room);
	while (*text && fits) {
		unsigned length = printable_length(text);

		if (length == 1 && !is_plain(*text, !target.used))
			length = 0;
		fits = length ? target_add(&target, text, length)
			      : target_add_escape(&target, "\\", *text);
		text += length ? length : 1;
	}
}

void escape_quoted(char *to, size_t room, const char *text)
{
	struct target target;
	bool fits = true;

	target_init(&target, to, room);
	while (*text && fits) {
		unsigned length = printable_length(text);

		if (*text == '\n')
			fits = target_add(&target, "\\n", 2);
		else if (*text == '"' || *text == '\\')
			fits = target_add(&target, *text == '"' ? "\\\"" : "\\\\", 2);
		else
			fits = length ? target_add(&target, text, length)
				      : target_add_escape(&target, "\\\\", *text);
		text += length ? length : 1;
	}
}
