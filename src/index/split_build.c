/*
 * Makes the new nodes of a plan in memory: the commit at the end of PREPARE, which can neither
 * wait nor fail.
 */
#include "index/split.h"

#include <errno.h>
#include <string.h>

#include "base/sometimes.h"

static void new_buffer(struct index *index, struct new_node *new)
{
	if (!new->buffer)
		new->buffer = buffer_new(index->setup.node_sectors * 512);
}

static LOCKED void make_node(struct plan *plan, struct new_node *new, uint32_t bucket,
			     unsigned level, const struct bkey *position, const struct bkey *keys,
			     unsigned count)
{
	struct index *index = plan->index;
	struct bkey key = bkey_with_pointer(bkey_of(bkey_volume(position), bkey_end(position),
						    index->setup.node_sectors),
					    space_pointer(index->setup.space, bucket));

	new_buffer(index, new);
	new->node = node_new(index, &key, level);
	new->node->is_frozen = true;	/* SPLIT-1 */
	new->node->sequence = random_next(&index->random) | 1;
	run_reserve(&new->node->keys, count);
	for (unsigned i = 0; i < count; i++)
		run_add(&new->node->keys, &keys[i]);
	new->sectors = node_encode(index, new->node, &new->node->keys, new->buffer,
				   index->setup.node_sectors * 512);
	new->node->written_sectors = new->sectors;
}

/*
 * How many of `keys`, which have `total` words, the first of `nodes` new nodes gets: its share;
 * but of two nodes 3/5 of the words, or more if the second cannot hold the rest.
 */
static unsigned keys_of_first(const struct index *index, const struct bkey *keys, unsigned count,
			      unsigned total, unsigned nodes)
{
	unsigned others = (nodes - 1) * split_node_words(index);
	unsigned least = total > others ? total - others : 0;
	unsigned share = nodes == 2 ? total * FIRST_GETS_FIFTHS / 5 : total / nodes;
	unsigned aim = clamp_u64(share, least, split_node_words(index));
	unsigned words = 0, taken = 0;

	while (taken + 1 < count) {
		unsigned next = bkey_words(&keys[taken]);

		if (taken && words >= least && words + next > aim)
			break;
		words += next;
		taken++;
	}
	return taken;
}

static LOCKED void make_nodes(struct plan *plan, unsigned level, const uint32_t *buckets)
{
	struct level_plan *at = &plan->at[level];
	const struct bkey *keys = plan->content.key;
	unsigned left = plan->content.count, total = run_words(&plan->content);
	unsigned i;

	SIM_SOMETIMES_IF(level && at->count > 1, "an interior node is split");
	SIM_RARELY_IF(!plan->insert && at->count > 1, "gc splits a node",
		      "test_index_split/splits_what_fills_more");
	for (i = 0; i + 1 < at->count; i++) {
		unsigned taken = keys_of_first(plan->index, keys, left, total, at->count - i);

		make_node(plan, &at->new[i], buckets[i], level, &keys[taken - 1], keys, taken);
		for (; taken; taken--, left--)
			total -= bkey_words(keys++);
	}
	make_node(plan, &at->new[i], buckets[i], level, &at->old[at->olds - 1]->key, keys, left);
	if (at->olds > at->count)
		plan->index->nodes_given_back += at->olds - at->count;
	else if (at->count > 1)
		plan->index->splits++;
	else
		plan->index->rewrites++;
}

/* Replaces the pointers to the old children by those to the new ones. */
void plan_replace_children(struct run *run, const struct level_plan *at)
{
	unsigned place = run_find_key(run, &at->old[0]->key);

	assert(place + at->olds <= run->count);
	for (unsigned i = 0; i < at->olds; i++) {
		assert(run->key[i ? place + 1 : place].ptr == at->old[i]->key.ptr);
		if (i)
			run_remove_at(run, place + 1);
	}
	run->key[place] = at->new[at->count - 1].node->key;
	for (unsigned i = at->count - 1; i--;)
		run_insert_at(run, place, &at->new[i].node->key);
}

/* Updates the dirty counts: minus the old leaves' keys, plus those of the new leaves. */
static LOCKED void recount_dirty(struct plan *plan)
{
	struct index *index = plan->index;
	struct node_walk walk;
	const struct bkey *k;

	for (unsigned i = 0; i < plan->at[0].olds; i++) {
		node_walk_begin(&walk, plan->at[0].old[i]);
		while ((k = node_walk_next(&walk)))
			index_count_dirty(index, k, -1);
	}
	for (unsigned i = 0; i < plan->content.count; i++)
		index_count_dirty(index, &plan->content.key[i], 1);
}

/* Journals the carried keys, in the critical section that adds them to the new nodes (INDEX-1). */
static LOCKED void journal_carried_keys(struct plan *plan)
{
	struct insert *insert = plan->insert;
	struct journal *journal = plan->index->setup.journal;

	for (unsigned i = 0; i < plan->carried.count && insert->is_journaled; i++) {
		insert->sequence = journal_add(journal, &plan->carried.key[i]);
		journal_pin(journal, &plan->pin, insert->sequence);
	}
	if (!insert->is_journaled && insert->replayed)
		journal_pin(journal, &plan->pin, insert->replayed);
	memcpy(insert->keys, plan->trial.keys, sizeof(insert->keys));
	insert->next = plan->trial.next;
	insert->inserted_sectors = plan->trial.inserted_sectors;
}

/* Makes a new root above the nodes that replace the old one. */
static LOCKED void make_root(struct plan *plan, uint32_t bucket)
{
	const struct level_plan *at = &plan->at[plan->top];
	struct bkey children[NEW_NODES_MAX];

	for (unsigned i = 0; i < at->count; i++)
		children[i] = at->new[i].node->key;
	make_node(plan, &plan->root, bucket, plan->top + 1, &at->old[0]->key, children, at->count);
}

/* Commits: nothing may fail from here on, except the device. */
void plan_commit(struct plan *plan, const uint32_t *buckets)
{
	struct index *index = plan->index;
	unsigned used = 0;

	if (!plan->bottom)
		recount_dirty(plan);
	if (plan->insert)
		journal_carried_keys(plan);
	for (unsigned level = plan->bottom; level <= plan->top; level++) {
		struct level_plan *at = &plan->at[level];

		if (level > plan->bottom) {
			plan_collect_children(plan, at->old[0]);
			plan_replace_children(&plan->content, &plan->at[level - 1]);
		}
		for (unsigned i = 0; i < at->olds; i++)
			at->old[i]->is_frozen = true;
		make_nodes(plan, level, buckets + used);
		used += at->count;
	}
	plan->root.node = NULL;
	if (!plan->parent && plan->at[plan->top].count > 1)
		make_root(plan, buckets[used]);
	if (plan->parent)
		plan->parent->counted_sectors += plan->parent_sectors;
	if (index->root->level + 2 >= INDEX_LEVELS_MAX && plan->root.node)
		health_fail(index->setup.health, EFBIG, "the btree would have %u levels",
			    index->root->level + 2);
}
