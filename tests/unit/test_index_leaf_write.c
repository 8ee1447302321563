/* Leaves: how much goes into one, and who has them written when. */
#include "index_world.h"

#define SECOND UINT64_C(1000000000)

/* ---- room (INDEX-4) ---- */

enum {
	BLOCK_WORDS = (IX_BLOCK_SECTORS * 512 - sizeof(struct bset_disk)) / 8,	/* a set's keys */
};

static enum leaf_room room(unsigned blocks_left, unsigned open_words, unsigned words)
{
	struct index index = { .setup = { .block_sectors = IX_BLOCK_SECTORS } };
	struct node leaf = {
		.sectors = IX_BUCKET_SECTORS,
		.written_sectors = IX_BUCKET_SECTORS - blocks_left * IX_BLOCK_SECTORS,
		.open_words = open_words,
		.open = { .count = open_words / 2 },
	};

	return leaf_room(&index, &leaf, words);
}

Test(leaf_room, is_the_last_block_to_its_last_word)
{
	cr_expect(eq(int, room(1, 0, 5), LEAF_FITS));
	cr_expect(eq(int, room(1, 0, BLOCK_WORDS), LEAF_FITS));
	cr_expect(eq(int, room(1, BLOCK_WORDS - 5, 5), LEAF_FITS));
}

Test(leaf_room, is_not_there_behind_the_last_block)
{
	cr_expect(eq(int, room(0, 0, 5), LEAF_FULL));
	cr_expect(eq(int, room(1, BLOCK_WORDS - 4, 5), LEAF_FULL));
}

/* What is open takes a block of its own, then: an append is at most a page. */
Test(leaf_room, comes_by_a_write_where_a_block_is_left_behind_it)
{
	cr_expect(eq(int, room(2, BLOCK_WORDS - 4, 5), LEAF_WRITE_FIRST));
	cr_expect(eq(int, room(2, BLOCK_WORDS, 5), LEAF_WRITE_FIRST));
	cr_expect(eq(int, room(2, BLOCK_WORDS, BLOCK_WORDS), LEAF_WRITE_FIRST));
	cr_expect(eq(int, room(8, BLOCK_WORDS, 5), LEAF_WRITE_FIRST));
}

Test(leaf_room, of_small_blocks_is_what_an_append_may_be)
{
	struct index index = { .setup = { .block_sectors = 1 } };
	struct node leaf = { .sectors = 64, .open = { .count = 1 }, .open_words = 508 - 5 };

	cr_assert(eq(u64, bset_bytes(508), OPEN_RUN_BYTES_MAX));
	cr_expect(eq(int, leaf_room(&index, &leaf, 5), LEAF_FITS));
	cr_expect(eq(int, leaf_room(&index, &leaf, 6), LEAF_WRITE_FIRST));
	leaf.written_sectors = 64 - 8;
	cr_expect(eq(int, leaf_room(&index, &leaf, 5), LEAF_FITS));
	cr_expect(eq(int, leaf_room(&index, &leaf, 6), LEAF_FULL));
}

/* ---- what a write leaves ---- */

TestSuite(leaf_write, .init = ix_begin, .fini = ix_end, .timeout = 60);

static struct node *root(void)
{
	return ix.index.root;
}

static bool start_write(void)
{
	bool began;

	ix_enter();
	began = leaf_write_start(&ix.index, root());
	ix_leave();
	return began;
}

static bool no_write_is_under_way(void)
{
	return leaf_writes_are_idle(&ix.index);
}

static void insert_one(uint64_t sector)
{
	ix_insert_many(1, sector, 1, 1);
}

Test(leaf_write, leaves_its_keys_in_one_run)
{
	ix_insert_many(1, 0, 5, 2);
	cr_expect(eq(u32, root()->open.count, 5));
	ix_clean();
	cr_expect(eq(u32, root()->keys.count, 5));
	cr_expect(zero(u32, root()->open.count));
	cr_expect(zero(u32, root()->open_words));
	ix_expect_sound();
}

/* Nothing older lies below them. */
Test(leaf_write, takes_holes_out_of_memory)
{
	const struct bkey keys[] = { ix_extent(1, 0, 8, true), ix_hole(1, 2, 4),
				     ix_hole(1, 20, 24) };

	cr_assert(zero(int, ix_insert(keys, 3)));
	cr_expect(eq(u32, root()->open.count, 4));
	ix_clean();
	cr_expect(eq(u32, root()->keys.count, 2));
	cr_expect(ix_has(1, 1));
	cr_expect(not(ix_has(1, 2)));
	cr_expect(ix_has(1, 4));
	ix_reopen(false);
	cr_expect(eq(u32, root()->keys.count, 2));
	cr_expect(not(ix_has(1, 3)));
	cr_expect(ix_has(1, 4));
}

