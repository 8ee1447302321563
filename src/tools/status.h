/*
 * The status of a mount, as `bcachefuse status` prints it.
 *
 * Numbers come from one reading of DIR/metrics, so they are from one moment; words (state, cache
 * mode) and the ratios of hits come from the control files just after it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "cache/traffic.h"
#include "tools/duration.h"

enum { STATUS_TEXT_BYTES = 128, STATUS_SENTENCE_BYTES = 512 };

/* In the order in which they are printed: the last 5 minutes, hour and day, and since the start. */
enum { STATUS_PERIODS = 4 };

struct status_options {
	bool only_troubles, as_json, verbose;
};

struct status_set {
	char uuid[STATUS_TEXT_BYTES];
	bool is_running;
	uint64_t size_bytes;
	/* Shares of the buckets, in percent. */
	double unused_percent, clean_percent, dirty_percent, metadata_percent;
	bool gc_is_running;
	double gc_done;				/* 0 to 1; 0: unknown */
	double gc_seconds_left;			/* INFINITY: unknown */
	uint64_t gc_runs, journal_entries, nodes, node_memory_bytes;
	uint64_t written_bytes, metadata_bytes;	/* to the cache device, since the mount */
};

struct status_volume {
	char name[STATUS_TEXT_BYTES], uuid[STATUS_TEXT_BYTES];
	char set[STATUS_TEXT_BYTES];		/* empty: none */
	char backing[STATUS_TEXT_BYTES];	/* empty: a flash-only volume */
	char state[STATUS_TEXT_BYTES], mode[STATUS_TEXT_BYTES];
	bool is_detaching;
	bool is_held;		/* nothing is written back: read-only, or writeback_running is 0 */
	bool is_inconsistent;
	bool is_waiting;	/* for its set: there is no file of it yet */
	bool writes_back;	/* a pass of writeback is under way */
	uint64_t size_bytes, dirty_bytes, dirty_target_bytes, rate_bytes;
	uint64_t uncopied_bytes;		/* dirty, and not copied by writeback yet */
	uint64_t requests_under_way;
	uint64_t reads, writes, read_bytes, written_bytes;	/* since the mount */
	double dirty_age_seconds;		/* INFINITY: unknown */
	double copied_rate;		/* bytes a second */
	double seconds_left;			/* until nothing is dirty; INFINITY: unknown */
	struct latency latency[TRAFFIC_WAYS];
	int hit_percent[STATUS_PERIODS];	/* -1: there were no reads */
};

/* `id` never changes from release to release. */
struct status_trouble {
	const char *id;
	char place[STATUS_SENTENCE_BYTES];
	char sentence[STATUS_SENTENCE_BYTES];
};

struct status {
	const char *directory;
	struct status_set *sets;
	struct status_volume *volumes;
	struct status_trouble *troubles;
	unsigned set_count, volume_count, trouble_count;
};

int status_read(struct status *status, const char *directory, struct error *error) MUST_CHECK;
/* As status_read(), from a text of metrics, without the control files. */
void status_parse(struct status *status, const char *metrics);
void status_done(struct status *status);

/* ---- status_text.c, status_json.c ---- */

struct json;

void status_print(const struct status *status, const struct status_options *options);
/* As an element of an array. */
void status_print_json(const struct status *status, struct json *json);
/* "requests", an array: counts and latencies by way. */
void status_json_requests(struct json *json, const struct latency latency[TRAFFIC_WAYS]);
/* "garbage collection, 40 %, 3 s left"; empty: there is none. */
void status_describe_gc(const struct status_set *set, char text[STATUS_TEXT_BYTES]);
/* The columns "now doing" and "oldest". */
void status_describe_work(const struct status_volume *volume, char text[STATUS_TEXT_BYTES]);
void status_describe_oldest(const struct status_volume *volume, char text[DURATION_TEXT_BYTES]);
