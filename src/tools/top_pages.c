/*
 * The pages of top as text: volumes, the cache, latencies.
 */
#include "tools/top.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "tools/duration.h"
#include "tools/table.h"
#include "tools/tools.h"

static void add_heads(struct table *table, const char *const *heads)
{
	for (; *heads; heads++)
		table_add(table, "%s", *heads);
}

static void add_percent(struct table *table, int percent)
{
	table_add(table, percent < 0 ? "-" : "%d %%", percent);
}

static void add_size(struct table *table, double bytes)
{
	char size[UNITS_TEXT_BYTES];

	table_add(table, "%s", units_print_size(size, bytes));
}

/* Median and 99th percentile. */
static void add_latency(struct table *table, const struct latency *latency)
{
	char median[DURATION_TEXT_BYTES], most[DURATION_TEXT_BYTES];

	if (latency_count(latency))
		table_add(table, "%s, %s",
			  latency_print(median, latency_percentile_ns(latency, 50)),
			  latency_print(most, latency_percentile_ns(latency, 99)));
	else
		table_add(table, "-");
}

/* ---- volumes ---- */

static void add_volume(struct table *table, const struct top *top,
		       const struct status_volume *volume)
{
	struct top_rates rates = top_rates(top, volume);
	struct latency writes = top_latency(&rates, TRAFFIC_WRITE_BACK, TRAFFIC_WRITE_BYPASS);
	char spark[TOP_SPARK_BYTES], size[UNITS_TEXT_BYTES];
	double change = rates.dirty_bytes;

	table_add(table, "%s", volume->name);
	table_add(table, "%.0f", rates.reads);
	table_add(table, "%.0f", rates.writes);
	add_size(table, rates.read_bytes);
	add_size(table, rates.written_bytes);
	add_percent(table, rates.hit_percent);
	add_percent(table, rates.bypass_percent);
	add_size(table, volume->dirty_bytes);
	table_add(table, "%s%s", change < 0 ? "-" : "+",
		  units_print_size(size, change < 0 ? -change : change));
	add_latency(table, &rates.latency[TRAFFIC_READ_HIT]);
	add_latency(table, &rates.latency[TRAFFIC_READ_MISS]);
	add_latency(table, &writes);
	table_add(table, "%s", top_print_spark(spark, top, volume->name));
}

static void print_volumes(const struct top *top, FILE *stream)
{
	static const char *const heads[] = {
		"volume", "r/s", "w/s", "read/s", "written/s", "hits", "bypass", "dirty",
		"change/s", "hits 50, 99 %", "misses", "writes", "requests", NULL,
	};
	autofree const struct status_volume **sorted = top_sorted(top);
	struct table table;

	table_begin(&table, "lrrrrrrrrrrrl");
	add_heads(&table, heads);
	for (unsigned i = 0; i < top->now.volume_count; i++)
		add_volume(&table, top, sorted[i]);
	table_end(&table, "", stream);
}

/* ---- the cache ---- */

static const struct status_set *set_then(const struct top *top, const char *uuid)
{
	for (unsigned i = 0; i < top->then.set_count; i++)
		if (!strcmp(top->then.sets[i].uuid, uuid))
			return &top->then.sets[i];
	return NULL;
}

static double per_second(const struct top *top, uint64_t now, uint64_t then)
{
	return now > then ? (now - then) * 1e9 / (top->now_ns - top->then_ns) : 0;
}

static void print_written(const struct top *top, const struct status_set *set, FILE *stream)
{
	const struct status_set *then = set_then(top, set->uuid);
	char data[UNITS_TEXT_BYTES], metadata[UNITS_TEXT_BYTES];

	if (!then || top->now_ns == top->then_ns)
		return;
	tool_say(stream, "  written    data %s/s, metadata %s/s",
		 units_print_size(data, per_second(top, set->written_bytes, then->written_bytes)),
		 units_print_size(metadata,
				  per_second(top, set->metadata_bytes, then->metadata_bytes)));
}

