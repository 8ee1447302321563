/*
 * A growing text buffer, and lines in the kernel's formats.
 *
 * Formats twice: first to measure, then into the buffer, which has grown to fit.
 */
#include "control/text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/units.h"

enum { ROOM_AT_FIRST = 512, CHOICE_BYTES_MAX = 256 };

static void text_grow(struct text *text, size_t more)
{
	size_t room = text->room ? text->room : ROOM_AT_FIRST;

	while (room < text->used + more + 1)
		room *= 2;
	if (room == text->room)
		return;
	text->bytes = realloc(text->bytes, room);
	assert(text->bytes);
	text->room = room;
}

void text_print(struct text *text, const char *format, ...)
{
	va_list arguments, again;
	int bytes;

	va_start(arguments, format);
	va_copy(again, arguments);
	bytes = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	assert(bytes >= 0);
	text_grow(text, bytes);
	vsnprintf(text->bytes + text->used, bytes + 1, format, again);
	va_end(again);
	text->used += bytes;
}

void text_number(struct text *text, int64_t number)
{
	text_print(text, "%" PRId64 "\n", number);
}

void text_size(struct text *text, int64_t bytes)
{
	char size[UNITS_TEXT_BYTES];

	text_print(text, "%s\n", units_print_size(size, bytes));
}

void text_choice(struct text *text, const char *const *names, int chosen)
{
	char line[CHOICE_BYTES_MAX];

	units_print_choice(line, sizeof(line), names, chosen);
	text_print(text, "%s\n", line);
}

void text_done(struct text *text)
{
	free(text->bytes);
	*text = (struct text){ 0 };
}
