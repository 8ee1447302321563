/* Inserts: through several leaves, with what stands in the way, and what a fill gives up. */
#include "index_world.h"

enum { WAITS_OF_A_FILL = 8 };

TestSuite(insert, .init = ix_begin, .fini = ix_end, .timeout = 60);

static struct node *root(void)
{
	return ix.index.root;
}

static struct insert fill_of(const struct bkey *keys, unsigned count)
{
	struct insert insert = ix_insert_of(keys, count);

	insert.is_journaled = false;
	insert.may_drop = true;
	return insert;
}

static void start(struct insert *insert)
{
	insert_start(insert);
	ix_turns(3);
}

static bool has_ended(void)
{
	return !ix.awaiter.op.awaited;
}

static void wake(void)
{
	ix_enter();
	waitlist_wake_all(&root()->waiting, 0);
	ix_leave();
	ix_turns(3);
}

/* ---- what went in ---- */

Test(insert, says_how_much_went_in_and_in_which_entry)
{
	const struct bkey keys[] = { ix_extent(1, 0, 8, true), ix_hole(2, 4, 20) };
	struct insert insert = ix_insert_of(keys, 2);

	insert_start(&insert);
	cr_assert(zero(int, awaiter_wait(&ix.awaiter)));
	cr_expect(eq(u64, insert.inserted_sectors, 24));
	cr_expect(eq(u64, insert.sequence, ix.journal.open));
	cr_expect(eq(u64, root()->pin.sequence, ix.journal.open));
	cr_expect(eq(u64, root()->inserted, 2));
}

Test(insert, of_a_fill_is_not_in_the_journal)
{
	const struct bkey key = ix_extent(1, 0, 8, false);
	struct insert insert = fill_of(&key, 1);

	start(&insert);
	cr_expect(has_ended());
	cr_expect(ix_has(1, 0));
	cr_expect(zero(u64, insert.sequence));
	cr_expect(zero(u64, root()->pin.sequence));
	cr_expect(zero(u32, ix.journal.words));
}

/* JOURNAL-1: a replayed key holds the entry that it came from. */
Test(insert, of_a_replay_pins_the_entry_of_its_key)
{
	const struct bkey key = ix_extent(1, 0, 8, false);
	struct insert insert = ix_insert_of(&key, 1);

	insert.is_journaled = false;
	insert.replayed = ix.journal.open;
	start(&insert);
	cr_expect(zero(u64, insert.sequence));
	cr_expect(eq(u64, root()->pin.sequence, ix.journal.open));
	cr_expect(zero(u32, ix.journal.words));
}

Test(insert, of_a_dead_set_fails)
{
	const struct bkey key = ix_extent(1, 0, 8, false);

	ix_enter();
	health_fail(&ix.health, EIO, "by a test");
	ix_leave();
	cr_expect(eq(int, ix_insert(&key, 1), -EIO));
	cr_expect(zero(u32, root()->open.count));
}

/* ---- what may be replaced ---- */

static struct insert replacement_of(const struct bkey *key, const struct bkey *expected)
{
	struct insert insert = ix_insert_of(key, 1);

	insert.is_journaled = false;
	insert.expected = expected;
	return insert;
}

Test(insert, that_replaces_goes_in_where_what_it_expects_still_stands)
{
	const struct bkey old = ix_extent(1, 0, 8, true), new = ix_extent(1, 0, 8, false);
	struct bkey newer = ix_extent(1, 6, 8, true);
	struct insert insert = replacement_of(&new, &old);

	newer.ptr = pointer_advance(newer.ptr, 8);	/* not as a part of the old one */
	cr_assert(zero(int, ix_insert(&old, 1)));
	cr_assert(zero(int, ix_insert(&newer, 1)));
	start(&insert);
	cr_expect(has_ended());
	cr_expect(eq(u64, insert.inserted_sectors, 6));
	cr_expect(zero(u32, insert.collisions));
	cr_expect(eq(u64, ix.index.dirty_sectors[1], 2));
}

Test(insert, that_replaces_what_has_gone_does_nothing)
{
	const struct bkey old = ix_extent(1, 0, 8, true), new = ix_extent(1, 0, 8, false);
	struct insert insert = replacement_of(&new, &old);

	start(&insert);
	cr_expect(has_ended());
	cr_expect(zero(u64, insert.inserted_sectors));
	cr_expect(eq(u32, insert.collisions, 1));
	cr_expect(zero(u32, root()->open.count));
}

/* Each key has its own expectation. */
Test(insert, that_replaces_goes_on_behind_a_collision)
{
	const struct bkey old[] = { ix_extent(1, 0, 8, true), ix_extent(1, 8, 16, true) };
	const struct bkey new[] = { ix_extent(1, 0, 8, false), ix_extent(1, 8, 16, false) };
	struct insert insert = ix_insert_of(new, 2);

	insert.is_journaled = false;
	insert.expected = old;
	cr_assert(zero(int, ix_insert(&old[1], 1)));
	start(&insert);
	cr_expect(has_ended());
	cr_expect(eq(u64, insert.inserted_sectors, 8));
	cr_expect(eq(u32, insert.collisions, 1));
	cr_expect(zero(u64, ix.index.dirty_sectors[1]));
}

