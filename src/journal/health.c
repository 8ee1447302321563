/*
 * Records the first failure of a set, and wakes its watchers.
 */
#include "journal/health.h"

#include <stdarg.h>
#include <stdio.h>

void health_fail(struct health *health, int code, const char *format, ...)
{
	va_list arguments;

	if (health->error)
		return;
	health->error = -code;
	health->reason.code = code;
	va_start(arguments, format);
	vsnprintf(health->reason.text, sizeof(health->reason.text), format, arguments);
	va_end(arguments);
	waitlist_wake_all(&health->watchers, 0);
}
