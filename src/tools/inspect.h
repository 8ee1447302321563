/*
 * Members for commands that only look: opened read-only, and by nobody who writes.
 *
 * (INSPECT-1) Nothing is written, and no member is in use by a daemon or a kernel that could
 *     write to it meanwhile.
 */
#pragma once

#include "check/check.h"

struct inspect {
	struct check_member *member;
	int *claim;		/* of each: a descriptor that keeps others away; -1: none */
	unsigned count;
};

/*
 * Opens all members, in any order.  0; -errno and the reason if one may not be looked at.  One that
 * cannot be opened for other reasons has no device, and says why.
 */
int inspect_open(struct inspect *inspect, const char *const *paths, unsigned count,
		 struct error *error) MUST_CHECK;
/* As inspect_open(), for those who write in the end: nobody else has a member open. */
int inspect_open_alone(struct inspect *inspect, const char *const *paths, unsigned count,
		       struct error *error) MUST_CHECK;
void inspect_close(struct inspect *inspect);
