/*
 * The end of a plan: makes lookups use the new nodes, thaws them when the parent's bset or the
 * root's entry is durable, and frees the old nodes (SPLIT-2).
 */
#include "index/split.h"

#include "base/sometimes.h"

/* ---- SWITCH, commit: lookups use the new nodes from here on ---- */

/* A key at position 0 with the raised generation: after it, the old pointer reads as stale. */
static LOCKED struct bkey freed_record(const struct index *index, const struct node *old)
{
	uint32_t bucket = space_bucket_of(index->setup.space, old->key.ptr);

	return bkey_with_pointer(bkey_of(0, 0, old->sectors),
				 space_pointer(index->setup.space, bucket));
}

static LOCKED void add_dead(struct node *parent, const struct bkey *k)
{
	run_reserve(&parent->dead, parent->dead.count + 1);
	run_add(&parent->dead, k);
}

/* SPLIT-4: makes one bset of the freed records and the new pointers. */
static LOCKED void encode_new_children(struct plan *plan)
{
	const struct level_plan *at = &plan->at[plan->top];
	struct bkey keys[OLD_NODES_MAX + NEW_NODES_MAX];
	struct run run = { keys, 0, ARRAY_SIZE(keys) };
	unsigned sectors;

	for (unsigned i = 0; i < at->olds; i++) {
		struct bkey freed = freed_record(plan->index, at->old[i]);

		run_add(&run, &freed);
		add_dead(plan->parent, &at->old[i]->key);
		add_dead(plan->parent, &freed);
	}
	for (unsigned i = 0; i < at->count; i++)
		run_add(&run, &at->new[i].node->key);
	sectors = node_encode(plan->index, plan->parent, &run, plan->parent_buffer,
			      OPEN_RUN_BYTES_MAX);
	assert(sectors == plan->parent_sectors);
}

void plan_write_parent(struct plan *plan)
{
	const struct index_setup *setup = &plan->index->setup;

	plan->state = PLAN_PARENT;
	device_write_metadata(setup->device, plan->parent_buffer, plan->parent_at,
			      min_u64(setup->block_sectors, plan->parent_sectors), true,
			      &plan->op);
}

/* All blocks of the parent's bset but the first, without which it does not exist (SPLIT-5). */
static LOCKED void write_tail(struct plan *plan)
{
	const struct index_setup *setup = &plan->index->setup;
	unsigned head = setup->block_sectors;

	SIM_RARELY("a bset of a parent has several blocks",
		   "test_index_split/writes_the_first_block_of_a_parents_bset_last");
	plan->state = PLAN_TAIL;
	device_write_metadata(setup->device, plan->parent_buffer + head * 512,
			      plan->parent_at + head, plan->parent_sectors - head, true,
			      &plan->op);
}

/* One bset with the freed records and the new pointers, written FUA behind the parent's log. */
static LOCKED void append_to_parent(struct plan *plan)
{
	struct index *index = plan->index;
	struct node *parent = plan->parent;

	plan->parent_at = pointer_sector(parent->key.ptr) + parent->written_sectors;
	encode_new_children(plan);
	plan_replace_children(&parent->keys, &plan->at[plan->top]);
	parent->counted_sectors -= plan->parent_sectors;
	parent->written_sectors += plan->parent_sectors;
	parent->is_appended = true;	/* SPLIT-3 */
	index->sectors_written += plan->parent_sectors;
	if (plan->parent_sectors > index->setup.block_sectors)
		write_tail(plan);
	else
		plan_write_parent(plan);
}

/* The journal is the parent of the root: its next entry names the new one (ORDER-4). */
static LOCKED void switch_root(struct plan *plan)
{
	struct index *index = plan->index;

	if (plan->is_lowering)
		index->root = plan->heir;
	else
		index->root = plan->root.node ?: plan->at[plan->top].new[0].node;
	journal_set_btree_root(index->setup.journal, &index->root->key, index->root->level);
	if (index->is_running)
		journal_roots_change(index->setup.journal);
}

static LOCKED void old_node_is_replaced(struct index *index, struct node *old)
{
	node_unhash(index, old);
	space_free_begin(index->setup.space, space_bucket_of(index->setup.space, old->key.ptr));
}

