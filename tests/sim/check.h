/*
 * Checks of the engine's state in a running set, and of the disks by an independent reader.
 * They find broken invariants that no request has run into yet.
 */
#pragma once

#include <stdbool.h>

#include "cache/cache_set.h"
#include "plan.h"

struct life;

/* Nothing is under way: index_check(), and all buckets recounted from the keys.  False: cut. */
bool check_set(struct life *life, struct cache_set *set);
/* The volumes of a set that has failed: who stays, and what their superblocks say (CHECK-8). */
void check_failed_set(struct life *life, struct cache_set *set);
/* Who waits in which list. */
void check_print(const struct cache_set *set);
/* The engine is gone: the independent reader must see what the model allows. */
void check_disks(struct plan *plan);
