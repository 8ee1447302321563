/*
 * Reads the status of a mount: its metrics, line by line, then control files of each volume.
 */
#include "tools/status.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "control/metrics.h"
#include "tools/live.h"

#define REQUESTS "request_seconds"

static const char *const period_names[STATUS_PERIODS] = {
	"stats_five_minute", "stats_hour", "stats_day", "stats_total",
};

/* Returns the array with room for one more, which is zero. */
static void *grow(void *array, unsigned count, size_t bytes)
{
	char *grown = realloc(array, (count + 1) * bytes);

	assert(grown);
	memset(grown + count * bytes, 0, bytes);
	return grown;
}

/* Copies the value of a label, as it is escaped there.  False: the line has no such label. */
static bool label_of(const char *line, const char *label, char *text, size_t room)
{
	const char *found = strstr(line, label);
	size_t length = 0;

	if (!found)
		return false;
	found += strlen(label);
	while (found[length] && found[length] != '"')
		length += found[length] == '\\' && found[length + 1] ? 2 : 1;
	snprintf(text, room, "%.*s", (int)length, found);
	return true;
}

static struct status_set *set_of(struct status *status, const char *uuid)
{
	for (unsigned i = 0; i < status->set_count; i++)
		if (!strcmp(status->sets[i].uuid, uuid))
			return &status->sets[i];
	status->sets = grow(status->sets, status->set_count, sizeof(*status->sets));
	snprintf(status->sets[status->set_count].uuid, STATUS_TEXT_BYTES, "%.*s",
		 STATUS_TEXT_BYTES - 1, uuid);
	return &status->sets[status->set_count++];
}

static struct status_volume *volume_of(struct status *status, const char *name, const char *line)
{
	struct status_volume *volume;

	for (unsigned i = 0; i < status->volume_count; i++)
		if (!strcmp(status->volumes[i].name, name))
			return &status->volumes[i];
	status->volumes = grow(status->volumes, status->volume_count, sizeof(*status->volumes));
	volume = &status->volumes[status->volume_count++];
	snprintf(volume->name, STATUS_TEXT_BYTES, "%.*s", STATUS_TEXT_BYTES - 1, name);
	label_of(line, ",uuid=\"", volume->uuid, STATUS_TEXT_BYTES);
	volume->dirty_age_seconds = volume->seconds_left = INFINITY;	/* unless it says so */
	for (unsigned i = 0; i < STATUS_PERIODS; i++)
		volume->hit_percent[i] = -1;
	return volume;
}

static void add_trouble(struct status *status, const char *id, const char *place,
			const char *sentence)
{
	struct status_trouble *trouble;

	for (unsigned i = 0; i < status->trouble_count; i++)
		if (status->troubles[i].id == id && !strcmp(status->troubles[i].place, place))
			return;
	status->troubles = grow(status->troubles, status->trouble_count,
				sizeof(*status->troubles));
	trouble = &status->troubles[status->trouble_count++];
	trouble->id = id;
	snprintf(trouble->place, sizeof(trouble->place), "%s", place);
	snprintf(trouble->sentence, sizeof(trouble->sentence), "%s", sentence);
}

/* ---- metrics ---- */

/*
 * The sample of a bound counts all that took no longer.  As they come in the order of their bounds,
 * the counts of the classes before are known.
 */
static void take_bucket(struct status_volume *volume, unsigned way, const char *line, double value)
{
	struct latency *latency = &volume->latency[way];
	char bound[STATUS_TEXT_BYTES];
	uint64_t before = 0;
	unsigned class;

	if (!label_of(line, "le=\"", bound, sizeof(bound)))
		return;
	class = strcmp(bound, "+Inf") ? latency_class(strtod(bound, NULL) * 1e9 + 0.5) :
					LATENCY_CLASSES - 1;
	for (unsigned i = 0; i < class; i++)
		before += latency->counts[i];
	latency->counts[class] = value - before;
}

static void take_of_requests(struct status_volume *volume, const char *part, const char *line,
			     double value)
{
	char kind[STATUS_TEXT_BYTES];

	if (!label_of(line, ",kind=\"", kind, sizeof(kind)))
		return;
	for (unsigned way = 0; way < TRAFFIC_WAYS; way++) {
		if (strcmp(kind, metrics_way_names[way]))
			continue;
		if (!strcmp(part, "_bucket"))
			take_bucket(volume, way, line, value);
		else if (!strcmp(part, "_sum"))
			volume->latency[way].sum_ns = value * 1e9 + 0.5;
	}
}

/* Where the value of a metric goes. */
struct field {
	const char *metric;
	enum { FIELD_BOOL, FIELD_U64, FIELD_DOUBLE } kind;
	size_t at;			/* in the struct */
};

#define SET(metric, kind, field) { metric, kind, offsetof(struct status_set, field) }
#define VOLUME(metric, kind, field) { metric, kind, offsetof(struct status_volume, field) }

