/* Buckets: rings, pins, generations, what a survey and a gc find. */
#include "cache/request.h"
#include "counted_memory.h"
#include "space_world.h"

/* ---- rings ---- */

Test(ring, is_empty_at_first)
{
	struct bucket_ring ring;
	uint32_t bucket = 4711;

	cr_assert(ring_init(&ring, 3));
	cr_expect(not(ring_pop(&ring, &bucket)));
	cr_expect(eq(u32, bucket, 4711));
	ring_done(&ring);
}

Test(ring, takes_exactly_its_size)
{
	struct bucket_ring ring;

	cr_assert(ring_init(&ring, 3));
	for (uint32_t i = 0; i < 3; i++)
		cr_expect(ring_push(&ring, i));
	cr_expect(not(ring_push(&ring, 3)));
	cr_expect(eq(u32, ring.count, 3));
	ring_done(&ring);
}

Test(ring, of_one_takes_one)
{
	struct bucket_ring ring;
	uint32_t bucket;

	cr_assert(ring_init(&ring, 1));
	cr_expect(ring_push(&ring, 5));
	cr_expect(not(ring_push(&ring, 6)));
	cr_expect(ring_pop(&ring, &bucket));
	cr_expect(eq(u32, bucket, 5));
	cr_expect(not(ring_pop(&ring, &bucket)));
	ring_done(&ring);
}

Test(ring, gives_first_what_came_first_however_often_it_goes_round)
{
	struct bucket_ring ring;
	uint32_t bucket;

	cr_assert(ring_init(&ring, 3));
	ring_push(&ring, 0);
	ring_push(&ring, 1);
	for (uint32_t i = 0; i < 20; i++) {
		cr_expect(ring_push(&ring, i + 2));
		cr_expect(ring_pop(&ring, &bucket));
		cr_expect(eq(u32, bucket, i));
	}
	ring_done(&ring);
}

/* ---- pins, generations, pointers ---- */

TestSuite(bucket, .init = setup, .fini = teardown, .timeout = 60);

Test(bucket, is_pinned_by_any_pointer_into_it)
{
	uint64_t ptr;

	lock_acquire(lock);
	ptr = space_pointer(&space, SOME);
	space_pin(&space, ptr);
	space_pin(&space, pointer_advance(ptr, BUCKET_SECTORS - 1));
	lock_release(lock);
	cr_expect(eq(u32, space.bucket[SOME].pins, 2));
	cr_expect(zero(u32, space.bucket[SOME - 1].pins));
	cr_expect(zero(u32, space.bucket[SOME + 1].pins));
}

Test(bucket, is_free_of_pins_after_as_many_unpins)
{
	lock_acquire(lock);
	space_pin(&space, space_pointer(&space, SOME));
	space_pin(&space, space_pointer(&space, SOME));
	space_unpin(&space, space_pointer(&space, SOME));
	cr_expect(eq(u32, space.bucket[SOME].pins, 1));
	space_unpin(&space, space_pointer(&space, SOME));
	cr_expect(zero(u32, space.bucket[SOME].pins));
	lock_release(lock);
}

Test(bucket, that_is_raised_makes_its_pointers_stale)
{
	uint64_t ptr;

	lock_acquire(lock);
	ptr = space_pointer(&space, SOME);
	cr_expect(zero(u32, space_staleness(&space, ptr)));
	space_raise(&space, SOME);
	cr_expect(eq(u32, space_staleness(&space, ptr), 1));
	cr_expect(zero(u32, space_staleness(&space, space_pointer(&space, SOME))));
	lock_release(lock);
}

/* All extents of all requests may lie in one. */
Test(bucket, takes_as_many_pins_as_all_requests_may_have)
{
	enum { PINS = REQUESTS_MAX * (REQUEST_PARTS_MAX + INSERT_KEYS_MAX) };
	uint64_t ptr = space_pointer(&space, SOME);

	lock_acquire(lock);
	for (unsigned i = 0; i < PINS; i++)
		space_pin(&space, ptr);
	cr_expect(eq(u32, space.bucket[SOME].pins, PINS));
	for (unsigned i = 0; i < PINS; i++)
		space_unpin(&space, ptr);
	lock_release(lock);
	cr_expect(zero(u32, space.bucket[SOME].pins));
}

Test(bucket, that_is_raised_is_pinned_and_empty)
{
	lock_acquire(lock);
	space_mark_pointer(&space, space_pointer(&space, SOME), 8, false, false);
	space_raise(&space, SOME);
	lock_release(lock);
	cr_expect(eq(u32, space.bucket[SOME].pins, 1));
	cr_expect(eq(u32, space.bucket[SOME].is_listed, 1));
	cr_expect(eq(u32, space.bucket[SOME].mark, MARK_NONE));
	cr_expect(zero(u32, space.bucket[SOME].used_sectors));
}

