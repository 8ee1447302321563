/*
 * What lies on a device that is about to be formatted.
 */
#pragma once

#include "io/device.h"

enum overwrite {	/* what the user allowed; both may be set */
	OVERWRITE_BCACHE = 1,	/* --wipe-bcache: a bcache device */
	OVERWRITE_DATA = 2,	/* --force: something else, or data that are nowhere else */
};

/* May it be overwritten?  -EEXIST and what is there, and which option would allow it. */
int occupant_check(struct device *device, unsigned allowed, struct error *error) MUST_CHECK;
