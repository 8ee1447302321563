/*
 * When a set can't go on: everybody who waits is told, nobody waits any more.
 *
 * The association of its volumes stays as it was: a volume with dirty data
 * answers EIO rather than show what is old (ORDER-26).
 */
#pragma once

#include "io/op.h"

struct cache_set;

struct failure {
	struct cache_set *set;
	struct op op;
};

void failure_init(struct failure *failure, struct cache_set *set);
/* Begins to watch the set's health; outside the set. */
void failure_watch(struct failure *failure);
/* Ends the watching of a set that stops; outside the set. */
void failure_stop(struct failure *failure);
/* Everybody who waits in the set is told -EIO. */
void set_abort(struct cache_set *set) IN_SET;
