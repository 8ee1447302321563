/* Composes errors: an errno and a sentence with the reason. */
#include "base/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"

/* Writes the prefix "subject: ", if any, and then the sentence, escaped. */
static void error_write(struct error *error, const char *format, va_list arguments,
			const char *behind)
{
	char raw[2 * ERROR_TEXT_BYTES + 2];
	int bytes = vsnprintf(raw, ERROR_TEXT_BYTES, format, arguments);

	assert(bytes >= 0);
	if (behind)
		strcat(strcat(raw, ": "), behind);
	escape_line(error->text, sizeof(error->text), raw);
}

int error_set(struct error *error, int code, const char *format, ...)
{
	va_list arguments;

	assert(code > 0);
	if (error) {
		error->code = code;
		va_start(arguments, format);
		error_write(error, format, arguments, NULL);
		va_end(arguments);
	}
	return -code;
}

int error_prefix(struct error *error, const char *format, ...)
{
	char sentence[ERROR_TEXT_BYTES];
	va_list arguments;

	assert(error && error->code > 0);
	memcpy(sentence, error->text, sizeof(sentence));
	va_start(arguments, format);
	error_write(error, format, arguments, sentence);
	va_end(arguments);
	return -error->code;
}
