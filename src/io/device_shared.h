/*
 * The part of a device that is the same on Linux and in the simulator; private to io.
 *
 * Both have their own struct device, with this inside.  flush.c works with it alone.
 */
#pragma once

#include "io/device.h"
#include "io/flush.h"

struct device_shared {
	struct flush flush;
};

void device_shared_init(struct device_shared *shared, struct device *device);

/* Both devices define these two. */
struct device_shared *device_shared(struct device *device);
/* One flush of its own for `op`; users share theirs (device_flush()). */
void device_flush_start(struct device *device, struct op *op);
