/*
 * An interval of top as JSON, on one line: bcachefuse-top(8) has the schema.
 */
#include "tools/top.h"

#include <assert.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "tools/json.h"

static void print_set(struct json *json, const struct status_set *set)
{
	json_open_object(json, NULL);
	json_string(json, "uuid", set->uuid);
	json_bool(json, "running", set->is_running);
	json_bool(json, "gc_running", set->gc_is_running);
	json_number(json, "gc_runs", set->gc_runs);
	json_number(json, "journal_entries", set->journal_entries);
	json_number(json, "nodes", set->nodes);
	json_number(json, "node_memory_bytes", set->node_memory_bytes);
	json_close_object(json);
}

static void print_volume(struct json *json, const struct top *top,
			 const struct status_volume *volume)
{
	struct top_rates rates = top_rates(top, volume);
	double change = rates.dirty_bytes;

	json_open_object(json, NULL);
	json_string(json, "name", volume->name);
	json_number(json, "reads_per_second", rates.reads + 0.5);
	json_number(json, "writes_per_second", rates.writes + 0.5);
	json_number(json, "read_bytes_per_second", rates.read_bytes + 0.5);
	json_number(json, "written_bytes_per_second", rates.written_bytes + 0.5);
	if (rates.hit_percent >= 0)
		json_number(json, "hits_percent", rates.hit_percent);
	if (rates.bypass_percent >= 0)
		json_number(json, "bypass_percent", rates.bypass_percent);
	json_number(json, "dirty_bytes", volume->dirty_bytes);
	json_number(json, "dirty_growth_bytes_per_second", change > 0 ? change + 0.5 : 0);
	json_number(json, "dirty_shrink_bytes_per_second", change < 0 ? 0.5 - change : 0);
	json_number(json, "requests_in_flight", volume->requests_under_way);
	status_json_requests(json, rates.latency);
	json_close_object(json);
}

static void print_object(struct json *json, const struct top *top, time_t when)
{
	char stamp[32] = "";
	struct tm utc;

	if (gmtime_r(&when, &utc))
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &utc);
	json_open_object(json, NULL);
	json_command(json, "top");
	json_string(json, "time", stamp);
	json_string(json, "directory", top->directory);
	json_number(json, "interval_ms", (top->now_ns - top->then_ns) / 1000000);
	json_open_array(json, "sets");
	for (unsigned i = 0; i < top->now.set_count; i++)
		print_set(json, &top->now.sets[i]);
	json_close_array(json);
	json_open_array(json, "volumes");
	for (unsigned i = 0; i < top->now.volume_count; i++)
		print_volume(json, top, &top->now.volumes[i]);
	json_close_array(json);
	json_close_object(json);
}

/* The line breaks of json.h, and the blanks behind them, are in no string: those are escaped. */
void top_print_json(const struct top *top, time_t when, FILE *stream)
{
	autofree char *text = NULL;
	size_t bytes;
	FILE *memory = open_memstream(&text, &bytes);
	bool is_indent = false;
	struct json json;

	assert(memory);
	json_start(&json, memory);
	print_object(&json, top, when);
	json_end(&json);
	fclose(memory);
	for (const char *c = text; *c; c++) {
		is_indent = *c == '\n' || (is_indent && *c == ' ');
		if (!is_indent)
			fputc(*c, stream);
	}
	fputc('\n', stream);
}
