/*
 * Measures how congested a device is.
 */
#include "io/congestion.h"

#include "base/numbers.h"

enum { US_SHIFT = 10, MS_SHIFT = 20, LINEAR = 64 };

void congestion_add(struct congestion *congestion, bool is_write, uint64_t took_ns,
		    uint64_t now_ns)
{
	unsigned threshold_us = is_write ? congestion->write_threshold_us :
					   congestion->read_threshold_us;

	if (!threshold_us)
		return;
	if (took_ns >> US_SHIFT > threshold_us) {
		congestion->last_slow_ns = now_ns;
		congestion->value -= min_u64(took_ns >> MS_SHIFT,
					     CONGESTION_MAX + congestion->value);
	} else if (congestion->value < 0) {
		congestion->value++;
	}
}

/* 2^(level / 64), linear between powers of two, in units of 1 for level 0. */
static unsigned exponential(unsigned level)
{
	return ((LINEAR + level % LINEAR) << level / LINEAR) / LINEAR;
}

unsigned congestion_limit_sectors(const struct congestion *congestion, uint64_t now_ns,
				  uint32_t random)
{
	int64_t relief_ms = (int64_t)(now_ns - congestion->last_slow_ns) >> MS_SHIFT;
	int64_t level = congestion->value + relief_ms;
	int limit;

	if ((!congestion->read_threshold_us && !congestion->write_threshold_us) || level >= 0)
		return 0;
	level += CONGESTION_MAX;		/* 0: congested as much as can be */
	limit = level ? exponential(level) : 0;
	limit -= __builtin_popcount(random);
	return limit > 0 ? limit : 1;
}