/* ---- what stands in the way ---- */

Test(insert, waits_for_a_leaf_that_is_being_replaced)
{
	const struct bkey key = ix_extent(1, 0, 8, false);
	struct insert insert = ix_insert_of(&key, 1);

	root()->is_frozen = true;
	start(&insert);
	for (unsigned i = 0; i < 2 * WAITS_OF_A_FILL; i++) {
		wake();
		cr_expect(not(has_ended()));
	}
	cr_expect(zero(u32, root()->open.count));
	root()->is_frozen = false;
	wake();
	cr_expect(has_ended());
	cr_expect(ix_has(1, 0));
}

/* Its leaf is being replaced, and still is when it asks again, as often as a fill bears it. */
static void wait_for_frozen_leaf(struct insert *insert)
{
	root()->is_frozen = true;
	start(insert);
	for (unsigned i = 1; i < WAITS_OF_A_FILL; i++)
		wake();
	cr_expect(not(has_ended()));
}

Test(insert, of_a_fill_waits_a_few_times)
{
	const struct bkey key = ix_extent(1, 0, 8, false);
	struct insert insert = fill_of(&key, 1);

	wait_for_frozen_leaf(&insert);
	root()->is_frozen = false;
	wake();
	cr_expect(has_ended());
	cr_expect(ix_has(1, 0));
}

Test(insert, of_a_fill_is_given_up_when_it_has_waited_too_often)
{
	const struct bkey key = ix_extent(1, 0, 8, false);
	struct insert insert = fill_of(&key, 1);

	wait_for_frozen_leaf(&insert);
	wake();
	cr_expect(has_ended());
	cr_expect(zero(int, ix.awaiter.error));
	cr_expect(zero(u32, root()->open.count));
	root()->is_frozen = false;
}

enum { LEAVES = LEAF_WRITES_MAX + 2, APART = 4 };

/* More leaves than can be written at a time, in ascending order. */
static void make_leaves(void)
{
	for (unsigned i = 0; !root()->level || root()->keys.count < LEAVES; i += 500)
		ix_insert_many(1, i * APART, 500, APART);
	ix_clean();
}

static struct node *leaf_number(unsigned i)
{
	return ix_leaf(1, bkey_end(&root()->keys.key[i]) - 1);
}

static void write_all_but_the_first(void)
{
	for (unsigned i = 1; i <= LEAF_WRITES_MAX; i++)
		ix_insert_many(1, bkey_end(&root()->keys.key[i]) - 1, 1, 1);
	for (unsigned i = 1; i <= LEAF_WRITES_MAX; i++) {
		struct node *leaf = leaf_number(i);

		ix_enter();
		cr_assert(leaf_write_start(&ix.index, leaf));
		ix_leave();
	}
}

/* The first leaf must be written before it can take more, since an append is at most a page. */
Test(insert, waits_while_all_leaf_writes_are_in_use)
{
	const struct bkey key = ix_extent(1, 1, 2, true);
	struct insert insert = ix_insert_of(&key, 1);
	uint64_t written;

	make_leaves();
	for (unsigned i = 0; leaf_room(&ix.index, leaf_number(0), 5) == LEAF_FITS; i++)
		ix_insert_many(1, i * APART + 2, 1, 1);
	cr_assert(eq(int, leaf_room(&ix.index, leaf_number(0), 5), LEAF_WRITE_FIRST));
	write_all_but_the_first();
	written = ix.index.leaves_written;
	insert_start(&insert);
	ix_turns(1);
	cr_expect(not(waitlist_empty(&ix.index.write_slots)));
	cr_assert(zero(int, awaiter_wait(&ix.awaiter)));
	cr_expect(ix_has(1, 1));
	cr_expect(ge(u64, ix.index.leaves_written, written + 1));
}

Test(insert, that_is_cancelled_while_it_waits_leaves_nothing)
{
	const struct bkey key = ix_extent(1, 0, 8, false);
	struct insert insert = fill_of(&key, 1);
	bool is_cancelled = false;

	insert.cancelled = &is_cancelled;
	root()->is_frozen = true;
	start(&insert);
	is_cancelled = true;
	root()->is_frozen = false;
	wake();
	cr_expect(has_ended());
	cr_expect(zero(u32, root()->open.count));
}

/* ---- full leaves ---- */

/* Writes a key at a time until the leaf has no block left behind its log. */
static void fill_log(void)
{
	for (unsigned i = 0; root()->written_sectors < root()->sectors; i++) {
		ix_insert_many(7, 4 * i, 1, 1);
		ix_clean();
	}
}

