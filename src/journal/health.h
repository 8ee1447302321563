/*
 * Whether a set has failed.
 *
 * Code that finds that the set cannot continue (a journal write failed, a node is
 * corrupt) calls health_fail() and returns the error.  The cache layer's failure op
 * watches, and wakes all waiters of the set.  Every function of journal, space and index
 * that may make an op wait asks health_error() first, so that nothing waits in a failed
 * set (LESSON-3).
 *
 * health_fail() is called with the set lock held; health_error() may be called without
 * it, since a failure is never taken back.
 */
#pragma once

#include "base/error.h"
#include "io/op.h"

struct health {
	int error;			/* 0, or -errno: then it never changes again */
	struct error reason;
	struct waitlist watchers;	/* woken by the first failure */
};

static inline void health_init(struct health *health)
{
	*health = (struct health){ .error = 0 };
	waitlist_init(&health->watchers);
}

static inline int health_error(const struct health *health)
{
	return health->error;
}

/* Records the first failure and wakes the watchers; `code` is a positive errno. */
void health_fail(struct health *health, int code, const char *format, ...) PRINTF(3, 4);
