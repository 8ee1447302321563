/*
 * The part of a device that is the same on Linux and in the simulator; private to io.
 *
 * Both have their own struct device, with this inside.  flush.c and device_shared.c work with it
 * alone.
 */
#pragma once

#include "io/device.h"
#include "io/flush.h"

struct device_shared {
	struct flush flush;
	struct device_counts counts;
};

void device_shared_init(struct device_shared *shared, struct device *device);

/*
 * To be called once for each transfer that ends, on the reactor.  -EOPNOTSUPP is no error of a
 * device: it cannot discard.
 */
void device_transfer_ended(struct device *device, enum transfer_kind kind, int error, uint64_t ns);

/* Both devices define these two. */
struct device_shared *device_shared(struct device *device);
/* One flush of its own for `op`; users share theirs (device_flush()). */
void device_flush_start(struct device *device, struct op *op);
