/*
 * The counts of a device: errors and latencies, at the one place where its transfers end.
 *
 * The counts belong to the reactor that runs the transfers of the device; no lock guards them.
 */
#include "io/device_shared.h"

#include <errno.h>
#include <string.h>

void device_shared_init(struct device_shared *shared, struct device *device)
{
	memset(&shared->counts, 0, sizeof(shared->counts));
	flush_init(&shared->flush, device);
}

static unsigned latency_class(uint64_t ns)
{
	unsigned class = 0;

	for (ns /= LATENCY_CLASS_NS; ns && class < LATENCY_CLASSES - 1; ns /= 2)
		class++;
	return class;
}

void device_transfer_ended(struct device *device, enum transfer_kind kind, int error, uint64_t ns)
{
	struct device_counts *counts = &device_shared(device)->counts;

	counts->latency[kind][latency_class(ns)]++;
	counts->latency_sum_ns[kind] += ns;
	if (!error || error == -EOPNOTSUPP)
		return;
	counts->errors[kind]++;
	counts->last_error[kind] = error;
}

const struct device_counts *device_counts(struct device *device)
{
	return &device_shared(device)->counts;
}

uint64_t device_errors(struct device *device)
{
	const struct device_counts *counts = device_counts(device);
	uint64_t errors = 0;

	for (unsigned kind = 0; kind < TRANSFER_KINDS; kind++)
		errors += counts->errors[kind];
	return errors;
}

void device_forget_errors(struct device *device)
{
	struct device_counts *counts = &device_shared(device)->counts;

	memset(counts->errors, 0, sizeof(counts->errors));
	memset(counts->last_error, 0, sizeof(counts->last_error));
}
