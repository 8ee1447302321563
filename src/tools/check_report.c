/*
 * Prints what `check` finds: as text, at most ten faults of a kind; as JSON and in the list of
 * what is lost, all of them, as they come.
 *
 * Sectors are those of the volume, where it is known where these begin on the backing device;
 * otherwise those of the backing device, as in keys.
 */
#include <inttypes.h>
#include <string.h>

#include "base/numbers.h"
#include "base/units.h"
#include "tools/check.h"
#include "tools/tools.h"

enum { SHOWN_MAX = 10, RANGE_BYTES = 200 };

static const char *const severity_names[] = { "note", "trouble", "unseen" };
static const char *const loss_names[] = { "none", "clean", "unknown", "dirty" };

uint64_t check_count(const struct check_run *run, enum check_severity severity)
{
	uint64_t sum = 0;

	for (unsigned id = 0; id < CHECK_IDS; id++)
		if (check_kind(id)->severity == severity)
			sum += run->count[id];
	return sum;
}

/* ---- ranges ---- */

static uint64_t volume_sector(const struct check *check, unsigned number, uint64_t sector)
{
	uint64_t offset = 0;

	if (number < check->volumes && check->volume[number].backing)
		offset = check->volume[number].backing->sb.data_offset;
	return sector - min_u64(sector, offset);
}

static void print_range(const struct check *check, const struct check_fault *fault,
			char text[RANGE_BYTES])
{
	static const char *const costs[] = {
		[LOSS_NONE] = "", [LOSS_CLEAN] = " (clean)",
		[LOSS_POSSIBLE] = " (some may be dirty)", [LOSS_DIRTY] = " (dirty)",
	};
	uint64_t from = volume_sector(check, fault->from.volume, fault->from.sector);
	uint64_t to = volume_sector(check, fault->to.volume, fault->to.sector);

	*text = 0;
	if (!fault->has_range)
		return;
	if (fault->from.volume == fault->to.volume)
		snprintf(text, RANGE_BYTES, "; sectors %" PRIu64 " to %" PRIu64 " of volume %u%s",
			 from, to, fault->from.volume, costs[fault->loss]);
	else
		snprintf(text, RANGE_BYTES, "; from sector %" PRIu64 " of volume %u to sector %"
			 PRIu64 " of volume %u%s", from, fault->from.volume, to, fault->to.volume,
			 costs[fault->loss]);
}

/* ---- the list of what is lost ---- */

/* The part of a fault's range that is in one volume. */
static void list_volume(struct check_run *run, const struct check *check,
			const struct check_fault *fault, unsigned number)
{
	const struct check_volume *volume = &check->volume[number];
	uint64_t from = number == fault->from.volume ? fault->from.sector : 0;
	uint64_t to = number == fault->to.volume ? fault->to.sector : BKEY_END_MAX;
	bool is_placed = volume->backing || volume->entry.flags & UUID_FLASH_ONLY;
	uint64_t begin = volume->backing ? volume->backing->sb.data_offset : 0;
	char uuid[40];

	from = max_u64(from, begin);
	to = min_u64(to, check_volume_end(check, number));
	if (from >= to)
		return;
	fprintf(run->lost, "%s%s %" PRIu64 " %" PRIu64 " %s%s\n", is_placed ? "" : "# ",
		units_print_uuid(uuid, volume->entry.uuid), from - begin, to - from,
		fault->loss == LOSS_DIRTY ? "dirty" : "unknown",
		is_placed ? "" : ", sectors of the backing device, which is not there");
}

static void list_fault(struct check_run *run, const struct check *check,
		       const struct check_fault *fault)
{
	if (!run->lost || !fault->has_range ||
	    (fault->loss != LOSS_DIRTY && fault->loss != LOSS_POSSIBLE))
		return;
	for (unsigned i = fault->from.volume; i <= fault->to.volume && i < check->volumes; i++) {
		const uint8_t *uuid = check->volume[i].entry.uuid;

		if (!uuid_is_zero(uuid) && !uuid_is_retired(uuid))
			list_volume(run, check, fault, i);
	}
}

/* ---- one fault ---- */

static void text_fault(struct check_run *run, const struct check *check,
		       const struct check_fault *fault)
{
	const struct check_kind *kind = check_kind(fault->id);
	char range[RANGE_BYTES], bucket[40] = "";

	if (run->count[fault->id] > SHOWN_MAX)
		return;
	print_range(check, fault, range);
	if (fault->has_bucket)
		snprintf(bucket, sizeof(bucket), "bucket %" PRIu64 ": ", fault->bucket);
	tool_say(stdout, "%s %s: %s%s%s%s%s", severity_names[kind->severity], kind->name,
		 fault->path ? fault->path : "", fault->path ? ": " : "", bucket,
		 fault->error.text, range);
	if (run->count[fault->id] > 1)
		return;
	tool_say(stdout, "    means: %s", kind->meaning);
	tool_say(stdout, "    to do: %s", kind->remedy);
}

static void json_range(struct json *json, const struct check *check,
		       const struct check_fault *fault)
{
	json_number(json, "volume", fault->from.volume);
	json_number(json, "start_sectors",
		    volume_sector(check, fault->from.volume, fault->from.sector));
	json_number(json, "end_volume", fault->to.volume);
	json_number(json, "end_sectors", volume_sector(check, fault->to.volume, fault->to.sector));
	json_string(json, "loss", loss_names[fault->loss]);
}

