/*
 * Plans: replace nodes that are full, or that gc wants rewritten, by new ones.
 *
 *	PREPARE --all---> FLUSH --> NODES --> SWITCH --> PARENT --> (ROOT) --> FREE
 *	 |  ^             data of    new       commit     parent's   entry that
 *	 +--+             the keys   nodes,    to the     bset       names the
 *	 waits for        durable    children  parent     durable    new root
 *	 a resource                  first
 *
 *	              parent                          parent
 *	                |          leaf is full       /    \
 *	              leaf   ---------------------> new    new     with the carried keys
 *
 * A plan begins at one node (`bottom`) and replaces as many of its ancestors as lack
 * room for the new keys: a freed record for the old node, and pointers to one or two new
 * ones (more, if the old node is larger than ours).  PREPARE tests and takes everything that
 * the plan needs in one critical section: buckets, journal room for the carried keys,
 * and room in the lowest ancestor that has it.
 *
 * The plan of an insert carries the insert's keys along: they are journaled when PREPARE
 * commits, and are part of the new nodes.  So the number of new nodes accounts for them,
 * and the insert makes progress even if other inserts fill the new leaf at once.
 *
 * (SPLIT-1) Old nodes are frozen when PREPARE commits; new nodes stay frozen until the
 *     parent's bset is durable.  A key inserted earlier could be written to the new node
 *     and dropped from the journal while the disk still leads to the old node.
 * (SPLIT-2) Old nodes keep their bucket and their journal pin until then.  If the root was
 *     replaced, all old buckets wait for a durable entry that names the new root.
 * (SPLIT-3) Only one plan at a time appends to a parent, so that its log has no gaps.
 * (SPLIT-4) The freed record and the pointers to the new nodes are in one bset (ORDER-23).
 */
#include "index/split.h"

#include <errno.h>
#include <string.h>

#include "base/sometimes.h"

static void plan_step(struct op *op);

void plans_init(struct index *index)
{
	index->plans = calloc(PLANS_MAX, sizeof(*index->plans));
	assert(index->plans);
	for (unsigned i = 0; i < PLANS_MAX; i++) {
		struct plan *plan = &index->plans[i];

		plan->index = index;
		plan->parent_buffer = buffer_new(OPEN_RUN_BYTES_MAX);
		plan->pin.is_busy = true;
		op_init(&plan->op, index->setup.reactor, plan_step);
		plan->op.when_idle = index->setup.when_idle;
	}
}

/* Frees the buffers of new nodes from `first` on. */
static void free_buffers(struct level_plan *at, unsigned first)
{
	for (unsigned i = first; i < NEW_NODES_MAX; i++) {
		buffer_free(at->new[i].buffer);
		at->new[i].buffer = NULL;
	}
}

void plans_done(struct index *index)
{
	for (unsigned i = 0; i < PLANS_MAX; i++) {
		struct plan *plan = &index->plans[i];

		buffer_free(plan->parent_buffer);
		buffer_free(plan->root.buffer);
		for (unsigned level = 0; level < INDEX_LEVELS_MAX; level++)
			free_buffers(&plan->at[level], 0);
		run_done(&plan->content);
		run_done(&plan->carried);
	}
	free(index->plans);
}

bool plans_are_idle(const struct index *index)
{
	for (unsigned i = 0; i < PLANS_MAX; i++) {
		if (index->plans[i].state != PLAN_FREE)
			return false;
	}
	return true;
}

static struct plan *free_plan(struct index *index)
{
	for (unsigned i = 0; i < PLANS_MAX; i++) {
		if (index->plans[i].state == PLAN_FREE)
			return &index->plans[i];
	}
	return NULL;
}

void plan_start(struct index *index, struct position from, unsigned level, struct insert *insert,
		struct op *op)
{
	struct plan *plan = free_plan(index);