Test(insert, into_a_full_leaf_goes_into_the_one_that_replaces_it)
{
	struct bkey old = root()->key;

	fill_log();
	cr_assert(eq(u64, root()->key.ptr, old.ptr));
	ix_insert_many(1, 0, 1, 1);
	cr_expect(ne(u64, root()->key.ptr, old.ptr));
	cr_expect(eq(u64, ix.index.rewrites, 1));
	cr_expect(ix_has(1, 0));
	cr_expect(eq(u32, root()->open.count, 0));	/* it went along */
	ix_expect_sound();
}

Test(insert, of_a_fill_into_a_full_leaf_goes_into_the_one_that_replaces_it)
{
	const struct bkey key = ix_extent(1, 0, 8, false);
	struct insert insert = fill_of(&key, 1);

	fill_log();
	insert_start(&insert);
	cr_expect(zero(int, awaiter_wait(&ix.awaiter)));
	cr_expect(ix_has(1, 0));
	cr_expect(eq(u64, ix.index.rewrites, 1));
}

/* The keys that went along are not in the leaf again. */
Test(insert, into_a_full_leaf_has_each_key_once)
{
	struct bkey keys[3] = { ix_extent(1, 0, 8, true), ix_extent(1, 8, 16, true),
				ix_extent(1, 4, 12, true) };
	struct insert insert = ix_insert_of(keys, 3);

	fill_log();
	insert_start(&insert);
	cr_expect(zero(int, awaiter_wait(&ix.awaiter)));
	cr_expect(eq(u64, ix.index.dirty_sectors[1], 16));
	cr_expect(lt(u64, 0, insert.sequence));
	cr_expect(eq(u32, root()->open.count, 0));
	ix_expect_sound();
}

Test(insert, that_is_cancelled_does_not_go_along)
{
	const struct bkey key = ix_extent(1, 0, 8, false);
	struct insert insert = fill_of(&key, 1);
	struct node *leaf = root();
	bool is_cancelled = false;

	fill_log();
	insert.cancelled = &is_cancelled;
	leaf->counted_sectors = 1;		/* the plan waits */
	start(&insert);
	cr_assert(not(has_ended()));
	is_cancelled = true;
	leaf->counted_sectors = 0;
	wake();
	cr_expect(has_ended());
	cr_expect(not(ix_has(1, 0)));
	cr_expect(zero(u64, ix.index.rewrites));
}

/* ---- several leaves ---- */

/* Keys until the root has two children. */
static void split_root(void)
{
	for (unsigned i = 0; !root()->level; i++)
		ix_insert_many(1, i * 4 * INSERT_KEYS_MAX, INSERT_KEYS_MAX, 4);
}

Test(insert, of_a_key_across_two_leaves_goes_into_both)
{
	uint64_t end;
	struct bkey key;

	split_root();
	end = bkey_end(&root()->keys.key[0]);
	key = ix_extent(1, end - 6, end + 10, true);
	cr_assert(zero(int, ix_insert(&key, 1)));
	cr_expect(eq(u64, ix.index.dirty_sectors[1], 16));
	cr_expect(eq(u64, bkey_end(&ix_leaf(1, end - 1)->key), end));
	for (uint64_t at = end - 6; at < end + 10; at++)
		cr_expect(ix_has(1, at));
	ix_expect_sound();
}

Test(insert, of_keys_of_several_volumes_finds_the_leaf_of_each)
{
	struct bkey keys[4];

	split_root();
	keys[0] = ix_extent(2, 0, 8, true);
	keys[1] = ix_extent(1, 2, 3, true);
	keys[2] = ix_extent(0, 100, 108, true);
	keys[3] = ix_extent(7, 100, 108, true);
	cr_assert(zero(int, ix_insert(keys, 4)));
	cr_expect(eq(u64, ix.index.dirty_sectors[0], 8));
	cr_expect(eq(u64, ix.index.dirty_sectors[1], 1));
	cr_expect(eq(u64, ix.index.dirty_sectors[2], 8));
	cr_expect(eq(u64, ix.index.dirty_sectors[7], 8));
	ix_expect_sound();
}

/* Only the keys that belong into a full leaf go along with what replaces it. */
Test(insert, of_keys_of_several_volumes_into_a_full_leaf_finds_the_leaf_of_each)
{
	struct node *leaf;
	struct bkey keys[2];
	uint64_t rewrites;

	split_root();
	leaf = ix_leaf(1, 0);
	for (unsigned i = 0; leaf->written_sectors < leaf->sectors; i++) {
		ix_insert_many(0, 4 * i, 1, 1);
		ix_clean();
	}
	rewrites = ix.index.rewrites + ix.index.splits;
	keys[0] = ix_extent(1, 2, 3, true);
	keys[1] = ix_extent(2, 0, 8, true);
	cr_assert(zero(int, ix_insert(keys, 2)));
	cr_expect(lt(u64, rewrites, ix.index.rewrites + ix.index.splits));
	cr_expect(ix_has(1, 2));
	cr_expect(ix_has(2, 0));
	cr_expect(eq(u64, ix.index.dirty_sectors[1], 1));
	cr_expect(eq(u64, ix.index.dirty_sectors[2], 8));
	ix_expect_sound();
}