Test(leaf_write, appends_a_block_to_the_log)
{
	uint64_t sectors = ix.index.sectors_written;

	cr_assert(eq(u32, root()->written_sectors, IX_BLOCK_SECTORS));
	insert_one(0);
	ix_clean();
	insert_one(4);
	ix_clean();
	cr_expect(eq(u32, root()->written_sectors, 3 * IX_BLOCK_SECTORS));
	cr_expect(eq(u64, ix.index.leaves_written, 2));
	cr_expect(eq(u64, ix.index.sectors_written - sectors, 2 * IX_BLOCK_SECTORS));
	ix_reopen(false);
	cr_expect(eq(u32, root()->written_sectors, 3 * IX_BLOCK_SECTORS));
	cr_expect(ix_has(1, 0));
	cr_expect(ix_has(1, 4));
}

/* JOURNAL-1 */
/* What an earlier write left in the buffer does not reach the disk. */
Test(leaf_write, is_of_zeros_behind_its_keys)
{
	static unsigned char block[IX_BLOCK_SECTORS * 512] __attribute__((aligned(4096)));
	const struct bset_disk *set = (const void *)block;
	unsigned sector;

	ix_insert_many(1, 1000, 60, 2);
	ix_clean();
	sector = root()->written_sectors;
	insert_one(0);
	ix_clean();
	cr_assert(eq(u64, ix.index.leaves_written, 2));
	cr_assert(zero(int, device_read_now(ix.device, block,
					    pointer_sector(root()->key.ptr) + sector,
					    IX_BLOCK_SECTORS)));
	cr_assert(eq(u32, le32_get(set->words), 3));
	for (unsigned i = bset_bytes(3); i < sizeof(block); i++)
		cr_assert(zero(u8, block[i]), "byte %u", i);
}

Test(leaf_write, holds_the_journal_until_it_is_durable)
{
	insert_one(0);
	cr_assert(ne(u64, root()->pin.sequence, 0));
	cr_assert(start_write());
	cr_expect(zero(u64, root()->pin.sequence));
	cr_expect(eq(u64, ix.journal.oldest, 1));
	ix_enter();
	journal_commit(&ix.journal, &ix.awaiter.op);
	ix_leave();
	ix_run_until(no_write_is_under_way);
	ix_turns(1);
	while (ix.awaiter.op.awaited)
		awaiter_wait(&ix.awaiter);
	cr_expect(eq(u64, ix.journal.oldest, ix.journal.open));
}

/* INDEX-2 */
Test(leaf_write, flushes_the_data_of_its_keys_first)
{
	const struct bkey key = ix_extent(1, 0, 8, false);
	struct insert insert = ix_insert_of(&key, 1);

	insert.is_journaled = false;		/* the journal flushes them, too */
	insert_start(&insert);
	cr_assert(zero(int, awaiter_wait(&ix.awaiter)));
	cr_assert(not(device_flush_covers(ix.device, root()->flush_ticket)));
	ix_clean();
	cr_expect(device_flush_covers(ix.device, root()->flush_ticket));
}

Test(leaf_write, is_one_at_a_time_for_each_leaf)
{
	insert_one(0);
	cr_assert(start_write());
	insert_one(2);
	ix_enter();
	cr_expect(eq(int, index_clean_leaf(&ix.index, root(), &ix.awaiter.op), -EAGAIN));
	ix_leave();
	cr_expect(root()->write_wanted);
	awaiter_wait(&ix.awaiter);
	ix_run_until(no_write_is_under_way);
	cr_expect(eq(u64, ix.index.leaves_written, 2));
	cr_expect(zero(u32, root()->open.count));
	cr_expect(eq(u64, root()->settled, root()->inserted));
}

Test(leaf_write, does_not_follow_another_that_nobody_wants)
{
	insert_one(0);
	cr_assert(start_write());
	insert_one(2);
	ix_run_until(no_write_is_under_way);
	ix_turns(3);
	cr_expect(eq(u64, ix.index.leaves_written, 1));
	cr_expect(eq(u32, root()->open.count, 1));
	cr_expect(eq(u64, root()->settled, 1));
	cr_expect(eq(u64, root()->inserted, 2));
}

