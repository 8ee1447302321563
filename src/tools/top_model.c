/*
 * The rates between two readings of a mount, by volume.
 */
#include "tools/top.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"

#define NS_PER_SECOND 1e9

/* ---- readings ---- */

int top_take(struct top *top, struct error *error)
{
	struct timespec now;
	struct status status;
	int result = status_read(&status, top->directory, error);

	if (result)
		return result;
	clock_gettime(CLOCK_MONOTONIC, &now);
	top_add(top, &status, now.tv_sec * UINT64_C(1000000000) + now.tv_nsec);
	return 0;
}

void top_done(struct top *top)
{
	status_done(&top->then);
	status_done(&top->now);
	free(top->sparks);
	top->sparks = NULL;
}

static const struct status_volume *volume_then(const struct top *top, const char *name)
{
	for (unsigned i = 0; i < top->then.volume_count; i++)
		if (!strcmp(top->then.volumes[i].name, name))
			return &top->then.volumes[i];
	return NULL;
}

static struct top_spark *spark_of(struct top *top, const char *name)
{
	struct top_spark *spark;

	for (unsigned i = 0; i < top->spark_count; i++)
		if (!strcmp(top->sparks[i].name, name))
			return &top->sparks[i];
	top->sparks = realloc(top->sparks, (top->spark_count + 1) * sizeof(*top->sparks));
	assert(top->sparks);
	spark = &top->sparks[top->spark_count++];
	*spark = (struct top_spark){ .count = 0 };
	strcpy(spark->name, name);
	return spark;
}

static void add_spark(struct top_spark *spark, double rate)
{
	if (spark->count == TOP_SPARKS)
		memmove(spark->rate, spark->rate + 1, --spark->count * sizeof(*spark->rate));
	spark->rate[spark->count++] = rate;
}

void top_add(struct top *top, const struct status *status, uint64_t now_ns)
{
	status_done(&top->then);
	top->then = top->now;
	top->then_ns = top->now_ns;
	top->now = *status;
	top->now_ns = now_ns;
	for (unsigned i = 0; i < top->now.volume_count; i++) {
		const struct status_volume *volume = &top->now.volumes[i];
		struct top_rates rates = top_rates(top, volume);

		if (rates.is_known)
			add_spark(spark_of(top, volume->name), rates.reads + rates.writes);
	}
}

/* ---- rates ---- */

/* A daemon that was started anew between the two has smaller counters. */
static uint64_t grown(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

static struct latency latency_since(const struct latency *now, const struct latency *then)
{
	struct latency since = { .sum_ns = grown(now->sum_ns, then->sum_ns) };

	for (unsigned class = 0; class < LATENCY_CLASSES; class++)
		since.counts[class] = grown(now->counts[class], then->counts[class]);
	return since;
}

static int percent_of(uint64_t part, uint64_t whole)
{
	return whole ? (int)(part * 100 / whole) : -1;
}

static void add_percents(struct top_rates *rates)
{
	uint64_t count[TRAFFIC_WAYS], reads, bypassed, all;

	for (unsigned way = 0; way < TRAFFIC_WAYS; way++)
		count[way] = latency_count(&rates->latency[way]);
	reads = count[TRAFFIC_READ_HIT] + count[TRAFFIC_READ_MISS];
	bypassed = count[TRAFFIC_READ_BYPASS] + count[TRAFFIC_WRITE_BYPASS];
	all = reads + bypassed + count[TRAFFIC_WRITE_BACK] + count[TRAFFIC_WRITE_THROUGH];
	rates->hit_percent = percent_of(count[TRAFFIC_READ_HIT], reads);
	rates->bypass_percent = percent_of(bypassed, all);
}

struct top_rates top_rates(const struct top *top, const struct status_volume *volume)
{
	const struct status_volume *then = volume_then(top, volume->name);
	struct top_rates rates = { .hit_percent = -1, .bypass_percent = -1 };
	double seconds = (top->now_ns - top->then_ns) / NS_PER_SECOND;

	if (!then || seconds <= 0)
		return rates;
	rates.is_known = true;
	rates.reads = grown(volume->reads, then->reads) / seconds;
	rates.writes = grown(volume->writes, then->writes) / seconds;
	rates.read_bytes = grown(volume->read_bytes, then->read_bytes) / seconds;
	rates.written_bytes = grown(volume->written_bytes, then->written_bytes) / seconds;
	rates.dirty_bytes = ((double)volume->dirty_bytes - (double)then->dirty_bytes) / seconds;
	for (unsigned way = 0; way < TRAFFIC_WAYS; way++)
		rates.latency[way] = latency_since(&volume->latency[way], &then->latency[way]);
	add_percents(&rates);
	return rates;
}

struct latency top_latency(const struct top_rates *rates, enum traffic_way first,
			   enum traffic_way last)
{
	struct latency sum = { .sum_ns = 0 };

	for (unsigned way = first; way <= last; way++) {
		sum.sum_ns += rates->latency[way].sum_ns;
		for (unsigned class = 0; class < LATENCY_CLASSES; class++)
			sum.counts[class] += rates->latency[way].counts[class];
	}
	return sum;
}

/* ---- order ---- */

static double weight(const struct top *top, const struct status_volume *volume)
{
	struct top_rates rates;

	if (top->order == TOP_BY_DIRTY)
		return volume->dirty_bytes;
	if (top->order == TOP_BY_NAME)
		return 0;
	rates = top_rates(top, volume);
	return rates.reads + rates.writes;
}

/* Insertion keeps the order of the daemon among equals; there are few volumes. */
const struct status_volume **top_sorted(const struct top *top)
{
	unsigned count = top->now.volume_count;
	const struct status_volume **sorted = calloc(count + 1, sizeof(*sorted));

	assert(sorted);
	for (unsigned i = 0; i < count; i++) {
		const struct status_volume *volume = &top->now.volumes[i];
		unsigned at = i;

		for (; at && weight(top, sorted[at - 1]) < weight(top, volume); at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = volume;
	}
	return sorted;
}

/* ---- sparks ---- */

const char *top_print_spark(char text[TOP_SPARK_BYTES], const struct top *top, const char *name)
{
	static const char *const bars[2][9] = {
		{ " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" },
		{ " ", ".", ".", ":", "-", "=", "+", "*", "#" },
	};
	const struct top_spark *spark = NULL;
	double most = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < top->spark_count; i++)
		if (!strcmp(top->sparks[i].name, name))
			spark = &top->sparks[i];
	for (unsigned i = 0; spark && i < spark->count; i++)
		most = spark->rate[i] > most ? spark->rate[i] : most;
	for (unsigned i = 0; spark && i < spark->count; i++) {
		double rate = spark->rate[i];
		/* Something is never shown as nothing. */
		unsigned height = rate > 0 ? max_u64(rate / most * 8, 1) : 0;

		strcat(text, bars[top->is_ascii][height]);
	}
	return text;
}
