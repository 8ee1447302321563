/*
 * Whether a set is still alive.
 *
 * Whoever finds that the set can't go on (a journal write failed, a node is
 * corrupt) says so here, once; the cache layer's failure op watches and takes
 * the set down.  Every question that may lead to a wait begins with
 * health_error(): a dead set answers, it never makes anybody wait (LESSON-3).
 */
#pragma once

#include "base/error.h"
#include "io/op.h"

struct health {
	int error;			/* 0, or -errno for ever */
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

/* The first failure counts; `code` is positive. */
void health_fail(struct health *health, int code, const char *format, ...) PRINTF(3, 4);
