/* Plans: full nodes are replaced by new ones, which hold the same and more. */
#include "index_world.h"

#include "index/split.h"

enum {
	NODE_WORDS = (IX_BUCKET_SECTORS * 512 - sizeof(struct bset_disk)) / 8,
	KEYS_OF_ONE = NODE_WORDS * 4 / 5 / BKEY_WORDS_MAX,	/* as many as are not split */
	APART = 4,
};

TestSuite(plan, .init = ix_begin, .fini = ix_end, .timeout = 60);

static struct node *root(void)
{
	return ix.index.root;
}

static void insert_keys(unsigned first, unsigned count)
{
	ix_insert_many(1, first * APART, count, APART);
}

static void expect_keys(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		cr_assert(ix_has(1, i * APART), "key %u", i);
		cr_assert(not(ix_has(1, i * APART + 1)), "behind key %u", i);
	}
	ix_expect_sound();
}

static void split_root(void)
{
	insert_keys(0, KEYS_OF_ONE + 1);
	cr_assert(zero(int, ix_rewrite(1, 0, 0)));
	cr_assert(eq(u32, root()->level, 1));
}

/* ---- how many nodes ---- */

Test(plan, rewrites_what_fills_no_more_than_four_fifths)
{
	uint64_t old = root()->key.ptr;

	insert_keys(0, KEYS_OF_ONE);
	cr_assert(zero(int, ix_rewrite(1, 0, 0)));
	cr_expect(ne(u64, root()->key.ptr, old));
	cr_expect(zero(u32, root()->level));
	cr_expect(eq(u64, ix.index.rewrites, 1));
	cr_expect(zero(u64, ix.index.splits));
	cr_expect(eq(u32, root()->keys.count, KEYS_OF_ONE));
	cr_expect(eq(u64, ix.index.nodes_written, 1));
	expect_keys(KEYS_OF_ONE);
}

/* The first gets three fifths: what is written in ascending order fills the second. */
Test(plan, splits_what_fills_more)
{
	uint64_t old = root()->key.ptr;

	split_root();
	cr_expect(zero(u64, ix.index.rewrites));
	cr_expect(eq(u64, ix.index.splits, 1));
	cr_expect(eq(u64, ix.index.nodes_written, 3));
	cr_expect(eq(u32, root()->keys.count, 2));
	cr_expect(eq(u32, ix_leaf(1, 0)->keys.count, (KEYS_OF_ONE + 1) * 3 / 5));
	cr_expect(eq(u32, ix_leaf(7, 0)->keys.count,
		     KEYS_OF_ONE + 1 - (KEYS_OF_ONE + 1) * 3 / 5));
	cr_expect(eq(u64, bkey_end(&root()->keys.key[0]),
		     ((KEYS_OF_ONE + 1) * 3 / 5 - 1) * APART + 1));
	cr_expect(ne(u64, root()->keys.key[0].ptr, old));
	cr_expect(ne(u64, root()->keys.key[1].ptr, old));
	expect_keys(KEYS_OF_ONE + 1);
}

Test(plan, leaves_a_tree_that_can_be_read_again)
{
	split_root();
	insert_keys(KEYS_OF_ONE + 1, 100);
	ix_clean();
	ix_reopen(false);
	cr_expect(eq(u32, root()->level, 1));
	expect_keys(KEYS_OF_ONE + 101);
	cr_expect(eq(u64, ix.index.nodes_read, 3));
}

/* ---- what goes ---- */

Test(plan, leaves_out_what_cannot_be_read)
{
	const struct bkey keys[] = { ix_extent(1, 0, 8, true), ix_extent(2, 0, 8, true),
				     ix_extent(3, 0, 8, true), ix_hole(4, 0, 8) };

	cr_assert(zero(int, ix_insert(keys, 4)));
	ix_clean();
	ix.index.is_gone[2] = true;
	cr_assert(zero(int, ix_rewrite(1, 0, 0)));
	cr_expect(eq(u32, root()->keys.count, 2));
	cr_expect(eq(u64, ix.index.dirty_sectors[1], 8));
	cr_expect(eq(u64, ix.index.dirty_sectors[3], 8));
}

