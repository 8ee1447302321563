/* The journal's keys over what is on disk, in memory (-o ro). */
#include "index_world.h"

static struct overlay *overlay;

/* Volume 1 has dirty data in [0, 8) and clean ones in [8, 16), and all is on disk. */
static void setup(void)
{
	struct bkey keys[2];

	ix_begin();
	keys[0] = ix_extent(1, 0, 8, true);
	keys[1] = ix_extent(1, 8, 16, false);
	cr_assert(zero(int, ix_insert(keys, 2)));
	ix_clean();
	overlay = overlay_new();
	cr_assert(ne(ptr, overlay, NULL));
}

static void teardown(void)
{
	overlay_free(overlay);
	ix_end();
}

TestSuite(overlay, .init = setup, .fini = teardown, .timeout = 60);

/* As a start does: the walk counts what is dirty. */
static void reopen(void)
{
	ix_reopen(true);
	ix.index.dirty_sectors[1] = 8;
}

static void add(struct bkey k)
{
	cr_assert(zero(int, overlay_add(overlay, &k)));
}

static unsigned apply(void)
{
	unsigned leaves = 0;

	cr_assert(zero(int, overlay_seal(overlay)));
	while (!overlay_is_applied(overlay)) {
		int error;

		ix_enter();
		error = overlay_apply(overlay, &ix.index, &ix.awaiter.op);
		ix_leave();
		if (error == -EAGAIN) {
			awaiter_wait(&ix.awaiter);
			continue;
		}
		cr_assert(zero(int, error), "%s", ix.health.reason.text);
		leaves++;
	}
	ix_expect_sound();
	return leaves;
}

static void expect_dirty(unsigned volume, uint64_t sectors)
{
	cr_expect(eq(u64, ix.index.dirty_sectors[volume], sectors), "found %llu",
		  (unsigned long long)ix.index.dirty_sectors[volume]);
}

Test(overlay, of_nothing_is_applied_at_once)
{
	reopen();
	cr_expect(zero(u32, apply()));
	expect_dirty(1, 8);
	cr_expect(ix_has(1, 0));
}

Test(overlay, adds_what_is_dirty)
{
	reopen();
	add(ix_extent(1, 20, 30, true));
	add(ix_extent(2, 0, 4, true));
	add(ix_extent(3, 0, 4, false));
	cr_expect(eq(u32, apply(), 1));
	expect_dirty(1, 18);
	expect_dirty(2, 4);
	expect_dirty(3, 0);
	cr_expect(ix_has(1, 29));
	cr_expect(ix_has(3, 0));
}

Test(overlay, hides_what_was_there)
{
	reopen();
	add(ix_hole(1, 2, 4));
	add(ix_extent(1, 6, 10, false));
	apply();
	expect_dirty(1, 4);
	cr_expect(ix_has(1, 1));
	cr_expect(not(ix_has(1, 2)));
	cr_expect(ix_has(1, 4));
	cr_expect(ix_has(1, 9));
}

Test(overlay, counts_once_what_was_dirty_and_is_written_again)
{
	reopen();
	add(ix_extent(1, 4, 12, true));
	apply();
	expect_dirty(1, 12);
}

Test(overlay, takes_keys_in_their_order)
{
	reopen();
	add(ix_extent(1, 20, 30, true));
	add(ix_hole(1, 20, 25));
	add(ix_extent(1, 22, 24, true));
	apply();
	expect_dirty(1, 8 + 2 + 5);
	cr_expect(not(ix_has(1, 21)));
	cr_expect(ix_has(1, 22));
	cr_expect(not(ix_has(1, 24)));
}

Test(overlay, counts_no_volume_that_has_gone)
{
	reopen();
	ix.index.is_gone[2] = true;
	add(ix_extent(2, 0, 4, true));
	apply();
	expect_dirty(2, 0);
	cr_expect(not(ix_has(2, 0)));
}

/* It is nowhere else: as a leaf to be written it is never forgotten. */
Test(overlay, leaves_its_leaf_to_be_written_even_if_that_is_empty)
{
	reopen();
	add(ix_hole(1, 0, 16));
	apply();
	expect_dirty(1, 0);
	cr_expect(node_is_dirty(ix.index.root));
	cr_expect(eq(u32, ix.index.root->open_words, 2));
	cr_expect(not(ix_has(1, 0)));
	cr_expect(eq(u64, ix.index.root->inserted, 1));
}