static const struct field set_fields[] = {
	SET("running", FIELD_BOOL, is_running),
	SET("size_bytes", FIELD_U64, size_bytes),
	SET("unused_percent", FIELD_DOUBLE, unused_percent),
	SET("clean_percent", FIELD_DOUBLE, clean_percent),
	SET("dirty_percent", FIELD_DOUBLE, dirty_percent),
	SET("metadata_percent", FIELD_DOUBLE, metadata_percent),
	SET("gc_running", FIELD_BOOL, gc_is_running),
	SET("gc_progress_ratio", FIELD_DOUBLE, gc_done),
	SET("gc_left_seconds", FIELD_DOUBLE, gc_seconds_left),
	SET("gc_runs_total", FIELD_U64, gc_runs),
	SET("journal_entries", FIELD_U64, journal_entries),
	SET("tree_nodes", FIELD_U64, nodes),
	SET("node_memory_bytes", FIELD_U64, node_memory_bytes),
	SET("written_bytes_total", FIELD_U64, written_bytes),
	SET("metadata_written_bytes_total", FIELD_U64, metadata_bytes),
	{ 0 },
};

static const struct field volume_fields[] = {
	VOLUME("size_bytes", FIELD_U64, size_bytes),
	VOLUME("dirty_bytes", FIELD_U64, dirty_bytes),
	VOLUME("dirty_target_bytes", FIELD_U64, dirty_target_bytes),
	VOLUME("dirty_uncopied_bytes", FIELD_U64, uncopied_bytes),
	VOLUME("dirty_age_seconds", FIELD_DOUBLE, dirty_age_seconds),
	VOLUME("writeback_rate_bytes", FIELD_U64, rate_bytes),
	VOLUME("writeback_active", FIELD_BOOL, writes_back),
	VOLUME("writeback_copied_rate_bytes", FIELD_DOUBLE, copied_rate),
	VOLUME("writeback_left_seconds", FIELD_DOUBLE, seconds_left),
	VOLUME("detaching", FIELD_BOOL, is_detaching),
	VOLUME("requests_under_way", FIELD_U64, requests_under_way),
	VOLUME("reads_total", FIELD_U64, reads),
	VOLUME("writes_total", FIELD_U64, writes),
	VOLUME("read_bytes_total", FIELD_U64, read_bytes),
	VOLUME("written_bytes_total", FIELD_U64, written_bytes),
	{ 0 },
};

/* `object` is the struct of the fields. */
static void take_field(const struct field *fields, void *object, const char *metric, double value)
{
	for (const struct field *field = fields; field->metric; field++) {
		void *at = (char *)object + field->at;

		if (strcmp(metric, field->metric))
			continue;
		if (field->kind == FIELD_BOOL)
			*(bool *)at = value > 0;
		else if (field->kind == FIELD_U64)
			*(uint64_t *)at = value;
		else
			*(double *)at = value;
	}
}

static void take_of_volume(struct status_volume *volume, const char *metric, const char *line,
			   double value)
{
	enum { STATE_INCONSISTENT = 3 };

	if (!strncmp(metric, REQUESTS, strlen(REQUESTS)))
		take_of_requests(volume, metric + strlen(REQUESTS), line, value);
	else if (!strcmp(metric, "running"))
		volume->is_waiting = !value;
	else if (!strcmp(metric, "state"))
		volume->is_inconsistent = value == STATE_INCONSISTENT;
	else
		take_field(volume_fields, volume, metric, value);
}

/* A line is NAME{LABELS} VALUE; a label may contain a space, the value does not. */
static void take_line(struct status *status, const char *line)
{
	char metric[64], label[STATUS_SENTENCE_BYTES];
	const char *space = strrchr(line, ' ');
	double value = space ? strtod(space, NULL) : 0;

	if (!space)
		return;
	if (sscanf(line, "bcachefuse_set_%63[a-z_]", metric) == 1 &&
	    label_of(line, "{set=\"", label, sizeof(label)))
		take_field(set_fields, set_of(status, label), metric, value);
	else if (sscanf(line, "bcachefuse_volume_%63[a-z_]", metric) == 1 &&
		 label_of(line, "{volume=\"", label, sizeof(label)))
		take_of_volume(volume_of(status, label, line), metric, line, value);
	else if (!strncmp(line, "bcachefuse_device_errors_total{", 31) && value > 0 &&
		 label_of(line, "{device=\"", label, sizeof(label)))
		add_trouble(status, "device-errors", label,
			    "the device has answered errors; metrics and last_error say which");
}

static void find_troubles(struct status *status)
{
	for (unsigned i = 0; i < status->set_count; i++)
		if (!status->sets[i].is_running)
			add_trouble(status, "set-not-running", status->sets[i].uuid,
				    "the set has failed, or is starting");
	for (unsigned i = 0; i < status->volume_count; i++) {
		const struct status_volume *volume = &status->volumes[i];

		if (volume->is_inconsistent)
			add_trouble(status, "volume-inconsistent", volume->name,
				    "the volume was started without its dirty data");
		if (volume->is_waiting)
			add_trouble(status, "volume-waits-for-set", volume->uuid,
				    "the backing device with this UUID waits for its set: "
				    "register the cache device");
	}
}