Test(bucket, has_staleness_around_the_circle_of_generations)
{
	space.bucket[SOME].generation = 2;
	lock_acquire(lock);
	cr_expect(eq(u32, space_staleness(&space, pointer_of(0, SOME * BUCKET_SECTORS, 250)), 8));
	lock_release(lock);
}

Test(bucket, that_is_being_freed_has_stale_pointers)
{
	uint64_t ptr;

	lock_acquire(lock);
	ptr = space_pointer(&space, SOME);
	space_free_begin(&space, SOME);
	cr_expect(eq(u32, space_staleness(&space, ptr), 1));
	lock_release(lock);
}

Test(bucket, that_was_freed_is_available)
{
	uint64_t available;

	lock_acquire(lock);
	space_mark_metadata(&space, SOME);
	available = space.available;
	space_free_begin(&space, SOME);
	cr_expect(eq(u64, space.available, available));
	space_freed(&space, SOME);
	cr_expect(eq(u64, space.available, available + 1));
	lock_release(lock);
}

static bool is_valid(unsigned of_device, uint64_t sector, unsigned sectors)
{
	bool valid;

	lock_acquire(lock);
	valid = space_pointer_is_valid(&space, pointer_of(of_device, sector, 0), sectors);
	lock_release(lock);
	return valid;
}

Test(bucket, holds_what_is_pointed_to_as_a_whole)
{
	cr_expect(is_valid(0, SOME * BUCKET_SECTORS, BUCKET_SECTORS));
	cr_expect(is_valid(0, SOME * BUCKET_SECTORS + 15, 1));
	cr_expect(not(is_valid(0, SOME * BUCKET_SECTORS + 15, 2)));
	cr_expect(not(is_valid(0, SOME * BUCKET_SECTORS, BUCKET_SECTORS + 1)));
}

Test(bucket, is_one_behind_the_journal)
{
	cr_expect(not(is_valid(0, FIRST_BUCKET * BUCKET_SECTORS - 1, 1)));
	cr_expect(not(is_valid(0, FIRST_OTHER * BUCKET_SECTORS - 1, 1)));	/* the journal's */
	cr_expect(is_valid(0, FIRST_OTHER * BUCKET_SECTORS, 1));
	cr_expect(is_valid(0, BUCKETS * BUCKET_SECTORS - 1, 1));
	cr_expect(not(is_valid(0, BUCKETS * BUCKET_SECTORS, 1)));
	cr_expect(not(is_valid(POINTER_DEVICE_NONE, SOME * BUCKET_SECTORS, 1)));
}

Test(bucket, has_a_priority_that_sinks_with_io_and_rises_with_a_hit)
{
	space.bucket[SOME].prio = PRIO_INITIAL;
	lock_acquire(lock);
	space_count_io(&space, 1 << 10);
	cr_expect(lt(u32, space.bucket[SOME].prio, PRIO_INITIAL));
	space_hit(&space, space_pointer(&space, SOME));
	cr_expect(eq(u32, space.bucket[SOME].prio, PRIO_INITIAL));
	lock_release(lock);
}

Test(bucket, of_metadata_keeps_its_priority)
{
	lock_acquire(lock);
	space_mark_metadata(&space, SOME);
	space_count_io(&space, 1 << 10);
	space_hit(&space, space_pointer(&space, SOME));
	lock_release(lock);
	cr_expect(eq(u32, space.bucket[SOME].prio, PRIO_METADATA));
}

/* ---- what refill waits for ---- */

/* Refill found too few, and waits a long while. */
static void starve(void)
{
	lock_acquire(lock);
	space.refill_state = REFILL_STARVED;
	timer_start(&space.starved_timer, UINT64_C(3600000000000), &space.refill);
	lock_release(lock);
}

static bool is_starving(void)
{
	return timer_running(&space.starved_timer);
}

static void unpin_with_mark(enum bucket_mark mark)
{
	starve();
	lock_acquire(lock);
	space_set_mark(&space, SOME, mark);
	space_pin(&space, space_pointer(&space, SOME));
	space_pin(&space, space_pointer(&space, SOME));
	space_unpin(&space, space_pointer(&space, SOME));
	cr_expect(is_starving());
	space_unpin(&space, space_pointer(&space, SOME));
	lock_release(lock);
}

Test(bucket, whose_last_pin_goes_is_what_refill_waits_for)
{
	unpin_with_mark(MARK_NONE);
	cr_expect(not(is_starving()));
}

Test(bucket, of_clean_data_whose_last_pin_goes_is_what_refill_waits_for)
{
	unpin_with_mark(MARK_RECLAIMABLE);
	cr_expect(not(is_starving()));
}

Test(bucket, of_dirty_data_whose_last_pin_goes_is_of_no_use_to_refill)
{
	unpin_with_mark(MARK_DIRTY);
	cr_expect(is_starving());
}

Test(bucket, that_was_freed_is_what_refill_waits_for)
{
	starve();
	lock_acquire(lock);
	space_mark_metadata(&space, SOME);
	space_free_begin(&space, SOME);
	cr_expect(is_starving());
	space_freed(&space, SOME);
	lock_release(lock);
	cr_expect(not(is_starving()));
}

