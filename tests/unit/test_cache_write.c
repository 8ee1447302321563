/* Writing: what a device that fails leaves, below or in the cache. */
#include <signal.h>

#include "cache_world.h"

enum {
	OLD = 1,
	NEW = 2,
	HIGH = 8000,		/* a sector of the volume, and a block there */
	BLOCK = 8,
	LIMIT_BYTES = HIGH * 512,
};

static void setup(void)
{
	world_begin_with(BLOCK, MODE_WRITEBACK);
	signal(SIGXFSZ, SIG_IGN);
}

TestSuite(write, .init = setup, .fini = world_end, .timeout = 60);

/* A write to a device that takes nothing from `bytes` on. */
static int write_limited(rlim_t bytes, uint64_t sector, uint64_t sectors)
{
	int error;

	cr_assert(zero(int, world_ask(REQUEST_FLUSH, 0, 0)));	/* nothing else is under way */
	world_limit_files(bytes);
	error = world_write(sector, sectors, NEW);
	world_limit_files(RLIM_INFINITY);
	return error;
}

static uint64_t dirty_bytes(void)
{
	return volume_dirty_bytes(world.volume);
}

static bool is_in_cache(uint64_t sector)
{
	return world_place(world.volume, sector, NULL) != 0;
}

static void write_old(enum cache_mode mode)
{
	world.volume->mode = mode;
	cr_assert(zero(int, world_write(HIGH, BLOCK, OLD)));
}

Test(write, around_that_fails_takes_clean_data_out_of_the_cache)
{
	write_old(MODE_WRITETHROUGH);
	cr_assert(is_in_cache(HIGH));
	world.volume->mode = MODE_WRITEAROUND;
	cr_expect(ne(int, write_limited(LIMIT_BYTES, HIGH, BLOCK), 0));
	cr_expect(not(is_in_cache(HIGH)));
	cr_expect(eq(u64, device_errors(world.volume->backing), 1));
	cr_expect(zero(u64, device_errors(world.set->cache.device)));
	cr_expect(eq(int, world_read(HIGH, BLOCK), OLD));
}

/* Else older data than those would be seen. */
Test(write, around_that_fails_leaves_dirty_data_in_sight)
{
	write_old(MODE_WRITEBACK);
	world.volume->mode = MODE_WRITEAROUND;
	cr_expect(ne(int, write_limited(LIMIT_BYTES, HIGH, BLOCK), 0));
	cr_expect(eq(u64, dirty_bytes(), BLOCK * 512));
	cr_expect(eq(int, world_read(HIGH, BLOCK), OLD));
	cr_expect(eq(u64, device_errors(world.volume->backing), 1));
}

/* The rest may be new on the backing device: an old copy would show until it is evicted. */
Test(write, that_fails_below_takes_out_all_but_what_is_dirty)
{
	world.volume->mode = MODE_WRITETHROUGH;
	cr_assert(zero(int, world_write(HIGH, 4 * BLOCK, OLD)));
	world.volume->mode = MODE_WRITEBACK;
	cr_assert(zero(int, world_write(HIGH + BLOCK, BLOCK, OLD)));
	cr_assert(zero(int, world_write(HIGH + 3 * BLOCK, BLOCK, OLD)));
	world.volume->mode = MODE_WRITETHROUGH;
	cr_expect(lt(int, write_limited(LIMIT_BYTES, HIGH, 4 * BLOCK), 0));
	for (unsigned i = 0; i < 4; i++) {
		cr_expect(eq(int, is_in_cache(HIGH + i * BLOCK), i % 2), "block %u", i);
		cr_expect(eq(int, world_read(HIGH + i * BLOCK, BLOCK), OLD), "block %u", i);
	}
	cr_expect(eq(u64, dirty_bytes(), 2 * BLOCK * 512));
}