	if (!plan) {
		SIM_SOMETIMES("all plans are in use");
		waitlist_join(&index->plan_slots, op);
		return;
	}
	plan->from = from;
	plan->bottom = level;
	plan->insert = insert;
	plan->owner = op;
	plan->state = PLAN_PREPARE;
	plan->began_ns = clock_ns(index->setup.reactor);
	op_await(op);
	op_queue(&plan->op);
}

int index_rewrite(struct index *index, struct position from, unsigned level, struct op *op)
{
	if (!free_plan(index))
		return -EBUSY;
	plan_start(index, from, level, NULL, op);
	return 0;
}

/* The owner continues when the new nodes are thawed, which may be before the plan has ended. */
static LOCKED void owner_arrives(struct plan *plan, int error)
{
	struct op *owner = plan->owner;

	plan->owner = NULL;
	if (owner)
		op_arrive(owner, error);
}

/* Buffers of more than two nodes of a level are rare and large, and not kept. */
static LOCKED void plan_ends(struct plan *plan, int error)
{
	plan->state = PLAN_FREE;
	for (unsigned level = plan->bottom; level <= plan->top; level++)
		if (plan->at[level].count > 2)
			free_buffers(&plan->at[level], 2);
	owner_arrives(plan, error);
	waitlist_wake_all(&plan->index->plan_slots, 0);
	nodes_trim(plan->index);
	waitlist_wake_all(&plan->index->memory, 0);
}

/* ---- PREPARE, then commit ---- */

/* New nodes hold keys whose data may not be durable yet, so a flush comes first. */
static LOCKED void begin_writing(struct plan *plan)
{
	struct index *index = plan->index;

	plan->writing = plan->bottom;
	plan->state = PLAN_FLUSH;
	/* INDEX-2 */
	device_flush(index->setup.device, &plan->op);
}

/*
 * Takes the buckets.  Rewrites by gc and plans of fills never wait for them, since perhaps only the
 * end of gc can free some, and leave half of the list for other splits (LESSON-1): -EBUSY.
 */
static LOCKED int take_buckets(struct plan *plan, unsigned count, uint32_t *buckets)
{
	struct space *space = plan->index->setup.space;
	bool may_wait = plan->insert && !plan->insert->may_drop;

	if (!may_wait && !space_can_spare(space, USE_BTREE, count))
		return -EBUSY;
	return space_take(space, USE_BTREE, count, buckets, &plan->op);
}

static LOCKED bool is_cancelled(const struct plan *plan)
{
	return plan->insert && plan->insert->cancelled && *plan->insert->cancelled;
}

/* 0: the new nodes are laid out, in so many buckets; nothing has changed.  -EAGAIN; -errno. */
static LOCKED int lay_out(struct plan *plan, struct node *const path[INDEX_LEVELS_MAX],
			  unsigned *count)
{
	int error;

	if (plan->bottom)
		plan_collect_children(plan, path[plan->bottom]);
	else
		plan_collect_leaf(plan, path[0]);
	error = plan_lay_out(plan, path, count);
	return error ?: plan_check_size(plan, *count);
}

/* Room in the journal for the carried keys, then the buckets.  0; -EAGAIN; -EBUSY; -errno. */
static LOCKED int take_resources(struct plan *plan, unsigned count, uint32_t *buckets)
{
	struct index *index = plan->index;
	unsigned words = plan->insert && plan->insert->is_journaled ?
			 run_words(&plan->carried) : 0;
	int error = words ? journal_room(index->setup.journal, words, &plan->op) : 0;

	if (!error)
		error = take_buckets(plan, count, buckets);
	if (error == -ENOSPC && !health_error(index->setup.health)) {
		health_fail(index->setup.health, ENOSPC,
			    "no unused bucket for a btree node during replay");
		error = health_error(index->setup.health);
	}
	return error;
}

