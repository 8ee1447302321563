/* Merges: thin siblings become one node, and a root with one child goes. */
#define IX_SMALL_NODES
#include "index_world.h"
#include "index/split.h"

enum {
	NODE_WORDS = (IX_BUCKET_SECTORS * 512 - sizeof(struct bset_disk)) / 8,
	APART = 4,
	MOST = NODE_WORDS * 2 / 3 / BKEY_WORDS_MAX,	/* keys of a node that was merged */
};

TestSuite(merge, .init = ix_begin, .fini = ix_end, .timeout = 60);

static struct node *root(void)
{
	return ix.index.root;
}

static bool no_plan_is_under_way(void)
{
	return plans_are_idle(&ix.index);
}

static uint32_t bucket_of(const struct node *node)
{
	return space_bucket_of(&ix.space, node->key.ptr);
}

/* Leaves of volume 1, three fifths full each but for the last. */
static void make_leaves(unsigned leaves)
{
	for (unsigned i = 0; i < leaves * 200 && root()->keys.count < leaves; i++)
		ix_insert_many(1, i * APART, 1, APART);
	cr_assert(eq(u32, root()->level, 1));
	cr_assert(eq(u32, root()->keys.count, leaves));
}

/* Where the leaf of that number ends. */
static struct bkey end_of(unsigned leaf)
{
	return root()->keys.key[leaf];
}

static struct position start_of(unsigned leaf)
{
	struct bkey before;

	if (!leaf)
		return (struct position){ 0, 0 };
	before = end_of(leaf - 1);
	return (struct position){ bkey_volume(&before), bkey_end(&before) };
}

static struct node *leaf_at(unsigned leaf)
{
	struct position at = start_of(leaf);

	return ix_leaf(at.volume, at.sector);
}

/* Holes over all keys of the leaf but the first `kept` ones. */
static void thin_out(unsigned leaf, unsigned kept)
{
	uint64_t start = leaf ? start_of(leaf).sector : 0;
	uint64_t from = round_up(start, APART) + kept * APART;
	struct bkey k = end_of(leaf);
	uint64_t to = bkey_volume(&k) == 1 ? bkey_end(&k) : from + 10000 * APART;
	struct bkey hole = ix_hole(1, from, to);

	cr_assert(zero(int, ix_insert(&hole, 1)));
}

static int merge(unsigned first, unsigned last, unsigned level, bool is_rewrite)
{
	struct bkey to = end_of(last);
	int error;

	ix_enter();
	error = index_merge(&ix.index, start_of(first), &to, level, is_rewrite, &ix.awaiter.op);
	ix_leave();
	return error ?: awaiter_wait(&ix.awaiter);
}

static unsigned keys_in(struct node *leaf)
{
	struct node_walk walk;
	const struct bkey *k;
	unsigned keys = 0;

	ix_enter();
	node_walk_begin(&walk, leaf);
	while ((k = node_walk_next(&walk)))
		keys += bkey_sectors(k) && bkey_pointers(k);
	ix_leave();
	return keys;
}

/* ---- which are merged ---- */

Test(merge, makes_one_leaf_of_thin_ones)
{
	struct bkey end;

	make_leaves(5);
	end = end_of(3);
	for (unsigned i = 0; i < 4; i++)
		thin_out(i, 3);
	cr_assert(zero(int, merge(0, 3, 0, false)));
	cr_expect(eq(u32, root()->keys.count, 2));
	cr_expect(zero(int, bkey_compare(&root()->keys.key[0], &end)));
	cr_expect(eq(u64, ix.index.nodes_given_back, 3));
	cr_expect(eq(u32, keys_in(leaf_at(0)), 12));
	cr_expect(ix_has(1, 0));
	cr_expect(not(ix_has(1, 3 * APART)));
	ix_expect_sound();
}

Test(merge, leaves_what_lies_behind_its_end)
{
	make_leaves(5);
	for (unsigned i = 0; i < 4; i++)
		thin_out(i, 3);
	cr_assert(zero(int, merge(1, 2, 0, false)));
	cr_expect(eq(u32, root()->keys.count, 4));
	cr_expect(eq(u32, keys_in(leaf_at(0)), 3));
	cr_expect(eq(u32, keys_in(leaf_at(1)), 6));
	cr_expect(eq(u32, keys_in(leaf_at(2)), 3));
}