Test(bucket, that_was_freed_during_a_gc_is_available_once)
{
	uint64_t available;

	lock_acquire(lock);
	space_mark_metadata(&space, SOME);
	available = space.available;
	space_free_begin(&space, SOME);
	gc_begin(&space);
	cr_expect(eq(u64, space.available, available));
	space_freed(&space, SOME);
	cr_expect(eq(u64, space.available, available + 1));
	space_gc_end(&space);
	cr_expect(eq(u64, space.available, available + 1));
	lock_release(lock);
}

Test(bucket, that_held_clean_data_was_available_before)
{
	uint64_t available;

	lock_acquire(lock);
	available = space.available;
	space_set_mark(&space, SOME, MARK_RECLAIMABLE);
	cr_expect(eq(u64, space.available, available));
	space_release(&space, SOME);
	cr_expect(eq(u64, space.available, available));
	cr_expect(eq(u32, space.bucket[SOME].prio, PRIO_NEVER_USED));
	lock_release(lock);
}

/* ---- priorities sink ---- */

/* While a 1024th of the cache is asked for, each bucket has its turn. */
Test(bucket, has_a_priority_that_sinks_by_one_each_time)
{
	enum { PERIOD = BUCKETS * BUCKET_SECTORS / 1024 };

	for (unsigned i = 0; i < BUCKETS; i++)
		space.bucket[i].prio = 20;
	space.bucket[SOME].prio = 10;
	space.bucket[OTHER].prio = 0;
	space.bucket[OTHER + 1].prio = PRIO_METADATA;
	space.bucket[OTHER + 2].prio = 5;
	space.bucket[OTHER + 2].pins = 1;
	lock_acquire(lock);
	space_count_io(&space, 0);
	cr_expect(eq(u32, space.bucket[SOME].prio, 10));
	space_count_io(&space, 1);
	cr_expect(eq(u32, space.bucket[FIRST_OTHER].prio, 19));
	cr_expect(eq(u32, space.bucket[SOME].prio, 10));
	space_count_io(&space, 1);
	cr_expect(eq(u32, space.bucket[SOME].prio, 9));
	cr_expect(eq(u32, space.bucket[BUCKETS - 1].prio, 20));
	space_count_io(&space, PERIOD - 2);
	cr_expect(eq(u32, space.bucket[SOME].prio, 9));
	cr_expect(eq(u32, space.bucket[BUCKETS - 1].prio, 19));
	cr_expect(eq(u32, space.prio_min, 9));
	space_count_io(&space, 2);
	cr_expect(eq(u32, space.bucket[SOME].prio, 8));
	space_count_io(&space, PERIOD - 2);
	lock_release(lock);
	cr_expect(eq(u32, space.prio_min, 8));
	cr_expect(zero(u32, space.bucket[OTHER].prio));
	cr_expect(eq(u32, space.bucket[OTHER + 1].prio, PRIO_METADATA));
	cr_expect(eq(u32, space.bucket[OTHER + 2].prio, 5));
	cr_expect(eq(u32, space.bucket[BUCKETS - 1].prio, 18));
}

Test(bucket, has_the_lowest_priority_where_none_can_sink)
{
	space.prio_min = 7;
	for (unsigned i = 0; i < BUCKETS; i++)
		space.bucket[i].prio = i % 2 ? 0 : PRIO_METADATA;
	lock_acquire(lock);
	space_count_io(&space, BUCKETS);
	lock_release(lock);
	cr_expect(zero(u32, space.prio_min));
}

/* However much is asked for at once, a step does not age more than a slice (SPACE-6). */
Test(bucket, has_a_priority_that_sinks_slice_by_slice)
{
	space.setup.slice_buckets = 10;
	for (unsigned i = 0; i < BUCKETS; i++)
		space.bucket[i].prio = 20;
	lock_acquire(lock);
	space_count_io(&space, 1 << 20);
	for (unsigned i = 0, sunk = 0; i < BUCKETS; i++) {
		sunk += space.bucket[i].prio == 19;
		cr_expect(le(u32, sunk, 10));
	}
	for (unsigned i = 0; i < BUCKETS / 10; i++)
		space_count_io(&space, 0);
	for (unsigned i = FIRST_BUCKET; i < BUCKETS; i++)
		cr_expect(eq(u32, space.bucket[i].prio, 19));
	lock_release(lock);
}

/* ---- the survey at the start of a set ---- */

static struct error survey_error;

static void begin_survey(void)
{
	setup();
	lock_acquire(lock);
	gc_begin(&space);
	lock_release(lock);
	space.is_surveyed = false;
	space.bucket[SOME].generation = space.bucket[SOME].oldest = 200;
}

static void begin_again(void)
{
	teardown();
	begin_survey();
}

