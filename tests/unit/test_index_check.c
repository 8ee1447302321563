/* The check of all nodes in memory, which other tests and the simulator rely on. */
#include "index_world.h"

TestSuite(check, .init = ix_begin, .fini = ix_end, .timeout = 60);

static struct node *root(void)
{
	return ix.index.root;
}

static void expect_refused(const char *complaint)
{
	struct error error = { .code = 0 };
	int failed;

	ix_enter();
	failed = index_check(&ix.index, &error);
	ix_leave();
	cr_expect(eq(int, failed, -EINVAL));
	cr_expect(ne(ptr, strstr(error.text, complaint), NULL), "%s", error.text);
}

static void exchange(struct bkey *a, struct bkey *b)
{
	struct bkey kept = *a;

	*a = *b;
	*b = kept;
}

/* ---- leaves ---- */

/* An extent, its neighbour, a hole, and the next volume: the open run of the root. */
static void insert_some(void)
{
	const struct bkey keys[] = {
		ix_extent(1, 0, 8, false),
		ix_extent(1, 8, 16, false),
		ix_hole(1, 24, 32),
		ix_extent(2, 4, 12, false),
	};

	cr_assert(zero(int, ix_insert(keys, 4)));
	cr_assert(eq(u32, root()->open.count, 4));
}

Test(check, of_an_empty_leaf_passes)
{
	ix_expect_sound();
}

Test(check, of_neighbours_holes_and_volumes_passes)
{
	insert_some();
	ix_expect_sound();
	ix_clean();
	ix_expect_sound();
}

/* Of a hidden key only its end is left, where the one that hides it may end, too. */
Test(check, passes_over_keys_without_a_size)
{
	struct bkey k;

	insert_some();
	ix_clean();
	k = ix_extent(1, 0, 16, false);
	cr_assert(zero(int, ix_insert(&k, 1)));
	cr_assert(zero(u32, bkey_sectors(&root()->keys.key[1])));
	ix_expect_sound();
}

Test(check, refuses_a_key_behind_the_end_of_its_leaf)
{
	struct bkey key = root()->key;

	insert_some();
	root()->key.high = bkey_of(2, 12, 0).high;
	root()->key.low = bkey_of(2, 12, 0).low;
	ix_expect_sound();
	root()->key.low--;
	expect_refused("behind the end");
	root()->key = key;
}

Test(check, refuses_an_overlap_of_one_sector)
{
	insert_some();
	bkey_set_sectors(&root()->open.key[1], 9);
	expect_refused("overlaps");
	bkey_set_sectors(&root()->open.key[1], 8);
}

Test(check, refuses_volumes_out_of_order)
{
	insert_some();
	exchange(&root()->open.key[2], &root()->open.key[3]);
	expect_refused("precedes");
	exchange(&root()->open.key[2], &root()->open.key[3]);
}

Test(check, refuses_a_pointer_outside_of_all_buckets)
{
	uint64_t ptr;

	insert_some();
	ptr = root()->open.key[1].ptr;
	root()->open.key[1].ptr = pointer_of(0, (uint64_t)IX_BUCKETS * IX_BUCKET_SECTORS, 0);
	expect_refused("outside the buckets");
	root()->open.key[1].ptr = ptr;
}

Test(check, refuses_a_wrong_count_of_words)
{
	insert_some();
	root()->open_words--;
	expect_refused("counted");
	root()->open_words++;
}

Test(check, refuses_a_log_longer_than_its_node)
{
	unsigned written = root()->written_sectors;

	root()->written_sectors = root()->sectors;
	ix_expect_sound();
	root()->written_sectors++;
	expect_refused("a log of");
	root()->written_sectors = written;
}

Test(check, waits_until_a_node_is_read)
{
	root()->open_words++;
	root()->state = NODE_READING;
	ix_expect_sound();
	root()->state = NODE_READY;
	expect_refused("counted");
	root()->open_words--;
}

/* ---- interior nodes ---- */

/* A tree of two levels, whose root has at least two children. */
static void grow(void)
{
	ix_insert_many(1, 0, 2000, 4);
	ix_clean();
	cr_assert(eq(u32, root()->level, 1));
	cr_assert(ge(u32, root()->keys.count, 2));
}

Test(check, of_two_levels_passes)
{
	grow();
	ix_expect_sound();
}

Test(check, refuses_children_out_of_order)
{
	grow();
	exchange(&root()->keys.key[0], &root()->keys.key[1]);
	expect_refused("out of order");
	exchange(&root()->keys.key[0], &root()->keys.key[1]);
}

Test(check, refuses_a_child_that_is_there_twice)
{
	struct bkey first;

	grow();
	first = root()->keys.key[0];
	root()->keys.key[0] = root()->keys.key[1];
	expect_refused("out of order");
	root()->keys.key[0] = first;
}

Test(check, refuses_a_stale_child)
{
	struct bucket *bucket;

	grow();
	bucket = &ix.space.bucket[space_bucket_of(&ix.space, root()->keys.key[1].ptr)];
	bucket->generation++;
	expect_refused("stale");
	bucket->generation--;
}

Test(check, refuses_a_node_that_ends_behind_its_last_child)
{
	grow();
	root()->keys.count--;
	expect_refused("the last child");
	root()->keys.count++;
}

Test(check, refuses_an_interior_node_without_children)
{
	unsigned count;

	grow();
	count = root()->keys.count;
	root()->keys.count = 0;
	expect_refused("the last child");
	root()->keys.count = count;
}

Test(check, says_which_node)
{
	struct node *leaf;

	grow();
	leaf = ix_leaf(1, 0);
	leaf->open_words++;
	expect_refused("level 0");
	leaf->open_words--;
	root()->written_sectors += root()->sectors;
	expect_refused("level 1");
	root()->written_sectors -= root()->sectors;
}
