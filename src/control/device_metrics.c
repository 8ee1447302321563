/*
 * Metrics of devices: errors and latencies of transfers, by kind.  A device is named by its
 * path, since the base names of two may be the same.
 */
#include "control/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "cache/cache_set.h"
#include "cache/volume.h"
#include "lifecycle/daemon.h"

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

static void print_device_latency(struct device *device, const char *label, const char *kind_name,
				 enum transfer_kind kind, struct text *text)
{
	const struct latency *latency = &device_counts(device)->latency[kind];
	autofree char *labels = NULL;

	if (asprintf(&labels, "device=\"%s\",kind=\"%s\"", label, kind_name) < 0)
		abort();
	metrics_histogram("bcachefuse_device_seconds", labels, latency->counts, LATENCY_CLASSES,
			  LATENCY_CLASS_NS, latency->sum_ns, text);
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
