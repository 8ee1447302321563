/*
 * Metrics as tables: name, help, kind, and the function that returns the number.  All
 * samples of one name are printed together, as the format requires; so the facts of all
 * sets are taken first, each once.
 *
 * A value is a double, as it is for Prometheus: integers are exact up to 2^53, and 17 digits
 * give the same double again.  Names follow its conventions: base units (bytes, seconds), and
 * _total for counters, which only grow, until clear_stats or a restart sets them to 0.
 *
 * All is read on the reactor's thread, to which the counters of volumes and devices belong;
 * figures of a set come from facts.h, which takes them under the set lock.
 */
#include "control/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/escape.h"
#include "base/units.h"
#include "control/facts.h"
#include "io/step_times.h"

enum {
	SECTOR_BYTES = 512,
	QUOTED_LABEL_BYTES = 5 * SUPERBLOCK_LABEL_BYTES + 1,	/* each byte as \\x1b */
};
#define NS_PER_SECOND 1e9

enum metric_kind { METRIC_GAUGE, METRIC_COUNTER };

/* bcachefuse_volume_NAME, a sample for each volume. */
struct volume_metric {
	const char *name, *help;
	enum metric_kind kind;
	double (*value)(const struct volume *volume);
	bool of_flash;		/* also for flash-only volumes */
};

/* bcachefuse_set_NAME, a sample for each set. */
struct set_metric {
	const char *name, *help;
	enum metric_kind kind;
	double (*value)(const struct cache_set *set, const struct set_facts *facts);
};

static double volume_bytes(const struct volume *volume)
{
	return (double)volume->sectors * SECTOR_BYTES;
}

static double volume_dirty(const struct volume *volume)
{
	return volume_dirty_bytes(volume);
}

static double volume_target(const struct volume *volume)
{
	return volume->set ? (double)writeback_target_of(volume) * SECTOR_BYTES : 0;
}

static double volume_writeback_rate(const struct volume *volume)
{
	return (double)writeback_current_rate(&volume->writeback) * SECTOR_BYTES;
}

static double volume_written_back(const struct volume *volume)
{
	return (double)volume->writeback.sectors_done * SECTOR_BYTES;
}

static double volume_writeback_errors(const struct volume *volume)
{
	return volume->writeback.read_errors + volume->writeback.write_errors;
}

static double volume_detaching(const struct volume *volume)
{
	return volume->is_detaching;
}

static double volume_state_number(const struct volume *volume)
{
	return volume_state(volume);
}

static double volume_io_errors(const struct volume *volume)
{
	return device_errors(volume->backing);
}

static double volume_opens(const struct volume *volume)
{
	return volume->opens;
}

static double volume_under_way(const struct volume *volume)
{
	return volume->traffic.under_way;
}

/* Only the total is a counter; the other periods decay (cache/stats.h). */
static double total_of(const struct stats *stats, enum stats_counter counter)
{
	return stats_value(stats, STATS_TOTAL, counter);
}

static double volume_hits(const struct volume *volume)
{
	return total_of(&volume->stats, STATS_HITS);
}

static double volume_misses(const struct volume *volume)
{
	return total_of(&volume->stats, STATS_MISSES);
}

static double volume_bypass_hits(const struct volume *volume)
{
	return total_of(&volume->stats, STATS_BYPASS_HITS);
}

static double volume_bypass_misses(const struct volume *volume)
{
	return total_of(&volume->stats, STATS_BYPASS_MISSES);
}

static double volume_bypassed(const struct volume *volume)
{
	return total_of(&volume->stats, STATS_BYPASSED_SECTORS) * SECTOR_BYTES;
}

static double volume_reads(const struct volume *volume)
{
	return volume->traffic.of[TRAFFIC_READ].requests;
}

static double volume_read_bytes(const struct volume *volume)
{
	return volume->traffic.of[TRAFFIC_READ].bytes;
}

/* With the number of reads it gives the average latency, as in /proc/diskstats. */
static double volume_read_seconds(const struct volume *volume)
{
	return volume->traffic.of[TRAFFIC_READ].ns / NS_PER_SECOND;
}

static double volume_writes(const struct volume *volume)
{
	return volume->traffic.of[TRAFFIC_WRITE].requests;
}

static double volume_written_bytes(const struct volume *volume)
{
	return volume->traffic.of[TRAFFIC_WRITE].bytes;
}

static double volume_write_seconds(const struct volume *volume)
{
	return volume->traffic.of[TRAFFIC_WRITE].ns / NS_PER_SECOND;
}

static double volume_flushes(const struct volume *volume)
{
	return volume->traffic.of[TRAFFIC_FLUSH].requests;
}

