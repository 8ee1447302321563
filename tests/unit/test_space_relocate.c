/* Moving gc: which buckets are emptied, and where their data go. */
#include "space_world.h"

enum { SPARE = 12, DATA_SECTORS = 2 };

/* A set that runs, whose list for nodes is full, and where refill never does anything. */
static void setup_full_lists(void)
{
	struct error error = { .code = 0 };

	setup();
	lock_acquire(lock);
	cr_assert(zero(int, space_bootstrap(&space, &error)), "%s", error.text);
	cr_assert(eq(u32, space.free[USE_BTREE].count, 2 * SPARE));
	space.is_running = true;
	space.refill_state = REFILL_STARVED;
	lock_release(lock);
}

TestSuite(relocate, .init = setup_full_lists, .fini = teardown, .timeout = 60);

/* After a gc, so many buckets from SOME on have so many live sectors. */
static void fill(uint32_t first, unsigned buckets, unsigned sectors, enum bucket_mark mark)
{
	lock_acquire(lock);
	for (unsigned i = first; i < first + buckets; i++) {
		cr_assert(not(space.bucket[i].is_listed));
		space.bucket[i].mark = mark;
		space.bucket[i].used_sectors = sectors;
	}
	lock_release(lock);
}

/* Is anything worth it? */
static bool sweep(bool only_dirty)
{
	bool is_worth;

	lock_acquire(lock);
	space_move_begin(&space, only_dirty);
	while (!space_move_sweep(&space))
		;
	is_worth = space_move_is_worth(&space);
	lock_release(lock);
	return is_worth;
}

static struct bkey key_in(uint32_t bucket, unsigned sectors, bool is_dirty)
{
	struct bkey k;

	lock_acquire(lock);
	k = bkey_with_pointer(bkey_of(1, 1000, sectors), space_pointer(&space, bucket));
	lock_release(lock);
	bkey_set_dirty(&k, is_dirty);
	return k;
}

static bool is_wanted(uint32_t bucket, bool is_dirty)
{
	struct bkey k = key_in(bucket, DATA_SECTORS, is_dirty);
	bool is;

	lock_acquire(lock);
	is = space_move_wants(&space, &k);
	lock_release(lock);
	return is;
}

/* ---- which buckets ---- */

Test(relocate, empties_buckets_that_hold_little)
{
	fill(SOME, 10, DATA_SECTORS, MARK_RECLAIMABLE);
	fill(SOME + 10, 1, 12, MARK_RECLAIMABLE);
	fill(SOME + 11, 1, 11, MARK_RECLAIMABLE);
	cr_assert(sweep(false));
	cr_expect(is_wanted(SOME, false));
	cr_expect(is_wanted(SOME + 11, false));
	cr_expect(not(is_wanted(SOME + 10, false)));	/* fuller than eleven sixteenths */
	cr_expect(not(is_wanted(SOME + 12, false)));	/* nothing in it */
}

/* More live sectors than a bucket's count can say: it is not taken for nearly empty. */
Test(relocate, leaves_large_buckets_that_are_full)
{
	unsigned sectors = space.setup.bucket_sectors;

	space.setup.bucket_sectors = 1 << 20;
	fill(SOME, 10, UINT16_MAX, MARK_RECLAIMABLE);
	cr_expect(not(sweep(false)));
	fill(SOME, 10, UINT16_MAX - 1, MARK_RECLAIMABLE);
	cr_expect(sweep(false));
	space.setup.bucket_sectors = sectors;
}

Test(relocate, is_done_slice_by_slice)
{
	unsigned steps = 1;

	space.setup.slice_buckets = 10;
	fill(BUCKETS - 10, 10, DATA_SECTORS, MARK_RECLAIMABLE);
	lock_acquire(lock);
	space_move_begin(&space, false);
	for (; !space_move_sweep(&space); steps++)
		;
	cr_expect(space_move_is_worth(&space));
	lock_release(lock);
	cr_expect(eq(u32, steps, divide_up(BUCKETS, 10)));
}

Test(relocate, may_be_of_dirty_data_only)
{
	fill(SOME, 10, DATA_SECTORS, MARK_DIRTY);
	fill(SOME + 10, 10, DATA_SECTORS, MARK_RECLAIMABLE);
	cr_assert(sweep(true));
	cr_expect(is_wanted(SOME, true));
	cr_expect(not(is_wanted(SOME, false)));		/* clean data of a bucket with dirty ones */
	cr_expect(not(is_wanted(SOME + 10, false)));
	cr_assert(sweep(false));
	cr_expect(is_wanted(SOME, false));
	cr_expect(is_wanted(SOME + 10, false));
}