void status_parse(struct status *status, const char *metrics)
{
	autofree char *copy = strdup(metrics);
	char *rest = copy, *line;

	assert(copy);
	while ((line = strsep(&rest, "\n")))
		if (*line != '#')
			take_line(status, line);
	find_troubles(status);
}

/* ---- control files ---- */

/* The last part of where a link points to; empty if there is none. */
static void read_link(const char *point, const char *directory, const char *name,
		      char text[STATUS_TEXT_BYTES])
{
	autofree char *path = NULL;
	char target[PATH_MAX];
	const char *slash;
	ssize_t length;

	if (asprintf(&path, "%s/%s/%s", point, directory, name) < 0)
		abort();
	length = readlink(path, target, sizeof(target) - 1);
	target[length > 0 ? length : 0] = '\0';
	slash = strrchr(target, '/');
	snprintf(text, STATUS_TEXT_BYTES, "%.*s", STATUS_TEXT_BYTES - 1,
		 slash ? slash + 1 : target);
}

/* The file has all modes, the chosen one in brackets. */
static void read_mode(const char *point, const char *directory, char mode[STATUS_TEXT_BYTES])
{
	char text[LIVE_TEXT_BYTES];
	const char *open = strchr(live_read(text, point, directory, "cache_mode"), '[');

	mode[0] = '\0';
	if (open)
		snprintf(mode, STATUS_TEXT_BYTES, "%.*s", (int)strcspn(open + 1, "]"), open + 1);
}

static void read_hits(struct status_volume *volume, const char *point, const char *directory)
{
	char text[LIVE_TEXT_BYTES], stats[PATH_MAX];

	for (unsigned i = 0; i < STATUS_PERIODS; i++) {
		snprintf(stats, sizeof(stats), "%s/%s", directory, period_names[i]);
		if (strtoull(live_read(text, point, stats, "cache_hits"), NULL, 10) +
		    strtoull(live_read(text, point, stats, "cache_misses"), NULL, 10))
			volume->hit_percent[i] =
				atoi(live_read(text, point, stats, "cache_hit_ratio"));
	}
}

/* A detach writes back all the same, but not on a read-only mount. */
static bool is_held(const char *point, const char *directory, bool is_detaching)
{
	char text[LIVE_TEXT_BYTES];
	struct statvfs info;

	if (!statvfs(point, &info) && info.f_flag & ST_RDONLY)
		return true;
	return !is_detaching &&
	       !strcmp(live_read(text, point, directory, "writeback_running"), "0");
}

/* What the words behind the comma of `state` mean. */
static void find_troubles_of_state(struct status *status, const struct status_volume *volume)
{
	if (strstr(volume->state, "writing back fails"))
		add_trouble(status, "writeback-fails", volume->name,
			    "dirty data cannot be written to the backing device");
	if (strstr(volume->state, "waits for room"))
		add_trouble(status, "set-waits-for-room", volume->name,
			    "the file system below the cache is full: make room there");
	if (strstr(volume->state, "has failed"))
		add_trouble(status, "volume-set-failed", volume->name,
			    "dirty data answer errors until the set is back");
}

static void read_volume(struct status *status, struct status_volume *volume)
{
	char directory[STATUS_TEXT_BYTES + 32], text[LIVE_TEXT_BYTES];

	snprintf(directory, sizeof(directory), "sys/block/%s/bcache", volume->name);
	read_link(status->directory, directory, "cache", volume->set);
	snprintf(volume->backing, STATUS_TEXT_BYTES, "%.*s", STATUS_TEXT_BYTES - 1,
		 live_read(text, status->directory, directory, "backing_dev_name"));
	snprintf(volume->state, STATUS_TEXT_BYTES, "%.*s", STATUS_TEXT_BYTES - 1,
		 live_read(text, status->directory, directory, "state"));
	read_mode(status->directory, directory, volume->mode);
	volume->is_held = is_held(status->directory, directory, volume->is_detaching);
	read_hits(volume, status->directory, directory);
	find_troubles_of_state(status, volume);
}

int status_read(struct status *status, const char *directory, struct error *error)
{
	autofree char *path = NULL, *metrics = NULL;

	*status = (struct status){ .directory = directory };
	if (asprintf(&path, "%s/metrics", directory) < 0)
		abort();
	metrics = live_read_all(path, error);
	if (!metrics)
		return -error->code;
	status_parse(status, metrics);
	for (unsigned i = 0; i < status->volume_count; i++)
		read_volume(status, &status->volumes[i]);
	return 0;
}

void status_done(struct status *status)
{
	free(status->sets);
	free(status->volumes);
	free(status->troubles);
	*status = (struct status){ 0 };
}
