/* Taking buckets, and filling them extent by extent. */
#include <signal.h>

#include "space_world.h"

enum {
	OPEN_BUCKETS = 4,	/* open at a time */
	ME = 7, YOU = 8,	/* tasks */
};

static const struct stream my_stream = {
	.volume = 1,
	.start = 1000,
	.task = ME,
	.block_sectors = 1,
};

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
	struct place place = { .ptr = 0 };

	lock_acquire(lock);
	cr_assert(zero(int, space_allocate(&space, stream, sectors, dirty, &place, NULL)));
	cr_expect(zero(u32, space_staleness(&space, place.ptr)));
	extent.bucket = space_bucket_of(&space, place.ptr);
	lock_release(lock);
	extent.sectors = place.sectors;
	extent.offset = pointer_sector(place.ptr) % BUCKET_SECTORS;
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

/* Of what is open nothing is closed for it. */
Test(allocate, opens_a_bucket_in_an_empty_place)
{
	struct stream stream[OPEN_BUCKETS], stranger = stream_of(2, 1, 99);
	struct extent extent[OPEN_BUCKETS], fresh;

	for (unsigned i = 0; i < OPEN_BUCKETS; i++) {
		stream[i] = stream_of(1, 5000 * i, 10 + i);
		extent[i] = place_for(&stream[i], 4, true);
	}
	stream[2] = continued(stream[2], 4);
	place_for(&stream[2], BUCKET_SECTORS - 4, true);	/* that one is full */
	fresh = place_for(&stranger, 4, true);
	for (unsigned i = 0; i < OPEN_BUCKETS; i++) {
		cr_expect(ne(u32, fresh.bucket, extent[i].bucket));
		cr_expect(eq(u32, space.bucket[extent[i].bucket].pins, 2));
	}
}

Test(allocate, makes_wait_who_finds_no_bucket)
{
	struct awaiter awaiter;
	struct place place;

	awaiter_init(&awaiter, reactor);
	for (unsigned i = FIRST_OTHER; i < BUCKETS; i++)
		pointer_is_found(i, 8, false, true);
	lock_acquire(lock);
	cr_expect(eq(int, space_allocate(&space, &my_stream, 4, true, &place, &awaiter.op),
		     -EAGAIN));
	lock_release(lock);
	cr_expect(eq(u32, awaiter.op.awaited, 1));
	cr_expect(eq(ptr, list_first(&space.waiting[USE_DATA].ops), &awaiter.op.link));
}

