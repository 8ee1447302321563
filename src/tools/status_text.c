/*
 * The status of a mount as text: its sets, a table of its volumes, and troubles.
 */
#include "tools/status.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "tools/table.h"
#include "tools/tools.h"

static const char *or_dash(const char *text)
{
	return *text ? text : "-";
}

void status_describe_gc(const struct status_set *set, char text[STATUS_TEXT_BYTES])
{
	char left[DURATION_TEXT_BYTES];

	text[0] = '\0';
	if (!set->gc_is_running)
		return;
	if (isinf(set->gc_seconds_left))
		snprintf(text, STATUS_TEXT_BYTES, "garbage collection");
	else
		snprintf(text, STATUS_TEXT_BYTES, "garbage collection, %.0f %%, %s left",
			 set->gc_done * 100, duration_print(left, set->gc_seconds_left));
}

static void print_set(const struct status_set *set)
{
	char size[UNITS_TEXT_BYTES], work[STATUS_TEXT_BYTES];

	status_describe_gc(set, work);
	tool_say(stdout, "set %s  %s%s%s", set->uuid, set->is_running ? "running" : "NOT RUNNING",
		 *work ? ", " : "", work);
	printf("  cache %s: dirty %.1f %%, clean %.1f %%, metadata %.1f %%, unused %.1f %% of its "
	       "buckets\n", units_print_size(size, set->size_bytes), set->dirty_percent,
	       set->clean_percent, set->metadata_percent, set->unused_percent);
}

/*
 * The rate is that of the last 10 to 24 seconds, and so is the time left.  While as much is written
 * as is written back, it would take so long if nothing more were written.
 */
static void describe_writeback(const struct status_volume *volume, const char *work,
			       char text[STATUS_TEXT_BYTES])
{
	char rate[UNITS_TEXT_BYTES], left[DURATION_TEXT_BYTES];

	if (volume->copied_rate < 1)
		snprintf(text, STATUS_TEXT_BYTES, "%s", work);
	else if (isinf(volume->seconds_left))
		snprintf(text, STATUS_TEXT_BYTES, "%s %s/s, at least %s left", work,
			 units_print_size(rate, volume->copied_rate),
			 duration_print(left, volume->uncopied_bytes / volume->copied_rate));
	else
		snprintf(text, STATUS_TEXT_BYTES, "%s %s/s, %s left", work,
			 units_print_size(rate, volume->copied_rate),
			 duration_print(left, volume->seconds_left));
}

void status_describe_work(const struct status_volume *volume, char text[STATUS_TEXT_BYTES])
{
	if (volume->is_waiting)
		snprintf(text, STATUS_TEXT_BYTES, "waiting for its set");
	else if (volume->dirty_bytes && *volume->backing && volume->is_held)
		snprintf(text, STATUS_TEXT_BYTES, "nothing is written back");
	else if (volume->is_detaching)
		describe_writeback(volume, "detaching", text);
	else if (volume->dirty_bytes && *volume->backing)
		describe_writeback(volume, "writeback", text);
	else
		snprintf(text, STATUS_TEXT_BYTES, "-");
}

/* Data of a flash-only volume are nowhere else: all would be lost, whatever their age. */
void status_describe_oldest(const struct status_volume *volume, char text[DURATION_TEXT_BYTES])
{
	if (!volume->dirty_bytes || !*volume->backing)
		snprintf(text, DURATION_TEXT_BYTES, "-");
	else if (isinf(volume->dirty_age_seconds))
		snprintf(text, DURATION_TEXT_BYTES, "before mount");
	else
		duration_print(text, volume->dirty_age_seconds);
}

static void add_volume(struct table *table, const struct status_volume *volume)
{
	char size[UNITS_TEXT_BYTES], work[STATUS_TEXT_BYTES], oldest[DURATION_TEXT_BYTES];

	status_describe_work(volume, work);
	status_describe_oldest(volume, oldest);
	table_add(table, "%s", volume->name);
	table_add(table, "%s", volume->is_waiting || *volume->backing ? or_dash(volume->backing) :
									 "(flash)");
	table_add(table, "%s", units_print_size(size, volume->size_bytes));
	table_add(table, "%s", or_dash(volume->state));
	table_add(table, "%s", or_dash(volume->mode));
	table_add(table, "%s", units_print_size(size, volume->dirty_bytes));
	table_add(table, "%s", oldest);
	for (unsigned i = 0; i < STATUS_PERIODS; i++)
		table_add(table, volume->hit_percent[i] < 0 ? "-" : "%d %%",
			  volume->hit_percent[i]);
	table_add(table, "%s", work);
}

