/*
 * Runs: sorted arrays of keys in memory, and how those of a leaf are merged.
 */
#pragma once

#include <stdbool.h>

#include "base/compiler.h"
#include "format/bkey.h"

/* A sorted array of keys. */
struct run {
	struct bkey *key;
	unsigned count, capacity;
};

/* ---- run.c: searching and changing a run ---- */
/* Index of the first key that ends after (volume, sector); run->count if none. */
unsigned run_find(const struct run *run, unsigned volume, uint64_t sector);
/* Index of the first key not less than `k`, in the order of the btree; run->count if none. */
unsigned run_find_key(const struct run *run, const struct bkey *k);
/* For sizes that come from a disk: allocates exactly that; false: no memory. */
bool run_try_reserve(struct run *run, unsigned capacity) MUST_CHECK;
void run_reserve(struct run *run, unsigned capacity);
void run_done(struct run *run);
void run_add(struct run *run, const struct bkey *k);
void run_insert_at(struct run *run, unsigned at, const struct bkey *k);
void run_remove_at(struct run *run, unsigned at);
/* The number of words that its keys have on disk. */
unsigned run_words(const struct run *run);

/* ---- run_merge.c: merging ---- */
/* Merges runs of a leaf into `out`: newer extents cut older ones; keys of size 0 are dropped. */
void run_merge(const struct run *older, const struct run *newer, struct run *out);
/*
 * Merges many runs, each newer than all before it.  They are merged pairwise, such that each key
 * takes part in few merges however many runs there are:
 *
 *	oldest |=======|====|==|=| newest	each more than twice as long as the next
 */
enum { RUN_STACK_MAX = 40 };
struct run_stack {
	struct run run[RUN_STACK_MAX];
	unsigned count;
	struct run scratch;
};
/* False: no memory. */
bool run_stack_push(struct run_stack *stack, const struct run *newest) MUST_CHECK;
/* Merges all into stack->run[0], which may be empty.  False: no memory. */
bool run_stack_collapse(struct run_stack *stack) MUST_CHECK;
void run_stack_clear(struct run_stack *stack);
void run_stack_done(struct run_stack *stack);
/* Drops holes and other keys without data; only for a run under which there is no older one. */
void run_drop_holes(struct run *run);