Test(allocate, tells_who_finds_no_bucket_that_the_set_is_dead)
{
	struct awaiter awaiter;
	struct place place;

	awaiter_init(&awaiter, reactor);
	health_fail(&health, EIO, "dead");
	lock_acquire(lock);
	cr_expect(eq(int, space_allocate(&space, &my_stream, 4, true, &place, NULL), -EIO));
	cr_expect(eq(int, space_allocate(&space, &my_stream, 4, true, &place, &awaiter.op), -EIO));
	lock_release(lock);
	cr_expect(zero(u32, awaiter.op.awaited));
	cr_expect(waitlist_empty(&space.waiting[USE_DATA]));
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
	struct place place;

	for (unsigned i = FIRST_OTHER; i < BUCKETS; i++)
		pointer_is_found(i, 8, false, true);
	lock_acquire(lock);
	cr_expect(eq(int, space_allocate(&space, &my_stream, 4, true, &place, NULL), -EAGAIN));
	lock_release(lock);
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

Test(take, gives_the_number_of_what_is_wrong_in_a_dead_set)
{
	uint32_t bucket;

	health_fail(&health, EIO, "dead");
	lock_acquire(lock);
	cr_expect(eq(int, space_take(&space, USE_DATA, 1, &bucket, NULL), -EIO));
	lock_release(lock);
}

/* ---- what is unused ---- */

Test(take, gives_unused_buckets_only)
{
	enum { CLEAN = FIRST_OTHER, PINNED, LISTED, TOO_FAR, FIT };
	uint32_t bucket;

	lock_acquire(lock);
	space_set_mark(&space, CLEAN, MARK_RECLAIMABLE);
	space_pin(&space, space_pointer(&space, PINNED));
	space.bucket[LISTED].is_listed = 1;
	space.bucket[TOO_FAR].oldest = space.bucket[FIT].oldest = 5;
	space.bucket[TOO_FAR].generation = 5 + GENERATIONS_BEHIND;
	space.bucket[FIT].generation = 5 + GENERATIONS_BEHIND - 1;
	cr_assert(zero(int, space_take(&space, USE_BTREE, 1, &bucket, NULL)));
	lock_release(lock);
	cr_expect(eq(u32, bucket, FIT));
}

Test(take, says_how_many_buckets_are_unused_up_to_the_size_of_the_list)
{
	for (unsigned i = FIRST_OTHER; i < BUCKETS - 4; i++)
		pointer_is_found(i, 8, false, true);
	lock_acquire(lock);
	cr_expect(eq(u32, space_unused(&space, USE_PRIO), 1));
	cr_expect(eq(u32, space_unused(&space, USE_BTREE), 3));
	lock_release(lock);
}

/* What a start says where only the last `unused` buckets are; NULL: it goes on. */
static const char *start_with(unsigned unused)
{
	static struct error error;
	int failed;

	teardown();
	setup();
	for (unsigned i = FIRST_OTHER; i < BUCKETS - unused; i++)
		pointer_is_found(i, 8, false, true);
	lock_acquire(lock);
	failed = space_bootstrap(&space, &error);
	lock_release(lock);
	cr_expect(eq(int, failed, failed ? -ENOSPC : 0));
	return failed ? error.text : NULL;
}

Test(take, needs_unused_buckets_for_a_table_to_start_with)
{
	cr_expect(eq(str, (char *)start_with(0),
		     "only 0 unused buckets to start with, wanted 1"));
	cr_expect(zero(ptr, (void *)start_with(1)));
	cr_expect(eq(u32, space.free[USE_PRIO].count, 1));
	cr_expect(zero(u32, space.free[USE_BTREE].count));
	cr_expect(zero(ptr, (void *)start_with(100)));
	cr_expect(eq(u32, space.free[USE_PRIO].count, space.free[USE_PRIO].size));
	cr_expect(eq(u32, space.free[USE_BTREE].count, space.free[USE_BTREE].size));
	cr_expect(zero(u32, space.free[USE_DATA].count));
}

/* ---- who waits ---- */

Test(take, makes_wait_who_takes_more_than_there_are_while_the_set_runs)
{
	struct awaiter node, data;
	uint32_t bucket;

	awaiter_init(&node, reactor);
	awaiter_init(&data, reactor);
	lock_acquire(lock);
	space.is_running = true;
	cr_expect(eq(int, space_take(&space, USE_BTREE, 1, &bucket, NULL), -EAGAIN));
	for (unsigned use = 0; use < USES; use++)
		cr_expect(waitlist_empty(&space.waiting[use]));
	cr_expect(eq(int, space_take(&space, USE_BTREE, 1, &bucket, &node.op), -EAGAIN));
	cr_expect(eq(ptr, list_first(&space.waiting[USE_BTREE].ops), &node.op.link));
	cr_expect(not(space.data_was_short));
	cr_expect(not(space.data_is_wanted));
	cr_expect(eq(int, space.refill_state, REFILL_CHOOSE));
	cr_expect(eq(int, space_take(&space, USE_DATA, 1, &bucket, &data.op), -EAGAIN));
	cr_expect(eq(ptr, list_first(&space.waiting[USE_DATA].ops), &data.op.link));
	cr_expect(space.data_was_short);
	cr_expect(space.data_is_wanted);
	lock_release(lock);
}

Test(take, lets_rewrites_have_no_more_than_half_of_the_list)
{
	struct error error;

	lock_acquire(lock);
	cr_expect(space_can_spare(&space, USE_BTREE, 24));	/* none runs out at a start */
	cr_assert(zero(int, space_bootstrap(&space, &error)));
	space.is_running = true;
	cr_expect(space_can_spare(&space, USE_BTREE, 12));
	cr_expect(not(space_can_spare(&space, USE_BTREE, 13)));
	lock_release(lock);
}