/* ---- several leaves ---- */

static void split_root(void)
{
	for (unsigned i = 0; !ix.index.root->level; i++)
		ix_insert_many(1, 16 + i * 4 * INSERT_KEYS_MAX, INSERT_KEYS_MAX, 4);
	ix_clean();
}

Test(overlay, lays_a_key_across_two_leaves_over_both)
{
	uint64_t end;

	split_root();
	reopen();
	end = bkey_end(&ix.index.root->keys.key[0]);
	add(ix_extent(1, end - 6, end + 10, true));
	cr_expect(eq(u32, apply(), 2));
	expect_dirty(1, 8 + 16);
	for (uint64_t at = end - 6; at < end + 10; at++)
		cr_expect(ix_has(1, at));
	cr_expect(ix_has(1, 0));
}

Test(overlay, passes_over_leaves_that_it_has_no_keys_for)
{
	uint64_t end;

	split_root();
	reopen();
	end = bkey_end(&ix.index.root->keys.key[0]);
	add(ix_extent(1, end, end + 4, true));
	add(ix_extent(2, 0, 4, true));
	cr_expect(eq(u32, apply(), 1));
	expect_dirty(1, 8 + 4);
	expect_dirty(2, 4);
	cr_expect(not(node_is_dirty(ix_leaf(1, 0))));
}

Test(overlay, ends_a_leaf_where_its_last_key_ends)
{
	uint64_t end;

	split_root();
	reopen();
	end = bkey_end(&ix.index.root->keys.key[0]);
	add(ix_extent(1, end - 4, end, true));
	cr_expect(eq(u32, apply(), 1));
	expect_dirty(1, 8 + 4);
	cr_expect(not(node_is_dirty(ix_leaf(1, end))));
}

/* ---- INDEX-6: a node that is lost ---- */

static void reopen_without_root(bool rescues)
{
	const struct bkey root = ix.index.root->key;
	unsigned char *zeros = buffer_new(IX_BLOCK_SECTORS * 512);

	memset(zeros, 0, IX_BLOCK_SECTORS * 512);
	device_write(ix.device, zeros, pointer_sector(root.ptr), IX_BLOCK_SECTORS, true,
		     &ix.awaiter.op);
	cr_assert(zero(int, awaiter_wait(&ix.awaiter)));
	buffer_free(zeros);
	index_done(&ix.index);
	ix_init_index(true);
	ix.index.setup.rescues = rescues;
	cr_assert(eq(int, ix_open_root(&root, 0), rescues ? 0 : -EINVAL));
}

/* What is asked for, and for how far that holds: "hit 4", "lost 16" or "gap 3". */
static void expect_found(uint64_t sector, const char *kind, uint64_t sectors)
{
	struct lookup found;

	cr_assert(zero(int, ix_lookup(1, sector, 16, &found)));
	cr_expect(eq(str, found.is_hit ? "hit" : found.is_lost ? "lost" : "gap", (char *)kind));
	cr_expect(eq(u64, found.sectors, sectors));
}

Test(overlay, is_all_that_is_known_of_a_node_that_is_lost)
{
	reopen_without_root(true);
	cr_expect(eq(u64, ix.index.nodes_lost, 1));
	add(ix_extent(1, 20, 24, true));
	cr_expect(eq(u32, apply(), 1));
	expect_dirty(1, 4);
	expect_found(0, "lost", 16);
	expect_found(16, "lost", 4);
	expect_found(20, "hit", 4);
	expect_found(24, "lost", 16);
}

Test(overlay, knows_its_gaps_of_a_node_that_is_not_lost)
{
	reopen();
	expect_found(0, "hit", 8);
	expect_found(16, "gap", 16);
}

Test(overlay, of_a_node_that_cannot_be_read_fails_the_set_unless_it_rescues)
{
	reopen_without_root(false);
	cr_expect(zero(u64, ix.index.nodes_lost));
	cr_expect(ne(int, health_error(&ix.health), 0));
}