Test(write, through_that_fails_below_leaves_neither_in_sight)
{
	write_old(MODE_WRITETHROUGH);
	cr_expect(ne(int, write_limited(LIMIT_BYTES, HIGH, BLOCK), 0));
	cr_expect(not(is_in_cache(HIGH)));
	cr_expect(eq(u64, device_errors(world.volume->backing), 1));
}

Test(write, back_that_fails_on_both_devices_leaves_what_was_there)
{
	write_old(MODE_WRITEBACK);
	cr_expect(ne(int, write_limited(0, HIGH, BLOCK), 0));
	cr_expect(eq(u64, device_errors(world.set->cache.device), 1));
	cr_expect(eq(u64, device_errors(world.volume->backing), 1));
	cr_expect(eq(u64, dirty_bytes(), BLOCK * 512));
	cr_expect(eq(int, world_read(HIGH, BLOCK), OLD));
	cr_expect(zero(u64, world.set->cache.space.dirty_promised));
}

/* From what the cache has of HIGH on, no file can be written. */
static void limit_cache(void)
{
	cr_assert(lt(u64, (WORLD_DATA_OFFSET + BLOCK) * 512,
		     world_place(world.volume, HIGH, NULL) * 512));
	world_limit_files(world_place(world.volume, HIGH, NULL) * 512);
}

Test(write, back_that_fails_in_the_cache_goes_to_the_backing_device)
{
	write_old(MODE_WRITEBACK);
	limit_cache();
	cr_expect(zero(int, world_write(0, BLOCK, NEW)));
	world_limit_files(RLIM_INFINITY);
	cr_expect(eq(u64, device_errors(world.set->cache.device), 1));
	cr_expect(not(is_in_cache(0)));
	cr_expect(eq(u64, dirty_bytes(), BLOCK * 512));
	cr_expect(eq(int, world_read(0, BLOCK), NEW));
	cr_expect(eq(int, world_read(HIGH, BLOCK), OLD));
	cr_expect(zero(u64, world.set->cache.space.dirty_promised));
}

/* A cache that fails does not make a write fail that has a backing device. */
Test(write, through_that_fails_in_the_cache_alone_succeeds)
{
	uint64_t size = world.set->cache.superblock.buckets * WORLD_BUCKET_SECTORS * 512;

	write_old(MODE_WRITETHROUGH);
	world_cut(world.cache_path, world_place(world.volume, HIGH, NULL));
	limit_cache();
	cr_expect(zero(int, world_write(0, BLOCK, NEW)));
	world_limit_files(RLIM_INFINITY);
	cr_assert(zero(int, truncate(world.cache_path, size)));
	cr_expect(eq(u64, device_errors(world.set->cache.device), 1));
	cr_expect(not(is_in_cache(0)));
	cr_expect(eq(int, world_read(0, BLOCK), NEW));
}

Test(write, through_that_fails_on_both_devices_is_an_error_of_both)
{
	write_old(MODE_WRITETHROUGH);
	cr_expect(ne(int, write_limited(0, HIGH, BLOCK), 0));
	cr_expect(eq(u64, device_errors(world.set->cache.device), 1));
	cr_expect(eq(u64, device_errors(world.volume->backing), 1));
	cr_expect(eq(int, device_counts(world.volume->backing)->last_error[TRANSFER_WRITE],
		     -EFBIG));
	cr_expect(not(is_in_cache(HIGH)));
}

Test(write, lets_go_of_its_buckets_when_it_fails)
{
	const struct bucket *bucket;

	write_old(MODE_WRITEBACK);
	bucket = &world.set->cache.space.bucket[world_place(world.volume, HIGH, NULL) /
					  WORLD_BUCKET_SECTORS];
	cr_expect(ne(int, write_limited(0, HIGH, BLOCK), 0));
	cr_expect(eq(u32, bucket->pins, 1));		/* of one that is open */
}

static enum backing_state state_on_device(void)
{
	struct superblock_disk disk;
	struct superblock sb;
	FILE *file = fopen(world.backing_path, "r");

