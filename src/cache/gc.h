/*
 * Garbage collection: walks the whole index to find which buckets are still in use.
 *
 *	IDLE --wanted--> CLEAR --all--> NODE ---marked---> WORK --another leaf--> NODE ...
 *	  ^              slice by slice   waits for the     | waits for merges and
 *	  |                               leaf to be read,  | rewrites that are due
 *	  |                               then written      |
 *	  +---- (MOVE) <----- ROOT <------------------------+ that was the last leaf
 *	        gc_move.h     drops roots with one child
 *
 * Each step handles one slice of buckets, or one leaf, in one critical section, so that
 * requests run between.
 *
 * (GC-1) Marks are invalid from the first slice to the last leaf: refill chooses no victims
 *     meanwhile.
 * (GC-2) Every dirty leaf that gc passes is durable before gc ends (ORDER-14).  Keys
 *     of fills are not journaled: if gc freed the bucket of a key that one of them has
 *     replaced in memory only, a power cut would leave the index with the old key, and
 *     a bucket that holds something else by now.
 */
#pragma once

#include <stdbool.h>

#include "cache/gc_merge.h"
#include "cache/gc_move.h"
#include "index/index.h"

struct cache_set;

enum gc_state { GC_IDLE, GC_CLEAR, GC_NODE, GC_WORK, GC_ROOT, GC_MOVE };

struct gc {
	struct cache_set *set;
	enum gc_state state;
	struct op op;
	struct timer pause;
	struct index_walk walk;
	uint64_t leaf, leaf_inserted;	/* the leaf that must be durable, up to this many keys */
	struct gc_windows windows;
	struct gc_move move;
	bool is_stale[INDEX_LEVELS_MAX];	/* interior nodes on the path: to be rewritten */
	uint64_t given_back;		/* index->nodes_given_back when the run began */
	uint64_t rewrites_before;	/* index->rewrites at that time */
	bool found_remains;		/* keys of a volume that has gone, in this run */
	bool is_stopping;
	bool rewrites_all;		/* gc_always_rewrite: each leaf */
	bool follows_writeback;		/* gc_after_writeback */
	uint64_t nodes, keys, key_words, data_sectors;	/* of the current run */
	/* of the last complete run */
	uint64_t last_nodes, last_keys, last_key_words, last_data_sectors;
	uint64_t runs, rewrites;
	uint64_t began_ns, last_end_ns, duration_average_ns, duration_max_ns, interval_average_ns,
		last_begin_ns;
};

void gc_init(struct gc *gc, struct cache_set *set);
void gc_run(struct gc *gc);	/* starts to wait for work; called without the set lock */
void gc_stop(struct gc *gc) LOCKED;	/* ends after the current leaf; see gc_is_idle() */
bool gc_is_idle(const struct gc *gc);
void gc_trigger(struct gc *gc) LOCKED;	/* by hand: trigger_gc */
/* Nothing of a volume is dirty any more: with gc_after_writeback, in a cache in use, gc runs. */
void gc_after_writeback(struct gc *gc) LOCKED;