/* MERGE-2 */
Test(merge, fills_two_thirds_of_a_node_at_most)
{
	unsigned all;

	make_leaves(4);
	thin_out(1, MOST - 80);
	thin_out(0, 80);
	all = keys_in(leaf_at(0)) + keys_in(leaf_at(1));
	cr_assert(eq(u32, all, MOST));
	cr_assert(zero(int, merge(0, 1, 0, false)));
	cr_expect(eq(u32, root()->keys.count, 3));
	cr_expect(eq(u32, keys_in(leaf_at(0)), MOST));
}

Test(merge, does_not_fill_more_than_two_thirds_of_a_node)
{
	uint64_t old;

	make_leaves(4);
	thin_out(1, MOST - 79);
	thin_out(0, 80);
	old = leaf_at(0)->key.ptr;
	cr_assert(zero(int, merge(0, 1, 0, false)));
	cr_expect(eq(u32, root()->keys.count, 4));
	cr_expect(eq(u64, leaf_at(0)->key.ptr, old));
	cr_assert(zero(int, merge(0, 1, 0, true)));	/* it is rewritten alone */
	cr_expect(eq(u32, root()->keys.count, 4));
	cr_expect(ne(u64, leaf_at(0)->key.ptr, old));
}

Test(merge, takes_so_many_at_a_time)
{
	make_leaves(INDEX_MERGE_MAX + 2);
	for (unsigned i = 0; i <= INDEX_MERGE_MAX; i++)
		thin_out(i, 0);
	cr_assert(zero(int, merge(0, INDEX_MERGE_MAX, 0, false)));
	cr_expect(eq(u32, root()->keys.count, 3));
	cr_expect(zero(u32, keys_in(leaf_at(0))));
	ix_expect_sound();
}

/* MERGE-3 */
Test(merge, leaves_alone_what_is_not_in_memory)
{
	make_leaves(4);
	thin_out(0, 1);
	thin_out(1, 1);
	thin_out(2, 1);
	ix_clean();
	ix_reopen(false);
	leaf_at(0);
	leaf_at(1);
	cr_assert(zero(int, merge(0, 2, 0, false)));
	cr_expect(eq(u32, root()->keys.count, 3));
	cr_expect(eq(u32, keys_in(leaf_at(0)), 2));
}

/* ---- what becomes of the keys ---- */

Test(merge, takes_along_what_is_not_written_yet)
{
	struct bkey k;

	make_leaves(3);
	thin_out(0, 1);
	thin_out(1, 1);
	k = ix_extent(1, start_of(1).sector + 100, start_of(1).sector + 102, true);
	cr_assert(zero(int, ix_insert(&k, 1)));
	cr_assert(ne(u64, leaf_at(1)->pin.sequence, 0));
	cr_assert(eq(u64, ix.index.dirty_sectors[1], 2));
	cr_assert(zero(int, merge(0, 1, 0, false)));
	cr_expect(eq(u32, keys_in(leaf_at(0)), 3));
	cr_expect(zero(u32, leaf_at(0)->open.count));
	cr_expect(zero(u64, leaf_at(0)->pin.sequence));
	cr_expect(eq(u64, ix.index.dirty_sectors[1], 2));
	ix_expect_sound();
}

Test(merge, leaves_a_tree_that_can_be_read_again)
{
	unsigned dead;

	make_leaves(5);
	for (unsigned i = 0; i < 4; i++)
		thin_out(i, 2);
	dead = root()->dead.count;
	cr_assert(zero(int, merge(0, 3, 0, false)));
	cr_expect(eq(u32, root()->dead.count, dead + 8));	/* four children, their records */
	ix_clean();
	ix_reopen(false);
	cr_expect(eq(u32, root()->keys.count, 2));
	cr_expect(eq(u32, root()->dead.count, dead + 8));
	cr_expect(eq(u32, keys_in(leaf_at(0)), 8));
	ix_expect_sound();
}

/* ---- buckets ---- */

