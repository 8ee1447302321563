/*
 * Hits and misses: in all, and decaying over five minutes, an hour, a day.
 *
 * Every 300/22 s what was collected is added to four sets of numbers, each kept
 * as value << 16; then the decaying ones are scaled by 31/32: the five-minute
 * one at each tick, the hour's at every 12th, the day's at every 288th, so that
 * 22 scalings halve it, as the kernel's do.  The total includes what is still
 * being collected.
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
