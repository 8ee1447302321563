/*
 * Metrics of devices: errors and latencies of transfers, by kind.  A device is named by its
 * path, since the base names of two may be the same.
 */
#include "control/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "cache/cache_set.h"
#include "cache/volume.h"
#include "lifecycle/daemon.h"

#define NS_PER_SECOND 1e9

static const char *const transfer_kinds[TRANSFER_KINDS] = {
	[TRANSFER_READ] = "read",
	[TRANSFER_WRITE] = "write",
	[TRANSFER_FLUSH] = "flush",
	[TRANSFER_DISCARD] = "discard",
};

/* Prints the sample of one device and one kind; `label` is its path, escaped. */
typedef void print_device(struct device *device, const char *label, const char *kind_name,
			  enum transfer_kind kind, struct text *text);

static void print_device_errors(struct device *device, const char *label, const char *kind_name,
				enum transfer_kind kind, struct text *text)
{
	text_print(text, "bcachefuse_device_errors_total{device=\"%s\",kind=\"%s\"} %" PRIu64
			 "\n", label, kind_name, device_counts(device)->errors[kind]);
}

/*
 * A histogram of Prometheus is cumulative: the line of each bound counts all that took no longer.
 */
static void print_device_latency(struct device *device, const char *label, const char *kind_name,
				 enum transfer_kind kind, struct text *text)
{
	const struct device_counts *counts = device_counts(device);
	uint64_t count = 0;

	for (unsigned i = 0; i < LATENCY_CLASSES - 1; i++) {
		count += counts->latency[kind][i];
		text_print(text, "bcachefuse_device_seconds_bucket{device=\"%s\",kind=\"%s\","
				 "le=\"%.9g\"} %" PRIu64 "\n", label, kind_name,
			   ((uint64_t)LATENCY_CLASS_NS << i) / NS_PER_SECOND, count);
	}
	count += counts->latency[kind][LATENCY_CLASSES - 1];
	text_print(text, "bcachefuse_device_seconds_bucket{device=\"%s\",kind=\"%s\","
			 "le=\"+Inf\"} %" PRIu64 "\n"
			 "bcachefuse_device_seconds_sum{device=\"%s\",kind=\"%s\"} %.17g\n"
			 "bcachefuse_device_seconds_count{device=\"%s\",kind=\"%s\"} %" PRIu64 "\n",
		   label, kind_name, count, label, kind_name,
		   counts->latency_sum_ns[kind] / NS_PER_SECOND, label, kind_name, count);
}

static void print_of_device(struct device *device, print_device *print, struct text *text)
{
	size_t bytes = 5 * strlen(device_path(device)) + 1;	/* each byte as \\x1b */
	autofree char *label = malloc(bytes);

	assert(label);
	escape_quoted(label, bytes, device_path(device));
	for (unsigned kind = 0; kind < TRANSFER_KINDS; kind++)
		print(device, label, transfer_kinds[kind], kind, text);
}

static void print_of_devices(struct daemon *daemon, print_device *print, struct text *text)
{
	for (struct cache_set *set = daemon_first_set(daemon); set;
	     set = daemon_next_set(daemon, set))
		print_of_device(set->cache.device, print, text);
	for (const struct volume *volume = daemon_first_volume(daemon); volume;
	     volume = daemon_next_volume(daemon, volume))
		if (volume->backing)
			print_of_device(volume->backing, print, text);
}

void device_metrics_print(struct daemon *daemon, struct text *text)
{
	text_print(text, "# HELP bcachefuse_device_errors_total Transfers that failed.\n"
			 "# TYPE bcachefuse_device_errors_total counter\n");
	print_of_devices(daemon, print_device_errors, text);
	text_print(text, "# HELP bcachefuse_device_seconds Duration of transfers, from the step "
			 "that starts one to the turn that sees its end.\n"
			 "# TYPE bcachefuse_device_seconds histogram\n");
	print_of_devices(daemon, print_device_latency, text);
}
