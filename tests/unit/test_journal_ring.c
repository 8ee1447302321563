/* Which entries are needed, where the next one may go, when something is written, how it ends. */
#include "journal_world.h"

TestSuite(ring, .init = setup, .fini = teardown, .timeout = 60);

static bool is_under_pressure(void)
{
	bool is;

	lock_acquire(lock);
	is = journal_is_under_pressure(&journal);
	lock_release(lock);
	return is;
}

static bool is_idle(void)
{
	bool is;

	lock_acquire(lock);
	is = journal_is_idle(&journal);
	lock_release(lock);
	return is;
}

/* The writer has looked for room and found none. */
static void expect_waits_for_room(void)
{
	let_writer_begin();
	cr_expect(eq(int, journal.state, JOURNAL_BUCKET));
	cr_expect(not(waitlist_empty(&journal.reclaimed)));
	cr_expect(is_under_pressure());
}

static void let_pass(unsigned ms)
{
	struct timer timer = { .due_ns = 0 };
	struct awaiter passed;

	awaiter_init(&passed, reactor);
	timer_start(&timer, ms * UINT64_C(1000000), &passed.op);
	awaiter_wait(&passed);
}

/* However long the device takes. */
static void let_be_written(unsigned entries)
{
	while (journal.entries_written < entries)
		let_pass(1);
	let_pass(10);
}

/* ---- pins ---- */

Test(ring, pins_an_entry_once_and_keeps_its_turn)
{
	struct journal_pin first = { .sequence = 0 }, second = { .sequence = 0 };
	struct list *pins = &journal.entries[1].pins;

	add(0);
	pin(&first, 1);
	pin(&second, 1);
	pin(&first, 1);
	cr_expect(eq(ptr, list_first(pins), &first.link));
	cr_expect(eq(ptr, list_next(pins, &first.link), &second.link));
	cr_expect(eq(ptr, list_next(pins, &second.link), NULL));
}

Test(ring, moves_a_pin_to_an_older_entry)
{
	struct journal_pin old = { .sequence = 0 }, leaf = { .sequence = 0 };

	pin(&old, add(0));
	add_entry(1);
	pin(&leaf, add(2));
	pin(&leaf, 1);
	cr_expect(eq(u64, leaf.sequence, 1));
	cr_expect(list_empty(&journal.entries[2].pins));
	unpin(&old);
	cr_expect(eq(u64, journal.oldest, 1));
	unpin(&leaf);
	cr_expect(eq(u64, journal.oldest, journal.open));
}

Test(ring, needs_nothing_of_what_pins_nothing)
{
	struct journal_pin leaf = { .sequence = 0 };

	unpin(&leaf);
	cr_expect(zero(u64, leaf.sequence));
	add_entry(0);
	cr_expect(eq(u64, journal.oldest, 1));	/* until it looks again */
	add_entry(1);
	cr_expect(eq(u64, journal.oldest, 2));
	lock_acquire(lock);
	cr_expect(eq(u64, journal_active_entries(&journal), 1));
	lock_release(lock);
}

/* Its keys are not in the index yet: those that were not replayed pin nothing. */
Test(ring, keeps_what_is_being_replayed)
{
	struct journal_pin leaf = { .sequence = 0 };

	for (unsigned i = 0; i < 4; i++)
		add_entry(i);
	pin(&leaf, add(9));
	journal.replaying = journal.oldest;
	unpin(&leaf);
	cr_expect(eq(u64, journal.oldest, journal.replaying));
	journal.replaying = 0;
	add_entry(10);
	cr_expect(eq(u64, journal.oldest, 5));
}

/* ---- room for entries ---- */

/* JOURNAL-4, as the smallest ring has it: the second bucket waits for the first to be free. */
Test(ring, of_two_buckets_keeps_one_for_what_frees_the_other)
{
	struct journal_pin leaf = { .sequence = 0 };
	struct awaiter pressed;

	teardown();
	setup_ring(2);
	awaiter_init(&pressed, reactor);
	pin(&leaf, add(0));
	for (unsigned i = 0; i < 4; i++)
		add_entry(i);
	cr_expect(not(is_under_pressure()));
	waitlist_join(&journal.pressure, &pressed.op);
	add(9);
	begin_commit(&awaiter);
	expect_waits_for_room();
	cr_expect(eq(u32, pressed.steps, 1));
	cr_expect(eq(u64, journal.pressure_rounds, 1));
	unpin(&leaf);
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	cr_expect(lies_at(5, 1, 0));
	cr_expect(not(is_under_pressure()));
}

