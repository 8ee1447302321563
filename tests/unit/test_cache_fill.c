/* Fills: what a read missed goes into the cache, or leaves no trace. */
#include <signal.h>
#include <sys/resource.h>

#include "cache/bypass.h"
#include "cache_world.h"

enum { OLD = 1, NEW = 2 };

static void setup(void)
{
	world_begin_with(8, MODE_WRITEAROUND);
	cr_assert(zero(int, world_write(0, 64, OLD)));
}

TestSuite(fill, .init = setup, .fini = world_end, .timeout = 60);

static struct fills *fills(void)
{
	return &world.set->fills;
}

static uint64_t counted(enum stats_counter counter)
{
	return stats_value(&world.volume->stats, STATS_TOTAL, counter);
}

static void wait_for_fills(void)
{
	while (fills()->under_way)
		world_pause();
	cr_expect(eq(u32, fills()->buffer_count, fills()->buffers_made));
}

static void expect_in_cache(uint64_t sector, bool is_there)
{
	bool is_dirty = false;

	cr_expect(eq(int, world_place(world.volume, sector, &is_dirty) != 0, is_there));
	cr_expect(not(is_dirty));
}

Test(fill, keeps_what_was_missed)
{
	cr_assert(eq(int, world_read(0, 16), OLD));
	cr_expect(eq(u32, fills()->under_way, 1));
	wait_for_fills();
	expect_in_cache(0, true);
	expect_in_cache(15, true);
	expect_in_cache(16, false);
	world_cut(world.backing_path, WORLD_DATA_OFFSET);
	cr_expect(eq(int, world_read(0, 16), OLD));
}

/* A backing device may have smaller blocks than the set. */
Test(fill, is_of_whole_blocks_of_the_set)
{
	world.volume->block_sectors = 1;
	cr_assert(eq(int, world_read(4, 8), OLD));
	cr_expect(zero(u32, fills()->under_way));
	cr_assert(eq(int, world_read(0, 4), OLD));
	cr_expect(zero(u32, fills()->under_way));
	expect_in_cache(4, false);
	world.volume->block_sectors = 8;
}

/* FILL-1 */
Test(fill, is_cancelled_by_a_write)
{
	cr_assert(eq(int, world_read(0, 16), OLD));
	cr_assert(eq(u32, fills()->under_way, 1));
	cr_assert(zero(int, world_write(8, 8, NEW)));
	wait_for_fills();
	expect_in_cache(0, false);
	cr_expect(eq(u64, counted(STATS_MISS_COLLISIONS), 1));
	cr_assert(zero(int, world_ask(REQUEST_READ, 0, 16)));
	cr_expect(eq(int, world_byte(0, 8), OLD));
	cr_expect(eq(int, world_byte(8, 8), NEW));
}

Test(fill, is_not_cancelled_by_a_write_beside_it)
{
	cr_assert(eq(int, world_read(0, 16), OLD));
	cr_assert(zero(int, world_write(16, 8, NEW)));
	wait_for_fills();
	expect_in_cache(0, true);
	cr_expect(zero(u64, counted(STATS_MISS_COLLISIONS)));
}

Test(fill, is_left_out_where_no_buffer_is_free)
{
	fills()->buffers_made = FILL_BUFFERS_MAX;
	cr_assert(eq(int, world_read(0, 16), OLD));
	cr_expect(zero(u32, fills()->under_way));
	fills()->buffers_made = 0;
	expect_in_cache(0, false);
	cr_assert(eq(int, world_read(0, 16), OLD));
	wait_for_fills();
	expect_in_cache(0, true);
}

Test(fill, whose_data_cannot_be_written_leaves_no_trace)
{
	struct rlimit limit = { .rlim_cur = 0, .rlim_max = RLIM_INFINITY };

	signal(SIGXFSZ, SIG_IGN);
	cr_assert(zero(int, world_ask(REQUEST_FLUSH, 0, 0)));
	cr_assert(zero(int, setrlimit(RLIMIT_FSIZE, &limit)));
	cr_assert(eq(int, world_read(0, 16), OLD));
	wait_for_fills();
	limit.rlim_cur = RLIM_INFINITY;
	cr_assert(zero(int, setrlimit(RLIMIT_FSIZE, &limit)));
	expect_in_cache(0, false);
	cr_expect(eq(u64, device_errors(world.set->cache.device), 1));
	cr_expect(zero(u64, counted(STATS_MISS_COLLISIONS)));
	cr_expect(zero(int, health_error(&world.set->health)));
}

Test(fill, lets_go_of_its_bucket)
{
	const struct bucket *bucket;

	cr_assert(eq(int, world_read(0, 16), OLD));
	wait_for_fills();
	bucket = &world.set->cache.space.bucket[world_place(world.volume, 0, NULL) /
					  WORLD_BUCKET_SECTORS];
	cr_expect(eq(u32, bucket->pins, 1));		/* of one that is open */
	cr_expect(zero(u32, world.volume->in_flight));
}

/* ---- reads that leave no trace ---- */

static void expect_no_trace_of_a_read(void)
{
	uint64_t misses = counted(STATS_BYPASS_MISSES);

	cr_assert(eq(int, world_read(0, 16), OLD));
	cr_expect(zero(u32, fills()->under_way));
	cr_expect(eq(u64, counted(STATS_BYPASS_MISSES), misses + 1));
	cr_expect(zero(u64, counted(STATS_MISSES)));
	expect_in_cache(0, false);
}

Test(fill, is_not_made_of_a_volume_that_is_being_detached)
{
	world.volume->is_detaching = true;
	expect_no_trace_of_a_read();
	world.volume->is_detaching = false;
}

Test(fill, is_not_made_in_mode_none)
{
	world.volume->mode = MODE_NONE;
	expect_no_trace_of_a_read();
}

Test(fill, is_not_made_of_a_set_that_stops)
{
	world.set->is_stopping = true;
	expect_no_trace_of_a_read();
	world.set->is_stopping = false;
}

static unsigned percent_in_use(void)
{
	unsigned percent;

	set_lock(world.set);
	percent = space_in_use_percent(&world.set->cache.space);
	set_unlock(world.set);
	return percent;
}

/* As few buckets are available as that so much is in use. */
static uint64_t use(unsigned percent)
{
	uint64_t available = world.set->cache.space.available;

	while (percent_in_use() < percent)
		world.set->cache.space.available--;
	cr_assert(eq(u32, percent_in_use(), percent));
	return available;
}

Test(fill, is_not_made_where_more_than_95_percent_are_in_use)
{
	uint64_t available = use(IN_USE_BYPASS_ABOVE + 1);

	expect_no_trace_of_a_read();
	world.set->cache.space.available = available;
}

Test(fill, is_made_where_95_percent_are_in_use)
{
	uint64_t available = use(IN_USE_BYPASS_ABOVE);

	cr_assert(eq(int, world_read(0, 16), OLD));
	world.set->cache.space.available = available;
	wait_for_fills();
	expect_in_cache(0, true);
	cr_expect(eq(u64, counted(STATS_MISSES), 1));
}