static double volume_flush_seconds(const struct volume *volume)
{
	return volume->traffic.of[TRAFFIC_FLUSH].ns / NS_PER_SECOND;
}

static const struct volume_metric volume_metrics[] = {
	{ "size_bytes", "Size of the volume.", METRIC_GAUGE, volume_bytes, true },
	{ "dirty_bytes", "Dirty data: data that only the cache holds.", METRIC_GAUGE,
	  volume_dirty, true },
	{ "dirty_target_bytes", "Dirty data beyond this are written back faster.", METRIC_GAUGE,
	  volume_target, false },
	{ "writeback_rate_bytes", "Bytes per second at which dirty data are written back.",
	  METRIC_GAUGE, volume_writeback_rate, false },
	{ "written_back_bytes_total", "Dirty data that were written back, and are clean since.",
	  METRIC_COUNTER, volume_written_back, false },
	{ "writeback_errors_total", "Extents that could not be written back, and stay dirty.",
	  METRIC_COUNTER, volume_writeback_errors, false },
	{ "detaching", "1: dirty data are written back in order to detach the volume.",
	  METRIC_GAUGE, volume_detaching, false },
	{ "state", "0 no cache, 1 clean, 2 dirty, 3 inconsistent.", METRIC_GAUGE,
	  volume_state_number, false },
	{ "open_handles", "Open handles of the volume.", METRIC_GAUGE, volume_opens, true },
	{ "requests_under_way", "Requests in flight.", METRIC_GAUGE, volume_under_way,
	  true },
	{ "backing_errors_total", "I/O errors of the backing device.", METRIC_COUNTER,
	  volume_io_errors, false },
	{ "cache_hits_total", "Reads answered from the cache alone.", METRIC_COUNTER, volume_hits,
	  false },
	{ "cache_misses_total", "Reads that needed data from the backing device.", METRIC_COUNTER,
	  volume_misses, false },
	{ "cache_bypass_hits_total", "Bypassed reads whose data were in the cache.", METRIC_COUNTER,
	  volume_bypass_hits, false },
	{ "cache_bypass_misses_total", "Bypassed reads whose data were not all in the cache.",
	  METRIC_COUNTER, volume_bypass_misses, false },
	{ "bypassed_bytes_total", "Bytes that bypassed the cache.", METRIC_COUNTER,
	  volume_bypassed, false },
	{ "reads_total", "Reads completed.", METRIC_COUNTER, volume_reads, true },
	{ "read_bytes_total", "Bytes read.", METRIC_COUNTER, volume_read_bytes, true },
	{ "read_seconds_total", "Total time of all reads.", METRIC_COUNTER, volume_read_seconds,
	  true },
	{ "writes_total", "Writes completed.", METRIC_COUNTER, volume_writes, true },
	{ "written_bytes_total", "Bytes written.", METRIC_COUNTER, volume_written_bytes, true },
	{ "write_seconds_total", "Total time of all writes.", METRIC_COUNTER, volume_write_seconds,
	  true },
	{ "flushes_total", "Flushes completed.", METRIC_COUNTER, volume_flushes, true },
	{ "flush_seconds_total", "Total time of all flushes.", METRIC_COUNTER, volume_flush_seconds,
	  true },
};

/* While it is 0, as when the set starts, the figures of facts.h are 0, too. */
static double set_running(const struct cache_set *set, const struct set_facts *facts UNUSED)
{
	return set->is_running && !health_error(&set->health);
}

static double set_bytes(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->cache_bytes;
}

/* The same as cache_available_percent in control/set_files.c. */
static double set_available(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return 100 - (int)facts->in_use_percent;
}

static double set_unused(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->shares.unused;
}

static double set_clean(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->shares.clean;
}

static double set_dirty(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->shares.dirty;
}

static double set_metadata_share(const struct cache_set *set UNUSED,
				 const struct set_facts *facts)
{
	return facts->shares.metadata;
}

static double set_depth(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->tree_depth;
}

static double set_nodes(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->nodes;
}

static double set_node_memory(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->node_memory_bytes;
}

static double set_journal_entries(const struct cache_set *set UNUSED,
				  const struct set_facts *facts)
{
	return facts->journal_entries;
}

static double set_written(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->data_bytes;
}

static double set_metadata(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->metadata_bytes;
}

static double set_errors(const struct cache_set *set, const struct set_facts *facts UNUSED)
{
	return device_errors(set->cache.device);
}

static double set_read_races(const struct cache_set *set UNUSED,
			     const struct set_facts *facts UNUSED)
{
	return 0;	/* see cache_read_races of control/set_internal_files.c */
}

