/* The command `overlay` has a file for bringing an overlay into its members. */
#pragma once

#include "base/error.h"

enum { OVERLAY_INTERRUPTED = 4 };	/* exit code: stopped before its end */

/* Brings the overlay file into its members, all of which are named.  -EINTR: by a signal. */
int overlay_commit(const char *path, char **members, unsigned count,
		   struct error *error) MUST_CHECK;