void plan_switch_over(struct plan *plan)
{
	struct index *index = plan->index;

	if (plan->parent && plan->parent->is_appended) {
		waitlist_join(&plan->parent->waiting, &plan->op);
		return;
	}
	for (unsigned level = plan->bottom; level <= plan->top; level++)
		for (unsigned i = 0; i < plan->at[level].olds; i++)
			old_node_is_replaced(index, plan->at[level].old[i]);
	plan->state = PLAN_PARENT;
	SIM_SOMETIMES_IF(plan->parent, "a parent is appended");
	SIM_SOMETIMES_IF(!plan->parent && plan->root.node, "the tree grows by a level");
	SIM_SOMETIMES_IF(!plan->parent && !plan->root.node, "the root is replaced by one node");
	SIM_SOMETIMES_IF(plan->top > plan->bottom, "a plan replaces several levels");
	SIM_SOMETIMES_IF(!index->is_running, "a plan runs during a replay");
	if (plan->parent) {
		append_to_parent(plan);
	} else {
		switch_root(plan);
		op_queue(&plan->op);
	}
}

/* ---- thaws the new nodes, frees the old ones ---- */

static LOCKED void thaw_node(struct index *index, struct node *node)
{
	node->is_frozen = false;
	space_unpin_bucket(index->setup.space, space_bucket_of(index->setup.space, node->key.ptr));
	waitlist_wake_all(&node->waiting, 0);
}

/* Grows: during replay no entry is written, so nothing is freed before its end. */
static LOCKED void keep_for_root(struct index *index, uint32_t bucket)
{
	if (index->freed_roots_count == index->freed_roots_room) {
		index->freed_roots_room = index->freed_roots_room * 2 + 64;
		index->freed_roots = realloc(index->freed_roots,
					     index->freed_roots_room * sizeof(uint32_t));
		assert(index->freed_roots);
	}
	index->freed_roots[index->freed_roots_count++] = bucket;
}

/* Drops an old node, its pin, and its bucket, unless the durable root may still lead there. */
static LOCKED void old_node_goes(struct plan *plan, struct node *old)
{
	struct index *index = plan->index;
	uint32_t bucket = space_bucket_of(index->setup.space, old->key.ptr);

	journal_unpin(index->setup.journal, &old->pin);
	waitlist_wake_all(&old->waiting, 0);
	old->is_frozen = false;
	node_forget(index, old);
	if (plan->parent && index->is_running)
		space_freed(index->setup.space, bucket);
	else
		keep_for_root(index, bucket);
}

static LOCKED void thaw_level(struct plan *plan, struct level_plan *at)
{
	for (unsigned i = 0; i < at->count; i++)
		thaw_node(plan->index, at->new[i].node);
	for (unsigned i = 0; i < at->olds; i++)
		old_node_goes(plan, at->old[i]);
	at->olds = 0;
}

void plan_thaw(struct plan *plan)
{
	struct index *index = plan->index;
	bool root_is_unnamed = !plan->parent && !index->is_running;

	time_stats_add(&index->split_times, plan->began_ns, clock_ns(index->setup.reactor));
	for (unsigned level = plan->bottom; level <= plan->top; level++)
		thaw_level(plan, &plan->at[level]);
	if (plan->root.node)
		thaw_node(index, plan->root.node);
	journal_unpin(index->setup.journal, &plan->pin);
	if (plan->parent) {
		plan->parent->is_appended = false;
		waitlist_wake_all(&plan->parent->waiting, 0);
	}
	if (plan->parent || root_is_unnamed) {
		plan_ends(plan, 0);
		return;
	}
	plan->state = PLAN_ROOT;
	plan_owner_arrives(plan, 0);
	waitlist_wake_all(&index->memory, 0);
	journal_commit(index->setup.journal, &plan->op);
}

void plan_release_old_roots(struct index *index)
{
	for (unsigned i = 0; i < index->freed_roots_count; i++)
		space_freed(index->setup.space, index->freed_roots[i]);
	index->freed_roots_count = 0;
}

void index_run(struct index *index)
{
	plan_release_old_roots(index);
	index->is_running = true;
	op_queue(&index->pressure);
	op_queue(&index->ageing);
}
