/* Reading through the cache: whence it comes, and what a cache that fails means for it. */
#include "cache_world.h"

enum { CLEAN = 1, DIRTY = 2, OLD = 3 };

static void setup(void)
{
	world_begin_with(1, MODE_WRITEBACK);
}

TestSuite(read, .init = setup, .fini = world_end, .timeout = 60);

static void write_clean(uint64_t sector, uint64_t sectors)
{
	world.volume->mode = MODE_WRITETHROUGH;
	cr_assert(zero(int, world_write(sector, sectors, CLEAN)));
	world.volume->mode = MODE_WRITEBACK;
}

static void write_dirty(uint64_t sector, uint64_t sectors)
{
	cr_assert(zero(int, world_write(sector, sectors, DIRTY)));
}

/* The cache loses all that lies at or behind that of `sector`. */
static void lose_from(uint64_t sector)
{
	uint64_t place = world_place(world.volume, sector, NULL);

	cr_assert(ne(u64, place, 0));
	world_cut(world.cache_path, place);
}

Test(read, of_what_is_nowhere_comes_from_the_backing_device)
{
	cr_expect(zero(int, world_read(0, 64)));
}

Test(read, of_dirty_data_comes_from_the_cache)
{
	write_dirty(0, 64);
	world_cut(world.backing_path, WORLD_DATA_OFFSET);
	cr_expect(eq(int, world_read(0, 64), DIRTY));
}

Test(read, of_clean_data_comes_from_the_cache)
{
	write_clean(0, 64);
	world_cut(world.backing_path, WORLD_DATA_OFFSET);
	cr_expect(eq(int, world_read(0, 64), CLEAN));
}

Test(read, of_clean_data_that_the_cache_lost_comes_from_the_backing_device)
{
	write_clean(0, 64);
	lose_from(0);
	cr_expect(eq(int, world_read(0, 64), CLEAN));
	cr_expect(eq(u64, device_errors(world.set->cache.device), 1));
	cr_expect(zero(u64, device_errors(world.volume->backing)));
}

Test(read, of_dirty_data_that_the_cache_lost_fails)
{
	write_dirty(0, 64);
	lose_from(0);
	cr_expect(eq(int, world_read(0, 64), -EIO));
}

Test(read, of_a_backing_device_that_fails_fails)
{
	world_cut(world.backing_path, WORLD_DATA_OFFSET);
	cr_expect(eq(int, world_read(0, 64), -EIO));
	cr_expect(eq(u64, device_errors(world.volume->backing), 1));
	cr_expect(zero(u64, device_errors(world.set->cache.device)));
}

/* Each device is charged with its own error. */
Test(read, of_both_devices_that_fail_is_an_error_of_both)
{
	write_clean(0, 8);
	lose_from(0);
	world_cut(world.backing_path, WORLD_DATA_OFFSET);
	cr_expect(eq(int, world_read(0, 64), -EIO));
	cr_expect(eq(u64, device_errors(world.set->cache.device), 1));
	cr_expect(eq(u64, device_counts(world.set->cache.device)->errors[TRANSFER_READ], 1));
	cr_expect(eq(u64, device_errors(world.volume->backing), 1));
	cr_expect(eq(int, device_counts(world.volume->backing)->last_error[TRANSFER_READ], -EIO));
}

Test(read, has_the_dirty_data_over_the_clean_ones_that_were_lost)
{
	write_dirty(0, 8);
	write_clean(8, 8);
	write_dirty(16, 8);
	cr_assert(lt(u64, world_place(world.volume, 0, NULL), world_place(world.volume, 8, NULL)));
	lose_from(8);
	cr_assert(zero(int, world_ask(REQUEST_READ, 0, 16)));
	cr_expect(eq(int, world_byte(0, 8), DIRTY));
	cr_expect(eq(int, world_byte(8, 8), CLEAN));
	cr_expect(eq(int, world_read(16, 8), -EIO));
}

