/*
 * Buckets: rings, pins, generations, marks, filling them extent by extent, and which are chosen
 * for reuse.  The set lies on a real file, since what is chosen is known only after a table and
 * a journal entry were written.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "awaiter.h"
#include "cache/request.h"
#include "space/internal.h"

enum {
	BUCKETS = 256,
	BUCKET_SECTORS = 16,
	BLOCK_SECTORS = 8,
	FIRST_BUCKET = 1,
	JOURNAL_BUCKETS = 3,
	FIRST_OTHER = FIRST_BUCKET + JOURNAL_BUCKETS,	/* neither superblock nor journal */
	DATA_MIN = 8,		/* buckets kept free for data in a set of this size */
	VICTIMS = 17,		/* where these ran out: twice as many, and one for the table */
	OPEN_BUCKETS = 4,	/* open at a time */
	SOME = 100, OTHER = 101,	/* buckets that serve as examples */
	ME = 7, YOU = 8,	/* tasks */
};

static const uint64_t journal_bucket[JOURNAL_BUCKETS] = { 1, 2, 3 };
static const struct stream my_stream = {
	.volume = 1,
	.start = 1000,
	.task = ME,
	.block_sectors = 1,
};

static struct reactor *reactor;
static struct device *device;
static struct lock *lock;
static struct health health;
static struct flush flush;
static struct journal journal;
static struct space space;
static struct space_setup space_setup;

static void setup(void)
{
	struct journal_setup journal_setup = {
		.flush = &flush,
		.health = &health,
		.block_sectors = BLOCK_SECTORS,
		.bucket_sectors = BUCKET_SECTORS,
		.bucket_count = JOURNAL_BUCKETS,
		.buckets = journal_bucket,
	};
	struct error error = { .code = 0 };

	device = test_device(BUCKETS * BUCKET_SECTORS);
	reactor = journal_setup.reactor = test_reactor();
	lock = journal_setup.lock = lock_new();
	journal_setup.device = device;
	health_init(&health);
	flush_init(&flush, device, reactor);
	journal_init(&journal, &journal_setup);
	space_setup = (struct space_setup){
		.lock = lock,
		.device = device,
		.health = &health,
		.reactor = reactor,
		.journal = &journal,
		.buckets = BUCKETS,
		.block_sectors = 1,
		.bucket_sectors = BUCKET_SECTORS,
		.meta_bucket_sectors = BUCKET_SECTORS,
		.first_bucket = FIRST_BUCKET,
		.prio_per_part = BUCKETS,
		.prio_parts = 1,
		.journal_buckets = JOURNAL_BUCKETS,
	};
	cr_assert(zero(int, space_init(&space, &space_setup, &error)), "%s", error.text);
	lock_acquire(lock);
	journal_begin(&journal, 0, 0, 0, NULL);
	space_gc_begin(&space);
	space_gc_end(&space);
	lock_release(lock);
}

static void teardown(void)
{
	space_done(&space);
	journal_done(&journal);
	lock_free(lock);
	device_close(device);
	reactor_free(reactor);
}

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

Test(bucket, that_is_being_freed_has_stale_pointers_until_that_is_undone)
{
	uint64_t ptr;

	lock_acquire(lock);
	ptr = space_pointer(&space, SOME);
	space_free_begin(&space, SOME);
	cr_expect(eq(u32, space_staleness(&space, ptr), 1));
	space_free_undo(&space, SOME);
	cr_expect(zero(u32, space_staleness(&space, ptr)));
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

/* ---- the survey at the start of a set ---- */

static struct error survey_error;

static void begin_survey(void)
{
	setup();
	lock_acquire(lock);
	space_gc_begin(&space);
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
	cr_expect(ne(ptr, (void *)see(201), NULL));
	cr_expect(eq(u32, space.bucket[SOME].generation, 200));
}

Test(survey, refuses_metadata_where_other_metadata_are)
{
	cr_expect(zero(ptr, (void *)see_node(200)));
	cr_expect(ne(ptr, (void *)see_node(200), NULL));
}

Test(survey, refuses_data_and_metadata_in_one_bucket)
{
	cr_expect(zero(ptr, (void *)see_extent(200)));
	cr_expect(ne(ptr, (void *)see_node(200), NULL));
	begin_again();
	cr_expect(zero(ptr, (void *)see_node(200)));
	cr_expect(ne(ptr, (void *)see_extent(200), NULL));
	cr_expect(zero(ptr, (void *)see_extent(199)));
}

Test(survey, knows_all_when_it_has_ended)
{
	lock_acquire(lock);
	space_gc_end(&space);
	lock_release(lock);
	cr_expect(zero(ptr, (void *)see(200)));
	cr_expect(zero(ptr, (void *)see(150)));
	cr_expect(ne(ptr, (void *)see(201), NULL));
}

/* ---- marks ---- */

TestSuite(mark, .init = setup, .fini = teardown, .timeout = 60);

/* A pointer to some sectors of the bucket is found; its staleness. */
static unsigned pointer_is_found(uint32_t bucket, unsigned sectors, bool metadata, bool dirty)
{
	unsigned stale;

	lock_acquire(lock);
	stale = space_mark_pointer(&space, space_pointer(&space, bucket), sectors, metadata, dirty);
	lock_release(lock);
	return stale;
}

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
	space_gc_begin(&space);
	cr_expect(not(space.marks_valid));
	cr_expect(eq(u32, space.bucket[SOME].mark, MARK_NONE));
	cr_expect(zero(u32, space.bucket[SOME].used_sectors));
	space_gc_end(&space);
	cr_expect(space.marks_valid);
	lock_release(lock);
}