/* JOURNAL-3: an entry in memory may need less than the newest durable one. */
Test(ring, enters_no_bucket_that_the_newest_durable_entry_needs)
{
	struct journal_pin leaf = { .sequence = 0 };

	teardown();
	setup_ring(2);
	for (unsigned i = 0; i < 3; i++)
		add_entry(i);
	pin(&leaf, add(3));
	commit();		/* entry 4: needs itself */
	for (unsigned i = 0; i < 4; i++) {
		unpin(&leaf);
		pin(&leaf, add(i));
		commit();	/* 5 .. 8, in the other bucket */
	}
	cr_expect(eq(u64, journal.durable, 8));
	cr_expect(eq(u64, journal.durable_last, 8));
	journal.durable_last = 4;	/* as if the newest durable entry needed entry 4 */
	add(9);
	begin_commit(&awaiter);
	expect_waits_for_room();
	unpin(&leaf);
	expect_waits_for_room();
	lock_acquire(lock);
	cr_expect(eq(ptr, journal_front(&journal), NULL));	/* no pins are left to go */
	lock_release(lock);
}

Test(ring, enters_its_last_free_bucket_for_a_replay)
{
	struct journal_pin leaf = { .sequence = 0 };

	pin(&leaf, add(0));
	for (unsigned i = 0; i < 12; i++)
		add_entry(i);
	journal.replaying = 1;
	add_entry(99);
	cr_expect(lies_at(13, 3, 0));
}

/* Its buckets are freed by its own entries: nobody could help. */
Test(ring, that_is_full_ends_a_replay)
{
	struct journal_pin leaf = { .sequence = 0 };

	pin(&leaf, add(0));
	journal.replaying = 1;
	for (unsigned i = 0; i < 16; i++)
		add_entry(i);
	add(99);
	begin_commit(&awaiter);
	let_writer_begin();
	cr_expect(eq(int, health.error, -ENOSPC));
	cr_expect(eq(int, journal.state, JOURNAL_IDLE));
	cr_expect(eq(u64, journal.durable, 16));
}

Test(ring, waits_where_no_more_entries_can_be_pinned)
{
	struct journal_pin leaf = { .sequence = 0 };

	journal.entries_mask = 7;
	pin(&leaf, add(0));
	for (unsigned i = 0; i < 4; i++) {
		cr_expect(not(is_under_pressure()));
		add_entry(i);
	}
	for (unsigned i = 4; i < 7; i++) {
		add_entry(i);
		cr_expect(is_under_pressure());
	}
	add(99);
	begin_commit(&awaiter);
	expect_waits_for_room();
	cr_expect(eq(u64, journal.durable, 7));
	unpin(&leaf);
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	cr_expect(eq(u64, journal.durable, 8));
}

/* ---- going on after a stop ---- */

/* Four entries in each bucket, up to `newest`; `oldest` is needed. */
static void begin_again(uint64_t oldest, uint64_t newest)
{
	uint64_t bucket_newest[RING] = { 0 };
	unsigned current = (newest - 1) / 4 % RING;

	for (unsigned i = 0; i < RING; i++) {
		uint64_t last = (newest - 1) / 4 * 4 + 4 * i + 4 - 4 * current;

		bucket_newest[i] = i < current ? last : i > current ? last - 16 : newest;
		if (newest <= 16 && i > current)
			bucket_newest[i] = 0;
	}
	journal_done(&journal);
	journal_init(&journal, &journal_setup);
	lock_acquire(lock);
	journal_begin(&journal, oldest, newest, current, bucket_newest);
	lock_release(lock);
}

static bool can_go_on(void)
{
	bool can;

	lock_acquire(lock);
	can = journal_can_go_on(&journal);
	lock_release(lock);
	return can;
}

static bool has_place(void)
{
	bool has;

	lock_acquire(lock);
	has = journal_has_place(&journal);
	lock_release(lock);
	return has;
}

Test(ring, can_go_on_where_the_next_bucket_is_free)
{
	begin_again(1, 12);
	cr_expect(can_go_on());
	begin_again(1, 16);
	cr_expect(not(can_go_on()));
	begin_again(4, 16);
	cr_expect(not(can_go_on()));
	begin_again(5, 16);
	cr_expect(can_go_on());
	begin_again(8, 19);
	cr_expect(not(can_go_on()));
	begin_again(9, 19);
	cr_expect(can_go_on());
}

Test(ring, has_place_where_an_entry_may_be_written)
{
	begin_again(1, 12);
	cr_expect(not(has_place()));
	begin_again(4, 12);
	cr_expect(not(has_place()));
	begin_again(5, 12);
	cr_expect(has_place());
}

/* Replay pins keys before: what nobody pinned by then nobody needs. */
Test(ring, needs_from_its_start_on_what_is_pinned_by_then)
{
	struct journal_pin leaf = { .sequence = 0 };

	begin_again(3, 12);
	pin(&leaf, 7);
	cr_expect(eq(u64, journal.oldest, 3));
	add(1);
	cr_expect(not(timer_running(&journal.delay)));
	lock_acquire(lock);
	journal_accept(&journal);
	lock_release(lock);
	cr_expect(eq(u64, journal.oldest, 7));
}