static void print_volumes(const struct status *status)
{
	static const char *const heads[] = {
		"volume", "backing", "size", "state", "mode", "dirty", "oldest", "hits 5 min",
		"1 h", "1 day", "ever", "now doing",
	};
	struct table table;

	table_begin(&table, "llrllrrrrrrl");
	for (unsigned i = 0; i < ARRAY_SIZE(heads); i++)
		table_add(&table, "%s", heads[i]);
	for (unsigned i = 0; i < status->volume_count; i++)
		add_volume(&table, &status->volumes[i]);
	table_end(&table, "", stdout);
}

/* ---- -v ---- */

static const char *const way_words[TRAFFIC_WAYS] = {
	[TRAFFIC_READ_HIT] = "reads, hits", [TRAFFIC_READ_MISS] = "reads, misses",
	[TRAFFIC_READ_BYPASS] = "reads, bypassed", [TRAFFIC_WRITE_BACK] = "writes, back",
	[TRAFFIC_WRITE_THROUGH] = "writes, through", [TRAFFIC_WRITE_BYPASS] = "writes, bypassed",
	[TRAFFIC_WAY_FLUSH] = "flushes", [TRAFFIC_WAY_DISCARD] = "discards",
};

static void add_latency(struct table *table, const char *words, const struct latency *latency)
{
	uint64_t count = latency_count(latency);
	char text[DURATION_TEXT_BYTES];

	if (!count)
		return;
	table_add(table, "%s", words);
	table_add(table, "%" PRIu64, count);
	table_add(table, "%s", latency_print(text, latency->sum_ns / count));
	table_add(table, "%s", latency_print(text, latency_percentile_ns(latency, 50)));
	table_add(table, "%s", latency_print(text, latency_percentile_ns(latency, 99)));
}

static void print_more(const struct status_volume *volume)
{
	char target[UNITS_TEXT_BYTES], rate[UNITS_TEXT_BYTES];
	struct table table;

	tool_say(stdout, "%s: UUID %s, set %s, %" PRIu64 " requests in flight", volume->name,
		 volume->uuid, or_dash(volume->set), volume->requests_under_way);
	if (*volume->backing)
		printf("  writeback: target for dirty data %s, wanted rate %s/s\n",
		       units_print_size(target, volume->dirty_target_bytes),
		       units_print_size(rate, volume->rate_bytes));
	table_begin(&table, "lrrrr");
	table_add(&table, "requests since the mount");
	table_add(&table, "count");
	table_add(&table, "average");
	table_add(&table, "median");
	table_add(&table, "99 %% within");
	for (unsigned way = 0; way < TRAFFIC_WAYS; way++)
		add_latency(&table, way_words[way], &volume->latency[way]);
	table_end(&table, "  ", stdout);
}

/* ---- text, all of it ---- */

static void print_troubles(const struct status *status)
{
	for (unsigned i = 0; i < status->trouble_count; i++) {
		const struct status_trouble *trouble = &status->troubles[i];

		tool_say(stdout, "trouble: %s: %s: %s", trouble->id, trouble->place,
			 trouble->sentence);
	}
}

void status_print(const struct status *status, const struct status_options *options)
{
	bool only_troubles = options->only_troubles;

	if (only_troubles && !status->trouble_count)
		return;
	tool_say(stdout, "%s", status->directory);
	for (unsigned i = 0; i < status->set_count && !only_troubles; i++)
		print_set(&status->sets[i]);
	if (status->volume_count && !only_troubles)
		print_volumes(status);
	for (unsigned i = 0; i < status->volume_count && options->verbose && !only_troubles; i++)
		print_more(&status->volumes[i]);
	print_troubles(status);
	if (!status->trouble_count)
		puts("trouble: none");
}
