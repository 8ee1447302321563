/*
 * Figures of a set for control files and metrics, taken in one critical section, so that
 * they are consistent with each other.
 *
 * Sizes are in bytes and times in ns; the files print them in the units of the kernel.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/cache_set.h"

struct set_facts {
	unsigned in_use_percent;
	struct bucket_shares {		/* percentages of the buckets, from counters */
		double unused, clean, dirty, metadata;
	} shares;
	uint64_t cache_bytes;		/* all buckets */
	uint64_t flash_dirty_bytes;	/* of flash-only volumes */

	unsigned tree_depth;
	unsigned root_usage_percent;
	uint64_t node_memory_bytes;
	struct time_stats read_times, split_times, merge_times;
	uint64_t now_ns;		/* when they were taken */
	uint64_t pressure_writes;

	/* as of the last garbage collection */
	uint64_t average_key_bytes;
	uint64_t nodes;
	unsigned used_percent;		/* of the nodes */
	uint64_t gc_average_ns, gc_max_ns, gc_interval_ns;
	uint64_t gc_runs, buckets_reused, node_splits, nodes_given_back;
	int64_t gc_age_ns;		/* since it ended; -1: there was none */
	bool gc_is_running;
	double gc_done;			/* share of the nodes of the run before; 0: unknown */
	double gc_seconds_left;		/* INFINITY: unknown */

	uint64_t journal_entries;	/* that a start would replay */
	uint64_t pressure_rounds, journal_buckets_reclaimed;
	uint64_t data_bytes, node_bytes, metadata_bytes;	/* written; the last with nodes */
};

/* All zero (gc_age_ns: -1) while the set is not running. */
struct set_facts set_facts_take(struct cache_set *set);

/* The runs of the nodes in memory: each node has one that is written, and one that is not yet. */
struct run_facts {
	uint64_t nodes, written, open;
	uint64_t written_keys, open_keys;
};
struct run_facts run_facts_take(struct cache_set *set);

/* The most nodes in one slot of the index's hash table: looks at all of them. */
unsigned set_longest_chain(struct cache_set *set);

/* Percentages of the buckets, and quantiles of the priorities of those that hold data. */
enum { PRIORITY_QUANTILES = 31 };
struct priority_facts {
	unsigned unused_percent, clean_percent, dirty_percent, metadata_percent;
	uint64_t average, sectors_per_quantile;
	unsigned quantile[PRIORITY_QUANTILES];	/* 0: just used */
};

void priority_facts_take(struct cache_set *set, struct priority_facts *facts);