Test(ring, writes_at_its_start_what_was_wanted_before)
{
	begin_again(12, 12);
	add(1);
	begin_commit(&awaiter);
	let_writer_begin();
	cr_expect(eq(int, journal.state, JOURNAL_IDLE));
	lock_acquire(lock);
	journal_accept(&journal);
	lock_release(lock);
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	cr_expect(lies_at(13, 3, 0));
}

/* ---- pressure ---- */

Test(ring, wakes_the_flusher_as_soon_as_more_than_half_is_needed)
{
	struct journal_pin leaf = { .sequence = 0 };
	struct awaiter pressed;

	awaiter_init(&pressed, reactor);
	waitlist_join(&journal.pressure, &pressed.op);
	pin(&leaf, add(0));
	for (unsigned i = 0; i < 8; i++)
		add_entry(i);
	cr_expect(zero(u32, pressed.steps));
	cr_expect(not(is_under_pressure()));
	add_entry(9);
	cr_expect(eq(u32, pressed.steps, 1));
	cr_expect(is_under_pressure());
}

/* ---- what is written, and when ---- */

TestSuite(written, .init = setup, .fini = teardown, .timeout = 60);

Test(written, is_nothing_where_nothing_came)
{
	journal.delay_ns = 1000000;
	add_entry(0);
	cr_expect(not(timer_running(&journal.delay)));
	let_pass(10);
	cr_expect(eq(u64, journal.entries_written, 1));
	cr_expect(is_idle());
}

Test(written, is_one_entry_for_roots_that_changed)
{
	journal.delay_ns = 1000000;
	lock_acquire(lock);
	journal_roots_change(&journal);
	cr_expect(timer_running(&journal.delay));
	lock_release(lock);
	let_be_written(1);
	cr_expect(eq(u64, journal.entries_written, 1));
	cr_expect(is_idle());
}

/* The delay goes on while somebody else has the entry written. */
Test(written, is_no_empty_entry_when_the_delay_ends)
{
	while (journal.words + 3 <= journal.words_max)
		add(journal.words / 3);
	lock_acquire(lock);
	cr_assert(eq(int, journal_room(&journal, 3, &awaiter.op), -EAGAIN));
	lock_release(lock);
	cr_expect(timer_running(&journal.delay));
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	while (timer_running(&journal.delay))
		let_pass(1);
	let_be_written(1);
	cr_expect(eq(u64, journal.entries_written, 1));
	cr_expect(is_idle());
}

Test(written, is_by_itself_what_came_while_a_delay_was_ending)
{
	journal.delay_ns = UINT64_C(500000000);
	add(0);
	lock_acquire(lock);
	timer_cancel(&journal.delay);
	lock_release(lock);
	cr_expect(not(is_idle()));	/* its op is about to step */
	add(1);
	cr_expect(not(timer_running(&journal.delay)));
	let_writer_begin();
	cr_expect(timer_running(&journal.delay));
	cr_expect(zero(u64, journal.entries_written));
	let_be_written(1);
	cr_expect(eq(u64, journal.entries_written, 1));
}

Test(written, is_without_a_delay_what_comes_into_an_entry_that_is_wanted)
{
	add(0);
	begin_commit(&awaiter);
	add(1);
	cr_expect(not(timer_running(&journal.delay)));
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	cr_expect(eq(u64, journal.keys_written, 2));
	cr_expect(eq(u64, journal.entries_written, 1));
}

Test(written, are_zeros_behind_an_entry)
{
	unsigned char bytes[BLOCK_SECTORS * 512];
	unsigned used = journal_entry_bytes(3);

	for (unsigned i = 0; i < 2; i++) {	/* both buffers */
		while (journal.words < 450)
			add(1);
		commit();
	}
	add_entry(5);
	cr_assert(zero(int, device_read_now(device, bytes, ring[0] * BUCKET_SECTORS +
					    2 * BLOCK_SECTORS, BLOCK_SECTORS)));
	cr_assert(lies_at(3, 0, 2));
	for (unsigned i = used; i < sizeof(bytes); i++)
		cr_expect(zero(u8, bytes[i]));
}

Test(written, is_counted)
{
	for (unsigned i = 0; i < 5; i++)
		add_entry(i);
	cr_expect(eq(u64, journal.entries_written, 5));
	cr_expect(eq(u64, journal.keys_written, 5));
	cr_expect(eq(u64, journal.sectors_written, 5 * BLOCK_SECTORS));
	cr_expect(eq(u64, journal.buckets_reclaimed, 2));
}