/* RELOCATE-2: five buckets become one, and up to three stay half full. */
Test(relocate, is_worth_it_where_buckets_are_won)
{
	fill(SOME, 4, DATA_SECTORS, MARK_RECLAIMABLE);
	cr_expect(not(sweep(false)));
	fill(SOME + 4, 1, DATA_SECTORS, MARK_RECLAIMABLE);
	cr_expect(sweep(false));
}

Test(relocate, leaves_pinned_buckets_and_nodes_alone)
{
	fill(SOME, 10, DATA_SECTORS, MARK_RECLAIMABLE);
	for (unsigned i = SOME; i < SOME + 6; i++)
		space.bucket[i].pins = 1;
	cr_expect(not(sweep(false)));
	fill(SOME, 10, DATA_SECTORS, MARK_METADATA);
	cr_expect(not(sweep(false)));
}

/* The emptiest come first, as many as fit into what can be spared. */
Test(relocate, takes_no_more_than_fits)
{
	fill(SOME, SPARE * BUCKET_SECTORS / 4, 4, MARK_RECLAIMABLE);
	fill(SOME + 50, 20, 5, MARK_RECLAIMABLE);
	cr_assert(sweep(false));
	cr_expect(is_wanted(SOME, false));
	cr_expect(not(is_wanted(SOME + 50, false)));
}

/* RELOCATE-1 */
Test(relocate, is_not_done_where_splits_can_spare_nothing)
{
	fill(SOME, 20, DATA_SECTORS, MARK_RECLAIMABLE);
	space.free[USE_BTREE].count = SPARE;
	cr_expect(not(sweep(false)));
	space.free[USE_BTREE].count = SPARE + 1;
	cr_expect(sweep(false));
}

/* ---- where to ---- */

static int allocate(enum move_kind kind, unsigned sectors, uint64_t *ptr)
{
	struct bkey k = key_in(SOME, sectors, kind != MOVE_CLEAN);
	int error;

	lock_acquire(lock);
	error = space_move_allocate(&space, kind, &k, ptr);
	lock_release(lock);
	return error;
}

static struct bucket *bucket_at(uint64_t ptr)
{
	return &space.bucket[space_bucket_of(&space, ptr)];
}

Test(relocate, puts_one_extent_behind_the_other)
{
	uint64_t first, second;

	fill(SOME, 10, DATA_SECTORS, MARK_RECLAIMABLE);
	space.bucket[SOME].prio = 77;
	cr_assert(sweep(false));
	cr_assert(zero(int, allocate(MOVE_CLEAN, 5, &first)));
	cr_assert(zero(int, allocate(MOVE_CLEAN, 5, &second)));
	cr_expect(eq(u64, pointer_sector(second), pointer_sector(first) + 5));
	cr_expect(eq(u32, bucket_at(first)->pins, 3));		/* both, and it is open */
	cr_expect(eq(u32, bucket_at(first)->prio, 77));		/* as where they came from */
	cr_expect(eq(int, bucket_at(first)->mark, MARK_RECLAIMABLE));
	lock_acquire(lock);
	space_move_end(&space);
	lock_release(lock);
	cr_expect(eq(u32, bucket_at(first)->pins, 2));
}

Test(relocate, does_not_cut_extents)
{
	uint64_t first, second;

	cr_assert(zero(int, allocate(MOVE_DIRTY, 10, &first)));
	cr_assert(zero(int, allocate(MOVE_DIRTY, 10, &second)));
	cr_expect(ne(ptr, bucket_at(first), bucket_at(second)));
	cr_expect(eq(u32, bucket_at(first)->pins, 1));		/* it was closed */
	cr_expect(eq(int, bucket_at(first)->mark, MARK_DIRTY));
}

Test(relocate, keeps_clean_dirty_and_flash_data_apart)
{
	uint64_t ptr[MOVE_KINDS];

	for (enum move_kind kind = 0; kind < MOVE_KINDS; kind++)
		cr_assert(zero(int, allocate(kind, 1, &ptr[kind])));
	cr_expect(ne(ptr, bucket_at(ptr[MOVE_CLEAN]), bucket_at(ptr[MOVE_DIRTY])));
	cr_expect(ne(ptr, bucket_at(ptr[MOVE_CLEAN]), bucket_at(ptr[MOVE_FLASH])));
	cr_expect(ne(ptr, bucket_at(ptr[MOVE_DIRTY]), bucket_at(ptr[MOVE_FLASH])));
}

Test(relocate, ends_where_no_bucket_can_be_spared)
{
	uint64_t ptr;

	for (unsigned i = 0; i < SPARE; i++)
		cr_assert(zero(int, allocate(MOVE_CLEAN, BUCKET_SECTORS, &ptr)));
	cr_expect(eq(int, allocate(MOVE_CLEAN, BUCKET_SECTORS, &ptr), -ENOSPC));
	cr_expect(eq(u32, space.free[USE_BTREE].count, SPARE));
}
