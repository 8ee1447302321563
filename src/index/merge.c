/*
 * Merges thin siblings, for gc: n old nodes become one new one.
 *
 *	     parent                             parent
 *	  /  |   |  \                           /    \
 *	 1  (2) (3)  4        ------------>    1      234        with the key of node 4
 *
 * Keys go stale when their buckets are reused, so a leaf may be left with few or none that
 * are usable; it would keep its bucket all the same.  The plan is that of a split (split.c)
 * but for its several old nodes: they are frozen together, the parent's bset has a freed
 * record for each, and the new node takes the place of the last.
 *
 * (MERGE-1) Only neighbours below one parent are merged, so that one bset of the parent
 *     replaces them all (ORDER-23).
 * (MERGE-2) The new node is at most 2/3 full, since one of 4/5 would soon be split again.
 * (MERGE-3) Only siblings in memory are merged.  Gc has just passed them, so they are; a plan
 *     that read them could wait for ever where memory is short.
 *
 * A root with one child makes the tree higher than it need be.  It is dropped: the journal's
 * next entry names the child, and then the bucket of the old root is free, as if a plan had
 * replaced it (SPLIT-2).  Nothing is written but the entry.
 */
#include <errno.h>
#include <string.h>

#include "base/sometimes.h"
#include "index/split.h"

unsigned index_merge_words(const struct index *index)
{
	return split_node_words(index) * MERGE_UP_TO_THIRDS / 3;
}

int index_merge(struct index *index, struct position from, const struct bkey *to, unsigned level,
		bool is_rewrite, struct op *op)
{
	struct plan *plan = plan_begin(index, from, level, NULL, op);

	if (!plan)
		return -EBUSY;
	plan->is_merge = true;
	plan->is_rewrite = is_rewrite;
	plan->to = *to;
	return 0;
}

/* ---- siblings ---- */

/* The keys of a sibling, as a run in index->scratch. */
static LOCKED void collect_sibling(struct index *index, const struct node *node)
{
	if (!node->level) {
		run_merge(&node->keys, &node->open, &index->scratch);
		plan_drop_unusable(index, &index->scratch);
		return;
	}
	index->scratch.count = 0;
	run_reserve(&index->scratch, node->keys.count);
	memcpy(index->scratch.key, node->keys.key, node->keys.count * sizeof(struct bkey));
	index->scratch.count = node->keys.count;
}

/* False: together they would be too full (MERGE-2). */
static LOCKED bool add_sibling(struct plan *plan, struct node *node)
{
	struct index *index = plan->index;
	struct level_plan *at = &plan->at[plan->bottom];

	collect_sibling(index, node);
	if (run_words(&plan->content) + run_words(&index->scratch) > index_merge_words(index))
		return false;
	run_reserve(&plan->content, plan->content.count + index->scratch.count);
	for (unsigned i = 0; i < index->scratch.count; i++)
		run_add(&plan->content, &index->scratch.key[i]);
	at->old[at->olds++] = node;
	return true;
}

/* Usable or not. */
static unsigned keys_of(const struct node *node)
{
	return node->keys.count + node->open.count;
}

void plan_add_siblings(struct plan *plan, struct node *const path[INDEX_LEVELS_MAX])
{
	struct level_plan *at = &plan->at[plan->bottom];
	const struct run *children;
	unsigned place, keys;

	if (at->old[0] == plan->index->root)
		return;
	children = &path[plan->bottom + 1]->keys;	/* MERGE-1 */
	place = run_find_key(children, &at->old[0]->key);
	keys = keys_of(at->old[0]);
	while (++place < children->count && at->olds < OLD_NODES_MAX) {
		struct node *node = node_peek(plan->index, &children->key[place], plan->bottom);

		if (bkey_compare(&children->key[place], &plan->to) > 0 || !node)
			break;
		keys += keys_of(node);
		if (keys > INDEX_MERGE_KEYS_MAX || !add_sibling(plan, node))
			break;
		SIM_SOMETIMES_IF(node_is_dirty(node), "a sibling that is merged is dirty");
	}
	SIM_SOMETIMES_IF(!plan->bottom && at->olds > 1, "leaves are merged");
	SIM_SOMETIMES_IF(!plan->bottom && at->olds > 2, "many leaves are merged into one");
	SIM_RARELY_IF(plan->bottom && at->olds > 1, "interior nodes are merged",
		      "test_index_merge/of_interior_nodes_lets_the_tree_lose_levels");
}

/* ---- the height of the tree ---- */

int index_lower_root(struct index *index, struct op *op)
{
	struct plan *plan;

	if (!index->root->level || index->root->keys.count > 1)
		return -EBUSY;
	plan = plan_begin(index, (struct position){ 0, 0 }, index->root->level, NULL, op);
	if (!plan)
		return -EBUSY;
	plan->is_lowering = true;
	return 0;
}

int plan_lower(struct plan *plan, struct node *const path[INDEX_LEVELS_MAX])
{
	struct node *root = plan->index->root;
	struct level_plan *at = &plan->at[root->level];

	if (!root->level || root->keys.count > 1)
		return -EBUSY;
	plan->heir = path[root->level - 1];
	if (plan_await_node(plan, root) || plan_await_appends(plan, root) ||
	    plan_await_node(plan, plan->heir))
		return -EAGAIN;
	assert(!bkey_compare(&plan->heir->key, &root->key));
	plan->bottom = plan->top = root->level;
	plan->parent = NULL;
	plan->root.node = NULL;
	*at->old = root;
	at->olds = 1;
	at->count = 0;
	root->is_frozen = true;
	SIM_SOMETIMES("the tree loses a level");
	return 0;
}
