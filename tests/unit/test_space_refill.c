/* Which buckets are chosen for reuse, how many, and who waits for them. */
#include "space_world.h"

enum { VICTIMS = 17 };	/* where data ran out: twice as many as are kept, and one for the table */

/* ---- choosing for reuse ---- */

TestSuite(victims, .init = setup, .fini = teardown, .timeout = 60);

/* Lists for prio and btree are full; all other buckets hold data that may go, all alike. */
static void fill_cache(enum replacement replacement)
{
	struct error error = { .code = 0 };

	space.setup.replacement = replacement;
	lock_acquire(lock);
	cr_assert(zero(int, space_bootstrap(&space, &error)), "%s", error.text);
	for (unsigned i = FIRST_OTHER; i < BUCKETS; i++) {
		if (space.bucket[i].is_listed)
			continue;
		space_mark_pointer(&space, space_pointer(&space, i), 8, false, false);
		space.bucket[i].prio = 1000;
	}
	journal_accept(&journal);
	lock_release(lock);
}

/* Refill runs until there is a bucket for data. */
static void refill(void)
{
	struct awaiter awaiter;
	uint32_t bucket;
	int answer;

	awaiter_init(&awaiter, reactor);
	lock_acquire(lock);
	space_run(&space);
	answer = space_take(&space, USE_DATA, 1, &bucket, &awaiter.op);
	lock_release(lock);
	cr_assert(eq(int, answer, -EAGAIN));
	cr_assert(zero(int, awaiter_wait(&awaiter)), "%s", health.reason.text);
}

Test(victims, are_drawn_for_data_at_once_where_buckets_hold_nothing)
{
	struct error error = { .code = 0 };

	lock_acquire(lock);
	cr_assert(zero(int, space_bootstrap(&space, &error)), "%s", error.text);
	space_run(&space);
	cr_expect(space.data_is_wanted);
	space_stop(&space);
	lock_release(lock);
}

Test(victims, are_drawn_for_data_where_all_hold_some_when_data_is_written)
{
	fill_cache(REPLACEMENT_LRU);
	lock_acquire(lock);
	space_run(&space);
	cr_expect(not(space.data_is_wanted));
	space_stop(&space);
	lock_release(lock);
}

/* It was raised since the cache was filled. */
static bool was_chosen(uint32_t bucket)
{
	return space.bucket[bucket].is_listed && space.bucket[bucket].prio == PRIO_INITIAL;
}

static unsigned chosen_among(uint32_t from, uint32_t to)
{
	unsigned count = 0;

	for (uint32_t i = from; i < to; i++)
		count += was_chosen(i);
	return count;
}

/* Behind what was listed at the start. */
enum { FIRST_DATA = FIRST_OTHER + 1 + 24 };

Test(victims, of_lru_are_the_least_used)
{
	fill_cache(REPLACEMENT_LRU);
	for (unsigned i = 0; i < VICTIMS; i++)
		space.bucket[SOME + 3 * i].prio = 10 + i;
	refill();
	for (unsigned i = 0; i < VICTIMS; i++)
		cr_expect(was_chosen(SOME + 3 * i));
	cr_expect(eq(u32, chosen_among(FIRST_DATA, BUCKETS), VICTIMS));
}

Test(victims, of_lru_are_those_that_hold_least)
{
	fill_cache(REPLACEMENT_LRU);
	for (unsigned i = 0; i < VICTIMS; i++)
		space.bucket[BUCKETS - 1 - 2 * i].used_sectors = 1;
	refill();
	for (unsigned i = 0; i < VICTIMS; i++)
		cr_expect(was_chosen(BUCKETS - 1 - 2 * i));
}

Test(victims, of_fifo_are_those_that_come_next)
{
	fill_cache(REPLACEMENT_FIFO);
	for (unsigned i = 0; i < VICTIMS; i++)
		space.bucket[FIRST_DATA + i].prio = 2000;	/* much used, but their turn */
	refill();
	for (unsigned i = 0; i < VICTIMS; i++)
		cr_expect(was_chosen(FIRST_DATA + i));
	cr_expect(eq(u32, chosen_among(FIRST_DATA, BUCKETS), VICTIMS));
}

Test(victims, of_random_are_as_many)
{
	fill_cache(REPLACEMENT_RANDOM);
	refill();
	cr_expect(eq(u32, chosen_among(FIRST_DATA, BUCKETS), VICTIMS));
}