Test(merge, frees_the_old_buckets)
{
	uint32_t old[3];

	make_leaves(4);
	ix_run();
	for (unsigned i = 0; i < 3; i++) {
		thin_out(i, 2);
		old[i] = bucket_of(leaf_at(i));
	}
	cr_assert(zero(int, merge(0, 2, 0, false)));
	for (unsigned i = 0; i < 3; i++) {
		cr_expect(not(ix.space.bucket[old[i]].freed_pending));
		cr_expect(eq(int, ix.space.bucket[old[i]].mark, MARK_NONE));
	}
	cr_expect(zero(u32, ix.space.bucket[bucket_of(leaf_at(0))].pins));
	cr_expect(eq(int, ix.space.bucket[bucket_of(leaf_at(0))].mark, MARK_METADATA));
}

/* SPLIT-2 */
Test(merge, keeps_the_old_buckets_while_the_set_does_not_run)
{
	uint32_t old[2];

	make_leaves(4);
	for (unsigned i = 0; i < 2; i++) {
		thin_out(i, 2);
		old[i] = bucket_of(leaf_at(i));
	}
	cr_assert(zero(int, merge(0, 1, 0, false)));
	cr_expect(ix.space.bucket[old[0]].freed_pending);
	cr_expect(ix.space.bucket[old[1]].freed_pending);
	ix_run();
	cr_expect(not(ix.space.bucket[old[0]].freed_pending));
	cr_expect(not(ix.space.bucket[old[1]].freed_pending));
}

static void leave_buckets(unsigned count)
{
	uint32_t bucket;

	ix_enter();
	while (ix.space.free[USE_BTREE].count > count)
		cr_assert(zero(int, space_take(&ix.space, USE_BTREE, 1, &bucket, NULL)));
	ix.space.is_running = true;
	ix_leave();
}

static bool refill_has_ended(void)
{
	return space_is_idle(&ix.space);
}

static void stop_refill(void)
{
	ix_enter();
	space_stop(&ix.space);
	ix_leave();
	ix_run_until(refill_has_ended);
}

/* What is left of the parent's log takes its bset: one bucket is all it needs. */
Test(merge, takes_the_last_bucket)
{
	make_leaves(4);
	thin_out(0, 2);
	thin_out(1, 2);
	cr_assert(zero(int, ix_rewrite(1, 0, 1)));		/* the parent's log is short */
	leave_buckets(1);
	cr_assert(zero(int, merge(0, 1, 0, true)));
	cr_expect(eq(u32, root()->keys.count, 3));
	stop_refill();
}

Test(merge, is_given_up_without_a_bucket)
{
	make_leaves(4);
	thin_out(0, 2);
	thin_out(1, 2);
	leave_buckets(0);
	cr_assert(zero(int, merge(0, 1, 0, true)));
	cr_expect(eq(u32, root()->keys.count, 4));
	cr_expect(plans_are_idle(&ix.index));
	stop_refill();
}

/* Inserts that wait for buckets leave gc its plan. */
Test(merge, goes_on_while_plans_of_inserts_wait)
{
	make_leaves(4);
	thin_out(0, 2);
	thin_out(1, 2);
	for (unsigned i = 0; i < PLANS_OF_INSERTS; i++)
		ix.index.plans[i].state = PLAN_PREPARE;
	cr_assert(zero(int, merge(0, 1, 0, false)));
	cr_expect(eq(u32, root()->keys.count, 3));
	for (unsigned i = 0; i < PLANS_OF_INSERTS; i++)
		ix.index.plans[i].state = PLAN_FREE;
}

/* ---- who is in the way ---- */

static bool somebody_waits_for_the_second(void)
{
	return !waitlist_empty(&leaf_at(1)->waiting);
}

Test(merge, waits_for_a_sibling_that_is_being_replaced)
{
	struct bkey to;
	struct node *second;

	make_leaves(4);
	thin_out(0, 2);
	thin_out(1, 2);
	to = end_of(1);
	second = leaf_at(1);
	second->is_frozen = true;
	ix_enter();
	cr_assert(zero(int, index_merge(&ix.index, start_of(0), &to, 0, false, &ix.awaiter.op)));
	ix_leave();
	ix_run_until(somebody_waits_for_the_second);
	cr_expect(eq(u32, root()->keys.count, 4));
	cr_expect(not(leaf_at(0)->is_frozen));
	second->is_frozen = false;
	ix_enter();
	waitlist_wake_all(&second->waiting, 0);
	ix_leave();
	cr_assert(zero(int, awaiter_wait(&ix.awaiter)));
	cr_expect(eq(u32, root()->keys.count, 3));
}

