/*
 * Decides the content of a plan's new nodes and the levels that it replaces, and checks
 * that its resources can exist: the part of PREPARE that changes nothing.
 */
#include "index/split.h"

#include <errno.h>
#include <string.h>

#include "base/sometimes.h"

void plan_drop_unusable(struct index *index, struct run *run)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < run->count; i++) {
		if (index_key_is_usable(index, &run->key[i]))
			run->key[kept++] = run->key[i];
	}
	run->count = kept;
}

static void exchange(struct run *a, struct run *b)
{
	struct run kept = *a;

	*a = *b;
	*b = kept;
}

/* Does the next key begin before plan->from?  Then it may belong to an earlier leaf. */
static bool next_goes_back(const struct plan *plan, const struct insert *insert)
{
	const struct bkey *k = &insert->keys[insert->next];

	if (insert->next == insert->count)
		return false;
	return bkey_volume(k) != plan->from.volume ? bkey_volume(k) < plan->from.volume :
						     bkey_start(k) < plan->from.sector;
}

/* Collects the insert's keys that belong to `leaf` as a run; later keys hide earlier ones. */
static LOCKED void collect_carried_keys(struct plan *plan, const struct node *leaf)
{
	struct index *index = plan->index;
	struct run one = { .count = 1, .capacity = 1 };
	struct bkey part;

	plan->carried.count = 0;
	plan->trial = *plan->insert;
	while (!next_goes_back(plan, &plan->trial) &&
	       insert_next_part(&plan->trial, leaf, &part)) {
		one.key = &part;
		run_merge(&plan->carried, &one, &index->scratch);
		exchange(&plan->carried, &index->scratch);
		insert_advance(&plan->trial, &part, bkey_sectors(&part));
	}
}

/* The new leaves hold what the old one holds, plus the carried keys, minus unusable ones. */
void plan_collect_leaf(struct plan *plan, const struct node *leaf)
{
	struct index *index = plan->index;

	run_merge(&leaf->keys, &leaf->open, &plan->content);
	if (plan->insert) {
		collect_carried_keys(plan, leaf);
		run_merge(&plan->content, &plan->carried, &index->scratch);
		exchange(&plan->content, &index->scratch);
	}
	plan_drop_unusable(index, &plan->content);
}

/* An interior node has no unusable keys: dead pointers are kept apart, in `dead`. */
void plan_collect_children(struct plan *plan, const struct node *node)
{
	run_reserve(&plan->content, node->keys.count);
	memcpy(plan->content.key, node->keys.key, node->keys.count * sizeof(struct bkey));
	plan->content.count = node->keys.count;
}

/* The number of new nodes for so many words.  Each must hold its share and one key more. */
static unsigned nodes_for(const struct index *index, unsigned words, unsigned keys)
{
	unsigned full = split_node_words(index) * SPLIT_ABOVE_FIFTHS / 5;

	if (keys <= 1 || words * UINT64_C(5) <= split_node_words(index) * SPLIT_ABOVE_FIFTHS)
		return 1;
	if (words <= 2 * (split_node_words(index) - BKEY_WORDS_MAX))
		return 2;
	return (words + full - 1) / full;
}

/* Allocates the buffers of the new nodes of a level; false: no memory. */
static bool have_buffers(const struct plan *plan, struct level_plan *at)
{
	for (unsigned i = 0; i < at->count; i++) {
		if (!at->new[i].buffer)
			at->new[i].buffer = buffer_try_new(plan->index->setup.node_sectors * 512);
		if (!at->new[i].buffer)
			return false;
	}
	return true;
}

/* Fails the set if it can never provide so many buckets at a time, or memory for the nodes. */
int plan_check_size(struct plan *plan, unsigned buckets)
{
	struct index *index = plan->index;
	unsigned most = min_u64(index->setup.space->free[USE_BTREE].size, PLAN_BUCKETS_MAX);

	if (buckets > most)
		health_fail(index->setup.health, EFBIG,
			    "btree node at sector %llu of %u sectors: found keys for %u nodes of "
			    "%u sectors, wanted at most %u",
			    (unsigned long long)pointer_sector(plan->at[plan->top].old[0]->key.ptr),
			    plan->at[plan->top].old[0]->sectors, buckets, index->setup.node_sectors,
			    most);
	for (unsigned level = plan->bottom; level <= plan->top && buckets <= most; level++)
		if (!have_buffers(plan, &plan->at[level]))
			health_fail(index->setup.health, ENOMEM, "no memory for %u btree nodes",
				    buckets);
	return health_error(index->setup.health);
}

int plan_await_node(struct plan *plan, struct node *node)
{
	if (!node->is_frozen && !node->write)
		return 0;
	SIM_SOMETIMES_IF(node->is_frozen, "a plan waits for another plan");
	SIM_SOMETIMES_IF(node->write, "a plan waits for the write of a leaf");
	waitlist_join(&node->waiting, &plan->op);
	return -EAGAIN;
}

int plan_await_appends(struct plan *plan, struct node *node)
{
	if (!node->counted_sectors && !node->is_appended)
		return 0;
	SIM_SOMETIMES("a plan waits for another that appends to the node");
	waitlist_join(&node->waiting, &plan->op);
	return -EAGAIN;
}

/* The old nodes of a level; those of the lowest are known already. */
static LOCKED int await_old_nodes(struct plan *plan, unsigned level, struct node *old)
{
	struct level_plan *at = &plan->at[level];

	if (level > plan->bottom) {
		at->old[0] = old;
		at->olds = 1;
	}
	for (unsigned i = 0; i < at->olds; i++)
		if (plan_await_node(plan, at->old[i]) || plan_await_appends(plan, at->old[i]))
			return -EAGAIN;
	return 0;
}

/* Decides which levels are replaced, and by how many nodes each (split.h). */
int plan_lay_out(struct plan *plan, struct node *const path[INDEX_LEVELS_MAX], unsigned *buckets)
{
	struct index *index = plan->index;
	unsigned words = run_words(&plan->content);
	unsigned keys = plan->content.count;

	*buckets = 0;

	for (unsigned level = plan->bottom;; level++) {
		struct level_plan *at = &plan->at[level];
		struct node *parent;

		if (await_old_nodes(plan, level, path[level]))
			return -EAGAIN;
		at->count = nodes_for(index, words, keys);
		*buckets += at->count;
		plan->top = level;
		plan->parent = NULL;
		if (at->count > NEW_NODES_MAX) {	/* plan_check_size() refuses it */
			*buckets += PLAN_BUCKETS_MAX;
			return 0;
		}
		if (at->old[0] == index->root) {
			*buckets += at->count > 1;
			return 0;
		}
		parent = path[level + 1];
		if (plan_await_node(plan, parent))
			return -EAGAIN;
		plan->parent_sectors =
			index_set_sectors(index, CHILD_WORDS * (at->olds + at->count));
		if (parent->written_sectors + parent->counted_sectors + plan->parent_sectors <=
		    parent->sectors) {
			plan->parent = parent;
			return 0;
		}
		keys = parent->keys.count - at->olds + at->count;
		words = keys * CHILD_WORDS;
	}
}

/* Does the leaf have room by now, or does the insert have no key for it any more? */
bool plan_is_needless(struct plan *plan, const struct node *leaf)
{
	struct bkey part;

	if (!plan->insert)
		return false;
	plan->trial = *plan->insert;
	return !insert_next_part(&plan->trial, leaf, &part) ||
	       (!leaf->is_frozen &&
		leaf_room(plan->index, leaf, bkey_words(&part) + BKEY_WORDS_MAX) != LEAF_FULL);
}