static void expect_only_victims_allowed(enum replacement replacement)
{
	enum { PINNED = 120, DIRTY = 140, NODES = 160, LISTED_END = FIRST_DATA };

	fill_cache(replacement);
	lock_acquire(lock);
	for (unsigned i = 0; i < 20; i++) {
		space_pin(&space, space_pointer(&space, PINNED + i));
		space_set_mark(&space, DIRTY + i, MARK_DIRTY);
		space_mark_metadata(&space, NODES + i);
		space.bucket[PINNED + i].prio = space.bucket[DIRTY + i].prio = 1;
	}
	for (unsigned i = LISTED_END; i < PINNED; i++)
		space_set_mark(&space, i, MARK_DIRTY);
	lock_release(lock);
	refill();
	cr_expect(zero(u32, chosen_among(LISTED_END, NODES + 20)));
	cr_expect(ge(u32, chosen_among(NODES + 20, BUCKETS), 2 * DATA_MIN));
}

Test(victims, of_lru_are_neither_pinned_nor_dirty_nor_metadata)
{
	expect_only_victims_allowed(REPLACEMENT_LRU);
}

Test(victims, of_fifo_are_neither_pinned_nor_dirty_nor_metadata)
{
	expect_only_victims_allowed(REPLACEMENT_FIFO);
}

Test(victims, of_random_are_neither_pinned_nor_dirty_nor_metadata)
{
	expect_only_victims_allowed(REPLACEMENT_RANDOM);
}

/* SPACE-4: or its oldest pointer would look like a new one some day. */
Test(victims, are_not_too_far_ahead_of_their_oldest_pointer)
{
	fill_cache(REPLACEMENT_LRU);
	space.bucket[SOME].prio = space.bucket[OTHER].prio = 1;
	space.bucket[SOME].generation = GENERATIONS_BEHIND;
	space.bucket[OTHER].generation = GENERATIONS_BEHIND / 2;
	refill();
	cr_expect(not(was_chosen(SOME)));
	cr_expect(was_chosen(OTHER));
}

Test(victims, are_handed_out_after_a_table_and_its_entry)
{
	fill_cache(REPLACEMENT_LRU);
	refill();
	cr_expect(eq(u64, space.tables_written, 1));
	cr_expect(eq(u64, journal.entries_written, 1));
	cr_expect(eq(u64, journal.roots.prio_bucket, space.table[0]));
}

Test(victims, fill_the_list_for_data)
{
	fill_cache(REPLACEMENT_LRU);
	refill();
	cr_expect(eq(u32, space.free[USE_PRIO].count, space.free[USE_PRIO].size));
	cr_expect(eq(u32, space.free[USE_DATA].count, 2 * DATA_MIN));
}

Test(victims, have_their_new_generation_in_the_table)
{
	struct error error = { .code = 0 };
	uint8_t generation;
	uint32_t table;

	fill_cache(REPLACEMENT_LRU);
	space.bucket[SOME].prio = 1;
	refill();
	cr_assert(was_chosen(SOME));
	generation = space.bucket[SOME].generation;
	table = space.table[0];
	space_done(&space);
	make_space(BUCKET_SECTORS, 1);	/* as the next start does */
	cr_assert(zero(int, space_read_table(&space, table, &error)), "%s", error.text);
	cr_expect(eq(u32, space.bucket[SOME].generation, generation));
}

/* ---- how many are made free in advance ---- */

TestSuite(target, .init = setup, .fini = teardown, .timeout = 60);

/* Takes all there is, so that a refill finds that data ran out (`is_short`), or not. */
static void refill_again(bool is_short)
{
	struct awaiter awaiter;
	uint32_t bucket;
	bool waits;

	awaiter_init(&awaiter, reactor);
	lock_acquire(lock);
	while (space.free[USE_DATA].count) {
		cr_assert(zero(int, space_take(&space, USE_DATA, 1, &bucket, NULL)));
		space_set_mark(&space, bucket, MARK_RECLAIMABLE);
		space.bucket[bucket].prio = 1000;
		space_settle(&space, bucket);
	}
	if (is_short)
		cr_assert(eq(int, space_take(&space, USE_DATA, 1, &bucket, NULL), -EAGAIN));
	waits = space_await_refill(&space, &awaiter.op);
	lock_release(lock);
	cr_assert(waits);
	cr_assert(zero(int, awaiter_wait(&awaiter)), "%s", health.reason.text);
}

Test(target, of_data_doubles_where_they_run_out_up_to_a_part_of_all)
{
	fill_cache(REPLACEMENT_LRU);
	refill();
	cr_expect(eq(u32, space.data_target, 2 * DATA_MIN));
	refill_again(true);
	refill_again(true);
	cr_expect(eq(u32, space.data_target, space.available / 8));
	cr_expect(eq(u32, space.free[USE_DATA].count, space.data_target));
}

