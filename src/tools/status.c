/*
 * bcachefuse status: prints whether mounted sets are well, how much of their data is dirty, and
 * what they are doing.
 */
#include "tools/status.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "tools/json.h"
#include "tools/live.h"
#include "tools/tools.h"

static const char usage_text[] =
	"Usage: bcachefuse status [-x] [--json] [DIR]\n"
	"Prints what the set that is mounted on DIR is doing, and whether it is well; without\n"
	"DIR, of all mounts.\n"
	"\n"
	"  -x          only what is not well; exit code 3 if there is anything\n"
	"      --json  print one object; bcachefuse-status(8) explains its keys\n"
	"  -h, --help  print this help\n"
	"\n"
	"Examples:\n"
	"  bcachefuse status\n"
	"  bcachefuse status -x /mnt/bc || mail -s \"cache\" root\n"
	"  bcachefuse status --json | jq '.mounts[].volumes[].dirty_bytes'\n"
	"\n"
	"Exit codes: 0 done, 1 refused or failed, 2 usage, 3 with -x: something is not well.\n";

static const char *const hit_names[STATUS_PERIODS] = {
	"hits_5_minutes_percent", "hits_1_hour_percent", "hits_1_day_percent",
	"hits_ever_percent",
};

/* ---- text ---- */

static const char *or_dash(const char *text)
{
	return *text ? text : "-";
}

static void print_set(const struct status_set *set)
{
	char size[UNITS_TEXT_BYTES];

	tool_say(stdout, "set %s  %s", set->uuid, set->is_running ? "running" : "NOT RUNNING");
	printf("  cache %s: dirty %.1f %%, clean %.1f %%, metadata %.1f %%, unused %.1f %% of its "
	       "buckets\n", units_print_size(size, set->size_bytes), set->dirty_percent,
	       set->clean_percent, set->metadata_percent, set->unused_percent);
}

/* The rate is that of the controller: a slow device may take longer. */
static void describe_work(const struct status_volume *volume, char text[STATUS_TEXT_BYTES])
{
	char rate[UNITS_TEXT_BYTES];

	if (volume->dirty_bytes && *volume->backing && volume->is_held)
		snprintf(text, STATUS_TEXT_BYTES, "nothing is written back");
	else if (volume->is_detaching)
		snprintf(text, STATUS_TEXT_BYTES, "writing back, then detaching");
	else if (volume->dirty_bytes && *volume->backing)
		snprintf(text, STATUS_TEXT_BYTES, "writing back, up to %s/s",
			 units_print_size(rate, volume->rate_bytes));
	else
		snprintf(text, STATUS_TEXT_BYTES, "-");
}

static const char *print_hits(char text[UNITS_TEXT_BYTES], int percent)
{
	if (percent < 0)
		return "-";
	snprintf(text, UNITS_TEXT_BYTES, "%d", percent);
	return text;
}

static void print_volume(const struct status_volume *volume, int name_width, int backing_width)
{
	char size[UNITS_TEXT_BYTES], dirty[UNITS_TEXT_BYTES], work[STATUS_TEXT_BYTES];
	char hits[STATUS_PERIODS][UNITS_TEXT_BYTES];

	describe_work(volume, work);
	tool_say(stdout, "%-*s  %-*s  %8s  %-12s  %8s  %5s %4s %4s %4s  %s (%s)", name_width,
		 volume->name, backing_width, *volume->backing ? volume->backing : "(flash)",
		 units_print_size(size, volume->size_bytes), or_dash(volume->mode),
		 units_print_size(dirty, volume->dirty_bytes),
		 print_hits(hits[0], volume->hit_percent[0]),
		 print_hits(hits[1], volume->hit_percent[1]),
		 print_hits(hits[2], volume->hit_percent[2]),
		 print_hits(hits[3], volume->hit_percent[3]), work, or_dash(volume->state));
}

static int wider(int width, const char *text)
{
	int length = strlen(text);

	return length > width ? length : width;
}