TestSuite(survey, .init = begin_survey, .fini = teardown, .timeout = 60);

/* A pointer to the bucket of that generation is seen; what is said of it, NULL: nothing. */
static const char *see(unsigned generation)
{
	int failed;

	lock_acquire(lock);
	survey_error.text[0] = 0;
	failed = space_survey(&space, pointer_of(0, SOME * BUCKET_SECTORS, generation),
			      &survey_error);
	lock_release(lock);
	return failed ? survey_error.text : NULL;
}

static const char *see_node(unsigned generation)
{
	uint64_t ptr = pointer_of(0, SOME * BUCKET_SECTORS, generation);
	int failed;

	lock_acquire(lock);
	failed = space_survey_metadata(&space, ptr, BUCKET_SECTORS, &survey_error);
	lock_release(lock);
	return failed ? survey_error.text : NULL;
}

static const char *see_extent(unsigned generation)
{
	uint64_t ptr = pointer_of(0, SOME * BUCKET_SECTORS, generation);
	int failed;

	lock_acquire(lock);
	failed = space_survey_extent(&space, ptr, 8, false, &survey_error);
	lock_release(lock);
	return failed ? survey_error.text : NULL;
}

Test(survey, raises_a_generation_to_that_of_the_newest_pointer)
{
	cr_expect(zero(ptr, (void *)see(205)));
	cr_expect(zero(ptr, (void *)see(203)));
	cr_expect(eq(u32, space.bucket[SOME].generation, 205));
	cr_expect(eq(u32, space.bucket[SOME].oldest, 200));
}

Test(survey, takes_pointers_as_far_apart_as_a_kernel_may_leave_them)
{
	cr_expect(zero(ptr, (void *)see(150)));
	cr_expect(zero(ptr, (void *)see(247)));
	cr_expect(zero(ptr, (void *)see_extent(150)));
	cr_expect(eq(u32, space.bucket[SOME].mark, MARK_NONE));
}

Test(survey, takes_them_around_the_circle)
{
	cr_expect(zero(ptr, (void *)see(297 & 255)));
	cr_expect(eq(u32, space.bucket[SOME].generation, 297 & 255));
}

Test(survey, refuses_pointers_further_apart_in_any_order)
{
	cr_expect(eq(str, (char *)see(298 & 255),
		     "bucket 100: found a pointer of generation 42 and one, or the priority table, "
		     "of generation 200, wanted at most 97 between them"));
	cr_expect(ne(ptr, (void *)see(102), NULL));
	cr_expect(ne(ptr, (void *)see(200 - 128), NULL));
	begin_again();
	cr_expect(zero(ptr, (void *)see(150)));
	cr_expect(ne(ptr, (void *)see(248), NULL));
	begin_again();
	cr_expect(zero(ptr, (void *)see(248)));
	cr_expect(ne(ptr, (void *)see(150), NULL));
}

Test(survey, refuses_a_stale_pointer_to_metadata)
{
	cr_expect(eq(str, (char *)see_node(199),
		     "stale ptr: found generation 199, wanted 200, that of bucket 100"));
}

Test(survey, refuses_a_pointer_that_makes_metadata_stale)
{
	cr_expect(zero(ptr, (void *)see_node(200)));
	cr_expect(zero(ptr, (void *)see(199)));
	cr_expect(eq(str, (char *)see(201),
		     "inconsistent ptrs: found one of generation 201 to bucket 100, wanted none "
		     "that is newer than 200, its metadata"));
	cr_expect(eq(u32, space.bucket[SOME].generation, 200));
}

Test(survey, refuses_metadata_where_other_metadata_are)
{
	cr_expect(zero(ptr, (void *)see_node(200)));
	cr_expect(eq(str, (char *)see_node(200),
		     "inconsistent ptrs: mark = 3, level > 0, bucket 100: wanted nothing else in "
		     "it"));
}

Test(survey, refuses_data_and_metadata_in_one_bucket)
{
	cr_expect(zero(ptr, (void *)see_extent(200)));
	cr_expect(ne(ptr, (void *)see_node(200), NULL));
	begin_again();
	cr_expect(zero(ptr, (void *)see_node(200)));
	cr_expect(eq(str, (char *)see_extent(200),
		     "inconsistent ptrs: mark = 3, level = 0, bucket 100: wanted no data in it"));
	cr_expect(zero(ptr, (void *)see_extent(199)));
}

Test(survey, knows_all_when_it_has_ended)
{
	lock_acquire(lock);
	space_gc_end(&space);
	lock_release(lock);
	cr_expect(zero(ptr, (void *)see(200)));
	cr_expect(zero(ptr, (void *)see(150)));
	cr_expect(eq(str, (char *)see(201),
		     "inconsistent ptrs: found one of generation 201 to bucket 100, wanted none "
		     "that is newer than 200"));
}

/* ---- marks ---- */

TestSuite(mark, .init = setup, .fini = teardown, .timeout = 60);