/* Whoever asks for an entry gets that one, not the next. */
Test(written, is_the_entry_under_way_for_who_asks_for_that)
{
	struct awaiter other;
	uint64_t sequence = add(0);

	awaiter_init(&other, reactor);
	begin_commit(&awaiter);
	let_writer_begin();
	add(1);
	lock_acquire(lock);
	journal_commit_entry(&journal, sequence, &other.op);
	lock_release(lock);
	cr_expect(zero(int, awaiter_wait(&other)));
	cr_expect(eq(u64, journal.entries_written, 1));
	cr_expect(eq(u64, journal.durable, sequence));
}

/* ---- its end ---- */

TestSuite(end, .init = setup, .fini = teardown, .timeout = 60);

Test(end, of_a_journal_that_is_stopped_writes_nothing_by_itself)
{
	journal.delay_ns = 1000000;
	add(0);
	lock_acquire(lock);
	journal_stop(&journal);
	lock_release(lock);
	cr_expect(not(timer_running(&journal.delay)));
	let_pass(10);
	add(1);
	cr_expect(not(timer_running(&journal.delay)));
	let_pass(10);
	cr_expect(zero(u64, journal.entries_written));
	cr_expect(is_idle());
}

Test(end, is_not_there_while_something_is_under_way)
{
	cr_expect(is_idle());
	add(0);
	cr_expect(not(is_idle()));		/* the delay */
	begin_commit(&awaiter);
	cr_expect(not(is_idle()));		/* the writer is to step */
	let_writer_begin();
	cr_expect(not(is_idle()));		/* the flush */
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	let_writer_begin();
	cr_expect(is_idle());
	lock_acquire(lock);
	op_await(&journal.writer);
	cr_expect(not(journal_is_idle(&journal)));
	journal.writer.awaited = 0;
	op_await(&journal.delayed);
	cr_expect(not(journal_is_idle(&journal)));
	journal.delayed.awaited = 0;
	lock_release(lock);
}

Test(end, of_a_dead_set_is_told_to_all_who_wait)
{
	struct waitlist *lists[] = {
		&journal.room, &journal.open_waiters, &journal.reclaimed, &journal.pressure,
		&journal.writing_waiters,
	};
	struct awaiter waiting[ARRAY_SIZE(lists)];

	for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
		awaiter_init(&waiting[i], reactor);
		waitlist_join(lists[i], &waiting[i].op);
	}
	add(0);
	lock_acquire(lock);
	journal_abort(&journal, -EIO);
	lock_release(lock);
	cr_expect(not(timer_running(&journal.delay)));
	for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
		while (!waiting[i].steps)
			awaiter_wait(&waiting[i]);
		cr_expect(eq(int, waiting[i].error, -EIO));
	}
}

/* Who waits for a write under way hears of its end from that. */
Test(end, of_a_dead_set_leaves_who_waits_for_a_write_to_that)
{
	add(0);
	begin_commit(&awaiter);
	let_writer_begin();
	lock_acquire(lock);
	journal_abort(&journal, -EIO);
	lock_release(lock);
	cr_expect(not(waitlist_empty(&journal.writing_waiters)));
	health_fail(&health, EBADMSG, "a node is corrupt");
	cr_expect(eq(int, awaiter_wait(&awaiter), -EBADMSG));
	cr_expect(eq(int, journal.state, JOURNAL_IDLE));
	cr_expect(zero(u64, journal.durable));
}

Test(end, is_told_to_whom_comes_after_it)
{
	struct awaiter other;

	awaiter_init(&other, reactor);
	health_fail(&health, EIO, "dead");
	lock_acquire(lock);
	journal_commit_always(&journal, &awaiter.op);
	journal_commit_entry(&journal, 1, &other.op);
	lock_release(lock);
	cr_expect(eq(int, awaiter_wait(&awaiter), -EIO));
	while (!other.steps)
		awaiter_wait(&other);
	cr_expect(eq(int, other.error, -EIO));
}

/* ---- health ---- */

Test(end, has_the_reason_that_came_first)
{
	struct awaiter watching;

	awaiter_init(&watching, reactor);
	waitlist_join(&health.watchers, &watching.op);
	health_fail(&health, EIO, "journal io error: bucket %u", 7);
	cr_expect(eq(int, health_error(&health), -EIO));
	cr_expect(eq(int, health.reason.code, EIO));
	cr_expect(eq(str, health.reason.text, "journal io error: bucket 7"));
	cr_expect(zero(int, awaiter_wait(&watching)));
	waitlist_join(&health.watchers, &watching.op);
	health_fail(&health, ENOSPC, "and more");
	cr_expect(eq(int, health_error(&health), -EIO));
	cr_expect(eq(str, health.reason.text, "journal io error: bucket 7"));
	cr_expect(not(waitlist_empty(&health.watchers)));
}