static void print_volumes(const struct status *status)
{
	int name_width = strlen("volume"), backing_width = strlen("backing");

	for (unsigned i = 0; i < status->volume_count; i++) {
		name_width = wider(name_width, status->volumes[i].name);
		backing_width = wider(backing_width, status->volumes[i].backing);
	}
	printf("%-*s  %-*s  %8s  %-12s  %8s  %5s %4s %4s %4s  %s\n", name_width, "volume",
	       backing_width, "backing", "size", "mode", "dirty", "hit%5m", "1h", "1d", "ever",
	       "now doing (state)");
	for (unsigned i = 0; i < status->volume_count; i++)
		print_volume(&status->volumes[i], name_width, backing_width);
}

static void print_troubles(const struct status *status)
{
	for (unsigned i = 0; i < status->trouble_count; i++) {
		const struct status_trouble *trouble = &status->troubles[i];

		tool_say(stdout, "trouble: %s: %s: %s", trouble->id, trouble->place,
			 trouble->sentence);
	}
}

static void print_text(const struct status *status, bool only_troubles)
{
	if (only_troubles && !status->trouble_count)
		return;
	tool_say(stdout, "%s", status->directory);
	for (unsigned i = 0; i < status->set_count && !only_troubles; i++)
		print_set(&status->sets[i]);
	if (status->volume_count && !only_troubles)
		print_volumes(status);
	print_troubles(status);
	if (!status->trouble_count)
		puts("trouble: none");
}

/* ---- JSON ---- */

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
	json_number(json, "size_bytes", volume->size_bytes);
	json_number(json, "dirty_bytes", volume->dirty_bytes);
	json_number(json, "dirty_target_bytes", volume->dirty_target_bytes);
	json_number(json, "writeback_rate_bytes", volume->rate_bytes);
	for (unsigned i = 0; i < STATUS_PERIODS; i++)
		if (volume->hit_percent[i] >= 0)
			json_number(json, hit_names[i], volume->hit_percent[i]);
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

static void json_mount(struct json *json, const struct status *status)
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

static void json_head(struct json *json)
{
	json_open_object(json, "bcachefuse");
	json_string(json, "command", "status");
	json_number(json, "schema", 1);
	json_string(json, "version", PACKAGE_VERSION);
	json_close_object(json);
}

/* ---- the command ---- */

/* A mount whose daemon has died is told, and those after it are printed. */
static int print_mounts(const struct live_mounts *mounts, bool only_troubles, struct json *json)
{
	struct error error = { 0 };
	int code = TOOL_DONE;

	for (unsigned i = 0; i < mounts->count; i++) {
		struct status status;

		if (status_read(&status, mounts->points[i], &error)) {
			tool_complain("status", "%s", error.text);
			code = TOOL_REFUSED;
			continue;
		}
		if (json)
			json_mount(json, &status);
		else
			print_text(&status, only_troubles);
		if (only_troubles && status.trouble_count && code == TOOL_DONE)
			code = TOOL_TROUBLE;
		status_done(&status);
	}
	return code;
}

static int print_all(const struct live_mounts *mounts, bool only_troubles, bool as_json)
{
	struct json json;
	int code;

	if (!as_json)
		return print_mounts(mounts, only_troubles, NULL);
	json_start(&json, stdout);
	json_open_object(&json, NULL);
	json_head(&json);
	json_open_array(&json, "mounts");
	code = print_mounts(mounts, only_troubles, &json);
	json_close_array(&json);
	json_close_object(&json);
	json_end(&json);
	return code;
}

int tool_status(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool only_troubles = false, as_json = false;
	struct error error = { 0 };
	struct live_mounts mounts;
	int option, code;

	while ((option = getopt_long(argc, argv, "xh", long_options, NULL)) != -1)
		switch (option) {
		case 'x':
			only_troubles = true;
			break;
		case 'j':
			as_json = true;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return TOOL_DONE;
		default:
			fputs(usage_text, stderr);
			return TOOL_USAGE;
		}
	if (argc - optind > 1) {
		tool_complain("status", "wanted one directory at most; --help shows examples");
		return TOOL_USAGE;
	}
	if (live_find(argv[optind], &mounts, &error)) {
		tool_complain("status", "%s", error.text);
		return TOOL_REFUSED;
	}
	code = print_all(&mounts, only_troubles, as_json);
	live_done(&mounts);
	return code;
}
