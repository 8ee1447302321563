/*
 * Looks into a running set, and at the disks from outside: what must hold beside
 * that volumes show the right content.
 */
#pragma once

#include <stdbool.h>

#include "cache/cache_set.h"
#include "plan.h"

struct life;

/* Nothing is under way: index_check(), and all buckets recounted from the keys.  False: cut. */
bool check_set(struct life *life);
/* Who waits in which list. */
void check_print(const struct cache_set *set);
/* The engine is gone: the independent reader must see what the model allows. */
void check_disks(struct plan *plan);
