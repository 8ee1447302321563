/* How a command says no. */
#include "tools/tools.h"

#include <stdarg.h>
#include <stdio.h>

void tool_complain(const char *command, const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "bcachefuse %s: ", command);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}