/* May wait, and changes nothing until it has all that it needs. */
static LOCKED void plan_prepare(struct plan *plan)
{
	struct index *index = plan->index;
	struct node *path[INDEX_LEVELS_MAX];
	uint32_t buckets[PLAN_BUCKETS_MAX];
	unsigned count;
	int error = index_path(index, plan->from, path, &plan->op);

	if (error == -EAGAIN)
		return;
	if (error || plan->bottom > index->root->level || is_cancelled(plan) ||
	    plan_is_needless(plan, path[0])) {
		plan_ends(plan, error);
		return;
	}
	error = lay_out(plan, path, &count);
	if (!error)
		error = take_resources(plan, count, buckets);
	if (error == -EAGAIN)
		return;
	if (error) {
		plan_ends(plan, error == -EBUSY ? 0 : error);
		return;
	}
	plan_commit(plan, buckets);
	begin_writing(plan);
}

/* ---- NODES: writes the new nodes, children before parents (INDEX-3) ---- */

static LOCKED void write_node(struct plan *plan, const struct new_node *new)
{
	struct index *index = plan->index;

	device_write(index->setup.device, new->buffer, pointer_sector(new->node->key.ptr),
		     new->sectors, true, &plan->op);
	index->nodes_written++;
	index->sectors_written += new->sectors;
}

/* Starts to write the nodes of the next level.  False: all levels are written. */
static LOCKED bool write_level(struct plan *plan)
{
	unsigned level = plan->writing++;

	if (level <= plan->top) {
		for (unsigned i = 0; i < plan->at[level].count; i++)
			write_node(plan, &plan->at[level].new[i]);
		return true;
	}
	if (level == plan->top + 1 && plan->root.node) {
		write_node(plan, &plan->root);
		return true;
	}
	return false;
}

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

/* SPLIT-4: makes one bset of the freed record and the new pointers. */
static LOCKED void encode_new_children(struct plan *plan, const struct bkey *freed)
{
	const struct level_plan *at = &plan->at[plan->top];
	struct bkey keys[1 + NEW_NODES_MAX] = { *freed };
	struct run run = { keys, 1 + at->count, ARRAY_SIZE(keys) };
	unsigned sectors;

	for (unsigned i = 0; i < at->count; i++)
		keys[1 + i] = at->new[i].node->key;
	sectors = node_encode(plan->index, plan->parent, &run, plan->parent_buffer,
			      OPEN_RUN_BYTES_MAX);
	assert(sectors == plan->parent_sectors);
}

/* One bset with the freed record and the new pointers, written FUA behind the parent's log. */
static LOCKED void append_to_parent(struct plan *plan)
{
	struct index *index = plan->index;
	struct node *parent = plan->parent;
	const struct level_plan *at = &plan->at[plan->top];
	struct bkey freed = freed_record(index, at->old);
	uint64_t sector = pointer_sector(parent->key.ptr) + parent->written_sectors;

	encode_new_children(plan, &freed);
	plan_replace_child(&parent->keys, at);
	add_dead(parent, &at->old->key);
	add_dead(parent, &freed);
	parent->counted_sectors -= plan->parent_sectors;
	parent->written_sectors += plan->parent_sectors;
	parent->is_appended = true;	/* SPLIT-3 */
	device_write(index->setup.device, plan->parent_buffer, sector, plan->parent_sectors, true,
		     &plan->op);
	index->sectors_written += plan->parent_sectors;
}

/* The journal is the parent of the root: its next entry names the new one (ORDER-4). */
static LOCKED void switch_root(struct plan *plan)
{
	struct index *index = plan->index;

	index->root = plan->root.node ?: plan->at[plan->top].new[0].node;
	journal_set_btree_root(index->setup.journal, &index->root->key, index->root->level);
	if (index->is_running)
		journal_roots_change(index->setup.journal);
}

