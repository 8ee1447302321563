/*
 * Prints lines of results and of errors, escaped.
 *
 * The whole line is formatted first and escaped then, so no caller can forget an argument.
 */
#include "tools/tools.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"

/* An escape takes up to 4 bytes per byte. */
enum { ESCAPE_BYTES_MAX = 4 };

static void say_line(FILE *stream, const char *format, va_list arguments)
{
	autofree char *raw = NULL, *line = NULL;
	size_t room;

	if (vasprintf(&raw, format, arguments) < 0)
		abort();
	room = ESCAPE_BYTES_MAX * strlen(raw) + 1;
	line = malloc(room);
	assert(line);
	escape_line(line, room, raw);
	fprintf(stream, "%s\n", line);
}

void tool_say(FILE *stream, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say_line(stream, format, arguments);
	va_end(arguments);
}

void tool_complain(const char *command, const char *format, ...)
{
	va_list arguments;

	/* So that the error comes after the results, where both go to the same place. */
	fflush(stdout);
	fprintf(stderr, "bcachefuse %s: ", command);
	va_start(arguments, format);
	say_line(stderr, format, arguments);
	va_end(arguments);
}

bool tool_progress_is_json(const char *command, const char *style)
{
	if (!strcmp(style, "json"))
		return true;
	tool_complain(command, "--progress=%s: only json is known", style);
	return false;
}