Test(leaf_write, of_what_is_clean_is_none)
{
	insert_one(0);
	ix_clean();
	ix_enter();
	cr_expect(zero(int, index_clean_leaf(&ix.index, root(), &ix.awaiter.op)));
	cr_expect(zero(int, index_clean_all(&ix.index, &ix.awaiter.op)));
	ix_leave();
	cr_expect(eq(u64, ix.index.leaves_written, 1));
}

Test(leaf_write, waits_for_a_leaf_that_is_being_replaced)
{
	insert_one(0);
	root()->is_frozen = true;
	ix_enter();
	cr_expect(eq(int, index_clean_all(&ix.index, &ix.awaiter.op), -EAGAIN));
	ix_leave();
	ix_turns(3);
	cr_expect(zero(u64, ix.index.leaves_written));
	root()->is_frozen = false;
	ix_enter();
	waitlist_wake_all(&root()->waiting, 0);
	ix_leave();
	awaiter_wait(&ix.awaiter);
	ix_clean();
	cr_expect(eq(u64, ix.index.leaves_written, 1));
}

/* ---- who has leaves written ---- */

/* The next look at the ages of leaves comes now. */
static void look_at_ages(void)
{
	ix_enter();
	timer_cancel(&ix.index.ageing_timer);
	ix_leave();
	ix_turns(3);
	ix_run_until(no_write_is_under_way);
}

static void make_older(uint64_t seconds)
{
	root()->dirty_since_ns = clock_ns(ix.reactor) - seconds * SECOND;
}

Test(leaf_write, comes_with_age)
{
	ix_run();
	insert_one(0);
	make_older(31);
	look_at_ages();
	cr_expect(eq(u64, ix.index.leaves_written, 1));
	cr_expect(timer_running(&ix.index.ageing_timer));
}

Test(leaf_write, does_not_come_before_its_age)
{
	ix_run();
	insert_one(0);
	make_older(25);
	look_at_ages();
	cr_expect(zero(u64, ix.index.leaves_written));
	cr_expect(timer_running(&ix.index.ageing_timer));
}

Test(leaf_write, does_not_come_by_age_while_the_leaf_is_replaced)
{
	ix_run();
	insert_one(0);
	make_older(31);
	root()->is_frozen = true;
	look_at_ages();
	cr_expect(zero(u64, ix.index.leaves_written));
	root()->is_frozen = false;
}

Test(leaf_write, does_not_come_by_age_when_there_is_nothing_to_write)
{
	ix_run();
	make_older(31);
	look_at_ages();
	cr_expect(zero(u64, ix.index.leaves_written));
}

Test(leaf_write, does_not_come_by_age_once_the_set_stops)
{
	ix_run();
	insert_one(0);
	make_older(31);
	ix_enter();
	index_stop(&ix.index);
	ix_leave();
	ix_turns(3);
	cr_expect(zero(u64, ix.index.leaves_written));
	cr_expect(index_is_idle(&ix.index));
}

/* As if so many entries had been written that the oldest are in the way; the index looks. */
static void press(void)
{
	uint64_t entries = ix.journal.entries_mask / 2 + 1;

	ix.journal.open += entries;
	ix_enter();
	cr_assert(journal_is_under_pressure(&ix.journal));
	waitlist_wake_all(&ix.journal.pressure, 0);
	ix_leave();
	ix_turns(2);
	ix.journal.open -= entries;
}

Test(leaf_write, comes_when_the_journal_lacks_room)
{
	ix_run();
	insert_one(0);
	press();
	ix_run_until(no_write_is_under_way);
	cr_expect(eq(u64, ix.index.leaves_written, 1));
}

Test(leaf_write, is_wanted_of_a_leaf_that_is_being_replaced_when_the_journal_lacks_room)
{
	ix_run();
	insert_one(0);
	root()->is_frozen = true;
	press();
	cr_expect(root()->write_wanted);
	cr_expect(zero(u64, ix.index.leaves_written));
	root()->is_frozen = false;
}

/* ---- the end ---- */

Test(leaf_write, is_awaited_by_nobody_once_the_set_is_dead)
{
	ix_run();
	ix_enter();
	health_fail(&ix.health, EIO, "by a test");
	waitlist_join(&ix.index.write_slots, &ix.awaiter.op);
	journal_abort(&ix.journal, -EIO);
	index_abort(&ix.index, -EIO);
	ix_leave();
	cr_expect(eq(int, awaiter_wait(&ix.awaiter), -EIO));
	ix_turns(3);
	cr_expect(index_is_idle(&ix.index));
}