static void json_fault(struct json *json, const struct check *check,
		       const struct check_fault *fault)
{
	const struct check_kind *kind = check_kind(fault->id);

	json_open_object(json, NULL);
	json_string(json, "id", kind->name);
	json_string(json, "severity", severity_names[kind->severity]);
	if (fault->path)
		json_string(json, "device", fault->path);
	if (fault->has_bucket)
		json_number(json, "bucket", fault->bucket);
	if (fault->has_range)
		json_range(json, check, fault);
	json_string(json, "text", fault->error.text);
	json_string(json, "meaning", kind->meaning);
	json_string(json, "remedy", kind->remedy);
	json_close_object(json);
}

void check_print_fault(struct check_run *run, const struct check *check,
		       const struct check_fault *fault)
{
	run->count[fault->id]++;
	list_fault(run, check, fault);
	if (run->as_json)
		json_fault(&run->json, check, fault);
	else
		text_fault(run, check, fault);
}

/* ---- a set ---- */

void check_print_set(struct check_run *run, const struct check_member *cache)
{
	char uuid[40];

	units_print_uuid(uuid, cache->sb.set_uuid);
	if (!run->as_json) {
		tool_say(stdout, "set %s, cache %s", uuid, cache->path);
		return;
	}
	json_open_object(&run->json, NULL);
	json_string(&run->json, "device", cache->path);
	json_string(&run->json, "set", uuid);
	json_open_array(&run->json, "troubles");
}

static bool volume_is_used(const struct check_volume *volume)
{
	return !uuid_is_zero(volume->entry.uuid) && !uuid_is_retired(volume->entry.uuid);
}

static void text_volume(const struct check_volume *volume, unsigned number)
{
	char dirty[UNITS_TEXT_BYTES], clean[UNITS_TEXT_BYTES], uuid[40];

	units_print_uuid(uuid, volume->entry.uuid);
	tool_say(stdout, "  volume %u, %s: dirty %s, clean %s", number,
		 volume->entry.flags & UUID_FLASH_ONLY ? "flash-only" :
		 volume->backing ? volume->backing->path : uuid,
		 units_print_size(dirty, volume->dirty_sectors * 512),
		 units_print_size(clean, volume->clean_sectors * 512));
}

static void json_volume(struct json *json, const struct check_volume *volume, unsigned number)
{
	char uuid[40];

	json_open_object(json, NULL);
	json_number(json, "volume", number);
	json_string(json, "uuid", units_print_uuid(uuid, volume->entry.uuid));
	json_bool(json, "flash_only", volume->entry.flags & UUID_FLASH_ONLY);
	if (volume->backing)
		json_string(json, "device", volume->backing->path);
	json_number(json, "dirty_bytes", volume->dirty_sectors * 512);
	json_number(json, "clean_bytes", volume->clean_sectors * 512);
	json_close_object(json);
}

void check_print_set_end(struct check_run *run)
{
	const struct check *check = &run->check;

	if (!run->as_json) {
		for (unsigned i = 0; i < check->volumes; i++)
			if (volume_is_used(&check->volume[i]))
				text_volume(&check->volume[i], i);
		tool_say(stdout, "  index: %" PRIu64 " nodes, %" PRIu64 " extents", check->nodes,
			 check->extents);
		return;
	}
	json_close_array(&run->json);
	json_number(&run->json, "nodes", check->nodes);
	json_number(&run->json, "extents", check->extents);
	json_open_array(&run->json, "volumes");
	for (unsigned i = 0; i < check->volumes; i++)
		if (volume_is_used(&check->volume[i]))
			json_volume(&run->json, &check->volume[i], i);
	json_close_array(&run->json);
	json_close_object(&run->json);
}

/* ---- all ---- */

void check_print_begin(struct check_run *run)
{
	if (!run->as_json)
		return;
	json_start(&run->json, stdout);
	json_open_object(&run->json, NULL);
	json_command(&run->json, "check");
	json_open_array(&run->json, "troubles");
}

void check_print_sets(struct check_run *run)
{
	if (!run->as_json)
		return;
	json_close_array(&run->json);
	json_open_array(&run->json, "sets");
}

static const char *verdict_of(const struct check_run *run, int code)
{
	if (run->check.is_stopped)
		return "not_finished";
	if (code & CHECK_ERRORS_LEFT)
		return "errors";
	return code & CHECK_COULD_NOT_LOOK ? "unseen" : "clean";
}

static void text_verdict(const struct check_run *run, int code)
{
	uint64_t troubles = check_count(run, CHECK_TROUBLE);

	for (unsigned id = 0; id < CHECK_IDS; id++)
		if (run->count[id] > SHOWN_MAX)
			tool_say(stdout, "%s: and %" PRIu64 " more", check_kind(id)->name,
				 run->count[id] - SHOWN_MAX);
	if (run->check.is_stopped)
		tool_say(stdout, "NOT FINISHED: stopped; %" PRIu64 " faults until then", troubles);
	else if (troubles)
		tool_say(stdout, "%" PRIu64 " fault%s found", troubles, troubles > 1 ? "s" : "");
	else if (code)
		puts("no faults in what could be looked at, but that was not all");
	else
		puts("clean");
}

void check_print_end(struct check_run *run, int code)
{
	if (!run->as_json) {
		text_verdict(run, code);
		return;
	}
	json_close_array(&run->json);
	json_string(&run->json, "verdict", verdict_of(run, code));
	json_number(&run->json, "errors", check_count(run, CHECK_TROUBLE));
	json_number(&run->json, "notes", check_count(run, CHECK_NOTE));
	json_number(&run->json, "unseen", check_count(run, CHECK_UNSEEN));
	json_close_object(&run->json);
	json_end(&run->json);
}