Test(mark, is_none_on_what_nothing_points_to)
{
	cr_expect(eq(u32, space.bucket[SOME].mark, MARK_NONE));
}

Test(mark, is_metadata_on_superblock_and_journal)
{
	for (unsigned i = 0; i < FIRST_OTHER; i++)
		cr_expect(eq(u32, space.bucket[i].mark, MARK_METADATA));
	cr_expect(eq(u32, space.bucket[FIRST_OTHER].mark, MARK_NONE));
}

Test(mark, of_clean_data_is_reclaimable)
{
	cr_expect(zero(u32, pointer_is_found(SOME, 8, false, false)));
	cr_expect(eq(u32, space.bucket[SOME].mark, MARK_RECLAIMABLE));
}

Test(mark, of_dirty_data_stays_dirty)
{
	pointer_is_found(SOME, 8, false, false);
	pointer_is_found(SOME, 8, false, true);
	cr_expect(eq(u32, space.bucket[SOME].mark, MARK_DIRTY));
	pointer_is_found(SOME, 8, false, false);
	cr_expect(eq(u32, space.bucket[SOME].mark, MARK_DIRTY));
}

Test(mark, of_a_node_is_metadata)
{
	pointer_is_found(SOME, BUCKET_SECTORS, true, false);
	cr_expect(eq(u32, space.bucket[SOME].mark, MARK_METADATA));
	cr_expect(eq(u32, space.bucket[SOME].prio, PRIO_METADATA));
	cr_expect(zero(int, health.error));
}

Test(mark, counts_what_is_used_and_stops_at_the_largest_number)
{
	pointer_is_found(SOME, 3, false, false);
	pointer_is_found(SOME, 5, false, false);
	cr_expect(eq(u32, space.bucket[SOME].used_sectors, 8));
	pointer_is_found(SOME, 65535, false, false);
	cr_expect(eq(u32, space.bucket[SOME].used_sectors, 65535));
}

Test(mark, is_not_made_by_stale_pointers)
{
	uint64_t ptr = pointer_of(0, SOME * BUCKET_SECTORS, 3);

	space.bucket[SOME].generation = space.bucket[SOME].oldest = 5;
	lock_acquire(lock);
	cr_expect(eq(u32, space_mark_pointer(&space, ptr, 8, false, true), 2));
	lock_release(lock);
	cr_expect(eq(u32, space.bucket[SOME].mark, MARK_NONE));
	cr_expect(zero(u32, space.bucket[SOME].used_sectors));
}

Test(mark, remembers_the_oldest_pointer)
{
	space.bucket[SOME].generation = space.bucket[SOME].oldest = 5;
	lock_acquire(lock);
	cr_expect(eq(u32, space_mark_stale(&space, pointer_of(0, SOME * BUCKET_SECTORS, 2)), 3));
	cr_expect(eq(u32, space_mark_stale(&space, pointer_of(0, SOME * BUCKET_SECTORS, 4)), 1));
	lock_release(lock);
	cr_expect(eq(u32, space.bucket[SOME].oldest, 2));
}

Test(mark, of_data_in_a_bucket_of_metadata_ends_the_set)
{
	pointer_is_found(SOME, BUCKET_SECTORS, true, false);
	pointer_is_found(SOME, 8, false, false);
	cr_expect(eq(int, health.error, -EINVAL));
	cr_expect(eq(str, health.reason.text,
		     "inconsistent ptrs: mark = 3, level = 0, bucket 100"));
}

Test(mark, of_metadata_in_a_bucket_of_data_ends_the_set)
{
	pointer_is_found(SOME, 8, false, true);
	pointer_is_found(SOME, BUCKET_SECTORS, true, false);
	cr_expect(eq(int, health.error, -EINVAL));
	cr_expect(eq(str, health.reason.text,
		     "inconsistent ptrs: mark = 2, level > 0, bucket 100"));
}

Test(mark, is_found_anew_by_each_gc)
{
	pointer_is_found(SOME, 8, false, true);
	lock_acquire(lock);
	gc_begin(&space);
	cr_expect(not(space.marks_valid));
	cr_expect(eq(u32, space.bucket[SOME].mark, MARK_NONE));
	cr_expect(zero(u32, space.bucket[SOME].used_sectors));
	space_gc_end(&space);
	cr_expect(space.marks_valid);
	lock_release(lock);
}

/* The counts that gc finds are those of all marks. */
static void expect_counted(void)
{
	uint64_t available = 0, unmarked = 0;

	for (unsigned i = 0; i < BUCKETS; i++) {
		available += space.bucket[i].mark <= MARK_RECLAIMABLE;
		unmarked += space.bucket[i].mark == MARK_NONE;
	}
	cr_expect(eq(u64, space.available, available));
	cr_expect(eq(u64, space.unmarked, unmarked));
}

static void allocate_dirty(uint32_t bucket)
{
	space_pin(&space, space_pointer(&space, bucket));
	space_set_mark(&space, bucket, MARK_DIRTY);
}

