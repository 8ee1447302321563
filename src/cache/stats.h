/*
 * Counters of hits and misses: a total, and three that decay with half-lives of
 * five minutes, an hour and a day.
 *
 * Every 300/22 s a tick adds the events since the last one to all four sets of
 * counters, which are kept as value << 16, and scales the decaying ones by 31/32: the
 * five-minute set at every tick, the hour's at every 12th, the day's at every 288th.
 * 22 scalings halve a value; the kernel uses the same numbers.  The total as shown
 * includes the events since the last tick.
 */
#pragma once

#include <stdint.h>

#define STATS_TICK_NS (UINT64_C(300000000000) / 22)

enum stats_counter {
	STATS_HITS,
	STATS_MISSES,
	STATS_BYPASS_HITS,
	STATS_BYPASS_MISSES,
	STATS_MISS_COLLISIONS,
	STATS_BYPASSED_SECTORS,
	STATS_COUNTERS,
};
enum stats_period { STATS_TOTAL, STATS_FIVE_MINUTE, STATS_HOUR, STATS_DAY, STATS_PERIODS };

struct stats {
	uint64_t collected[STATS_COUNTERS];
	uint64_t shown[STATS_PERIODS][STATS_COUNTERS];	/* << 16 */
	unsigned ticks;
};

void stats_count(struct stats *stats, enum stats_counter counter, uint64_t n);
void stats_tick(struct stats *stats);
uint64_t stats_value(const struct stats *stats, enum stats_period period,
		     enum stats_counter counter);
/* Hits in percent of hits and misses; 0 if there was neither. */
unsigned stats_hit_ratio(const struct stats *stats, enum stats_period period);
void stats_clear_total(struct stats *stats);