Test(plan, leaves_out_what_is_stale)
{
	const struct bkey keys[] = { ix_extent(1, 0, 8, true), ix_extent(1, 8, 16, true) };

	cr_assert(zero(int, ix_insert(keys, 2)));
	ix_clean();
	ix.space.bucket[IX_DATA_BUCKET].generation++;
	ix.index.dirty_sectors[1] = 0;		/* as stale ones count */
	cr_assert(zero(int, ix_rewrite(1, 0, 0)));
	cr_expect(zero(u32, root()->keys.count));
	cr_expect(zero(u64, ix.index.dirty_sectors[1]));
}

Test(plan, takes_what_was_not_written_yet_along)
{
	const struct bkey keys[] = { ix_extent(1, 0, 8, true), ix_extent(1, 4, 6, false) };

	cr_assert(zero(int, ix_insert(keys, 1)));
	ix_clean();
	cr_assert(zero(int, ix_insert(&keys[1], 1)));
	cr_assert(zero(int, ix_rewrite(1, 0, 0)));
	cr_expect(eq(u32, root()->keys.count, 3));
	cr_expect(zero(u32, root()->open.count));
	cr_expect(zero(u64, root()->pin.sequence));
	cr_expect(eq(u64, ix.index.dirty_sectors[1], 6));
	ix_expect_sound();
}

/* ---- the old and the new ---- */

static uint32_t bucket_of(const struct node *node)
{
	return space_bucket_of(&ix.space, node->key.ptr);
}

Test(plan, thaws_and_settles_what_is_new)
{
	split_root();
	cr_expect(not(root()->is_frozen));
	cr_expect(not(ix_leaf(1, 0)->is_frozen));
	cr_expect(not(ix_leaf(7, 0)->is_frozen));
	cr_expect(zero(u32, ix.space.bucket[bucket_of(root())].pins));
	cr_expect(zero(u32, ix.space.bucket[bucket_of(ix_leaf(1, 0))].pins));
	cr_expect(zero(u32, ix.space.bucket[bucket_of(ix_leaf(7, 0))].pins));
}

/* SPLIT-2: until an entry names the new root, a cut leads to the old one. */
Test(plan, keeps_the_bucket_of_an_old_root_until_the_new_one_is_named)
{
	uint32_t old = bucket_of(root());

	insert_keys(0, 1);
	cr_assert(zero(int, ix_rewrite(1, 0, 0)));
	cr_expect(ix.space.bucket[old].freed_pending);
	cr_expect(eq(u64, ix.journal.roots.btree_root.ptr, root()->key.ptr));
	ix_run();
	cr_expect(not(ix.space.bucket[old].freed_pending));
}

static bool no_plan_is_under_way(void)
{
	return plans_are_idle(&ix.index);
}

/*
 * While a set starts, entries do not name new roots yet: after a cut the old root is the one, whose
 * children are still to be there.
 */
Test(plan, keeps_the_bucket_of_an_old_leaf_while_the_set_does_not_run)
{
	uint32_t old;

	split_root();
	old = bucket_of(ix_leaf(1, 0));
	cr_assert(zero(int, ix_rewrite(1, 0, 0)));
	cr_assert(eq(u32, root()->written_sectors, 2 * IX_BLOCK_SECTORS));
	cr_expect(ix.space.bucket[old].freed_pending);
	ix_run();
	cr_expect(not(ix.space.bucket[old].freed_pending));
}

Test(plan, names_a_new_root_in_an_entry)
{
	uint32_t old = bucket_of(root());

	ix_run();
	cr_assert(zero(int, ix_rewrite(1, 0, 0)));
	ix_run_until(no_plan_is_under_way);
	cr_expect(eq(u64, ix.journal.durable, 1));
	cr_expect(not(ix.space.bucket[old].freed_pending));
}

/* ---- the parent ---- */

