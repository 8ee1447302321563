/*
 * Plans: replace nodes that are full, or that gc wants rewritten, by new ones.
 *
 *	ASK --prepared--> FLUSH --> NODES --> SWITCH --> PARENT --> (ROOT) --> FREE
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
 * ones (more, if the old node is larger than ours).  ASK tests and takes everything that
 * the plan needs in one critical section: buckets, journal room for the carried keys,
 * and room in the lowest ancestor that has it.
 *
 * The plan of an insert carries the insert's keys along: they are journaled when ASK
 * commits, and are part of the new nodes.  So the number of new nodes accounts for them,
 * and the insert makes progress even if other inserts fill the new leaf at once.
 *
 * (SPLIT-1) Old nodes are frozen when ASK commits; new nodes stay frozen until the
 *     parent's bset is durable.  A key inserted earlier could be written to the new node
 *     and dropped from the journal while the disk still leads to the old node.
 * (SPLIT-2) Old nodes keep their bucket and their journal pin until then.  If the root was
 *     replaced, all old buckets wait for a durable entry that names the new root.
 * (SPLIT-3) Only one plan at a time appends to a parent, so that its log has no gaps.
 * (SPLIT-4) The freed record and the pointers to the new nodes are in one bset (ORDER-23).
 */
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "format/bset.h"
#include "index/internal.h"

enum {
	CHILD_WORDS = 3,
	SPLIT_ABOVE_FIFTHS = 4,		/* two nodes if one would be more than 4/5 full */
	FIRST_GETS_FIFTHS = 3,
	NEW_NODES_MAX = 64,		/* enough for a node of 32 MiB, with ours of 1 MiB */
	PLAN_BUCKETS_MAX = NEW_NODES_MAX + 2 * INDEX_LEVELS_MAX + 1,
};

enum plan_state {
	PLAN_FREE,
	PLAN_ASK,
	PLAN_FLUSH,
	PLAN_NODES,
	PLAN_SWITCH,
	PLAN_PARENT,
	PLAN_ROOT
};

/* A new node, and the bset to be written. */
struct new_node {
	struct node *node;
	unsigned char *buffer;
	unsigned sectors;
};

/* One level of the plan. */
struct level_plan {
	struct node *old;
	unsigned count;			/* of new nodes */
	struct new_node new[NEW_NODES_MAX];
};

struct plan {
	struct op op;
	struct index *index;
	enum plan_state state;
	struct position from;
	unsigned bottom, top;		/* levels that are replaced */
	struct insert *insert;		/* whose keys are carried along; NULL: a rewrite by gc */
	struct op *owner;		/* awaits the moment when the new nodes are thawed */
	struct level_plan at[INDEX_LEVELS_MAX];
	struct node *parent;		/* of the top old node; NULL: that is the root */
	unsigned parent_sectors;	/* room in its log that is promised to this plan */
	unsigned char *parent_buffer;	/* OPEN_RUN_BYTES_MAX */
	struct new_node root;		/* above a root that was split */
	struct journal_pin pin;		/* for the carried keys */
	unsigned writing;		/* the level whose nodes are written next */
	struct run content;		/* keys of the new nodes of the current level */
	struct run carried;		/* the carried keys */
	struct insert trial;		/* a copy of the insert, as it will be after them */
};

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

bool plan_start(struct index *index, struct position from, unsigned level, struct insert *insert,
		struct op *op)
{
	struct plan *plan = free_plan(index);

	if (!plan) {
		SIM_SOMETIMES("all plans are in use");
		waitlist_join(&index->plan_slots, op);
		return false;
	}
	plan->from = from;
	plan->bottom = level;
	plan->insert = insert;
	plan->owner = op;
	plan->state = PLAN_ASK;
	op_await(op);
	op_queue(&plan->op);
	return true;
}

