/* Chooses the unit of a duration, and prints both. */
#include "tools/duration.h"

#include <math.h>
#include <stdio.h>

const char *duration_print(char text[DURATION_TEXT_BYTES], double seconds)
{
	enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };

	if (isinf(seconds))
		snprintf(text, DURATION_TEXT_BYTES, "unknown");
	else if (seconds < 2 * MINUTE)
		snprintf(text, DURATION_TEXT_BYTES, "%.0f s", seconds < 1 ? 1 : seconds);
	else if (seconds < 2 * HOUR)
		snprintf(text, DURATION_TEXT_BYTES, "%.0f min", seconds / MINUTE);
	else if (seconds < 2 * DAY)
		snprintf(text, DURATION_TEXT_BYTES, "%.0f h", seconds / HOUR);
	else
		snprintf(text, DURATION_TEXT_BYTES, "%.0f days", seconds / DAY);
	return text;
}

const char *latency_print(char text[DURATION_TEXT_BYTES], uint64_t ns)
{
	static const char *const units[] = { "us", "ms", "s" };
	double value = ns / 1e3;
	unsigned unit = 0;

	for (; value >= 999.5 && unit < 2; unit++)
		value /= 1e3;
	snprintf(text, DURATION_TEXT_BYTES, unit && value < 99.95 ? "%.1f %s" : "%.0f %s", value,
		 units[unit]);
	return text;
}
