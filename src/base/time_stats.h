/*
 * How long something takes, and how often it happens: average, maximum, and the last time.
 *
 * Averages are weighted: an event counts for an eighth, and those before it for the rest.  The
 * first event is the average as it is.
 */
#pragma once

#include <stdint.h>

#include "base/numbers.h"

struct time_stats {
	uint64_t count;
	uint64_t average_ns, max_ns;	/* duration */
	uint64_t interval_average_ns;	/* from one end to the next; 0 until there were two */
	uint64_t last_ns;		/* when the last event ended */
};

static inline uint64_t time_stats_average(uint64_t average, uint64_t value, uint64_t earlier)
{
	return earlier ? (average * 7 + value) / 8 : value;
}

static inline void time_stats_add(struct time_stats *stats, uint64_t began_ns, uint64_t ended_ns)
{
	uint64_t took = ended_ns - began_ns;

	if (stats->count)
		stats->interval_average_ns = time_stats_average(stats->interval_average_ns,
								ended_ns - stats->last_ns,
								stats->count - 1);
	stats->average_ns = time_stats_average(stats->average_ns, took, stats->count);
	stats->max_ns = max_u64(stats->max_ns, took);
	stats->last_ns = ended_ns;
	stats->count++;
}
