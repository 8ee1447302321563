/*
 * Takes a failed set down: wakes every op that waits in it, with an error.
 *
 * The set's volumes stay attached: a volume with dirty data answers EIO rather
 * than return the older data of its backing device (ORDER-26).
 */
#pragma once

#include "io/op.h"

struct cache_set;

struct failure {
	struct cache_set *set;
	struct op op;
};

void failure_init(struct failure *failure, struct cache_set *set);
/* Starts to watch the health of the set.  Called without the set lock. */
void failure_watch(struct failure *failure);
/* Stops watching, when the set stops.  Called without the set lock. */
void failure_stop(struct failure *failure);
/* Wakes all waiters of journal, space and index with -EIO, and stops gc. */
void set_abort(struct cache_set *set) LOCKED;
