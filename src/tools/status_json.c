/*
 * The status of a mount as JSON: bcachefuse-status(8) has the schema.
 */
#include "tools/status.h"

#include <math.h>

#include "control/metrics.h"
#include "tools/json.h"

static const char *const hit_names[STATUS_PERIODS] = {
	"hits_5_minutes_percent", "hits_1_hour_percent", "hits_1_day_percent",
	"hits_ever_percent",
};

/* The key is left out while the time is not known. */
static void json_ms(struct json *json, const char *name, double seconds)
{
	if (!isinf(seconds))
		json_number(json, name, seconds * 1000);
}

void status_json_requests(struct json *json, const struct latency latencies[TRAFFIC_WAYS])
{
	json_open_array(json, "requests");
	for (unsigned way = 0; way < TRAFFIC_WAYS; way++) {
		const struct latency *latency = &latencies[way];
		uint64_t count = latency_count(latency);

		json_open_object(json, NULL);
		json_string(json, "kind", metrics_way_names[way]);
		json_number(json, "count", count);
		json_number(json, "average_ns", count ? latency->sum_ns / count : 0);
		json_number(json, "median_ns", latency_percentile_ns(latency, 50));
		json_number(json, "percentile_99_ns", latency_percentile_ns(latency, 99));
		json_close_object(json);
	}
	json_close_array(json);
}

static uint64_t share(const struct status_set *set, double percent)
{
	return (uint64_t)(set->size_bytes * percent / 100 + 0.5);
}

static void json_set(struct json *json, const struct status_set *set)
{
	json_open_object(json, NULL);
	json_string(json, "uuid", set->uuid);
	json_bool(json, "running", set->is_running);
	json_number(json, "size_bytes", set->size_bytes);
	json_number(json, "dirty_buckets_bytes", share(set, set->dirty_percent));
	json_number(json, "clean_buckets_bytes", share(set, set->clean_percent));
	json_number(json, "metadata_buckets_bytes", share(set, set->metadata_percent));
	json_number(json, "unused_buckets_bytes", share(set, set->unused_percent));
	json_bool(json, "gc_running", set->gc_is_running);
	if (set->gc_is_running && set->gc_done > 0) {
		json_number(json, "gc_done_percent", set->gc_done * 100);
		json_ms(json, "gc_left_ms", set->gc_seconds_left);
	}
	json_close_object(json);
}

static void json_volume(struct json *json, const struct status_volume *volume)
{
	json_open_object(json, NULL);
	json_string(json, "name", volume->name);
	json_bool(json, "flash_only", !*volume->backing);
	json_string(json, "backing", volume->backing);
	json_string(json, "backing_uuid", volume->uuid);
	json_string(json, "set", volume->set);
	json_string(json, "state", volume->state);
	json_string(json, "cache_mode", volume->mode);
	json_bool(json, "detaching", volume->is_detaching);
	json_bool(json, "writeback_held", volume->is_held);
	json_bool(json, "writeback_active", volume->writes_back);
	json_bool(json, "waiting", volume->is_waiting);
	json_number(json, "size_bytes", volume->size_bytes);
	json_number(json, "dirty_bytes", volume->dirty_bytes);
	json_number(json, "dirty_target_bytes", volume->dirty_target_bytes);
	if (volume->dirty_bytes)
		json_ms(json, "oldest_dirty_ms", volume->dirty_age_seconds);
	json_number(json, "writeback_rate_bytes", volume->rate_bytes);
	json_number(json, "writeback_copied_rate_bytes", volume->copied_rate);
	if (volume->dirty_bytes)
		json_ms(json, "writeback_left_ms", volume->seconds_left);
	json_number(json, "requests_in_flight", volume->requests_under_way);
	for (unsigned i = 0; i < STATUS_PERIODS; i++)
		if (volume->hit_percent[i] >= 0)
			json_number(json, hit_names[i], volume->hit_percent[i]);
	status_json_requests(json, volume->latency);
	json_close_object(json);
}

static void json_trouble(struct json *json, const struct status_trouble *trouble)
{
	json_open_object(json, NULL);
	json_string(json, "id", trouble->id);
	json_string(json, "place", trouble->place);
	json_string(json, "sentence", trouble->sentence);
	json_close_object(json);
}

void status_print_json(const struct status *status, struct json *json)
{
	json_open_object(json, NULL);
	json_string(json, "directory", status->directory);
	json_open_array(json, "sets");
	for (unsigned i = 0; i < status->set_count; i++)
		json_set(json, &status->sets[i]);
	json_close_array(json);
	json_open_array(json, "volumes");
	for (unsigned i = 0; i < status->volume_count; i++)
		json_volume(json, &status->volumes[i]);
	json_close_array(json);
	json_open_array(json, "troubles");
	for (unsigned i = 0; i < status->trouble_count; i++)
		json_trouble(json, &status->troubles[i]);
	json_close_array(json);
	json_close_object(json);
}