/* Requests run between the slices (SPACE-6, SPACE-7). */
Test(mark, may_change_while_gc_has_cleared_half_of_them)
{
	enum { BEFORE = SOME - 1, BEHIND = SOME, NODE = SOME - 10, OTHER_NODE = SOME + 10 };

	lock_acquire(lock);
	space_mark_metadata(&space, NODE);
	space_mark_metadata(&space, OTHER_NODE);
	space_mark_metadata(&space, NODE + 1);
	space_mark_metadata(&space, OTHER_NODE + 1);
	space.setup.slice_buckets = SOME;
	space_gc_begin(&space);
	cr_expect(not(space_gc_clear(&space)));
	cr_expect(eq(u64, space.gc_cursor, SOME));
	allocate_dirty(BEFORE);
	allocate_dirty(BEHIND);
	allocate_dirty(BEHIND + 1);
	space_unpin_bucket(&space, BEHIND + 1);	/* its key is in the index: the walk will find it */
	space_free_begin(&space, NODE);
	space_free_begin(&space, OTHER_NODE);
	space_release(&space, NODE + 1);
	space_release(&space, OTHER_NODE + 1);
	while (!space_gc_clear(&space))
		;
	cr_expect(eq(u32, space.bucket[BEFORE].mark, MARK_DIRTY));
	cr_expect(eq(u32, space.bucket[BEHIND].mark, MARK_DIRTY));
	cr_expect(eq(u32, space.bucket[BEHIND + 1].mark, MARK_NONE));
	cr_expect(eq(u32, space.bucket[NODE].mark, MARK_METADATA));
	cr_expect(eq(u32, space.bucket[OTHER_NODE].mark, MARK_METADATA));
	cr_expect(eq(u32, space.bucket[NODE + 1].mark, MARK_NONE));
	space_free_begin(&space, NODE + 1);
	cr_expect(eq(u32, space.bucket[NODE + 1].mark, MARK_METADATA));
	space_gc_end(&space);
	expect_counted();
	space_freed(&space, NODE);
	space_freed(&space, NODE + 1);
	expect_counted();
	lock_release(lock);
}

Test(mark, of_a_pinned_bucket_stays_through_a_gc)
{
	pointer_is_found(SOME, 8, false, true);
	lock_acquire(lock);
	space_pin(&space, space_pointer(&space, SOME));
	gc_begin(&space);
	space_gc_end(&space);
	lock_release(lock);
	cr_expect(eq(u32, space.bucket[SOME].mark, MARK_DIRTY));
	cr_expect(eq(u32, space.bucket[SOME].used_sectors, 8));
}

/* ---- a gc as a whole ---- */

/* All marks are found anew, with no pointers at all. */
static void gc(void)
{
	lock_acquire(lock);
	gc_begin(&space);
	space_gc_end(&space);
	lock_release(lock);
}

static bool is_metadata(uint32_t bucket)
{
	cr_expect(eq(u32, space.bucket[bucket].prio == PRIO_METADATA,
		     space.bucket[bucket].mark == MARK_METADATA));
	return space.bucket[bucket].mark == MARK_METADATA;
}

Test(mark, of_a_bucket_is_metadata_while_it_is_being_freed)
{
	uint64_t available;

	lock_acquire(lock);
	available = space.available;
	space_mark_metadata(&space, SOME);
	space_free_begin(&space, SOME);
	lock_release(lock);
	gc();
	cr_expect(is_metadata(SOME));
	cr_expect(eq(u64, space.available, available - 1));
}

Test(mark, is_metadata_on_the_table_of_priorities)
{
	space.table[0] = SOME;
	gc();
	cr_expect(not(is_metadata(SOME)));
	space.have_table = true;
	gc();
	cr_expect(is_metadata(SOME));
}

Test(mark, is_metadata_on_the_old_table_until_the_new_one_is_named)
{
	for (enum refill_state state = REFILL_IDLE; state <= REFILL_ENTRY; state++) {
		bool is_writing = state >= REFILL_ENCODE;

		space.old_table[0] = OTHER;
		space.bucket[OTHER].prio = 0;
		space.refill_state = state;
		gc();
		cr_expect(eq(u32, is_metadata(OTHER), is_writing));
	}
}

Test(mark, of_data_gives_a_former_node_the_priority_of_data)
{
	space.bucket[SOME].prio = PRIO_METADATA;
	space.bucket[OTHER].prio = 1234;
	pointer_is_found(SOME, 8, false, false);
	pointer_is_found(OTHER, 8, false, false);
	cr_expect(eq(u32, space.bucket[SOME].prio, PRIO_INITIAL));
	cr_expect(eq(u32, space.bucket[OTHER].prio, 1234));
}

Test(mark, of_a_node_may_be_found_again)
{
	pointer_is_found(SOME, 8, true, false);
	pointer_is_found(SOME, 8, true, false);
	cr_expect(zero(int, health.error));
}

