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
	space_gc_end(&space);
	journal_accept(&journal);
	lock_release(lock);
}

/* Every bucket that is listed is in one list. */
static void expect_no_bucket_lost(void)
{
	unsigned in_lists = space.incoming.count, listed = 0;

	for (unsigned use = 0; use < USES; use++)
		in_lists += space.free[use].count;
	for (unsigned i = 0; i < BUCKETS; i++) {
		listed += space.bucket[i].is_listed;
		cr_expect(not(space.bucket[i].is_chosen));
	}
	cr_expect(eq(u32, listed, in_lists));
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
	expect_no_bucket_lost();
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

/* ---- what happens between the slices of a sweep (SPACE-8) ---- */

/* Has its turn after each step of refill, and meddles as soon as the sweep has passed SOME. */
struct meddler {
	struct op op;
	void (*meddle)(void);
	bool has_passed, is_over;
};

static void meddler_step(struct op *op)
{
	struct meddler *meddler = container_of(op, struct meddler, op);

	lock_acquire(lock);
	meddler->has_passed |= space.refill_state == REFILL_SWEEP && space.choice.tried > SOME;
	meddler->is_over = meddler->has_passed && space.refill_state >= REFILL_ENCODE;
	if (meddler->has_passed && !meddler->is_over)
		meddler->meddle();
	lock_release(lock);
	if (!meddler->is_over)
		op_queue(op);
}

/* SOME is the first that would be chosen. */
static void refill_meddled_with(enum replacement replacement, void (*meddle)(void))
{
	struct meddler meddler = { .meddle = meddle };

	fill_cache(replacement);
	space.setup.slice_buckets = 4;
	space.has_gc = true;
	space.bucket[SOME].prio = 1;
	space.cursor = SOME - 1;
	op_init(&meddler.op, reactor, meddler_step);
	op_queue(&meddler.op);
	refill();
	cr_assert(meddler.is_over);
}

static void pin_some(void)
{
	if (!space.bucket[SOME].pins)
		space_pin(&space, space_pointer(&space, SOME));
}

Test(victims, that_are_pinned_before_they_are_raised_are_spared)
{
	uint8_t before = space.bucket[SOME].generation;

	refill_meddled_with(REPLACEMENT_LRU, pin_some);
	cr_expect(not(was_chosen(SOME)));
	cr_expect(eq(u32, space.bucket[SOME].generation, before));
	cr_expect(ge(u32, chosen_among(FIRST_DATA, BUCKETS), VICTIMS - 1));
	lock_acquire(lock);
	space_unpin(&space, space_pointer(&space, SOME));
	lock_release(lock);
}

static void hit_some(void)
{
	space_hit(&space, space_pointer(&space, SOME));
}

Test(victims, of_lru_that_are_used_in_between_are_spared)
{
	refill_meddled_with(REPLACEMENT_LRU, hit_some);
	cr_expect(not(space.bucket[SOME].is_listed));
	cr_expect(eq(u32, space.bucket[SOME].prio, PRIO_INITIAL));
	cr_expect(ge(u32, chosen_among(FIRST_DATA, BUCKETS), VICTIMS - 1));
}

/* All that was chosen is dropped, since marks say nothing now; then all turns out to be empty. */
static void begin_and_end_gc(void)
{
	if (space.marks_valid && space.unmarked < BUCKETS / 2)	/* the first time */
		gc_begin(&space);
	if (space.refill_state != REFILL_STARVED)
		return;
	cr_expect(zero(u32, chosen_among(FIRST_DATA, BUCKETS)));
	expect_no_bucket_lost();
	space_gc_end(&space);
}

Test(victims, are_none_once_a_gc_has_begun)
{
	refill_meddled_with(REPLACEMENT_LRU, begin_and_end_gc);
	cr_expect(lt(u32, 0, chosen_among(FIRST_DATA, BUCKETS)));
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
	for (unsigned seed = 0; seed < 8; seed++) {
		fill_cache(REPLACEMENT_RANDOM);
		space.random.state = seed;
		refill();
		cr_expect(eq(u32, chosen_among(FIRST_DATA, BUCKETS), VICTIMS));
		teardown();
		setup();
	}
}

/* All but those are dirty. */
static void leave_victims(uint32_t first, unsigned count)
{
	lock_acquire(lock);
	for (unsigned i = FIRST_DATA; i < BUCKETS; i++)
		if (i < first || i >= first + count)
			space_set_mark(&space, i, MARK_DIRTY);
	lock_release(lock);
}

Test(victims, of_random_are_found_where_there_are_few)
{
	fill_cache(REPLACEMENT_RANDOM);
	leave_victims(SOME, 2);
	refill();
	cr_expect(ge(u32, chosen_among(SOME, SOME + 2), 1));
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

/* One less than there may be: who takes it for a node may have to free it again. */
Test(victims, leave_a_generation_for_a_node_to_be_freed)
{
	fill_cache(REPLACEMENT_LRU);
	space.bucket[SOME].prio = space.bucket[OTHER].prio = 1;
	space.bucket[SOME].oldest = space.bucket[OTHER].oldest = 5;
	space.bucket[SOME].generation = 5 + GENERATIONS_BEHIND - 1;
	space.bucket[OTHER].generation = 5 + GENERATIONS_BEHIND - 2;
	refill();
	cr_expect(not(was_chosen(SOME)));
	cr_expect(was_chosen(OTHER));
}

Test(victims, are_not_what_is_being_freed)
{
	fill_cache(REPLACEMENT_LRU);
	space.bucket[SOME].prio = space.bucket[OTHER].prio = 1;
	space.bucket[SOME].freed_pending = 1;
	refill();
	cr_expect(not(was_chosen(SOME)));
	cr_expect(was_chosen(OTHER));
}

/* How much, and how long ago: (prio - the lowest prio + an eighth of all) * sectors. */
Test(victims, of_lru_are_those_whose_loss_costs_least)
{
	fill_cache(REPLACEMENT_LRU);
	for (unsigned i = FIRST_DATA; i < BUCKETS; i++)
		space.bucket[i].used_sectors = BUCKET_SECTORS;
	for (unsigned i = 0; i < VICTIMS - 1; i++)
		space.bucket[BUCKETS - 1 - i].used_sectors = 0;
	space.prio_min = 900;
	space.bucket[SOME].used_sectors = 10;	/* at 1000: 40,830 */
	space.bucket[OTHER].used_sectors = 8;
	space.bucket[OTHER].prio = 2050;	/* 41,064 */
	refill();
	cr_expect(was_chosen(SOME));
	cr_expect(not(was_chosen(OTHER)));
}

/* In whatever order they come. */
static void expect_least_of(unsigned factor, unsigned prime)
{
	unsigned limit = 0, below = 0;

	fill_cache(REPLACEMENT_LRU);
	for (unsigned i = FIRST_DATA; i < BUCKETS; i++)
		space.bucket[i].prio = 1 + i * factor % prime;
	while (below < VICTIMS) {
		limit++;
		below = 0;
		for (unsigned i = FIRST_DATA; i < BUCKETS; i++)
			below += space.bucket[i].prio < limit;
	}
	cr_assert(eq(u32, below, VICTIMS));
	refill();
	for (unsigned i = FIRST_DATA; i < BUCKETS; i++) {
		bool is_least = 1 + i * factor % prime < limit;

		cr_expect(eq(u32, was_chosen(i), is_least));
	}
	teardown();
	setup();
}

Test(victims, of_lru_are_the_least_used_in_any_order)
{
	expect_least_of(1, 257);	/* rising */
	expect_least_of(256, 257);	/* falling */
	for (unsigned factor = 2; factor < 140; factor += 11)
		expect_least_of(factor, 257);
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

Test(victims, are_what_a_gc_may_add_to_where_they_are_few)
{
	fill_cache(REPLACEMENT_LRU);
	leave_victims(SOME, VICTIMS / 2);
	space.gc_was_useless = true;
	refill();
	cr_expect(eq(u32, chosen_among(SOME, SOME + VICTIMS / 2), VICTIMS / 2));
	cr_expect(not(space.gc_is_wanted));
	cr_expect(not(space.gc_was_useless));
}

Test(victims, are_wanted_of_a_gc_where_they_are_less_than_half)
{
	fill_cache(REPLACEMENT_LRU);
	leave_victims(SOME, VICTIMS / 2 - 1);
	refill();
	cr_expect(space.gc_is_wanted);
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
		space_unpin_bucket(&space, bucket);
	}
	if (is_short)
		cr_assert(eq(int, space_take(&space, USE_DATA, 1, &bucket, NULL), -EAGAIN));
	waits = space_await_refill(&space, &awaiter.op) == -EAGAIN;
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

Test(target, of_fifo_goes_round)
{
	fill_cache(REPLACEMENT_FIFO);
	refill();
	space.cursor = BUCKETS - 3;
	refill_again(false);
	cr_expect(was_chosen(BUCKETS - 2));
	cr_expect(was_chosen(BUCKETS - 1));
	cr_expect(was_chosen(FIRST_DATA + 1));	/* the first one holds the table */
}

Test(target, of_fifo_comes_to_no_bucket_twice)
{
	fill_cache(REPLACEMENT_FIFO);
	refill();
	leave_victims(SOME, 5);
	space.cursor = SOME - 1;
	refill_again(false);
	cr_expect(ge(u32, chosen_among(SOME, SOME + 5), 5));
	expect_no_bucket_lost();
}

static bool wants_data_at_once(unsigned empty, unsigned pinned)
{
	bool wants;

	fill_cache(REPLACEMENT_LRU);
	lock_acquire(lock);
	for (unsigned i = 0; i < empty; i++)
		space_set_mark(&space, SOME + i, MARK_NONE);
	for (unsigned i = 0; i < pinned; i++)
		space_pin(&space, space_pointer(&space, SOME + i));
	space_run(&space);
	wants = space.data_is_wanted;
	space_stop(&space);
	lock_release(lock);
	teardown();
	setup();
	return wants;
}

Test(target, of_data_is_wanted_at_once_where_a_batch_of_buckets_holds_nothing)
{
	cr_expect(wants_data_at_once(16, 0));
	cr_expect(not(wants_data_at_once(15, 0)));
	cr_expect(not(wants_data_at_once(16, 1)));
	cr_expect(wants_data_at_once(17, 1));
}

/* More than the lists have room for stays for the next time, which then needs no table. */
Test(target, that_is_exceeded_leaves_some_for_the_next_time)
{
	struct awaiter awaiter;
	uint32_t bucket[13];
	bool waits;

	fill_cache(REPLACEMENT_LRU);
	lock_acquire(lock);
	for (unsigned i = 0; i < space.free[USE_DATA].size; i++) {
		space_raise(&space, BUCKETS - 1 - i);
		ring_push(&space.free[USE_DATA], BUCKETS - 1 - i);
	}
	space_run(&space);
	space.data_is_wanted = true;
	cr_assert(zero(int, space_take(&space, USE_BTREE, 13, bucket, NULL)));
	awaiter_init(&awaiter, reactor);
	waits = space_await_refill(&space, &awaiter.op) == -EAGAIN;
	lock_release(lock);
	cr_assert(waits);
	cr_assert(zero(int, awaiter_wait(&awaiter)));
	cr_expect(eq(u32, space.free[USE_BTREE].count, 24));
	cr_expect(eq(u32, space.incoming.count, 16 - 1 - 13));
	expect_no_bucket_lost();
	lock_acquire(lock);
	cr_assert(zero(int, space_take(&space, USE_BTREE, 13, bucket, NULL)));
	waits = space_await_refill(&space, &awaiter.op) == -EAGAIN;
	lock_release(lock);
	cr_assert(waits);
	cr_assert(zero(int, awaiter_wait(&awaiter)));
	cr_expect(eq(u32, space.free[USE_BTREE].count, 24 - 13 + 2));
	cr_expect(eq(u64, space.tables_written, 1));
	expect_no_bucket_lost();
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
	waits = space_await_refill(&space, &awaiter->op) == -EAGAIN;
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

static unsigned free_when_woken;

static void look_step(struct op *op)
{
	free_when_woken = space.free[USE_DATA].count;
	reactor_stop(op->home);
}

/* In the very step in which a fill asks again. */
Test(refilled, comes_when_the_buckets_are_there)
{
	struct op op;
	uint32_t bucket;

	op_init(&op, reactor, look_step);
	fill_cache(REPLACEMENT_LRU);
	lock_acquire(lock);
	space_run(&space);
	cr_assert(eq(int, space_take(&space, USE_DATA, 1, &bucket, NULL), -EAGAIN));
	cr_assert(eq(int, space_await_refill(&space, &op), -EAGAIN));
	lock_release(lock);
	while (op.awaited)
		reactor_run(reactor);
	cr_expect(lt(u32, 0, free_when_woken));
	lock_acquire(lock);
	space_stop(&space);
	lock_release(lock);
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

/* ---- when refill begins ---- */

/* Lists of metadata are full, no data is wanted. */
static void rest_with_full_lists(void)
{
	fill_cache(REPLACEMENT_LRU);
	space.is_running = true;
}

TestSuite(kick, .init = setup, .fini = teardown, .timeout = 60);

static bool begins(void)
{
	bool has_begun;

	lock_acquire(lock);
	space_kick(&space);
	has_begun = list_linked(&space.refill.link);
	if (has_begun) {
		cr_expect(eq(int, space.refill_state, REFILL_CHOOSE));
		list_remove(&space.refill.link);	/* and it never was */
		space.refill_state = REFILL_IDLE;
	}
	lock_release(lock);
	return has_begun;
}

static void drop(enum bucket_use use, unsigned count)
{
	uint32_t bucket;

	while (count--)
		cr_assert(ring_pop(&space.free[use], &bucket));
}

Test(kick, begins_nothing_where_lists_are_full)
{
	rest_with_full_lists();
	cr_expect(not(begins()));
}

Test(kick, begins_where_a_table_could_not_be_written)
{
	rest_with_full_lists();
	drop(USE_PRIO, 1);
	cr_expect(begins());
}

Test(kick, begins_where_less_than_half_is_left_for_nodes)
{
	rest_with_full_lists();
	drop(USE_BTREE, 12);
	cr_expect(not(begins()));
	drop(USE_BTREE, 1);
	cr_expect(begins());
}

Test(kick, begins_where_less_than_half_is_left_for_data_once_that_is_wanted)
{
	rest_with_full_lists();
	cr_expect(not(begins()));
	space.data_is_wanted = true;
	cr_expect(begins());
	for (unsigned i = 0; i < DATA_MIN / 2; i++)
		ring_push(&space.free[USE_DATA], SOME + i);
	cr_expect(not(begins()));
	drop(USE_DATA, 1);
	cr_expect(begins());
}

Test(kick, begins_where_somebody_waits_for_a_node)
{
	struct awaiter awaiter;

	rest_with_full_lists();
	awaiter_init(&awaiter, reactor);
	waitlist_join(&space.waiting[USE_BTREE], &awaiter.op);
	cr_expect(begins());
}

Test(kick, begins_nothing_in_a_set_that_is_stopped_or_dead_or_at_it)
{
	rest_with_full_lists();
	drop(USE_PRIO, 1);
	space.is_running = false;
	cr_expect(not(begins()));
	space.is_running = true;
	space.refill_state = REFILL_STARVED;
	cr_expect(not(begins()));
	space.refill_state = REFILL_IDLE;
	cr_expect(begins());
	health_fail(&health, EIO, "dead");
	cr_expect(not(begins()));
}

/* ---- where too few can be reused ---- */

TestSuite(starved, .init = setup, .fini = teardown, .timeout = 60);

/* Data are wanted; all but `victims` buckets are dirty.  Returns when refill rests. */
static void refill_from(unsigned victims, bool somebody_waits, struct awaiter *waiting)
{
	struct awaiter awaiter;
	uint32_t bucket;
	bool waits;

	fill_cache(REPLACEMENT_LRU);
	leave_victims(SOME, victims);
	awaiter_init(&awaiter, reactor);
	awaiter_init(waiting, reactor);
	lock_acquire(lock);
	space_run(&space);
	cr_assert(eq(int, space_take(&space, USE_DATA, 1, &bucket,
				     somebody_waits ? &waiting->op : NULL), -EAGAIN));
	waits = space_await_refill(&space, &awaiter.op) == -EAGAIN;
	lock_release(lock);
	cr_assert(waits);
	while (!awaiter.steps)
		awaiter_wait(&awaiter);
}

static void stop(void)
{
	lock_acquire(lock);
	space_stop(&space);
	lock_release(lock);
}

Test(starved, is_a_refill_that_finds_none_and_wants_a_gc_once)
{
	struct awaiter waiting;

	space.has_gc = true;
	refill_from(0, false, &waiting);
	cr_expect(eq(int, space.refill_state, REFILL_STARVED));
	cr_expect(timer_running(&space.starved_timer));
	cr_expect(space.gc_is_wanted);
	cr_expect(space.gc_was_useless);
	cr_expect(zero(u64, space.tables_written));
	space.gc_is_wanted = false;
	while (timer_running(&space.starved_timer)) {	/* a while: it looks again by itself */
		uint64_t due = space.starved_timer.due_ns;

		lock_acquire(lock);
		cr_assert(space.refill_state == REFILL_STARVED);
		waitlist_join(&space.refilled, &waiting.op);
		lock_release(lock);
		cr_expect(zero(int, awaiter_wait(&waiting)));
		if (space.starved_timer.due_ns != due)
			break;
	}
	cr_expect(eq(int, space.refill_state, REFILL_STARVED));
	cr_expect(not(space.gc_is_wanted));
	stop();
}

Test(starved, wants_a_gc_again_where_somebody_waits)
{
	struct awaiter waiting;

	space.has_gc = true;
	space.gc_was_useless = true;
	refill_from(0, true, &waiting);
	cr_expect(eq(int, space.refill_state, REFILL_STARVED));
	cr_expect(space.gc_is_wanted);
	cr_expect(zero(u32, waiting.steps));
	stop();
}

/* It could not even give back what its table takes. */
Test(starved, is_a_refill_that_finds_no_more_than_its_table_takes)
{
	struct awaiter waiting;

	space.has_gc = true;
	refill_from(1, true, &waiting);
	cr_expect(eq(int, space.refill_state, REFILL_STARVED));
	cr_expect(zero(u64, space.tables_written));
	stop();
}

Test(starved, is_none_that_finds_one_more)
{
	struct awaiter waiting;

	space.has_gc = true;
	refill_from(2, true, &waiting);
	cr_expect(eq(u32, waiting.steps, 1));
	cr_expect(eq(u64, space.tables_written, 1));
	cr_expect(eq(u32, space.free[USE_DATA].count, 1));
	stop();
}

/* The batch fills the lists of metadata only; nobody else would start the next one. */
Test(starved, goes_on_for_an_op_that_its_batch_did_not_serve)
{
	struct awaiter awaiter, waiting;
	uint32_t bucket;

	space.has_gc = true;
	fill_cache(REPLACEMENT_LRU);
	leave_victims(SOME, 2);
	awaiter_init(&waiting, reactor);
	lock_acquire(lock);
	cr_assert(zero(int, space_take(&space, USE_BTREE, 1, &bucket, NULL)));
	space_run(&space);
	cr_assert(eq(int, space_take(&space, USE_DATA, 1, &bucket, &waiting.op), -EAGAIN));
	lock_release(lock);
	while (hopes(&awaiter))
		awaiter_wait(&awaiter);
	cr_expect(eq(u64, space.tables_written, 1));
	cr_expect(zero(u32, waiting.steps));
	cr_expect(eq(int, space.refill_state, REFILL_STARVED));
	cr_expect(space.gc_is_wanted);
	stop();
}

Test(starved, goes_on_when_a_gc_has_ended)
{
	struct awaiter waiting;

	space.has_gc = true;
	refill_from(0, true, &waiting);
	lock_acquire(lock);
	gc_begin(&space);		/* that finds no pointers: all is free */
	space_gc_end(&space);
	lock_release(lock);
	cr_expect(zero(int, awaiter_wait(&waiting)));
	cr_expect(lt(u32, 0, space.free[USE_DATA].count));
	stop();
}

/* Nothing is chosen by marks that are being found anew. */
Test(starved, waits_for_the_gc_under_way)
{
	struct awaiter waiting;

	space.has_gc = true;
	fill_cache(REPLACEMENT_LRU);
	space.marks_valid = false;
	awaiter_init(&waiting, reactor);
	lock_acquire(lock);
	space_run(&space);
	drop(USE_PRIO, 1);
	space_kick(&space);
	cr_assert(eq(int, space_await_refill(&space, &waiting.op), -EAGAIN));
	lock_release(lock);
	cr_expect(zero(int, awaiter_wait(&waiting)));
	cr_expect(eq(int, space.refill_state, REFILL_STARVED));
	cr_expect(not(space.gc_is_wanted));
	stop();
}

Test(starved, ends_a_set_where_there_is_no_gc_and_somebody_waits)
{
	struct awaiter waiting;

	refill_from(0, true, &waiting);
	cr_expect(eq(int, health.error, -ENOSPC));
	cr_expect(eq(int, space.refill_state, REFILL_IDLE));
}

Test(starved, ends_no_set_where_nobody_waits)
{
	struct awaiter waiting;

	refill_from(0, false, &waiting);
	cr_expect(zero(int, health.error));
	cr_expect(eq(int, space.refill_state, REFILL_STARVED));
	stop();
}

/* ---- its end ---- */

Test(starved, rests_at_once_when_the_set_stops)
{
	struct awaiter waiting;
	bool is_idle;

	space.has_gc = true;
	refill_from(0, false, &waiting);
	lock_acquire(lock);
	cr_expect(not(space_is_idle(&space)));
	waitlist_join(&space.refilled, &waiting.op);
	space_stop(&space);
	cr_expect(not(timer_running(&space.starved_timer)));
	lock_release(lock);
	cr_expect(zero(int, awaiter_wait(&waiting)));
	cr_expect(eq(int, space.refill_state, REFILL_IDLE));
	lock_acquire(lock);
	is_idle = space_is_idle(&space);
	lock_release(lock);
	cr_expect(is_idle);
}

Test(starved, tells_all_who_wait_that_the_set_is_dead)
{
	struct waitlist *lists[] = {
		&space.waiting[USE_PRIO], &space.waiting[USE_BTREE], &space.waiting[USE_DATA],
		&space.refilled, &space.gc_wanted, &space.gc_ended,
	};
	struct awaiter waiting[ARRAY_SIZE(lists)], starving;

	space.has_gc = true;
	refill_from(0, false, &starving);
	for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
		awaiter_init(&waiting[i], reactor);
		waitlist_join(lists[i], &waiting[i].op);
	}
	health_fail(&health, EIO, "dead");
	lock_acquire(lock);
	space_abort(&space, -EIO);
	lock_release(lock);
	cr_expect(not(timer_running(&space.starved_timer)));
	for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
		while (!waiting[i].steps)
			awaiter_wait(&waiting[i]);
		cr_expect(eq(int, waiting[i].error, -EIO));
	}
}

Test(refilled, leaves_the_buckets_of_its_table_to_the_entry_that_names_them)
{
	fill_cache(REPLACEMENT_LRU);
	refill();
	cr_expect(zero(u32, space.bucket[space.table[0]].pins));
}

/* As refill does it between two slices: another policy might choose the same bucket again. */
Test(victims, of_a_sweep_go_by_the_policy_with_which_it_began)
{
	fill_cache(REPLACEMENT_LRU);
	refill();
	space.setup.slice_buckets = 4;
	lock_acquire(lock);
	space.choice = (struct choice){ .wanted = VICTIMS, .by = REPLACEMENT_LRU };
	cr_assert(not(space_sweep(&space)));
	space.setup.replacement = REPLACEMENT_FIFO;
	space.cursor = 0;
	while (!space_sweep(&space))
		;
	cr_expect(eq(u32, space.choice.count, VICTIMS));
	for (unsigned i = 0; i < space.choice.count; i++)
		for (unsigned k = 0; k < i; k++)
			cr_expect(ne(u32, space.victims[i].bucket, space.victims[k].bucket));
	lock_release(lock);
}

/* ---- how often gc is wanted ---- */

TestSuite(gc_wanted, .init = setup, .fini = teardown, .timeout = 60);

static void collect(bool wins)
{
	lock_acquire(lock);
	space.gc_is_wanted = false;
	space_gc_begin(&space);
	while (!space_gc_clear(&space))
		;
	for (unsigned i = SOME; i < BUCKETS; i++)
		space_see_mark(&space, i, MARK_DIRTY);
	if (wins)
		space_gc_wins(&space);
	space_gc_end(&space);
	lock_release(lock);
}

static bool is_wanted_again(void)
{
	bool is_wanted;

	lock_acquire(lock);
	space_want_gc_again(&space);
	is_wanted = space.gc_is_wanted;
	lock_release(lock);
	return is_wanted;
}

Test(gc_wanted, rests_longer_and_longer_while_it_wins_nothing)
{
	uint64_t rest = 0;

	for (unsigned i = 0; i < 10; i++) {
		space.gc_is_for_refill = true;
		collect(false);
		cr_assert(ge(u64, space.gc_rest_ns, rest));
		cr_expect(not(is_wanted_again()));
		rest = space.gc_rest_ns;
	}
	cr_expect(eq(u64, rest, UINT64_C(10000000000)));
	space.gc_ended_ns -= rest;
	cr_expect(is_wanted_again());
}

Test(gc_wanted, does_not_rest_once_it_has_won)
{
	space.gc_is_for_refill = true;
	collect(false);
	cr_expect(not(is_wanted_again()));
	collect(true);
	cr_expect(is_wanted_again());
	collect(false);
	cr_expect(not(is_wanted_again()));
	lock_acquire(lock);
	space_hidden(&space, 1);	/* there is something to be won */
	lock_release(lock);
	cr_expect(is_wanted_again());
}
