/* Sums and percentiles of counts by classes of latency. */
#include "base/latency.h"

#include <assert.h>

uint64_t latency_count(const struct latency *latency)
{
	uint64_t count = 0;

	for (unsigned class = 0; class < LATENCY_CLASSES; class++)
		count += latency->counts[class];
	return count;
}

uint64_t latency_percentile_ns(const struct latency *latency, unsigned percent)
{
	double wanted = latency_count(latency) * (percent / 100.0), before = 0;
	unsigned class = 0;
	uint64_t low;

	assert(percent <= 100);
	if (!latency_count(latency))
		return 0;
	while (class < LATENCY_CLASSES - 1 && before + latency->counts[class] < wanted)
		before += latency->counts[class++];
	low = class ? latency_bound_ns(class - 1) : 0;
	if (class == LATENCY_CLASSES - 1 || !latency->counts[class])
		return low;
	return low + (latency_bound_ns(class) - low) * ((wanted - before) / latency->counts[class]);
}