static void print_set(const struct top *top, const struct status_set *set, FILE *stream)
{
	char size[UNITS_TEXT_BYTES], work[STATUS_TEXT_BYTES];

	status_describe_gc(set, work);
	tool_say(stream, "set %s  %s", set->uuid, set->is_running ? "running" : "NOT RUNNING");
	tool_say(stream, "  buckets    dirty %.1f %%, clean %.1f %%, metadata %.1f %%, "
			 "unused %.1f %% of %s",
		 set->dirty_percent, set->clean_percent, set->metadata_percent,
		 set->unused_percent, units_print_size(size, set->size_bytes));
	print_written(top, set, stream);
	tool_say(stream, "  journal    %" PRIu64 " entries would be replayed after a crash",
		 set->journal_entries);
	tool_say(stream, "  index      %" PRIu64 " nodes, %s of memory", set->nodes,
		 units_print_size(size, set->node_memory_bytes));
	tool_say(stream, "  gc         %s; %" PRIu64 " so far", *work ? work : "not now",
		 set->gc_runs);
}

static void print_cache(const struct top *top, FILE *stream)
{
	struct table table;

	for (unsigned i = 0; i < top->now.set_count; i++)
		print_set(top, &top->now.sets[i], stream);
	fputc('\n', stream);
	table_begin(&table, "lrrrl");
	add_heads(&table, (const char *const[]){ "volume", "in flight", "dirty", "oldest",
						 "now doing", NULL });
	for (unsigned i = 0; i < top->now.volume_count; i++) {
		const struct status_volume *volume = &top->now.volumes[i];
		char work[STATUS_TEXT_BYTES], oldest[DURATION_TEXT_BYTES];

		status_describe_work(volume, work);
		status_describe_oldest(volume, oldest);
		table_add(&table, "%s", volume->name);
		table_add(&table, "%" PRIu64, volume->requests_under_way);
		add_size(&table, volume->dirty_bytes);
		table_add(&table, "%s", oldest);
		table_add(&table, "%s", work);
	}
	table_end(&table, "", stream);
}

/* ---- latencies ---- */

static bool has_any(const struct top_rates *rates, unsigned class)
{
	for (unsigned way = 0; way < TRAFFIC_WAYS; way++)
		if (rates->latency[way].counts[class])
			return true;
	return false;
}

static void add_class(struct table *table, const struct top_rates *rates, unsigned class)
{
	char bound[DURATION_TEXT_BYTES];
	bool is_last = class == LATENCY_CLASSES - 1;

	table_add(table, "%s", is_last ? "longer" : latency_print(bound, latency_bound_ns(class)));
	for (unsigned way = 0; way < TRAFFIC_WAYS; way++) {
		uint64_t count = rates->latency[way].counts[class];

		table_add(table, count ? "%" PRIu64 : ".", count);
	}
}

/* A column for each kind, a row for each class between the first and the last with requests. */
static void print_classes(const struct top_rates *rates, FILE *stream)
{
	static const char *const heads[] = {
		"up to", "hits", "misses", "bypassed", "back", "through", "bypassed", "flushes",
		"discards", NULL,
	};
	unsigned first = 0, end = LATENCY_CLASSES;
	struct table table;

	while (first < end && !has_any(rates, first))
		first++;
	while (end > first && !has_any(rates, end - 1))
		end--;
	if (first == end) {
		fputs("  no requests\n", stream);
		return;
	}
	table_begin(&table, "rrrrrrrrr");
	add_heads(&table, heads);
	for (unsigned class = first; class < end; class++)
		add_class(&table, rates, class);
	table_end(&table, "  ", stream);
}

static void print_latencies(const struct top *top, FILE *stream)
{
	autofree const struct status_volume **sorted = top_sorted(top);

	for (unsigned i = 0; i < top->now.volume_count; i++) {
		struct top_rates rates = top_rates(top, sorted[i]);

		tool_say(stream, "%s   reads: hits, misses, bypassed; writes: back, through, "
			 "bypassed", sorted[i]->name);
		print_classes(&rates, stream);
	}
}

void top_print_page(const struct top *top, enum top_page page, FILE *stream)
{
	switch (page) {
	case TOP_VOLUMES:
		print_volumes(top, stream);
		return;
	case TOP_CACHE:
		print_cache(top, stream);
		return;
	case TOP_LATENCIES:
	case TOP_PAGES:
		print_latencies(top, stream);
		return;
	}
}
