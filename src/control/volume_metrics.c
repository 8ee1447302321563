/*
 * Metrics of volumes: bcachefuse_volume_NAME, a sample for each volume.
 */
#include "control/metrics.h"

#include <math.h>
#include <stdio.h>

#include "base/escape.h"
#include "base/units.h"
#include "lifecycle/daemon.h"

enum {
	SECTOR_BYTES = 512,
	VOLUME_LABELS_BYTES = 512,
	QUOTED_LABEL_BYTES = 5 * SUPERBLOCK_LABEL_BYTES + 1,	/* each byte as \\x1b */
};
#define NS_PER_SECOND 1e9

struct volume_metric {
	const char *name, *help;
	enum metric_kind kind;
	double (*value)(const struct volume *volume);
	bool of_flash;		/* also for flash-only volumes */
};

static double volume_bytes(const struct volume *volume)
{
	return (double)volume->sectors * SECTOR_BYTES;
}

static double volume_dirty(const struct volume *volume)
{
	return volume_dirty_bytes(volume);
}

static double volume_uncopied(const struct volume *volume)
{
	return writeback_uncopied_bytes(volume);
}

static double volume_dirty_age(const struct volume *volume)
{
	uint64_t age_ns = volume_dirty_age_ns(volume);

	return age_ns == UINT64_MAX ? INFINITY : age_ns / NS_PER_SECOND;
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

static double volume_writeback_active(const struct volume *volume)
{
	return writeback_is_active(&volume->writeback);
}

static struct history_writeback writeback_rates(const struct volume *volume)
{
	const struct history_sample now = history_now(volume);

	return history_writeback(&volume->history, &now);
}

static double volume_copy_rate(const struct volume *volume)
{
	return writeback_rates(volume).copied;
}

static double volume_writeback_left(const struct volume *volume)
{
	return writeback_rates(volume).seconds_left;
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

static double volume_running(const struct volume *volume)
{
	return volume->is_exported;
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
	{ "dirty_uncopied_bytes", "Dirty data that writeback has not copied yet.", METRIC_GAUGE,
	  volume_uncopied, false },
	{ "dirty_age_seconds", "No dirty data are older; +Inf: some may be from before the mount.",
	  METRIC_GAUGE, volume_dirty_age, false },
	{ "dirty_target_bytes", "Dirty data beyond this are written back faster.", METRIC_GAUGE,
	  volume_target, false },
	{ "writeback_rate_bytes", "Bytes per second at which dirty data are written back.",
	  METRIC_GAUGE, volume_writeback_rate, false },
	{ "writeback_active", "1: dirty data are looked for and written back, 0: not now.",
	  METRIC_GAUGE, volume_writeback_active, false },
	{ "writeback_copied_rate_bytes", "Bytes per second that were copied to the backing device "
	  "in the last 10 to 24 seconds.", METRIC_GAUGE, volume_copy_rate, false },
	{ "writeback_left_seconds", "Time until all dirty data are copied, if what is left becomes "
	  "less as in the last 10 to 24 seconds; +Inf: it does not.", METRIC_GAUGE,
	  volume_writeback_left, false },
	{ "written_back_bytes_total", "Dirty data that were written back, and are clean since.",
	  METRIC_COUNTER, volume_written_back, false },
	{ "writeback_errors_total", "Extents that could not be written back, and stay dirty.",
	  METRIC_COUNTER, volume_writeback_errors, false },
	{ "detaching", "1: dirty data are written back in order to detach the volume.",
	  METRIC_GAUGE, volume_detaching, false },
	{ "state", "0 no cache, 1 clean, 2 dirty, 3 inconsistent.", METRIC_GAUGE,
	  volume_state_number, false },
	{ "running", "1: users can open the volume, 0: it waits for its set.", METRIC_GAUGE,
	  volume_running, true },
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

/* A volume is named by number, UUID and label: the number may change from mount to mount. */
static const char *volume_labels(char labels[VOLUME_LABELS_BYTES], const struct volume *volume)
{
	char uuid[40], label[QUOTED_LABEL_BYTES];

	escape_quoted(label, sizeof(label), volume->label);
	snprintf(labels, VOLUME_LABELS_BYTES, "volume=\"%s\",uuid=\"%s\",label=\"%s\"",
		 volume->name, units_print_uuid(uuid, volume->uuid), label);
	return labels;
}

static void print_volume_metric(struct daemon *daemon, const struct volume_metric *metric,
				struct text *text)
{
	char labels[VOLUME_LABELS_BYTES], number[METRIC_VALUE_BYTES];

	metrics_head("volume", metric->name, metric->help, metric->kind, text);
	for (const struct volume *volume = daemon_first_volume(daemon); volume;
	     volume = daemon_next_volume(daemon, volume)) {
		if (volume->is_flash && !metric->of_flash)
			continue;
		text_print(text, "bcachefuse_volume_%s{%s} %s\n", metric->name,
			   volume_labels(labels, volume),
			   metrics_value(number, metric->value(volume)));
	}
}

static void print_latencies_of(const struct volume *volume, struct text *text)
{
	char labels[VOLUME_LABELS_BYTES], with_way[VOLUME_LABELS_BYTES + 32];

	volume_labels(labels, volume);
	for (unsigned way = 0; way < TRAFFIC_WAYS; way++) {
		const struct latency *latency = &volume->traffic.latency[way];

		snprintf(with_way, sizeof(with_way), "%s,kind=\"%s\"", labels,
			 metrics_way_names[way]);
		metrics_histogram("bcachefuse_volume_request_seconds", with_way, latency->counts,
				  LATENCY_CLASSES, LATENCY_CLASS_NS, latency->sum_ns, text);
	}
}

static void print_latencies(struct daemon *daemon, struct text *text)
{
	text_print(text, "# HELP bcachefuse_volume_request_seconds Duration of requests that "
			 "succeeded, by the way they went.\n"
			 "# TYPE bcachefuse_volume_request_seconds histogram\n");
	for (const struct volume *volume = daemon_first_volume(daemon); volume;
	     volume = daemon_next_volume(daemon, volume))
		print_latencies_of(volume, text);
}

void volume_metrics_print(struct daemon *daemon, struct text *text)
{
	for (unsigned i = 0; i < ARRAY_SIZE(volume_metrics); i++)
		print_volume_metric(daemon, &volume_metrics[i], text);
	print_latencies(daemon, text);
}
