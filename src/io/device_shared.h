/*
 * The part of a device that is the same on Linux and in the simulator; private to io.
 *
 * Both have their own struct device, with this inside.  flush.c and device_shared.c work with it
 * alone.
 */
#pragma once

#include "io/congestion.h"
#include "io/device.h"
#include "io/flush.h"
#include "io/room.h"

struct device_shared {
	struct flush flush;
	struct device_counts counts;
	struct congestion congestion;
	struct error_tally tally;
	struct waitlist failed;			/* for a transfer to fail */
	struct room room;
};

void device_shared_init(struct device_shared *shared, struct device *device);

/* How a transfer ended. */
struct transfer_end {
	enum transfer_kind kind;
	bool fua;
	bool is_again;			/* a write that has waited for room */
	int error;			/* -EOPNOTSUPP is none of the device: it cannot discard */
	uint64_t started_ns, ended_ns;	/* by the reactor's clock */
};

/* To be called once for each transfer, on the reactor. */
void device_transfer_ended(struct device *device, const struct transfer_end *end);

/* Both devices define these three. */
struct device_shared *device_shared(struct device *device);
/* Starts a write; its end asks room_takes() before its op arrives. */
void device_write_start(struct device *device, const struct write_order *order);
/* One flush of its own for `op`; users share theirs (device_flush()). */
void device_flush_start(struct device *device, struct op *op);
