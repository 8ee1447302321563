/*
 * Checks the content of a device that is about to be formatted.
 */
#pragma once

#include "io/device.h"

enum overwrite {	/* what the user allowed; both may be set */
	OVERWRITE_BCACHE = 1,	/* --wipe-bcache: a bcache device */
	OVERWRITE_DATA = 2,	/* --force: other content, or dirty data */
};

/* 0: it may be overwritten.  -EEXIST: the reason names the content, and the option to allow it. */
int occupant_check(struct device *device, unsigned allowed, struct error *error) MUST_CHECK;
