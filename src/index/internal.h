/*
 * What the files of the index share and nobody else may call.
 */
#pragma once

#include "index/index.h"

enum { NODES_MIN = 64 };

/* ---- bset.c: finding in a run ---- */
/* The first key that ends behind (volume, sector); run->count if none. */
unsigned run_find(const struct run *run, unsigned volume, uint64_t sector);
/* The first key that does not end before `k`: as the btree orders them; run->count if none. */
unsigned run_find_key(const struct run *run, const struct bkey *k);
/* For sizes that a disk says: exactly so much; false: no memory. */
bool run_try_reserve(struct run *run, unsigned capacity) MUST_CHECK;
void run_reserve(struct run *run, unsigned capacity);
void run_done(struct run *run);
void run_add(struct run *run, const struct bkey *k);
void run_insert_at(struct run *run, unsigned at, const struct bkey *k);
void run_remove_at(struct run *run, unsigned at);

/* ---- sort.c: merging ---- */
/* Leaf: all of both, older extents cut by newer ones; sizeless keys go. `out` is emptied first. */
void run_merge(const struct run *older, const struct run *newer, struct run *out);
/*
 * Runs that come one after the other, each newer than all before it, are merged two by two, so
 * that a key takes part in few merges, however many runs there are:
 *
 *	oldest |=======|====|==|=| newest	each more than twice as long as the next
 */
enum { RUN_STACK_MAX = 40 };
struct run_stack {
	struct run run[RUN_STACK_MAX];
	unsigned count;
	struct run scratch;
};
/* Both: false: no memory. */
bool run_stack_push(struct run_stack *stack, const struct run *newest) MUST_CHECK;
/* One run is left (which may be empty): stack->run[0]. */
bool run_stack_collapse(struct run_stack *stack) MUST_CHECK;
void run_stack_clear(struct run_stack *stack);
void run_stack_done(struct run_stack *stack);
/* Takes what can never be read again out of a leaf's run that has nothing older below. */
void run_drop_holes(struct run *run);

/* ---- overlap.c: a newer extent cuts older ones ---- */
/* Makes room for `k` in both runs (tails of cut extents go into `open`), then adds it to `open`. */
void leaf_insert(struct index *index, struct node *leaf, const struct bkey *k) IN_SET;
/*
 * What of `k` may replace `expected`: the sectors from k's start on that still show it.
 * 0: a collision.
 */
unsigned leaf_replaceable(const struct node *leaf, const struct bkey *k,
			  const struct bkey *expected) IN_SET;

/* ---- node.c, node_cache.c ---- */
struct node *node_new(struct index *index, const struct bkey *key, unsigned level) IN_SET;
void node_forget(struct index *index,
		 struct node *node) IN_SET; /* out of hash and lru; to unused */
/* Plans bring nodes of their own: forgets others instead. */
void nodes_trim(struct index *index) IN_SET;
void node_unhash(struct index *index, struct node *node) IN_SET;
void node_touch(struct index *index, struct node *node) IN_SET;
/* The node that `key` points to, ready: 0. -EAGAIN: `op` waits. */
int node_get(struct index *index, const struct bkey *key, unsigned level, struct node **node,
	     struct op *op) IN_SET MUST_CHECK;
static inline bool node_is_dirty(const struct node *node)
{
	return !node->level && node->open.count;
}
static inline bool node_covers(const struct node *node, const struct bkey *k)
{
	return bkey_compare(k, &node->key) <= 0;
}

/* ---- node_io.c ---- */
void node_reads_init(struct index *index);
void node_reads_done(struct index *index);
/* Begins to read `node`; false: no slot, `op` waits for one. */
bool node_read_start(struct index *index, struct node *node, struct op *op) IN_SET;
bool node_reads_are_idle(const struct index *index);

/* ---- leaf_write.c ---- */
void leaf_writes_init(struct index *index);
void leaf_writes_done(struct index *index);
/* Begins to write the leaf's open run, which becomes part of `keys`. False: no slot is free. */
bool leaf_write_start(struct index *index, struct node *leaf) IN_SET;
bool leaf_writes_are_idle(const struct index *index);
void pressure_step(struct op *op);
void ageing_step(struct op *op);

enum leaf_room {
	LEAF_FITS,
	LEAF_WRITE_FIRST,	/* there is room once the open run is written */
	LEAF_FULL,		/* it must be replaced (INDEX-4) */
};
enum leaf_room leaf_room(const struct index *index, const struct node *leaf, unsigned words);

/* ---- split.c ---- */
void plans_init(struct index *index);
void plans_done(struct index *index);
/*
 * A plan that replaces the node of `level` on the path to `from`, for `insert` (its keys may go
 * with it) or for gc (NULL); `op` arrives at its end. False: no slot.
 */
bool plan_start(struct index *index, struct position from, unsigned level, struct insert *insert,
		struct op *op) IN_SET;
bool plans_are_idle(const struct index *index);

/* ---- insert.c ---- */
/* The part of the next key that belongs into `leaf`; false: none is left for it. */
bool insert_next_part(struct insert *insert, const struct node *leaf, struct bkey *part) IN_SET;
/* The part went in (or was replaced by nothing): on to what follows it. */
void insert_advance(struct insert *insert, const struct bkey *part, unsigned inserted_sectors);