static double set_gc_runs(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->gc_runs;
}

static double set_reused(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->buckets_reused;
}

static double set_nodes_given_back(const struct cache_set *set UNUSED,
				   const struct set_facts *facts)
{
	return facts->nodes_given_back;
}

static double set_splits(const struct cache_set *set UNUSED, const struct set_facts *facts)
{
	return facts->node_splits;
}

static const struct set_metric set_metrics[] = {
	{ "running", "1: the set is running, 0: it has failed.", METRIC_GAUGE, set_running },
	{ "size_bytes", "Size of all buckets.", METRIC_GAUGE, set_bytes },
	{ "available_percent", "Percentage of buckets without dirty data or metadata.",
	  METRIC_GAUGE, set_available },
	{ "unused_percent", "Percentage of buckets without data or metadata.", METRIC_GAUGE,
	  set_unused },
	{ "clean_percent", "Percentage of buckets with clean data.", METRIC_GAUGE, set_clean },
	{ "dirty_percent", "Percentage of buckets with dirty data.", METRIC_GAUGE, set_dirty },
	{ "metadata_percent", "Percentage of buckets with metadata.", METRIC_GAUGE,
	  set_metadata_share },
	{ "tree_depth", "Levels of the index above its leaves.", METRIC_GAUGE, set_depth },
	{ "tree_nodes", "Index nodes, as of the last garbage collection.", METRIC_GAUGE,
	  set_nodes },
	{ "node_memory_bytes", "Memory used for index nodes.", METRIC_GAUGE, set_node_memory },
	{ "journal_entries", "Journal entries that a start after a crash would replay.",
	  METRIC_GAUGE, set_journal_entries },
	{ "written_bytes_total", "Data written to the cache device.", METRIC_COUNTER, set_written },
	{ "metadata_written_bytes_total", "Metadata written to the cache device.", METRIC_COUNTER,
	  set_metadata },
	{ "device_errors_total", "I/O errors of the cache device.", METRIC_COUNTER, set_errors },
	{ "gc_runs_total", "Completed garbage collections.", METRIC_COUNTER,
	  set_gc_runs },
	{ "buckets_reused_total", "Buckets invalidated for reuse.", METRIC_COUNTER,
	  set_reused },
	{ "node_splits_total", "Index node splits.", METRIC_COUNTER, set_splits },
	{ "nodes_given_back_total", "Index nodes that merges of thin ones have saved.",
	  METRIC_COUNTER, set_nodes_given_back },
	{ "read_races_total", "Always 0: buckets are pinned while they are read.", METRIC_COUNTER,
	  set_read_races },
};

/* bcachefuse_daemon_NAME, a single sample. */
struct daemon_metric {
	const char *name, *help;
	enum metric_kind kind;
	double (*value)(const struct daemon *daemon);
};

/* Beside polls_paid_total it tells how often polling is worth it. */
static double daemon_polls(const struct daemon *daemon)
{
	return reactor_poll_window(daemon->reactor)->polls;
}

static double daemon_polls_paid(const struct daemon *daemon)
{
	return reactor_poll_window(daemon->reactor)->polls_paid;
}

static double daemon_polls_preempted(const struct daemon *daemon)
{
	return reactor_poll_window(daemon->reactor)->polls_preempted;
}

static double daemon_polled_seconds(const struct daemon *daemon)
{
	return reactor_poll_window(daemon->reactor)->polled_ns / NS_PER_SECOND;
}

static double daemon_poll_window(const struct daemon *daemon)
{
	return reactor_poll_window(daemon->reactor)->window_ns / NS_PER_SECOND;
}

static const struct daemon_metric daemon_metrics[] = {
	{ "polls_total", "Times that the daemon waited awake (-o poll_us).", METRIC_COUNTER,
	  daemon_polls },
	{ "polls_paid_total", "Of these, times that a request came meanwhile.", METRIC_COUNTER,
	  daemon_polls_paid },
	{ "polls_preempted_total", "Of these, times that something else needed the CPU.",
	  METRIC_COUNTER, daemon_polls_preempted },
	{ "poll_seconds_total", "Time spent waiting awake.", METRIC_COUNTER,
	  daemon_polled_seconds },
	{ "poll_window_seconds", "Longest wait awake for a request at present.", METRIC_GAUGE,
	  daemon_poll_window },
};

/* HELP and TYPE come once for each name, before its samples. */
static void print_head(const char *of, const char *name, const char *help, enum metric_kind kind,
		       struct text *text)
{
	text_print(text, "# HELP bcachefuse_%s_%s %s\n# TYPE bcachefuse_%s_%s %s\n", of, name, help,
		   of, name, kind == METRIC_COUNTER ? "counter" : "gauge");
}

