/*
 * Garbage collection: which buckets are still in use, by walking the index.
 *
 *	IDLE --wanted--> NODE --marked--> NEXT --another leaf--> NODE ...
 *	  ^               (it is read,     | (perhaps it was
 *	  |                it is clean)    |  rewritten)
 *	  +--------------------------------+ that was the last
 *
 * (GC-1) Marks are invalid from the first leaf to the last: nothing is chosen for reuse
 *     then.
 * (GC-2) Every dirty leaf it passes is durable before END (ORDER-14): replaces are not
 *     journaled.
 */
#pragma once

#include <stdbool.h>

#include "index/index.h"

struct cache_set;

enum gc_state { GC_IDLE, GC_NODE, GC_NEXT };

struct gc {
	struct cache_set *set;
	enum gc_state state;
	struct op op;
	struct timer pause;
	struct position at, next;
	bool is_last;			/* no leaf follows */
	uint64_t seen[INDEX_LEVELS_MAX];	/* pointers of the interior nodes on the way */
	uint64_t leaf, leaf_inserted;	/* the leaf that is to be durable, and its keys then */
	bool is_stopping;
	uint64_t nodes, keys, key_words, data_sectors;	/* of the run under way */
	/* of the last complete one */
	uint64_t last_nodes, last_keys, last_key_words, last_data_sectors;
	uint64_t runs, rewrites;
	uint64_t began_ns, last_end_ns, duration_average_ns, duration_max_ns, interval_average_ns,
		last_begin_ns;
};

void gc_init(struct gc *gc, struct cache_set *set);
void gc_run(struct gc *gc);	/* begins to wait for work; outside the set */
void gc_stop(struct gc *gc) IN_SET;	/* ends as soon as it is through */
bool gc_is_idle(const struct gc *gc);
void gc_trigger(struct gc *gc) IN_SET;