static LOCKED void switch_over(struct plan *plan)
{
	struct index *index = plan->index;

	if (plan->parent && plan->parent->is_appended) {
		waitlist_join(&plan->parent->waiting, &plan->op);
		return;
	}
	for (unsigned level = plan->bottom; level <= plan->top; level++) {
		struct node *old = plan->at[level].old;

		node_unhash(index, old);
		space_free_begin(index->setup.space,
				 space_bucket_of(index->setup.space, old->key.ptr));
	}
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

/* Drops an old node and its pin; returns its bucket, which is not free yet (SPLIT-2). */
static LOCKED uint32_t old_node_goes(struct index *index, struct node *old)
{
	uint32_t bucket = space_bucket_of(index->setup.space, old->key.ptr);

	journal_unpin(index->setup.journal, &old->pin);
	waitlist_wake_all(&old->waiting, 0);
	old->is_frozen = false;
	node_forget(index, old);
	return bucket;
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

static LOCKED void thaw(struct plan *plan)
{
	struct index *index = plan->index;
	bool root_is_unnamed = !plan->parent && !index->is_running;
	uint32_t freed[INDEX_LEVELS_MAX];

	time_stats_add(&index->split_times, plan->began_ns, clock_ns(index->setup.reactor));
	for (unsigned level = plan->bottom; level <= plan->top; level++) {
		struct level_plan *at = &plan->at[level];

		for (unsigned i = 0; i < at->count; i++)
			thaw_node(index, at->new[i].node);
		freed[level] = old_node_goes(index, at->old);
		at->old = NULL;
	}
	if (plan->root.node)
		thaw_node(index, plan->root.node);
	journal_unpin(index->setup.journal, &plan->pin);
	for (unsigned level = plan->bottom; level <= plan->top; level++) {
		if (plan->parent && index->is_running)
			space_freed(index->setup.space, freed[level]);
		else	/* the root that the durable journal names may still lead here */
			keep_for_root(index, freed[level]);
	}
	if (plan->parent) {
		plan->parent->is_appended = false;
		waitlist_wake_all(&plan->parent->waiting, 0);
	}
	if (plan->parent || root_is_unnamed) {
		plan_ends(plan, 0);
		return;
	}
	plan->state = PLAN_ROOT;
	owner_arrives(plan, 0);
	waitlist_wake_all(&index->memory, 0);
	journal_commit(index->setup.journal, &plan->op);
}

/* A durable entry names the current root: frees the buckets that waited for it. */
static LOCKED void release_old_roots(struct index *index)
{
	for (unsigned i = 0; i < index->freed_roots_count; i++)
		space_freed(index->setup.space, index->freed_roots[i]);
	index->freed_roots_count = 0;
}

void index_run(struct index *index)
{
	release_old_roots(index);
	index->is_running = true;
	op_queue(&index->pressure);
	op_queue(&index->ageing);
}

/* Nodes stay frozen, and buckets taken: the set has failed, and is torn down. */
static LOCKED void plan_failed(struct plan *plan, int error)
{
	SIM_SOMETIMES("a plan fails");
	health_fail(plan->index->setup.health, -error, "io error replacing btree nodes: %s",
		    strerror(-error));
	plan_ends(plan, error);
}

static void plan_step(struct op *op)
{
	struct plan *plan = container_of(op, struct plan, op);
	struct index *index = plan->index;
	int error;

	lock_acquire(index->setup.lock);
	error = op_take_error(op) ?: health_error(index->setup.health);
	if (error) {
		plan_failed(plan, error);
	} else {
		switch (plan->state) {
		case PLAN_FREE:
			break;
		case PLAN_PREPARE:
			plan_prepare(plan);
			break;
		case PLAN_FLUSH:
			plan->state = PLAN_NODES;
			write_level(plan);
			break;
		case PLAN_NODES:
			if (write_level(plan))
				break;
			plan->state = PLAN_SWITCH;
			/* fall through */
		case PLAN_SWITCH:
			switch_over(plan);
			break;
		case PLAN_PARENT:
			thaw(plan);
			break;
		case PLAN_ROOT:
			release_old_roots(index);
			plan_ends(plan, 0);
			break;
		}
	}
	lock_release(index->setup.lock);
}