int index_rewrite(struct index *index, struct position from, unsigned level, struct op *op)
{
	if (!free_plan(index))
		return -EAGAIN;
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

/* ---- ASK, prepare: the content of the new nodes, and the resources for them ---- */

static unsigned node_words(const struct index *index)
{
	return (index->setup.node_sectors * 512 - sizeof(struct bset_disk)) / 8;
}

static unsigned run_words(const struct run *run)
{
	unsigned words = 0;

	for (unsigned i = 0; i < run->count; i++)
		words += bkey_words(&run->key[i]);
	return words;
}

static unsigned set_sectors(const struct index *index, unsigned words)
{
	return round_up(bset_bytes(words), index->setup.block_sectors * 512) / 512;
}

/* Drops unusable keys, holes included: under a node's merged keys there are no older ones. */
static LOCKED void drop_unusable(struct index *index, struct run *run)
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
static LOCKED void collect_leaf(struct plan *plan, const struct node *leaf)
{
	struct index *index = plan->index;

	run_merge(&leaf->keys, &leaf->open, &plan->content);
	if (plan->insert) {
		collect_carried_keys(plan, leaf);
		run_merge(&plan->content, &plan->carried, &index->scratch);
		exchange(&plan->content, &index->scratch);
	}
	drop_unusable(index, &plan->content);
}

/* An interior node has no unusable keys: dead pointers are kept apart, in `open`. */
static void collect_children(struct plan *plan, const struct node *node)
{
	run_reserve(&plan->content, node->keys.count);
	memcpy(plan->content.key, node->keys.key, node->keys.count * sizeof(struct bkey));
	plan->content.count = node->keys.count;
}

/* The number of new nodes for so many words.  Each must hold its share and one key more. */
static unsigned nodes_for(const struct index *index, unsigned words, unsigned keys)
{
	unsigned full = node_words(index) * SPLIT_ABOVE_FIFTHS / 5;

	if (keys <= 1 || words * UINT64_C(5) <= node_words(index) * SPLIT_ABOVE_FIFTHS)
		return 1;
	if (words <= 2 * (node_words(index) - BKEY_WORDS_MAX))
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
static LOCKED int check_size(struct plan *plan, unsigned buckets)
{
	struct index *index = plan->index;
	unsigned most = min_u64(index->setup.space->free[USE_BTREE].size, PLAN_BUCKETS_MAX);

	if (buckets > most)
		health_fail(index->setup.health, EFBIG,
			    "btree node at sector %llu of %u sectors: found keys for %u nodes of "
			    "%u sectors, wanted at most %u",
			    (unsigned long long)pointer_sector(plan->at[plan->top].old->key.ptr),
			    plan->at[plan->top].old->sectors, buckets, index->setup.node_sectors,
			    most);
	for (unsigned level = plan->bottom; level <= plan->top && buckets <= most; level++)
		if (!have_buffers(plan, &plan->at[level]))
			health_fail(index->setup.health, ENOMEM, "no memory for %u btree nodes",
				    buckets);
	return health_error(index->setup.health);
}

/* True: the node is frozen or being written, and the plan waits for that to end. */
static bool is_in_the_way(struct plan *plan, struct node *node)
{
	if (!node->is_frozen && !node->write)
		return false;
	SIM_SOMETIMES_IF(node->is_frozen, "a plan waits for another plan");
	SIM_SOMETIMES_IF(node->write, "a plan waits for the write of a leaf");
	waitlist_join(&node->waiting, &plan->op);
	return true;
}

/* True: other plans were promised room in the node, and this plan waits for them. */
static bool is_promised(struct plan *plan, struct node *node)
{
	if (!node->counted_sectors && !node->is_appended)
		return false;
	SIM_SOMETIMES("a plan waits for another that appends to the node");
	waitlist_join(&node->waiting, &plan->op);
	return true;
}

/*
 * Decides which levels are replaced, and by how many nodes each.  Returns the number of buckets
 * needed, or 0: the plan waits for another plan or a write.
 */
static LOCKED unsigned lay_out(struct plan *plan, struct node *const path[INDEX_LEVELS_MAX])
{
	struct index *index = plan->index;
	unsigned words = run_words(&plan->content);
	unsigned keys = plan->content.count;
	unsigned buckets = 0;

	for (unsigned level = plan->bottom;; level++) {
		struct level_plan *at = &plan->at[level];
		struct node *parent;

		at->old = path[level];
		if (is_in_the_way(plan, at->old) || is_promised(plan, at->old))
			return 0;
		at->count = nodes_for(index, words, keys);
		buckets += at->count;
		plan->top = level;
		if (at->count > NEW_NODES_MAX)	/* check_size() refuses it */
			return buckets + PLAN_BUCKETS_MAX;
		plan->parent = NULL;
		if (at->old == index->root)
			return buckets + (at->count > 1);
		parent = path[level + 1];
		if (is_in_the_way(plan, parent))
			return 0;
		plan->parent_sectors = set_sectors(index, CHILD_WORDS * (1 + at->count));
		if (parent->written_sectors + parent->counted_sectors + plan->parent_sectors <=
		    parent->sectors) {
			plan->parent = parent;
			return buckets;
		}
		keys = parent->keys.count - 1 + at->count;
		words = keys * CHILD_WORDS;
	}
}

/* Does the leaf have room by now, or does the insert have no key for it any more? */
static LOCKED bool is_needless(struct plan *plan, const struct node *leaf)
{
	struct bkey part;

	if (!plan->insert)
		return false;
	plan->trial = *plan->insert;
	return !insert_next_part(&plan->trial, leaf, &part) ||
	       (!leaf->is_frozen &&
		leaf_room(plan->index, leaf, bkey_words(&part) + BKEY_WORDS_MAX) != LEAF_FULL);
}

/* ---- ASK, commit: freeze the old nodes, make the new ones in memory ---- */

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
	struct bset_disk *set;
	unsigned words = 0;
	struct bkey key = bkey_with_pointer(bkey_of(bkey_volume(position), bkey_end(position),
						    index->setup.node_sectors),
					    space_pointer(index->setup.space, bucket));

	new_buffer(index, new);
	for (unsigned i = 0; i < count; i++)
		words += bkey_words(&keys[i]);
	new->sectors = set_sectors(index, words);
	assert(new->sectors <= index->setup.node_sectors);
	words = 0;
	set = (void *)new->buffer;
	new->node = node_new(index, &key, level);
	new->node->is_frozen = true;	/* SPLIT-1 */
	new->node->sequence = random_next(&index->random) | 1;
	run_reserve(&new->node->keys, count);
	for (unsigned i = 0; i < count; i++) {
		run_add(&new->node->keys, &keys[i]);
		words += bkey_encode(&keys[i], set->keys + words);
	}
	memset(new->buffer + bset_bytes(words), 0, new->sectors * 512 - bset_bytes(words));
	bset_seal(set, words, new->node->sequence, index->setup.set_magic, key.ptr);
	new->node->written_sectors = new->sectors;
}

/*
 * How many of `keys`, which have `total` words, the first of `nodes` new nodes gets: its share;
 * but of two nodes 3/5 of the words, or more if the second cannot hold the rest.
 */
static unsigned keys_of_first(const struct index *index, const struct bkey *keys, unsigned count,
			      unsigned total, unsigned nodes)
{
	unsigned others = (nodes - 1) * node_words(index);
	unsigned least = total > others ? total - others : 0;
	unsigned share = nodes == 2 ? total * FIRST_GETS_FIFTHS / 5 : total / nodes;
	unsigned aim = clamp_u64(share, least, node_words(index));
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
	SIM_SOMETIMES_IF(!plan->insert && at->count > 1, "gc splits a node");
	for (i = 0; i + 1 < at->count; i++) {
		unsigned taken = keys_of_first(plan->index, keys, left, total, at->count - i);

		make_node(plan, &at->new[i], buckets[i], level, &keys[taken - 1], keys, taken);
		for (; taken; taken--, left--)
			total -= bkey_words(keys++);
	}
	make_node(plan, &at->new[i], buckets[i], level, &at->old->key, keys, left);
	if (at->count > 1)
		plan->index->splits++;
	else
		plan->index->rewrites++;
}

/* Replaces the pointer to the old child by those to the new ones. */
static void replace_child(struct run *run, const struct level_plan *at)
{
	unsigned place = run_find_key(run, &at->old->key);

	assert(place < run->count && run->key[place].ptr == at->old->key.ptr);
	run->key[place] = at->new[at->count - 1].node->key;
	for (unsigned i = at->count - 1; i--;)
		run_insert_at(run, place, &at->new[i].node->key);
}

/* Updates the dirty counts: minus the old leaf's keys, plus those of the new leaves. */
static LOCKED void recount_dirty(struct plan *plan, const struct node *leaf)
{
	struct index *index = plan->index;
	struct node_walk walk;
	const struct bkey *k;

	node_walk_begin(&walk, leaf);
	while ((k = node_walk_next(&walk))) {
		if (bkey_is_dirty(k) && index_key_is_usable(index, k))
			index->dirty_sectors[bkey_volume(k)] -= bkey_sectors(k);
	}
	for (unsigned i = 0; i < plan->content.count; i++) {
		k = &plan->content.key[i];
		if (bkey_is_dirty(k))
			index->dirty_sectors[bkey_volume(k)] += bkey_sectors(k);
	}
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
	make_node(plan, &plan->root, bucket, plan->top + 1, &at->old->key, children, at->count);
}

/* Commits: nothing may fail from here on, except the device. */
static LOCKED void freeze(struct plan *plan, const uint32_t *buckets)
{
	struct index *index = plan->index;
	unsigned used = 0;

	if (!plan->bottom)
		recount_dirty(plan, plan->at[0].old);
	if (plan->insert)
		journal_carried_keys(plan);
	for (unsigned level = plan->bottom; level <= plan->top; level++) {
		struct level_plan *at = &plan->at[level];

		if (level > plan->bottom) {
			collect_children(plan, at->old);
			replace_child(&plan->content, &plan->at[level - 1]);
		}
		at->old->is_frozen = true;
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

/* New nodes hold keys whose data may not be durable yet, so a flush comes first. */
static LOCKED void begin_writing(struct plan *plan)
{
	struct index *index = plan->index;

	plan->writing = plan->bottom;
	plan->state = PLAN_FLUSH;
	/* INDEX-2 */
	flush_wait(index->setup.flush, flush_now(index->setup.flush), &plan->op);
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

static LOCKED void ask(struct plan *plan)
{
	struct index *index = plan->index;
	struct node *path[INDEX_LEVELS_MAX];
	uint32_t buckets[PLAN_BUCKETS_MAX];
	unsigned count, words;
	int error = index_path(index, plan->from, path, &plan->op);

	if (error == -EAGAIN)
		return;
	if (error || plan->bottom > index->root->level || is_cancelled(plan) ||
	    is_needless(plan, path[0])) {
		plan_ends(plan, error);
		return;
	}
	if (plan->bottom)
		collect_children(plan, path[plan->bottom]);
	else
		collect_leaf(plan, path[0]);
	count = lay_out(plan, path);
	if (!count)
		return;
	error = check_size(plan, count);
	if (error) {
		plan_ends(plan, error);
		return;
	}
	words = plan->insert && plan->insert->is_journaled ? run_words(&plan->carried) : 0;
	error = words ? journal_room(index->setup.journal, words, &plan->op) : 0;
	if (!error)
		error = take_buckets(plan, count, buckets);
	if (error == -EAGAIN)
		return;
	if (error == -EBUSY) {
		plan_ends(plan, 0);
		return;
	}
	if (error) {
		if (error == -ENOSPC)
			health_fail(index->setup.health, ENOSPC,
				    "no unused bucket for a btree node during replay");
		plan_ends(plan, error);
		return;
	}
	freeze(plan, buckets);
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
	run_reserve(&parent->open, parent->open.count + 1);
	run_add(&parent->open, k);
}

/* One bset with the freed record and the new pointers, written FUA behind the parent's log. */
static LOCKED void append_to_parent(struct plan *plan)
{
	struct index *index = plan->index;
	struct node *parent = plan->parent;
	const struct level_plan *at = &plan->at[plan->top];
	struct bset_disk *set = (void *)plan->parent_buffer;
	struct bkey freed = freed_record(index, at->old);
	unsigned words = bkey_encode(&freed, set->keys);
	uint64_t sector = pointer_sector(parent->key.ptr) + parent->written_sectors;

	for (unsigned i = 0; i < at->count; i++)	/* SPLIT-4 */
		words += bkey_encode(&at->new[i].node->key, set->keys + words);
	memset(plan->parent_buffer + bset_bytes(words), 0,
	       plan->parent_sectors * 512 - bset_bytes(words));
	bset_seal(set, words, parent->sequence, index->setup.set_magic, parent->key.ptr);
	replace_child(&parent->keys, at);
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
	struct journal_roots *roots = &index->setup.journal->roots;

	index->root = plan->root.node ?: plan->at[plan->top].new[0].node;
	roots->btree_root = index->root->key;
	roots->btree_level = index->root->level;
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
		case PLAN_ASK:
			ask(plan);
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
