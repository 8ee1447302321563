/* The journal on a real file: entries become durable, and are found again. */
#include "counted_memory.h"
#include "journal_world.h"
#include "io/device_shared.h"

static struct journal_found found;

static void forget_found(void)
{
	journal_found_done(&found);
	teardown();
}

TestSuite(journal, .init = setup, .fini = forget_found, .timeout = 60);

/* What a start would find. */
static void read_again(void)
{
	struct error error = { .code = 0 };

	journal_found_done(&found);
	cr_assert(zero(int, journal_read(&found, &journal_setup, false, &error)), "%s",
		  error.text);
}

static uint64_t sequence_of(unsigned i)
{
	return le64_get(found.entries[i]->sequence);
}

static void expect_keys(unsigned i, unsigned first, unsigned count)
{
	const struct journal_entry_disk *entry = found.entries[i];

	cr_assert(eq(u32, le32_get(entry->words), 3 * count));
	for (unsigned n = 0; n < count; n++) {
		struct bkey expected = key(first + n);

		cr_expect(eq(u64, le64_get(entry->keys[3 * n]), expected.high));
		cr_expect(eq(u64, le64_get(entry->keys[3 * n + 1]), expected.low));
		cr_expect(eq(u64, le64_get(entry->keys[3 * n + 2]), expected.ptr));
	}
}

/* ---- becoming durable ---- */

Test(journal, is_empty_at_first)
{
	struct error error = { .code = 0 };

	cr_expect(eq(int, journal_read(&found, &journal_setup, false, &error), -EINVAL));
	cr_expect(eq(str, error.text, "no journal entries found in 4 journal buckets"));
}

Test(journal, arrives_at_once_where_nothing_was_given)
{
	begin_commit(&awaiter);
	cr_expect(zero(u32, awaiter.op.awaited));
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	cr_expect(zero(u64, journal.entries_written));
}

Test(journal, begins_with_entry_one)
{
	cr_expect(eq(u64, add(0), 1));
	cr_expect(eq(u64, add(1), 1));
}

Test(journal, has_what_was_committed)
{
	for (unsigned i = 0; i < 3; i++)
		add(i);
	begin_commit(&awaiter);
	cr_expect(zero(u64, journal.durable));
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	cr_expect(eq(u64, journal.durable, 1));
	read_again();
	cr_assert(eq(u32, found.count, 1));
	cr_expect(eq(u64, sequence_of(0), 1));
	expect_keys(0, 0, 3);
}

Test(journal, flushes_the_device_before_each_entry)
{
	add_entry(0);
	cr_expect(eq(u64, device_shared(device)->flush.completed, 1));
	add_entry(1);
	cr_expect(eq(u64, device_shared(device)->flush.completed, 2));
}

Test(journal, puts_the_second_entry_into_the_next_block)
{
	add_entry(0);
	add_entry(1);
	cr_expect(lies_at(1, 0, 0));
	cr_expect(lies_at(2, 0, 1));
}

Test(journal, goes_on_in_the_next_bucket_when_one_is_full)
{
	for (unsigned i = 0; i < 5; i++)
		add_entry(i);
	cr_expect(lies_at(4, 0, 3));
	cr_expect(lies_at(5, 1, 0));
}

Test(journal, puts_an_entry_of_two_blocks_where_both_fit)
{
	unsigned two_blocks = BLOCK_SECTORS * 512 / 24;

	for (unsigned i = 0; i < 3; i++)
		add_entry(i);
	for (unsigned i = 0; i < two_blocks; i++)
		add(i);
	add_entry(two_blocks);
	cr_expect(lies_at(3, 0, 2));
	cr_expect(not(lies_at(4, 0, 3)));
	cr_expect(eq(u64, journal.bucket_newest[1], 4));
	read_again();
	cr_assert(eq(u32, found.count, 1));
	expect_keys(0, 0, two_blocks + 1);
}

Test(journal, goes_round)
{
	for (unsigned i = 0; i < 4 * RING + 1; i++)
		add_entry(i);
	cr_expect(lies_at(4 * RING + 1, 0, 0));
}

Test(journal, writes_by_itself_what_was_added_a_while_ago)
{
	journal.delay_ns = 1000000;
	add(0);
	cr_expect(timer_running(&journal.delay));
	waitlist_join(&journal.open_waiters, &awaiter.op);
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	cr_expect(eq(u64, journal.durable, 1));
}