/* Two batches: what is dirty in the first one must not decide about the second. */
Test(read, of_lost_clean_data_succeeds_whatever_was_read_before)
{
	for (uint64_t i = 0; i < REQUEST_PARTS_MAX; i += 2)
		write_dirty(i, 1);
	write_clean(REQUEST_PARTS_MAX, 8);
	for (uint64_t i = 0; i < REQUEST_PARTS_MAX; i += 2)
		cr_assert(lt(u64, world_place(world.volume, i, NULL),
			     world_place(world.volume, REQUEST_PARTS_MAX, NULL)));
	lose_from(REQUEST_PARTS_MAX);
	cr_assert(zero(int, world_ask(REQUEST_READ, 0, REQUEST_PARTS_MAX + 8)));
	for (uint64_t i = 0; i < REQUEST_PARTS_MAX; i++)
		cr_expect(eq(int, world_byte(i, 1), i % 2 ? 0 : DIRTY));
	cr_expect(eq(int, world_byte(REQUEST_PARTS_MAX, 8), CLEAN));
}

Test(read, of_many_extents_of_one_bucket_unpins_it)
{
	const struct bucket *bucket;
	unsigned pins;

	write_clean(0, 64);
	for (uint64_t i = 0; i < 64; i += 2)
		write_dirty(i, 1);
	bucket = &world.set->cache.space.bucket[world_place(world.volume, 0, NULL) /
					  WORLD_BUCKET_SECTORS];
	pins = bucket->pins;
	cr_assert(zero(int, world_ask(REQUEST_READ, 0, 64)));
	cr_expect(eq(u32, bucket->pins, pins));
}

Test(read, of_a_dead_set_fails_where_it_has_dirty_data)
{
	write_clean(64, 8);
	write_dirty(0, 8);
	world_kill_set();
	cr_expect(eq(int, world_read(0, 8), -EIO));
	cr_expect(eq(int, world_read(0, 64), -EIO));
	cr_expect(eq(int, world_read(64, 8), CLEAN));
	cr_expect(zero(int, world_read(72, 8)));
}

Test(read, of_a_dead_set_comes_from_the_backing_device_where_nothing_is_dirty)
{
	write_clean(0, 8);
	world_kill_set();
	cr_expect(eq(int, world_read(0, 8), CLEAN));
	cr_expect(zero(int, world_read(8, 8)));
}

/* ---- gaps and the blocks of the backing device ---- */

/* Reads so much with larger blocks: whether the gap was read alone, so that it may be kept. */
static bool keeps_gap(unsigned block_sectors, uint64_t sectors)
{
	bool is_kept;

	world.volume->block_sectors = block_sectors;
	cr_assert(zero(int, world_ask(REQUEST_READ, 0, sectors)));
	is_kept = world.set->fills.under_way;
	while (world.set->fills.under_way)
		world_pause();
	world.volume->block_sectors = 1;
	return is_kept;
}

Test(read, reads_no_gap_alone_that_begins_inside_a_block)
{
	write_clean(0, 4);
	cr_expect(not(keeps_gap(8, 8)));
	cr_expect(eq(int, world_byte(0, 4), CLEAN));
	cr_expect(zero(int, world_byte(4, 4)));
}

Test(read, reads_no_gap_alone_that_ends_inside_a_block)
{
	write_clean(4, 4);
	cr_expect(not(keeps_gap(8, 8)));
	cr_expect(zero(int, world_byte(0, 4)));
	cr_expect(eq(int, world_byte(4, 4), CLEAN));
}

/* Blocks count from where the data begin. */
Test(read, reads_a_gap_of_whole_blocks_alone)
{
	write_clean(64, 64);
	cr_expect(keeps_gap(64, 128));
	cr_expect(zero(int, world_byte(0, 64)));
	cr_expect(eq(int, world_byte(64, 64), CLEAN));
}
