/*
 * Waits until a volume of a mounted set is clean, detached or idle.
 */
#pragma once

#include "base/error.h"
#include "tools/progress.h"
#include "tools/status.h"

enum wait_goal {
	WAIT_CLEAN,	/* no dirty data, and the superblock says so */
	WAIT_DETACHED,	/* no set; it must be detaching already */
	WAIT_IDLE,	/* no request in flight, nothing being written back, no gc of its set */
};

enum wait_answer {
	WAIT_REACHED,
	WAIT_GOES_ON,
	WAIT_IN_VAIN,	/* it will not be so: *error says why */
};

/*
 * Pure: is it so?  `has_begun`: it was asked before, so a detach that is not under way has ended
 * without success.
 */
enum wait_answer wait_look(const struct status *status, const struct status_volume *volume,
			   enum wait_goal goal, bool has_begun, struct error *error);
/*
 * The volume with this name, or with this backing device (a name, or a path that ends in it); NULL:
 * there is none.
 */
const struct status_volume *wait_find(const struct status *status, const char *name);
/* Until it is so, with progress on standard error.  The exit code; 1 has been complained about. */
int wait_until(const char *command, const char *directory, const char *name, enum wait_goal goal,
	       enum progress_style style);
