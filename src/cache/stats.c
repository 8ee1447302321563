/* Collects hits and misses, adds them to the four sets of counters, and lets three decay. */
#include "cache/stats.h"

#include <assert.h>
#include <string.h>

enum {
	STATS_SHIFT = 16,
	HOUR_TICKS = 12,	/* of five minutes' scalings to one of the hour's */
	DAY_TICKS = 288,
};

void stats_count(struct stats *stats, enum stats_counter counter, uint64_t n)
{
	assert(counter < STATS_COUNTERS);
	stats->collected[counter] += n;
}

static void stats_decay(uint64_t shown[STATS_COUNTERS])
{
	for (unsigned i = 0; i < STATS_COUNTERS; i++)
		/* x * 31 / 32 without overflow; it truncates to the same value. */
		shown[i] = shown[i] / 32 * 31 + shown[i] % 32 * 31 / 32;
}

static void stats_fold(struct stats *stats)
{
	for (unsigned counter = 0; counter < STATS_COUNTERS; counter++) {
		for (unsigned period = 0; period < STATS_PERIODS; period++)
			stats->shown[period][counter] += stats->collected[counter] << STATS_SHIFT;
		stats->collected[counter] = 0;
	}
}

void stats_tick(struct stats *stats)
{
	stats_fold(stats);
	stats->ticks++;
	stats_decay(stats->shown[STATS_FIVE_MINUTE]);
	if (stats->ticks % HOUR_TICKS == 0)
		stats_decay(stats->shown[STATS_HOUR]);
	if (stats->ticks % DAY_TICKS == 0)
		stats_decay(stats->shown[STATS_DAY]);
}

uint64_t stats_value(const struct stats *stats, enum stats_period period,
		     enum stats_counter counter)
{
	uint64_t value;

	assert(period < STATS_PERIODS && counter < STATS_COUNTERS);
	value = stats->shown[period][counter] >> STATS_SHIFT;
	if (period == STATS_TOTAL)
		value += stats->collected[counter];
	return value;
}

unsigned stats_hit_ratio(const struct stats *stats, enum stats_period period)
{
	uint64_t hits = stats_value(stats, period, STATS_HITS);
	uint64_t misses = stats_value(stats, period, STATS_MISSES);

	return hits + misses ? hits * 100 / (hits + misses) : 0;
}

/* Events since the last tick still count for the other periods, so add them there first. */
void stats_clear_total(struct stats *stats)
{
	stats_fold(stats);
	memset(stats->shown[STATS_TOTAL], 0, sizeof(stats->shown[STATS_TOTAL]));
}