/* SPLIT-4: the freed record and the new child are one set of its log. */
Test(plan, appends_to_the_parent)
{
	uint32_t old;

	split_root();
	ix_run();
	old = bucket_of(ix_leaf(1, 0));
	cr_assert(eq(u32, root()->written_sectors, IX_BLOCK_SECTORS));
	cr_assert(zero(int, ix_rewrite(1, 0, 0)));
	cr_expect(eq(u32, root()->written_sectors, 2 * IX_BLOCK_SECTORS));
	cr_expect(eq(u32, root()->keys.count, 2));
	cr_expect(eq(u32, root()->dead.count, 2));	/* the child, its record */
	cr_expect(zero(u32, root()->counted_sectors));
	cr_expect(not(root()->is_appended));
	cr_expect(not(ix.space.bucket[old].freed_pending));
	cr_expect(zero(u32, ix.space.bucket[bucket_of(ix_leaf(1, 0))].pins));
	expect_keys(KEYS_OF_ONE + 1);
}

Test(plan, leaves_a_parent_that_can_be_read_again)
{
	split_root();
	cr_assert(zero(int, ix_rewrite(1, 0, 0)));
	cr_assert(zero(int, ix_rewrite(7, 0, 0)));
	ix_reopen(false);
	cr_expect(eq(u32, root()->written_sectors, 3 * IX_BLOCK_SECTORS));
	cr_expect(eq(u32, root()->keys.count, 2));
	cr_expect(eq(u32, root()->dead.count, 4));
	expect_keys(KEYS_OF_ONE + 1);
}

static bool writes_a_tail(void)
{
	for (unsigned i = 0; i < PLANS_MAX; i++)
		if (ix.index.plans[i].state == PLAN_TAIL)
			return true;
	return false;
}

static bool tail_is_written(void)
{
	return !writes_a_tail();
}

/* Is there a bset behind the log of this node, as it was when it had `sectors`? */
static bool has_bset_at(uint64_t ptr, unsigned sectors)
{
	struct bset_disk *set = buffer_new(512);
	bool has;

	cr_assert(zero(int, device_read_now(ix.device, set, pointer_sector(ptr) + sectors, 1)));
	has = le64_get(set->magic) == (IX_MAGIC ^ BSET_MAGIC);
	buffer_free(set);
	return has;
}

/* SPLIT-5: a leaf of a kernel's size becomes so many that their pointers fill several blocks. */
Test(plan, writes_the_first_block_of_a_parents_bset_last)
{
	uint64_t parent;

	ix.index.setup.block_sectors = 1;
	split_root();
	parent = root()->key.ptr;
	cr_assert(eq(u32, root()->written_sectors, 1));
	ix.index.setup.node_sectors = 2;
	ix_enter();
	cr_assert(zero(int, ix_begin_rewrite(1, 0, 0)));
	ix_leave();
	ix_run_until(writes_a_tail);
	cr_expect(not(has_bset_at(parent, 1)));
	ix_run_until(tail_is_written);
	cr_assert(zero(int, awaiter_wait(&ix.awaiter)));
	cr_expect(has_bset_at(parent, 1));
	cr_expect(lt(u32, 2, root()->written_sectors));
	expect_keys(KEYS_OF_ONE + 1);
}

Test(plan, fills_the_parent_to_its_last_block_before_it_is_replaced)
{
	uint64_t parent;

	split_root();
	parent = root()->key.ptr;
	for (unsigned i = 1; i < IX_BUCKET_SECTORS / IX_BLOCK_SECTORS; i++)
		cr_assert(zero(int, ix_rewrite(1, 0, 0)));
	cr_expect(eq(u64, root()->key.ptr, parent));
	cr_expect(eq(u32, root()->written_sectors, root()->sectors));
	cr_assert(zero(int, ix_rewrite(1, 0, 0)));
	cr_expect(ne(u64, root()->key.ptr, parent));
	cr_expect(eq(u32, root()->level, 1));
	cr_expect(eq(u32, root()->written_sectors, IX_BLOCK_SECTORS));
	cr_expect(eq(u32, root()->keys.count, 2));
	cr_expect(zero(u32, root()->dead.count));
	expect_keys(KEYS_OF_ONE + 1);
}

