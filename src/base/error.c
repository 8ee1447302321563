/* An errno with the sentence that explains it. */
#include "base/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *error, int code, const char *format, ...)
{
	va_list arguments;

	assert(code > 0);
	if (error) {
		error->code = code;
		va_start(arguments, format);
		vsnprintf(error->text, sizeof(error->text), format, arguments);
		va_end(arguments);
	}
	return -code;
}

int error_prefix(struct error *error, const char *format, ...)
{
	char sentence[ERROR_TEXT_BYTES];
	va_list arguments;
	size_t used;

	assert(error && error->code > 0);
	memcpy(sentence, error->text, sizeof(sentence));
	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	used = strlen(error->text);
	snprintf(error->text + used, sizeof(error->text) - used, ": %s", sentence);
	return -error->code;
}
