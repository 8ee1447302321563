/*
 * Collects figures of a set, holding the set lock.  Nothing here waits; only the priorities
 * need a walk over all buckets.
 */
#include "control/facts.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/numbers.h"
#include "cache/volume.h"

#define NS_PER_SECOND 1e9

enum { SECTOR_BYTES = 512, WORD_BYTES = 8, PRIORITIES = 65536 };

/* 0 of nothing, as for a set that is not running. */
static uint64_t percent_of(uint64_t part, uint64_t whole)
{
	return whole ? part * 100 / whole : 0;
}

/*
 * The shares of priority_stats, without its walk over all buckets: what is not available holds
 * metadata, whose number is known, or dirty data.  Index nodes are counted by gc.
 */
static struct bucket_shares take_shares(const struct cache_set *set) LOCKED
{
	const struct space *space = &set->cache.space;
	double all = space->setup.buckets;
	uint64_t nodes = max_u64(set->gc.last_nodes, set->index.nodes);
	uint64_t used = space->setup.buckets - space->available;
	uint64_t metadata = min_u64(used, space->setup.first_bucket +
				    space->setup.journal_buckets + space->setup.prio_parts +
				    1 /* the table of volumes */ + nodes);

	return (struct bucket_shares){
		.unused = space->unmarked * 100 / all,
		.clean = (space->available - space->unmarked) * 100 / all,
		.dirty = (used - metadata) * 100 / all,
		.metadata = metadata * 100 / all,
	};
}

/* The kernel counts index nodes as written metadata, so we do, too. */
static void take_space(struct cache_set *set, struct set_facts *facts) LOCKED
{
	const struct space *space = &set->cache.space;
	struct list_link *link;

	facts->in_use_percent = space_in_use_percent(space);
	facts->shares = take_shares(set);
	facts->cache_bytes = space->setup.buckets * space->setup.bucket_sectors * SECTOR_BYTES;
	for (link = list_first(&set->volumes); link; link = list_next(&set->volumes, link)) {
		const struct volume *volume = container_of(link, struct volume, set_link);

		if (volume->is_flash)
			facts->flash_dirty_bytes +=
				set->index.dirty_sectors[volume->slot] * SECTOR_BYTES;
	}
	facts->data_bytes = space->sectors_written * SECTOR_BYTES;
	facts->node_bytes = set->index.sectors_written * SECTOR_BYTES;
	facts->metadata_bytes = (set->index.sectors_written + set->journal.sectors_written +
				 space->metadata_sectors_written) * SECTOR_BYTES;
}

/* Words of all keys in the root, for root_usage_percent. */
static unsigned root_words(const struct index *index) LOCKED
{
	struct node_walk walk;
	const struct bkey *k;
	unsigned words = 0;

	node_walk_begin(&walk, index->root);
	while ((k = node_walk_next(&walk)))
		words += bkey_words(k);
	return words;
}

/* Not among the other facts, since it walks the whole table of nodes. */
unsigned set_longest_chain(struct cache_set *set)
{
	const struct index *index = &set->index;
	unsigned longest = 0;

	set_lock(set);
	for (unsigned i = 0; i < NODE_HASH_SIZE; i++) {
		const struct list *chain = &index->hash[i];
		unsigned nodes = 0;

		for (struct list_link *link = list_first(chain); link;
		     link = list_next(chain, link))
			nodes++;
		longest = max_u64(longest, nodes);
	}
	set_unlock(set);
	return longest;
}

/* A walk over the nodes in memory, but not over their keys, of which there may be millions. */
struct run_facts run_facts_take(struct cache_set *set)
{
	const struct index *index = &set->index;
	struct run_facts facts = { 0 };

	set_lock(set);
	for (struct list_link *link = list_first(&index->lru); link;
	     link = list_next(&index->lru, link)) {
		const struct node *node = container_of(link, struct node, lru_link);

		facts.nodes++;
		facts.written += node->keys.count != 0;
		facts.open += node->open.count != 0;
		facts.written_keys += node->keys.count;
		facts.open_keys += node->open.count;
	}
	set_unlock(set);
	return facts;
}

/* There is no root while a set starts. */
static void take_index(struct cache_set *set, struct set_facts *facts) LOCKED
{
	const struct index *index = &set->index;
	uint64_t node_bytes = (uint64_t)index->setup.node_sectors * SECTOR_BYTES;

	if (index->root) {
		facts->tree_depth = index->root->level;
		facts->root_usage_percent =
			percent_of((uint64_t)root_words(index) * WORD_BYTES, node_bytes);
	}
	facts->node_memory_bytes = index_memory_bytes(index);
	facts->read_times = index->read_times;
	facts->split_times = index->split_times;
	facts->merge_times = index->merge_times;
	facts->pressure_writes = index->pressure_writes;
}