Test(journal, puts_what_comes_during_a_flush_into_the_next_entry)
{
	add(0);
	begin_commit(&awaiter);
	let_writer_begin();
	cr_assert(eq(int, journal.state, JOURNAL_FLUSH));
	cr_expect(eq(u64, add(1), 2));
	awaiter_wait(&awaiter);
	cr_expect(eq(u64, journal.durable, 1));
	read_again();
	expect_keys(0, 0, 1);
}

Test(journal, waits_for_the_write_under_way_where_nothing_came_since)
{
	struct awaiter other;

	awaiter_init(&other, reactor);
	add(0);
	begin_commit(&awaiter);
	let_writer_begin();
	begin_commit(&other);
	cr_expect(ne(u32, other.op.awaited, 0));
	cr_expect(zero(int, awaiter_wait(&other)));
	cr_expect(eq(u32, awaiter.steps, 1));
	cr_expect(eq(u64, journal.entries_written, 1));
}

Test(journal, writes_an_empty_entry_only_when_told_so)
{
	add_entry(0);
	lock_acquire(lock);
	journal_commit_always(&journal, &awaiter.op);
	lock_release(lock);
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	cr_expect(eq(u64, journal.durable, 2));
	read_again();
	cr_assert(eq(u32, found.count, 1));
	expect_keys(0, 0, 0);
}

Test(journal, arrives_at_once_for_an_entry_that_is_durable)
{
	add_entry(0);
	lock_acquire(lock);
	journal_commit_entry(&journal, 1, &awaiter.op);
	lock_release(lock);
	cr_expect(zero(u32, awaiter.op.awaited));
	awaiter_wait(&awaiter);
}

Test(journal, waits_for_the_entry_that_is_asked_for)
{
	uint64_t sequence = add(0);

	lock_acquire(lock);
	journal_commit_entry(&journal, sequence, &awaiter.op);
	lock_release(lock);
	cr_expect(ne(u32, awaiter.op.awaited, 0));
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	cr_expect(eq(u64, journal.durable, sequence));
}

/* ---- what an entry says ---- */

Test(journal, says_where_the_roots_are)
{
	struct bkey root = bkey_with_pointer(bkey_of(BKEY_VOLUME_MAX, BKEY_END_MAX, 16),
					     pointer_of(0, 96, 3));
	struct bkey decoded;

	journal.roots = (struct journal_roots){
		.btree_root = root,
		.btree_level = 2,
		.uuid_bucket = key(9),
		.prio_bucket = 4711,
	};
	lock_acquire(lock);
	journal_roots_change(&journal);
	journal_commit(&journal, &awaiter.op);
	lock_release(lock);
	cr_assert(zero(int, awaiter_wait(&awaiter)));
	read_again();
	cr_expect(bkey_slot_decode(&decoded, &found.entries[0]->btree_root));
	cr_expect(eq(u64, decoded.high, root.high));
	cr_expect(eq(u64, decoded.ptr, root.ptr));
	cr_expect(bkey_slot_decode(&decoded, &found.entries[0]->uuid_bucket));
	cr_expect(eq(u64, decoded.ptr, key(9).ptr));
	cr_expect(eq(u32, le16_get(found.entries[0]->btree_level), 2));
	cr_expect(eq(u64, le64_get(found.entries[0]->prio_bucket[0]), 4711));
}

Test(journal, needs_only_the_newest_entry_where_nothing_is_pinned)
{
	for (unsigned i = 0; i < 3; i++)
		add_entry(i);
	read_again();
	cr_assert(eq(u32, found.count, 1));
	cr_expect(eq(u64, sequence_of(0), 3));
	cr_expect(eq(u64, le64_get(found.entries[0]->last_sequence), 3));
}

Test(journal, needs_all_entries_from_the_oldest_pinned_one)
{
	struct journal_pin pins[2] = { { .sequence = 0 }, { .sequence = 0 } };

	add_entry(0);
	pin(&pins[0], add(1));
	add_entry(2);
	pin(&pins[1], add(3));
	add_entry(4);
	read_again();
	cr_assert(eq(u32, found.count, 2));
	cr_expect(eq(u64, sequence_of(0), 2));
	cr_expect(eq(u64, sequence_of(1), 3));
	cr_expect(eq(u64, le64_get(found.entries[1]->last_sequence), 2));
	expect_keys(0, 1, 2);
	expect_keys(1, 3, 2);
}

Test(journal, needs_less_when_a_pin_goes)
{
	struct journal_pin pins[2] = { { .sequence = 0 }, { .sequence = 0 } };

	pin(&pins[0], add(0));
	add_entry(1);
	pin(&pins[1], add(2));
	add_entry(3);
	unpin(&pins[0]);
	add_entry(4);
	read_again();
	cr_assert(eq(u32, found.count, 2));
	cr_expect(eq(u64, sequence_of(0), 2));
}