TestSuite(gc, .init = setup, .fini = teardown, .timeout = 60);

Test(gc, counts_anew_from_its_beginning)
{
	space.gc_is_wanted = true;
	space.gc_left = -3;
	space.hidden_since_gc = 5;
	space.bucket[SOME].generation = 9;
	space.bucket[SOME].oldest = 3;
	lock_acquire(lock);
	gc_begin(&space);
	cr_expect(not(space.gc_is_wanted));
	lock_release(lock);
	cr_expect(eq(i64, space.gc_left, BUCKETS * BUCKET_SECTORS / 16));
	cr_expect(zero(u64, space.hidden_since_gc));
	cr_expect(eq(u32, space.bucket[SOME].oldest, 9));
}

Test(gc, wakes_at_its_end_who_waits_for_it)
{
	struct awaiter awaiter;

	awaiter_init(&awaiter, reactor);
	waitlist_join(&space.gc_ended, &awaiter.op);
	gc();
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	cr_expect(space.is_surveyed);
	starve();
	gc();
	cr_expect(not(is_starving()));
}

Test(gc, lets_refill_look_again_at_its_end)
{
	space.is_running = true;
	gc();
	cr_expect(eq(int, space.refill_state, REFILL_CHOOSE));
}

Test(gc, is_begun_by_who_waits_until_one_is_wanted)
{
	struct awaiter awaiter;

	awaiter_init(&awaiter, reactor);
	waitlist_join(&space.gc_wanted, &awaiter.op);
	lock_acquire(lock);
	cr_expect(not(space.gc_is_wanted));
	space_want_gc(&space);
	cr_expect(space.gc_is_wanted);
	lock_release(lock);
	cr_expect(zero(int, awaiter_wait(&awaiter)));
}

Test(gc, is_wanted_once_where_much_was_hidden)
{
	struct awaiter awaiter;

	awaiter_init(&awaiter, reactor);
	space.gc_was_useless = true;
	lock_acquire(lock);
	space_hidden(&space, BUCKETS * BUCKET_SECTORS / 16);
	cr_expect(not(space.gc_is_wanted));
	cr_expect(not(space.gc_was_useless));
	space_hidden(&space, 1);
	cr_expect(space.gc_is_wanted);
	waitlist_join(&space.gc_wanted, &awaiter.op);
	space_hidden(&space, 1);
	cr_expect(eq(u32, awaiter.op.awaited, 1));
	lock_release(lock);
	cr_expect(eq(u64, space.hidden_since_gc, BUCKETS * BUCKET_SECTORS / 16 + 2));
}

static int await_gc(struct awaiter *awaiter)
{
	int error;

	awaiter_init(awaiter, reactor);
	lock_acquire(lock);
	error = space_await_gc(&space, &awaiter->op);
	lock_release(lock);
	cr_expect(eq(u32, awaiter->op.awaited, error == -EAGAIN));
	return error;
}

static void suggest_gc(void)
{
	lock_acquire(lock);
	space_suggest_gc(&space);
	lock_release(lock);
}

Test(gc, is_awaited_where_anything_was_hidden)
{
	struct awaiter awaiter;

	cr_expect(eq(int, await_gc(&awaiter), -ENOSPC));
	cr_expect(not(space.gc_is_wanted));
	space.hidden_since_gc = 1;
	suggest_gc();
	cr_expect(not(space.gc_is_wanted));
	cr_expect(eq(int, await_gc(&awaiter), -EAGAIN));
	cr_expect(space.gc_is_wanted);
	cr_expect(eq(ptr, list_first(&space.gc_ended.ops), &awaiter.op.link));
}

Test(gc, is_suggested_where_much_was_hidden)
{
	space.hidden_since_gc = BUCKETS * BUCKET_SECTORS / 64 - 1;
	suggest_gc();
	cr_expect(not(space.gc_is_wanted));
	space.hidden_since_gc++;
	suggest_gc();
	cr_expect(space.gc_is_wanted);
}

Test(gc, that_is_under_way_is_awaited)
{
	struct awaiter awaiter;

	lock_acquire(lock);
	gc_begin(&space);
	lock_release(lock);
	cr_expect(eq(int, await_gc(&awaiter), -EAGAIN));
	cr_expect(not(space.gc_is_wanted));
}

static unsigned in_use_percent(void)
{
	unsigned percent;

	lock_acquire(lock);
	space_gc_end(&space);	/* what was found counts from here on */
	percent = space_in_use_percent(&space);
	lock_release(lock);
	return percent;
}

TestSuite(in_use, .init = setup, .fini = teardown, .timeout = 60);

/* Of 256 buckets, 128 are half. */
Test(in_use, counts_dirty_data_and_metadata)
{
	for (unsigned i = FIRST_OTHER; i < 128; i++)
		pointer_is_found(i, 8, i % 2, i % 2 == 0);
	cr_expect(eq(u32, in_use_percent(), 50));
}

