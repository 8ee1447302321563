/*
 * The counts of a device: errors, latencies and congestion, at the one place where its transfers
 * end.
 *
 * The counts belong to the reactor that runs the transfers of the device; no lock guards them.
 */
#include "io/device_shared.h"

#include <errno.h>
#include <string.h>

void device_shared_init(struct device_shared *shared, struct device *device)
{
	memset(&shared->counts, 0, sizeof(shared->counts));
	shared->congestion = (struct congestion){ .value = 0 };
	shared->tally = (struct error_tally){ .limit = UINT64_MAX };
	waitlist_init(&shared->failed);
	flush_init(&shared->flush, device);
	room_init(&shared->room);
}

/* A write with FUA, like those of the journal, waits for the medium however little it has to do. */
static bool shows_congestion(const struct transfer_end *end)
{
	return end->kind == TRANSFER_READ || (end->kind == TRANSFER_WRITE && !end->fua);
}

void device_transfer_ended(struct device *device, const struct transfer_end *end)
{
	struct device_shared *shared = device_shared(device);
	struct device_counts *counts = &shared->counts;
	enum transfer_kind kind = end->kind;
	uint64_t ns = end->ended_ns - end->started_ns;

	latency_add(&counts->latency[kind], ns);
	if (shows_congestion(end))
		congestion_add(&shared->congestion, kind == TRANSFER_WRITE, ns, end->ended_ns);
	error_tally_count(&shared->tally,
			  end->error && end->error != -EOPNOTSUPP && end->error != -ENOSPC);
	if (!end->error || end->error == -EOPNOTSUPP ||
	    (end->is_again && end->error == -ENOSPC))		/* ROOM-2 */
		return;
	counts->errors[kind]++;
	counts->flush_failures += kind == TRANSFER_FLUSH || end->fua;
	counts->last_error[kind] = end->error;
	counts->last_failed = kind;
	waitlist_wake_all(&shared->failed, 0);
}

struct congestion *device_congestion(struct device *device)
{
	return &device_shared(device)->congestion;
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

	device_shared(device)->tally.errors = 0;
	memset(counts->errors, 0, sizeof(counts->errors));
	memset(counts->last_error, 0, sizeof(counts->last_error));
}

const struct error_tally *device_tally(struct device *device)
{
	return &device_shared(device)->tally;
}

void device_set_error_limit(struct device *device, uint64_t limit, uint64_t halflife)
{
	struct error_tally *tally = &device_shared(device)->tally;

	tally->limit = limit;
	tally->decay = halflife / ERROR_TALLY_DECAYS_PER_HALFLIFE;
}

void device_await_error(struct device *device, struct op *op)
{
	waitlist_join(&device_shared(device)->failed, op);
}