/* By its nodes, of which there are about as many as in the run before. */
static void take_gc_progress(const struct gc *gc, struct set_facts *facts, uint64_t now_ns)
{
	double ran_ns = now_ns - gc->began_ns;

	facts->gc_is_running = gc->state != GC_IDLE;
	if (!facts->gc_is_running)
		return;
	facts->gc_done = gc->last_nodes ? min_u64(gc->nodes, gc->last_nodes) /
					  (double)gc->last_nodes : 0;
	facts->gc_seconds_left = facts->gc_done > 0 ?
		ran_ns / NS_PER_SECOND * (1 - facts->gc_done) / facts->gc_done : INFINITY;
}

/* As of the last complete gc: a running one has counted only a part. */
static void take_gc(struct cache_set *set, struct set_facts *facts, uint64_t now_ns) LOCKED
{
	const struct gc *gc = &set->gc;
	uint64_t node_bytes = (uint64_t)set->index.setup.node_sectors * SECTOR_BYTES;

	if (gc->last_keys)
		facts->average_key_bytes = gc->last_data_sectors * SECTOR_BYTES / gc->last_keys;
	facts->nodes = gc->last_nodes;
	facts->used_percent =
		percent_of(gc->last_key_words * WORD_BYTES, gc->last_nodes * node_bytes);
	facts->gc_runs = gc->runs;
	facts->buckets_reused = set->cache.space.buckets_reused;
	facts->node_splits = set->index.splits;
	facts->nodes_given_back = set->index.nodes_given_back;
	facts->gc_average_ns = gc->duration_average_ns;
	facts->gc_max_ns = gc->duration_max_ns;
	facts->gc_interval_ns = gc->interval_average_ns;
	if (gc->runs)
		facts->gc_age_ns = now_ns - gc->last_end_ns;
	take_gc_progress(gc, facts, now_ns);
}

static void take_journal(struct cache_set *set, struct set_facts *facts) LOCKED
{
	facts->journal_entries = journal_active_entries(&set->journal);
	facts->pressure_rounds = set->journal.pressure_rounds;
	facts->journal_buckets_reclaimed = set->journal.buckets_reclaimed;
}

/* Takes all figures, even if a file shows only one of them: each is a counter or nearly one. */
struct set_facts set_facts_take(struct cache_set *set)
{
	struct set_facts facts = { .gc_age_ns = -1 };

	facts.now_ns = clock_ns(set->reactor);
	set_lock(set);
	if (set->is_running) {
		take_space(set, &facts);
		take_index(set, &facts);
		take_gc(set, &facts, facts.now_ns);
		take_journal(set, &facts);
	}
	set_unlock(set);
	return facts;
}

/* Counts the buckets by priority and by mark. */
struct census {
	uint64_t unused, marked[4];
	uint32_t of_priority[PRIORITIES];
};

/* One walk under the set lock, so that the shares add up; the sorting comes after it. */
static void census_take(const struct space *space, struct census *census) LOCKED
{
	for (uint64_t i = space->setup.first_bucket; i < space->setup.buckets; i++) {
		const struct bucket *bucket = &space->bucket[i];

		census->unused += !bucket->used_sectors;
		census->marked[bucket->mark]++;
		census->of_priority[bucket->prio]++;
	}
}

/* As the kernel shows priorities: 0 is just used, and the number grows with age. */
static unsigned priority_distance(unsigned priority)
{
	return priority < PRIO_INITIAL ? PRIO_INITIAL - priority : 0;
}

/* Quantile i is the priority at n * i / 32 of the n buckets with data, most recently used first. */
static void spread(const struct census *census, unsigned bucket_sectors,
		   struct priority_facts *facts)
{
	uint64_t n = 0, sum = 0, before = 0;
	unsigned quantile = 1;

	for (unsigned priority = 1; priority < PRIO_METADATA; priority++) {
		n += census->of_priority[priority];
		sum += (uint64_t)census->of_priority[priority] * priority_distance(priority);
	}
	if (!n)
		return;
	facts->average = sum / n;
	facts->sectors_per_quantile = n * bucket_sectors / (PRIORITY_QUANTILES + 1);
	for (unsigned priority = PRIO_METADATA - 1; priority; priority--) {
		before += census->of_priority[priority];
		while (quantile <= PRIORITY_QUANTILES &&
		       n * quantile / (PRIORITY_QUANTILES + 1) < before)
			facts->quantile[quantile++ - 1] = priority_distance(priority);
	}
}

/* The census takes 256 KiB, so it is allocated, not on the stack. */
void priority_facts_take(struct cache_set *set, struct priority_facts *facts)
{
	autofree struct census *census = calloc(1, sizeof(*census));
	uint64_t buckets = set->cache.superblock.buckets;

	assert(census);
	*facts = (struct priority_facts){ 0 };
	set_lock(set);
	if (set->is_running)
		census_take(&set->cache.space, census);
	set_unlock(set);
	facts->unused_percent = percent_of(census->unused, buckets);
	facts->clean_percent = percent_of(census->marked[MARK_RECLAIMABLE], buckets);
	facts->dirty_percent = percent_of(census->marked[MARK_DIRTY], buckets);
	facts->metadata_percent = percent_of(census->marked[MARK_METADATA], buckets);
	spread(census, set->cache.superblock.bucket_sectors, facts);
}