	cr_assert(file != NULL);
	fseek(file, SUPERBLOCK_SECTOR * 512, SEEK_SET);
	cr_assert(eq(sz, fread(&disk, sizeof(disk), 1, file), 1));
	fclose(file);
	superblock_decode_unchecked(&sb, &disk);
	return superblock_state(&sb);
}

Test(write, to_a_set_that_failed_makes_a_clean_volume_one_without_a_set)
{
	write_old(MODE_WRITETHROUGH);
	health_fail(&world.set->health, EIO, "made to fail");
	cr_expect(zero(int, world_write(HIGH, BLOCK, NEW)));
	cr_expect(eq(int, state_on_device(), STATE_NONE));	/* ORDER-18 */
	cr_expect(eq(int, world_read(HIGH, BLOCK), NEW));
	world_pause();
	cr_expect(eq(ptr, world.volume->set, NULL));
	cr_expect(ne(int, world.daemon.last_error.code, 0));
	cr_expect(eq(int, world_read(HIGH, BLOCK), NEW));
	cr_expect(zero(int, world_ask(REQUEST_FLUSH, 0, 0)));
}

Test(write, to_a_set_that_failed_fails_where_there_are_dirty_data)
{
	write_old(MODE_WRITEBACK);
	world_kill_set();
	cr_expect(eq(int, world_write(HIGH, BLOCK, NEW), -EIO));
	cr_expect(eq(int, world_write(0, BLOCK, NEW), -EIO));
	cr_expect(eq(int, world_ask(REQUEST_FLUSH, 0, 0), -EIO));
	cr_expect(eq(int, state_on_device(), STATE_DIRTY));
	cr_expect(eq(ptr, world.volume->set, world.set));
	cr_expect(eq(int, world_read(HIGH, BLOCK), -EIO));
	cr_expect(zero(int, world_read(0, BLOCK)));
}

/* ---- where it goes ---- */

static void expect_way(enum cache_mode mode, bool is_cached, uint64_t dirty)
{
	world.volume->mode = mode;
	cr_assert(zero(int, world_write(HIGH, BLOCK, NEW)));
	cr_expect(eq(int, is_in_cache(HIGH), is_cached));
	cr_expect(eq(u64, dirty_bytes(), dirty));
}

static uint64_t use_all_but(uint64_t available)
{
	uint64_t before = world.set->cache.space.available;

	world.set->cache.space.available = available;
	return before;
}

/* More than 95 percent are in use: nothing clean goes in, and nothing dirty. */
Test(write, goes_around_a_full_cache)
{
	uint64_t before = use_all_but(10);

	expect_way(MODE_WRITETHROUGH, false, 0);
	expect_way(MODE_WRITEBACK, false, 0);
	world.set->cache.space.available = before;
	expect_way(MODE_WRITEBACK, true, BLOCK * 512);
}

Test(write, goes_through_a_cache_of_which_95_percent_are_in_use)
{
	uint64_t before = use_all_but(WORLD_BUCKETS / 20);

	expect_way(MODE_WRITETHROUGH, true, 0);
	world.set->cache.space.available = before;
}

Test(write, of_a_volume_that_is_being_detached_goes_around)
{
	world.volume->is_detaching = true;
	expect_way(MODE_WRITEBACK, false, 0);
	expect_way(MODE_WRITETHROUGH, false, 0);
	world.volume->is_detaching = false;
}

/* Dirty data are let in up to the percentage itself. */
Test(write, goes_back_up_to_its_cutoff)
{
	uint64_t before = use_all_but(WORLD_BUCKETS * 3 / 10);

	world.set->cutoff_writeback_sync = 70;
	expect_way(MODE_WRITEBACK, true, BLOCK * 512);
	world.set->cutoff_writeback_sync = 69;
	expect_way(MODE_WRITEBACK, true, 0);		/* through */
	world.set->cache.space.available = before;
}