/* A volume is named by number, UUID and label: the number may change from mount to mount. */
static void print_volume_metric(struct daemon *daemon, const struct volume_metric *metric,
				struct text *text)
{
	char uuid[40], label[QUOTED_LABEL_BYTES];

	print_head("volume", metric->name, metric->help, metric->kind, text);
	for (const struct volume *volume = daemon_first_volume(daemon); volume;
	     volume = daemon_next_volume(daemon, volume)) {
		if (volume->is_flash && !metric->of_flash)
			continue;
		escape_quoted(label, sizeof(label), volume->label);
		text_print(text,
			   "bcachefuse_volume_%s{volume=\"%s\",uuid=\"%s\",label=\"%s\"} %.17g\n",
			   metric->name, volume->name, units_print_uuid(uuid, volume->uuid),
			   label, metric->value(volume));
	}
}

/*
 * `facts` are in the order of the daemon's sets; no set comes or goes between the two walks, since
 * nothing waits.
 */
static void print_set_metric(struct daemon *daemon, const struct set_metric *metric,
			     const struct set_facts *facts, struct text *text)
{
	char uuid[40];

	print_head("set", metric->name, metric->help, metric->kind, text);
	for (struct cache_set *set = daemon_first_set(daemon); set;
	     set = daemon_next_set(daemon, set))
		text_print(text, "bcachefuse_set_%s{set=\"%s\"} %.17g\n", metric->name,
			   set_name(set, uuid), metric->value(set, facts++));
}

/* In the order of the daemon's sets; to be freed. */
static struct set_facts *take_all_facts(struct daemon *daemon)
{
	struct set_facts *facts;
	unsigned count = 0;

	for (struct cache_set *set = daemon_first_set(daemon); set;
	     set = daemon_next_set(daemon, set))
		count++;
	facts = calloc(count + 1, sizeof(*facts));	/* not 0 bytes, which may be NULL */
	assert(facts);
	count = 0;
	for (struct cache_set *set = daemon_first_set(daemon); set;
	     set = daemon_next_set(daemon, set))
		facts[count++] = set_facts_take(set);
	return facts;
}

/* A histogram counts in each line all that is shorter than the line's bound. */
static void print_steps(const struct step_times *times, struct text *text)
{
	uint64_t count = 0;

	text_print(text, "# HELP bcachefuse_step_seconds Steps of the event loop, during each of "
			 "which no request makes progress.\n"
			 "# TYPE bcachefuse_step_seconds histogram\n");
	for (unsigned i = 0; i < STEP_CLASSES - 1; i++) {
		count += times->counts[i];
		text_print(text, "bcachefuse_step_seconds_bucket{le=\"%.9g\"} %" PRIu64 "\n",
			   ((uint64_t)STEP_CLASS_NS << i) / NS_PER_SECOND, count);
	}
	count += times->counts[STEP_CLASSES - 1];
	text_print(text, "bcachefuse_step_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n"
			 "bcachefuse_step_seconds_sum %.17g\n"
			 "bcachefuse_step_seconds_count %" PRIu64 "\n",
		   count, times->sum_ns / NS_PER_SECOND, count);
	text_print(text, "# HELP bcachefuse_step_seconds_max The longest step since a set was "
			 "started.\n# TYPE bcachefuse_step_seconds_max gauge\n"
			 "bcachefuse_step_seconds_max %.17g\n",
		   times->longest_ns / NS_PER_SECOND);
}

static void print_daemon_metric(const struct daemon *daemon, const struct daemon_metric *metric,
				struct text *text)
{
	print_head("daemon", metric->name, metric->help, metric->kind, text);
	text_print(text, "bcachefuse_daemon_%s %.17g\n", metric->name, metric->value(daemon));
}

/* The whole text is made in one step, so all of it is from one moment. */
void metrics_print(struct daemon *daemon, struct text *text)
{
	autofree struct set_facts *facts = take_all_facts(daemon);

	for (unsigned i = 0; i < ARRAY_SIZE(daemon_metrics); i++)
		print_daemon_metric(daemon, &daemon_metrics[i], text);
	for (unsigned i = 0; i < ARRAY_SIZE(volume_metrics); i++)
		print_volume_metric(daemon, &volume_metrics[i], text);
	for (unsigned i = 0; i < ARRAY_SIZE(set_metrics); i++)
		print_set_metric(daemon, &set_metrics[i], facts, text);
	device_metrics_print(daemon, text);
	print_steps(reactor_step_times(daemon->reactor), text);
}
