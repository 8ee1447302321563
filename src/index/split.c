/*
 * Plans: replace nodes that are full, or that gc wants rewritten or merged, by new ones.
 *
 *	PREPARE --all---> FLUSH --> NODES --> SWITCH --> (TAIL) --> PARENT --> (ROOT) --> FREE
 *	 |  ^             data of    new       commit     parent's   parent's   entry that
 *	 +--+             the keys   nodes,    to the     bset but   bset       names the
 *	 waits for        durable    children  parent     its first  durable    new root
 *	 a resource                  first                block
 *
 *	              parent                          parent
 *	                |          leaf is full       /    \
 *	              leaf   ---------------------> new    new     with the carried keys
 *
 * A plan begins at one node (`bottom`) and replaces as many of its ancestors as lack
 * room for the new keys: a freed record for the old node, and pointers to one or two new
 * ones (more, if the old node is larger than ours).  For gc several siblings become one
 * node (merge.c).  PREPARE tests and takes everything that the plan needs in one critical
 * section: buckets, journal room for the carried keys, and room in the lowest ancestor
 * that has it.
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
 * (SPLIT-4) The freed records and the pointers to the new nodes are in one bset (ORDER-23).
 * (SPLIT-5) The first block of that bset is written last, as of a leaf's: a bset that a power cut
 *     has torn fails its checksum, and then the parent with all below it cannot be read.
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

/* The last one is for gc: all others may wait for buckets that only a merge can free. */
static struct plan *free_plan(struct index *index, bool is_for_gc)
{
	unsigned first = is_for_gc ? PLANS_OF_INSERTS : 0;
	unsigned end = is_for_gc ? PLANS_MAX : PLANS_OF_INSERTS;

	for (unsigned i = first; i < end; i++) {
		if (index->plans[i].state == PLAN_FREE)
			return &index->plans[i];
	}
	return NULL;
}

struct plan *plan_begin(struct index *index, struct position from, unsigned level,
			struct insert *insert, struct op *op)
{
	struct plan *plan = free_plan(index, !insert);

	if (!plan)
		return NULL;
	plan->from = from;
	plan->bottom = plan->top = level;
	plan->insert = insert;
	plan->is_merge = plan->is_rewrite = plan->is_lowering = false;
	plan->owner = op;
	plan->state = PLAN_PREPARE;
	plan->began_ns = clock_ns(index->setup.reactor);
	op_await(op);
	op_queue(&plan->op);
	return plan;
}

void plan_start(struct index *index, struct position from, struct insert *insert, struct op *op)
{
	if (plan_begin(index, from, 0, insert, op))
		return;
	SIM_SOMETIMES("all plans are in use");
	waitlist_join(&index->plan_slots, op);
}

void plan_owner_arrives(struct plan *plan, int error)
{
	struct op *owner = plan->owner;

	plan->owner = NULL;
	if (owner)
		op_arrive(owner, error);
}

/* Buffers of more than two nodes of a level are rare and large, and not kept. */
void plan_ends(struct plan *plan, int error)
{
	plan->state = PLAN_FREE;
	for (unsigned level = plan->bottom; level <= plan->top; level++)
		if (plan->at[level].count > 2)
			free_buffers(&plan->at[level], 2);
	plan_owner_arrives(plan, error);
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

/* Will more buckets become free than the plan takes? */
static bool gives_buckets_back(const struct plan *plan, unsigned count)
{
	unsigned olds = 0;

	for (unsigned level = plan->bottom; level <= plan->top; level++)
		olds += plan->at[level].olds;
	return olds > count;
}

/*
 * Takes the buckets.  Rewrites by gc and plans of fills never wait for them, since perhaps only the
 * end of gc can free some, and leave half of the list for other splits (LESSON-1): -EBUSY.  Merges
 * may take the last ones: they bring more than they take.
 */
static LOCKED int take_buckets(struct plan *plan, unsigned count, uint32_t *buckets)
{
	struct space *space = plan->index->setup.space;
	bool may_wait = plan->insert && !plan->insert->may_drop;

	int error;

	if (may_wait)
		return space_take(space, USE_BTREE, count, buckets, &plan->op);
	if (!gives_buckets_back(plan, count) && !space_can_spare(space, USE_BTREE, count))
		return -EBUSY;
	error = space_take(space, USE_BTREE, count, buckets, NULL);
	return error == -EAGAIN ? -EBUSY : error;
}

static LOCKED bool is_cancelled(const struct plan *plan)
{
	return plan->insert && plan->insert->cancelled && *plan->insert->cancelled;
}

/* 0: the new nodes are laid out, in so many buckets; nothing has changed.  -EAGAIN; -errno. */
static LOCKED int lay_out(struct plan *plan, struct node *const path[INDEX_LEVELS_MAX],
			  unsigned *count)
{
	struct level_plan *at = &plan->at[plan->bottom];
	int error;

	at->old[0] = path[plan->bottom];
	at->olds = 1;
	if (plan->bottom)
		plan_collect_children(plan, path[plan->bottom]);
	else
		plan_collect_leaf(plan, path[0]);
	if (plan->is_merge)
		plan_add_siblings(plan, path);
	if (plan->is_merge && at->olds == 1 && !plan->is_rewrite)
		return -EBUSY;
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
	if (plan->is_lowering)
		error = plan_lower(plan, path);
	else
		error = lay_out(plan, path, &count) ?: take_resources(plan, count, buckets);
	if (error == -EAGAIN)
		return;
	if (error) {
		plan_ends(plan, error == -EBUSY ? 0 : error);
	} else if (plan->is_lowering) {
		plan_switch_over(plan);
	} else {
		plan_commit(plan, buckets);
		begin_writing(plan);
	}
}

/* ---- NODES: writes the new nodes, children before parents (INDEX-3) ---- */

static LOCKED void write_node(struct plan *plan, const struct new_node *new)
{
	struct index *index = plan->index;

	device_write_metadata(index->setup.device, new->buffer,
			      pointer_sector(new->node->key.ptr), new->sectors, true, &plan->op);
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
			plan_switch_over(plan);
			break;
		case PLAN_TAIL:
			plan_write_parent(plan);
			break;
		case PLAN_PARENT:
			plan_thaw(plan);
			break;
		case PLAN_ROOT:
			plan_release_old_roots(index);
			plan_ends(plan, 0);
			break;
		}
	}
	lock_release(index->setup.lock);
}
