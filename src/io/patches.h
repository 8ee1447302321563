/*
 * Writes to a device that are planned, and not made: blocking reads of it see them already.
 *
 *	device   ........................
 *	patches      [aaaaaa]   [cc]
 *	              [bb]                 newer ones hide older ones
 *	read     ....abba..... .cc......
 *
 * (PATCHES-1) What patches cover is not read from the device, which may be unreadable there.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct device;

struct patch {
	uint64_t sector;
	unsigned sectors;
	unsigned char *bytes;		/* owned */
};
struct patches {
	struct patch *patch;		/* in the order in which they were added */
	unsigned count, capacity;
};

/* Adds a copy of `bytes`.  False: no memory. */
bool patches_add(struct patches *patches, uint64_t sector, const void *bytes,
		 unsigned sectors) MUST_CHECK;
void patches_drop(struct patches *patches);	/* the newest */
void patches_done(struct patches *patches);
/* From now on, device_read_now() sees them.  NULL: no longer. */
void device_set_patches(struct device *device, const struct patches *patches);

/* `read` gets the parts that no patch covers; its first error ends the reading: -errno. */
int patches_read(const struct patches *patches, void *data, uint64_t sector, unsigned sectors,
		 int (*read)(struct device *device, void *data, uint64_t sector, unsigned sectors),
		 struct device *device);