Test(target, of_data_sinks_again_where_they_do_not)
{
	fill_cache(REPLACEMENT_LRU);
	refill();
	for (unsigned i = 0; i < 20; i++)
		refill_again(false);
	cr_expect(eq(u32, space.data_target, DATA_MIN));
}

Test(target, of_data_is_high_where_many_hold_nothing)
{
	struct error error = { .code = 0 };

	lock_acquire(lock);
	cr_assert(zero(int, space_bootstrap(&space, &error)), "%s", error.text);
	journal_accept(&journal);
	lock_release(lock);
	refill();
	cr_expect(ge(u32, space.free[USE_DATA].count, space.available / 4));
	cr_expect(eq(u32, space.free[USE_DATA].count, space.data_target));
}

Test(target, of_data_is_not_raised_by_what_holds_nothing_where_any_bucket_is_taken)
{
	struct error error = { .code = 0 };

	space.setup.replacement = REPLACEMENT_FIFO;
	lock_acquire(lock);
	cr_assert(zero(int, space_bootstrap(&space, &error)), "%s", error.text);
	journal_accept(&journal);
	lock_release(lock);
	refill();
	cr_expect(eq(u32, space.data_target, 2 * DATA_MIN));
}

/* What was kept for data serves metadata where nothing else can be had. */
Test(target, of_data_is_lent_to_metadata_where_nothing_can_be_reused)
{
	struct awaiter awaiter;
	uint32_t bucket[24];
	int answer;

	fill_cache(REPLACEMENT_LRU);
	refill();
	awaiter_init(&awaiter, reactor);
	lock_acquire(lock);
	space.has_gc = true;
	for (unsigned i = FIRST_OTHER; i < BUCKETS; i++)
		if (!space.bucket[i].is_listed)
			space_set_mark(&space, i, MARK_DIRTY);
	cr_assert(zero(int, space_take(&space, USE_BTREE, 24, bucket, NULL)));
	answer = space_take(&space, USE_BTREE, 4, bucket, &awaiter.op);
	lock_release(lock);
	cr_assert(eq(int, answer, -EAGAIN));
	cr_assert(zero(int, awaiter_wait(&awaiter)));
	cr_expect(ge(u32, space.free[USE_BTREE].count, 4));
	lock_acquire(lock);
	space_stop(&space);
	lock_release(lock);
}

/* ---- who waits for the refill under way ---- */

TestSuite(refilled, .init = setup, .fini = teardown, .timeout = 60);

static bool hopes(struct awaiter *awaiter)
{
	bool waits;

	awaiter_init(awaiter, reactor);
	lock_acquire(lock);
	waits = space_await_refill(&space, &awaiter->op);
	lock_release(lock);
	return waits;
}

Test(refilled, is_not_awaited_where_none_is_under_way)
{
	struct awaiter awaiter;

	fill_cache(REPLACEMENT_LRU);
	cr_expect(not(hopes(&awaiter)));
	refill();
	cr_expect(not(hopes(&awaiter)));
}

Test(refilled, comes_without_buckets_where_there_are_none)
{
	struct awaiter awaiter;
	uint32_t bucket;

	fill_cache(REPLACEMENT_LRU);
	lock_acquire(lock);
	space.has_gc = true;
	for (unsigned i = FIRST_OTHER; i < BUCKETS; i++)
		if (!space.bucket[i].is_listed)
			space_set_mark(&space, i, MARK_DIRTY);
	space_run(&space);
	cr_assert(eq(int, space_take(&space, USE_DATA, 1, &bucket, NULL), -EAGAIN));
	lock_release(lock);
	cr_assert(hopes(&awaiter));
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	cr_expect(eq(int, space.refill_state, REFILL_STARVED));
	cr_expect(not(hopes(&awaiter)));
	lock_acquire(lock);
	space_stop(&space);
	lock_release(lock);
}

Test(refilled, comes_with_an_error_where_the_set_dies)
{
	struct awaiter awaiter;
	uint32_t bucket;

	fill_cache(REPLACEMENT_LRU);
	lock_acquire(lock);
	space_run(&space);
	cr_assert(eq(int, space_take(&space, USE_DATA, 1, &bucket, NULL), -EAGAIN));
	lock_release(lock);
	cr_assert(hopes(&awaiter));
	health_fail(&health, EIO, "dead");
	lock_acquire(lock);
	space_abort(&space, -EIO);
	lock_release(lock);
	cr_expect(eq(int, awaiter_wait(&awaiter), -EIO));
	cr_expect(not(hopes(&awaiter)));
}