Test(in_use, leaves_out_what_is_reclaimable)
{
	unsigned before = in_use_percent();

	for (unsigned i = FIRST_OTHER; i < BUCKETS; i++)
		pointer_is_found(i, 8, false, false);
	cr_expect(eq(u32, in_use_percent(), before));
}

Test(in_use, is_all_when_all_is_dirty)
{
	for (unsigned i = FIRST_OTHER; i < BUCKETS; i++)
		pointer_is_found(i, 8, false, true);
	cr_expect(eq(u32, in_use_percent(), 100));
}

Test(in_use, leaves_enough_for_metadata)
{
	bool admitted = true;
	unsigned i;

	lock_acquire(lock);
	for (i = FIRST_OTHER; i < BUCKETS && admitted; i++) {
		space_mark_pointer(&space, space_pointer(&space, i), 8, false, true);
		space_gc_end(&space);
		admitted = space_promise_dirty(&space, 8);
		if (admitted)
			space_promise_ends(&space, 8);
	}
	lock_release(lock);
	cr_expect(lt(u32, space.metadata_reserved, BUCKETS - i));
}

Test(in_use, promises_no_bucket_twice)
{
	unsigned promised = 0;

	lock_acquire(lock);
	space_gc_end(&space);
	while (promised < BUCKETS && space_promise_dirty(&space, BUCKET_SECTORS))
		promised++;
	cr_expect(lt(u32, promised * 3 + space.metadata_reserved, BUCKETS));
	cr_expect(ne(u32, promised, 0));
	for (unsigned i = 0; i < promised; i++)
		space_promise_ends(&space, BUCKET_SECTORS);
	cr_expect(zero(u64, space.dirty_promised));
	lock_release(lock);
}

Test(in_use, leaves_room_for_metadata_open_buckets_and_a_plan)
{
	uint64_t kept = space.metadata_reserved + 4 + 24;

	cr_expect(eq(u32, space.metadata_reserved, 1 + 24));
	lock_acquire(lock);
	space.available = kept + 2;
	cr_expect(not(space_promise_dirty(&space, 8)));
	space.available = kept + 3;
	cr_expect(space_promise_dirty(&space, 8));
	cr_expect(eq(u64, space.dirty_promised, 2));
	space.available = kept + 2 + 4;
	cr_expect(not(space_promise_dirty(&space, 2 * BUCKET_SECTORS + 1)));
	space.available = kept + 2 + 5;
	cr_expect(space_promise_dirty(&space, 2 * BUCKET_SECTORS + 1));
	cr_expect(eq(u64, space.dirty_promised, 6));
	space_promise_ends(&space, 8);
	cr_expect(eq(u64, space.dirty_promised, 4));
	space_promise_ends(&space, 2 * BUCKET_SECTORS + 1);
	cr_expect(zero(u64, space.dirty_promised));
	lock_release(lock);
}

/* ---- memory ---- */

TestSuite(space, .init = setup, .fini = teardown, .timeout = 60);

static void expect_no_memory_at_any_allocation(unsigned at_least)
{
	unsigned allocations = 0;
	struct error error;
	int before, failed;

	space_done(&space);
	before = memory_pieces;
	do {
		memory_allocations_left = allocations++;
		failed = space_init(&space, &space_setup, &error);
		memory_allocations_left = UINT_MAX;
		if (failed) {
			cr_assert(eq(int, failed, -ENOMEM));
			cr_expect(eq(int, memory_pieces, before));
		}
	} while (failed);
	cr_expect(eq(u32, allocations, at_least + 1));
	space_done(&space);
	cr_expect(eq(int, memory_pieces, before));
	make_space(BUCKET_SECTORS, 1);
}

/* Buckets, four rings, victims, two tables, and what is written of one. */
Test(space, that_finds_no_memory_is_refused)
{
	expect_no_memory_at_any_allocation(9);
}

/* No table will be written. */
Test(space, that_is_read_only_takes_less_memory)
{
	space_setup.is_read_only = true;
	expect_no_memory_at_any_allocation(8);
}

static void expect_sentence(uint64_t buckets, bool read_only, const char *sentence)
{
	struct error error;

	space_done(&space);
	space_setup.buckets = buckets;
	space_setup.is_read_only = read_only;
	memory_allocations_left = 0;
	cr_assert(eq(int, space_init(&space, &space_setup, &error), -ENOMEM));
	memory_allocations_left = UINT_MAX;
	cr_expect(eq(str, error.text, (char *)sentence));
}

Test(space, says_how_much_memory_it_wants)
{
	cr_assert(eq(sz, sizeof(struct bucket), 12));
	expect_sentence(1 << 20, false,
			"no memory for so many buckets: found 1048576, which want 16 MiB");
	expect_sentence(1 << 20, true,
			"no memory for so many buckets: found 1048576, which want 13 MiB");
	expect_sentence(1 << 10, true,
			"no memory for so many buckets: found 1024, which want 1 MiB");
}