/* The awaiter awaits its end. */
static void begin_rewrite(void)
{
	ix_enter();
	cr_assert(zero(int, ix_begin_rewrite(1, 0, 0)));
	ix_leave();
}

static void wake_root(void)
{
	ix_enter();
	waitlist_wake_all(&root()->waiting, 0);
	ix_leave();
}

Test(plan, waits_for_the_parent_that_is_being_replaced)
{
	split_root();
	root()->is_frozen = true;
	begin_rewrite();
	ix_turns(5);
	cr_expect(not(plans_are_idle(&ix.index)));
	cr_expect(zero(u64, ix.index.rewrites));
	root()->is_frozen = false;
	wake_root();
	cr_expect(zero(int, awaiter_wait(&ix.awaiter)));
	cr_expect(eq(u64, ix.index.rewrites, 1));
}

static bool somebody_waits_for_the_root(void)
{
	return !waitlist_empty(&root()->waiting);
}

/* SPLIT-3 */
Test(plan, waits_for_another_that_appends_to_its_parent)
{
	split_root();
	root()->is_appended = true;
	begin_rewrite();
	ix_run_until(somebody_waits_for_the_root);
	cr_expect(eq(u32, root()->written_sectors, IX_BLOCK_SECTORS));
	cr_expect(eq(u32, root()->counted_sectors, IX_BLOCK_SECTORS));
	root()->is_appended = false;
	wake_root();
	cr_expect(zero(int, awaiter_wait(&ix.awaiter)));
	cr_expect(eq(u32, root()->written_sectors, 2 * IX_BLOCK_SECTORS));
	cr_expect(zero(u32, root()->counted_sectors));
}

/* ---- who may have buckets ---- */

static void leave_buckets(unsigned count)
{
	uint32_t bucket;

	ix_enter();
	while (ix.space.free[USE_BTREE].count > count)
		cr_assert(zero(int, space_take(&ix.space, USE_BTREE, 1, &bucket, NULL)));
	ix.space.is_running = true;
	ix_leave();
}

/* LESSON-1: gc's rewrites leave half of the list to those who must split. */
Test(plan, of_gc_is_given_up_where_less_than_half_of_the_buckets_would_be_left)
{
	uint64_t old = root()->key.ptr;

	leave_buckets(ix.space.free[USE_BTREE].size / 2);
	cr_expect(zero(int, ix_rewrite(1, 0, 0)));
	cr_expect(zero(u64, ix.index.rewrites));
	cr_expect(eq(u64, root()->key.ptr, old));
	ix.space.is_running = false;
	cr_expect(zero(int, ix_rewrite(1, 0, 0)));
	cr_expect(eq(u64, ix.index.rewrites, 1));
}

/* While a set starts nothing frees buckets, so there is nothing to wait for. */
Test(plan, that_finds_no_bucket_during_a_replay_ends_the_set)
{
	uint32_t bucket;
	int error;

	ix_enter();
	do
		error = space_take(&ix.space, USE_BTREE, 1, &bucket, NULL);
	while (!error);
	ix_leave();
	cr_assert(eq(int, error, -ENOSPC));
	cr_expect(eq(int, ix_rewrite(1, 0, 0), -ENOSPC));
	cr_expect(ne(ptr, strstr(ix.health.reason.text, "no unused bucket"), NULL), "%s",
		  ix.health.reason.text);
}

/* Those of inserts may wait for buckets that only gc can free. */
Test(plan, of_gc_is_one_at_a_time)
{
	unsigned begun = 0;

	split_root();
	root()->is_frozen = true;
	ix_enter();
	for (; begun <= PLANS_MAX; begun++)
		if (ix_begin_rewrite(1, 0, 0))
			break;
	ix_leave();
	cr_expect(eq(u32, begun, PLANS_MAX - PLANS_OF_INSERTS));
	ix_turns(3);
	root()->is_frozen = false;
	wake_root();
	awaiter_wait(&ix.awaiter);
	cr_expect(plans_are_idle(&ix.index));
}