/* ---- interior nodes, and the height ---- */

static int lower(void)
{
	int error;

	ix_enter();
	error = index_lower_root(&ix.index, &ix.awaiter.op);
	ix_leave();
	return error ?: awaiter_wait(&ix.awaiter);
}

static void make_three_levels(void)
{
	for (unsigned i = 0; i < 40000 && root()->level < 2; i++)
		ix_insert_many(1, i * APART, 1, APART);
	cr_assert(eq(u32, root()->level, 2));
	cr_assert(eq(u32, root()->keys.count, 2));
}

/* As gc does: it has just read what it merges. */
static void merge_from(struct position from, unsigned level)
{
	struct bkey last = bkey_max();
	struct position at = from;

	for (unsigned i = 0; i < INDEX_MERGE_MAX && bkey_volume(&last) != at.volume; i++) {
		struct node *leaf = ix_leaf(at.volume, at.sector);

		at = (struct position){ bkey_volume(&leaf->key), bkey_end(&leaf->key) };
	}
	ix_enter();
	cr_assert(zero(int, index_merge(&ix.index, from, &last, level, false, &ix.awaiter.op)));
	ix_leave();
	cr_assert(zero(int, awaiter_wait(&ix.awaiter)));
}

Test(merge, of_interior_nodes_lets_the_tree_lose_levels)
{
	struct insert holes = ix_insert_of(NULL, 0);

	make_three_levels();
	insert_add_holes(&holes, 1, 0, 40000 * APART);
	insert_start(&holes);
	cr_assert(zero(int, awaiter_wait(&ix.awaiter)));
	for (unsigned i = 0; i < 10; i++) {
		merge_from((struct position){ 0, 0 }, 0);
		merge_from((struct position){ 1, bkey_end(&root()->keys.key[0]) }, 0);
	}
	cr_assert(eq(u32, root()->level, 2));
	cr_assert(eq(int, lower(), -EBUSY));
	merge_from((struct position){ 0, 0 }, 1);
	cr_expect(eq(u32, root()->keys.count, 1));
	ix_expect_sound();
	cr_assert(zero(int, lower()));
	cr_expect(eq(u32, root()->level, 1));
	cr_expect(eq(u32, root()->keys.count, 2));	/* the last leaves of both parents */
	ix_clean();
	ix_reopen(false);
	cr_expect(eq(u32, root()->level, 1));
	ix_expect_sound();
}

Test(merge, drops_a_root_with_one_child)
{
	struct node *child;
	uint32_t old;

	make_leaves(2);
	ix_run();
	thin_out(0, 2);
	thin_out(1, 2);
	cr_assert(eq(int, lower(), -EBUSY));		/* it has two */
	cr_assert(zero(int, merge(0, 1, 0, false)));
	cr_assert(eq(u32, root()->keys.count, 1));
	child = leaf_at(0);
	old = bucket_of(root());
	cr_assert(zero(int, lower()));
	cr_expect(eq(ptr, root(), child));
	cr_expect(eq(u64, ix.journal.roots.btree_root.ptr, child->key.ptr));
	cr_expect(zero(int, ix.journal.roots.btree_level));
	ix_run_until(no_plan_is_under_way);
	cr_expect(not(ix.space.bucket[old].freed_pending));
	cr_expect(eq(u32, keys_in(root()), 4));
	cr_expect(eq(int, lower(), -EBUSY));		/* it is a leaf */
	ix_expect_sound();
}

/* A plan that has frozen the child, or appends to the root, comes first. */
Test(merge, waits_for_the_child_before_the_root_goes)
{
	struct node *child;

	make_leaves(2);
	thin_out(0, 2);
	thin_out(1, 2);
	cr_assert(zero(int, merge(0, 1, 0, false)));
	child = leaf_at(0);
	child->is_frozen = true;
	ix_enter();
	cr_assert(zero(int, index_lower_root(&ix.index, &ix.awaiter.op)));
	ix_leave();
	ix_turns(5);
	cr_expect(ne(ptr, root(), child));
	child->is_frozen = false;
	ix_enter();
	waitlist_wake_all(&child->waiting, 0);
	ix_leave();
	cr_assert(zero(int, awaiter_wait(&ix.awaiter)));
	cr_expect(eq(ptr, root(), child));
}