Test(journal, pins_the_older_of_two_entries)
{
	struct journal_pin leaf = { .sequence = 0 };

	pin(&leaf, add(0));
	add_entry(1);
	pin(&leaf, add(2));
	cr_expect(eq(u64, leaf.sequence, 1));
}

/* JOURNAL-4: the entry behind the last free bucket's border waits for pins to go. */
Test(journal, enters_its_last_free_bucket_only_when_that_frees_another)
{
	struct journal_pin leaf = { .sequence = 0 };

	pin(&leaf, add(0));
	for (unsigned i = 0; i < 12; i++)
		add_entry(i);
	add(99);
	begin_commit(&awaiter);
	let_writer_begin();
	cr_expect(eq(int, journal.state, JOURNAL_BUCKET));
	cr_expect(eq(u64, journal.durable, 12));
	unpin(&leaf);
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	cr_expect(lies_at(13, 3, 0));
}

Test(journal, shows_the_pins_of_its_oldest_entry_when_it_wants_them_to_go)
{
	struct journal_pin leaf = { .sequence = 0 };

	pin(&leaf, add(0));
	lock_acquire(lock);
	cr_expect(eq(ptr, journal_front(&journal), NULL));
	lock_release(lock);
	for (unsigned i = 0; i < 12; i++)
		add_entry(i);
	lock_acquire(lock);
	cr_expect(journal_is_under_pressure(&journal));
	cr_assert(ne(ptr, journal_front(&journal), NULL));
	cr_expect(eq(ptr, list_first(journal_front(&journal)), &leaf.link));
	lock_release(lock);
}

/* ---- room ---- */

Test(journal, has_room_for_a_bucket_of_keys)
{
	unsigned words = BUCKET_SECTORS * 512 / 8 - sizeof(struct journal_entry_disk) / 8;

	lock_acquire(lock);
	cr_expect(zero(int, journal_room(&journal, words, &awaiter.op)));
	lock_release(lock);
}

Test(journal, makes_wait_who_finds_no_room_and_writes)
{
	unsigned words = 0;

	while (words + 3 <= journal.words_max) {
		add(words / 3);
		words += 3;
	}
	lock_acquire(lock);
	cr_expect(eq(int, journal_room(&journal, 3, &awaiter.op), -EAGAIN));
	lock_release(lock);
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	lock_acquire(lock);
	cr_expect(zero(int, journal_room(&journal, 3, &awaiter.op)));
	lock_release(lock);
	commit();
	cr_expect(eq(u64, journal.durable, 1));
}

Test(journal, tells_who_waits_for_room_that_the_set_is_dead)
{
	health_fail(&health, EIO, "dead");
	lock_acquire(lock);
	cr_expect(eq(int, journal_room(&journal, 3, &awaiter.op), -EIO));
	journal_commit(&journal, &awaiter.op);
	lock_release(lock);
	cr_expect(eq(int, awaiter_wait(&awaiter), -EIO));
}

/* ---- going on after a stop ---- */

Test(journal, goes_on_behind_what_it_found)
{
	add_entry(0);
	add_entry(1);
	read_again();
	journal_done(&journal);
	journal_init(&journal, &journal_setup);
	lock_acquire(lock);
	journal_begin(&journal, sequence_of(0), sequence_of(found.count - 1), found.current,
		      found.bucket_newest);
	journal_accept(&journal);
	lock_release(lock);
	add_entry(2);
	cr_expect(lies_at(3, 1, 0));
	read_again();
	cr_expect(eq(u64, sequence_of(0), 3));
}

/* ---- memory ---- */

Test(journal, gives_its_memory_back)
{
	int before;

	journal_done(&journal);
	before = memory_pieces;
	journal_init(&journal, &journal_setup);
	cr_expect(lt(int, before, memory_pieces));
	journal_done(&journal);
	cr_expect(eq(int, memory_pieces, before));
	journal_init(&journal, &journal_setup);
}

/* Pins of as many entries as its ring has blocks, the open one, and that being written. */
Test(journal, has_memory_for_the_pins_of_a_full_ring)
{
	enum { BLOCKS = RING * BUCKET_SECTORS / BLOCK_SECTORS };

	cr_expect(ge(u64, journal_entries_max(&journal), BLOCKS + 2));
	cr_expect(zero(u64, journal.entries_mask & (journal.entries_mask + 1)));
	journal_done(&journal);
	journal_setup.bucket_sectors = 1 << 20;
	journal_init(&journal, &journal_setup);
	cr_expect(eq(u64, journal_entries_max(&journal), 32768 - 1));
}