Test(mark, of_a_pinned_bucket_stays_through_a_gc)
{
	pointer_is_found(SOME, 8, false, true);
	lock_acquire(lock);
	space_pin(&space, space_pointer(&space, SOME));
	space_gc_begin(&space);
	space_gc_end(&space);
	lock_release(lock);
	cr_expect(eq(u32, space.bucket[SOME].mark, MARK_DIRTY));
	cr_expect(eq(u32, space.bucket[SOME].used_sectors, 8));
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

/* ---- allocating ---- */

TestSuite(allocate, .init = setup, .fini = teardown, .timeout = 60);

struct extent {
	unsigned sectors;
	uint32_t bucket;
	unsigned offset;	/* into the bucket */
};

static struct extent place_for(const struct stream *stream, unsigned sectors, bool dirty)
{
	struct extent extent = { .bucket = 0 };
	uint64_t ptr = 0;

	lock_acquire(lock);
	extent.sectors = space_allocate(&space, stream, sectors, dirty, &ptr, NULL);
	cr_expect(zero(u32, space_staleness(&space, ptr)));
	extent.bucket = space_bucket_of(&space, ptr);
	lock_release(lock);
	extent.offset = pointer_sector(ptr) % BUCKET_SECTORS;
	return extent;
}

static void expect_behind(struct extent next, struct extent before)
{
	cr_expect(eq(u32, next.bucket, before.bucket));
	cr_expect(eq(u32, next.offset, before.offset + before.sectors));
}

static struct stream stream_of(unsigned volume, uint64_t start, uint32_t task)
{
	struct stream stream = my_stream;

	stream.volume = volume;
	stream.start = start;
	stream.task = task;
	return stream;
}

/* Where the stream goes on after `sectors` more. */
static struct stream continued(struct stream stream, unsigned sectors)
{
	stream.start += sectors;
	return stream;
}

Test(allocate, begins_at_the_start_of_a_bucket)
{
	struct extent extent = place_for(&my_stream, 4, false);

	cr_expect(eq(u32, extent.sectors, 4));
	cr_expect(zero(u32, extent.offset));
	cr_expect(ge(u32, extent.bucket, FIRST_OTHER));
}

Test(allocate, gives_no_more_than_a_bucket_has)
{
	struct extent first = place_for(&my_stream, 12, false);
	struct stream next = continued(my_stream, 12);
	struct extent second = place_for(&next, 12, false);

	expect_behind(second, first);
	cr_expect(eq(u32, second.sectors, 4));
}

/* A cache device may know nothing else. */
Test(allocate, gives_whole_blocks_of_the_set_only, .signal = SIGABRT)
{
	space.setup.block_sectors = BLOCK_SECTORS;
	place_for(&my_stream, 3, false);
}

Test(allocate, leaves_a_bucket_that_has_no_room_for_a_block)
{
	struct stream large = continued(my_stream, 14);
	struct extent small = place_for(&my_stream, 14, false), extent;

	large.block_sectors = 8;
	extent = place_for(&large, 8, false);
	cr_expect(eq(u32, extent.sectors, 8));
	cr_expect(ne(u32, extent.bucket, small.bucket));
}

Test(allocate, cuts_what_does_not_fit_to_whole_blocks)
{
	struct stream large = continued(my_stream, 3);
	struct extent small = place_for(&my_stream, 3, false), extent;

	large.block_sectors = 8;
	extent = place_for(&large, 16, false);
	expect_behind(extent, small);
	cr_expect(eq(u32, extent.sectors, 8));
}

Test(allocate, takes_the_next_bucket_when_one_is_full)
{
	struct extent first = place_for(&my_stream, BUCKET_SECTORS, false);
	struct stream next = continued(my_stream, BUCKET_SECTORS);
	struct extent second = place_for(&next, 1, false);

	cr_expect(eq(u32, first.sectors, BUCKET_SECTORS));
	cr_expect(ne(u32, second.bucket, first.bucket));
	cr_expect(zero(u32, second.offset));
}

Test(allocate, pins_the_bucket_for_each_extent_and_while_it_is_open)
{
	struct extent extent = place_for(&my_stream, 4, false);
	struct stream next = continued(my_stream, 4);

	cr_expect(eq(u32, space.bucket[extent.bucket].pins, 2));
	place_for(&next, 4, false);
	cr_expect(eq(u32, space.bucket[extent.bucket].pins, 3));
	next = continued(next, 4);
	place_for(&next, 8, false);
	cr_expect(eq(u32, space.bucket[extent.bucket].pins, 3));	/* it is full: closed */
}

Test(allocate, marks_the_bucket_by_what_goes_into_it)
{
	struct extent clean = place_for(&my_stream, 4, false);
	struct stream next = continued(my_stream, 4);

	cr_expect(eq(u32, space.bucket[clean.bucket].mark, MARK_RECLAIMABLE));
	expect_behind(place_for(&next, 4, true), clean);
	cr_expect(eq(u32, space.bucket[clean.bucket].mark, MARK_DIRTY));
	next = continued(next, 4);
	place_for(&next, 4, false);
	cr_expect(eq(u32, space.bucket[clean.bucket].mark, MARK_DIRTY));
}

Test(allocate, puts_an_extent_behind_the_one_it_continues)
{
	struct stream yours = stream_of(1, 5000, YOU);
	struct extent mine = place_for(&my_stream, 4, false);
	struct extent other = place_for(&yours, 4, false);
	struct stream next = continued(my_stream, 4);

	next.task = YOU;	/* whoever writes it: that it continues counts more */
	cr_expect(ne(u32, other.bucket, mine.bucket));
	expect_behind(place_for(&next, 4, false), mine);
}

Test(allocate, keeps_a_task_s_extents_together)
{
	struct stream yours = stream_of(1, 5000, YOU);
	struct stream elsewhere = stream_of(1, 9000, ME);
	struct extent mine = place_for(&my_stream, 4, false);

	place_for(&yours, 4, false);
	expect_behind(place_for(&elsewhere, 4, false), mine);
}

Test(allocate, keeps_volumes_apart_while_there_are_places)
{
	struct stream other_volume = stream_of(2, 1004, ME);
	struct extent mine = place_for(&my_stream, 4, false);
	struct extent other = place_for(&other_volume, 4, false);

	cr_expect(ne(u32, other.bucket, mine.bucket));
}

Test(allocate, goes_where_nothing_was_written_for_longest_when_all_places_are_taken)
{
	struct extent extent[OPEN_BUCKETS];
	struct stream stranger = stream_of(2, 1, 99);
	struct stream next = continued(my_stream, 4);

	extent[0] = place_for(&my_stream, 4, false);
	for (unsigned i = 1; i < OPEN_BUCKETS; i++) {
		struct stream stream = stream_of(1, 5000 * i, 10 + i);

		extent[i] = place_for(&stream, 4, false);
		cr_expect(ne(u32, extent[i].bucket, extent[i - 1].bucket));
	}
	expect_behind(place_for(&next, 4, false), extent[0]);
	expect_behind(place_for(&stranger, 4, false), extent[1]);
}

Test(allocate, never_mixes_flash_and_cached_data)
{
	struct stream flash = continued(my_stream, 4);
	struct extent cached = place_for(&my_stream, 4, true), stored;

	flash.is_flash = true;
	stored = place_for(&flash, 4, true);
	cr_expect(ne(u32, stored.bucket, cached.bucket));
	flash.is_flash = false;
	expect_behind(place_for(&flash, 4, true), cached);
}

Test(allocate, never_mixes_flash_and_cached_data_even_when_all_places_are_taken)
{
	struct stream flash = stream_of(1, 1, 99);
	struct extent extent[OPEN_BUCKETS], stored;

	for (unsigned i = 0; i < OPEN_BUCKETS; i++) {
		struct stream stream = stream_of(1, 5000 * i, 10 + i);

		extent[i] = place_for(&stream, 4, true);
	}
	flash.is_flash = true;
	stored = place_for(&flash, 4, true);
	for (unsigned i = 0; i < OPEN_BUCKETS; i++)
		cr_expect(ne(u32, stored.bucket, extent[i].bucket));
	cr_expect(eq(u32, space.bucket[extent[0].bucket].pins, 1));	/* closed in its favour */
}

Test(allocate, counts_what_is_written)
{
	struct stream next = continued(my_stream, 4);

	place_for(&my_stream, 4, true);
	place_for(&next, 5, false);
	cr_expect(eq(u64, space.sectors_written, 9));
}

Test(allocate, wants_a_gc_when_much_was_written)
{
	struct stream next = my_stream;

	for (unsigned i = 0; i < BUCKETS / 16; i++, next = continued(next, BUCKET_SECTORS))
		place_for(&next, BUCKET_SECTORS, false);
	cr_expect(not(space.gc_is_wanted));
	place_for(&next, BUCKET_SECTORS, false);
	cr_expect(space.gc_is_wanted);
}

Test(allocate, gives_nothing_when_nothing_is_unused)
{
	struct extent extent = { .sectors = 1 };
	uint64_t ptr;

	for (unsigned i = FIRST_OTHER; i < BUCKETS; i++)
		pointer_is_found(i, 8, false, true);
	lock_acquire(lock);
	extent.sectors = space_allocate(&space, &my_stream, 4, true, &ptr, NULL);
	lock_release(lock);
	cr_expect(zero(u32, extent.sectors));
}

/* ---- taking ---- */

TestSuite(take, .init = setup, .fini = teardown, .timeout = 60);

Test(take, gives_nodes_pinned_and_marked)
{
	uint32_t bucket[2];

	lock_acquire(lock);
	cr_expect(zero(int, space_take(&space, USE_BTREE, 2, bucket, NULL)));
	lock_release(lock);
	cr_expect(ne(u32, bucket[0], bucket[1]));
	for (unsigned i = 0; i < 2; i++) {
		cr_expect(eq(u32, space.bucket[bucket[i]].pins, 1));
		cr_expect(zero(u32, space.bucket[bucket[i]].is_listed));
		cr_expect(eq(u32, space.bucket[bucket[i]].mark, MARK_METADATA));
	}
}

Test(take, gives_all_or_none)
{
	uint32_t bucket[5];

	for (unsigned i = FIRST_OTHER; i < BUCKETS - 4; i++)
		pointer_is_found(i, 8, false, true);
	lock_acquire(lock);
	cr_expect(eq(int, space_take(&space, USE_BTREE, 5, bucket, NULL), -ENOSPC));
	cr_expect(zero(int, space_take(&space, USE_BTREE, 4, bucket, NULL)));
	lock_release(lock);
}

Test(take, may_be_taken_back)
{
	uint32_t bucket, again;

	lock_acquire(lock);
	cr_assert(zero(int, space_take(&space, USE_DATA, 1, &bucket, NULL)));
	space_give_back(&space, USE_DATA, bucket);
	cr_expect(eq(u32, space.bucket[bucket].is_listed, 1));
	cr_assert(zero(int, space_take(&space, USE_DATA, 1, &again, NULL)));
	lock_release(lock);
	cr_expect(eq(u32, again, bucket));
}

Test(take, gives_the_number_of_what_is_wrong_in_a_dead_set)
{
	uint32_t bucket;

	health_fail(&health, EIO, "dead");
	lock_acquire(lock);
	cr_expect(eq(int, space_take(&space, USE_DATA, 1, &bucket, NULL), -EIO));
	lock_release(lock);
}

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

	fill_cache(REPLACEMENT_LRU);
	space.bucket[SOME].prio = 1;
	refill();
	cr_assert(was_chosen(SOME));
	generation = space.bucket[SOME].generation;
	space.bucket[SOME].generation = 99;
	cr_assert(zero(int, space_read_table(&space, space.table[0], &error)), "%s", error.text);
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
