/* Requests: what a volume allows when it changes under them, and what a set that died means. */
#include "cache_world.h"
#include "io/device_shared.h"

enum { OBSOLETE_LAYOUT = FEATURE_OBSOLETE_LARGE_BUCKET };

static void setup(void)
{
	world_begin_with(8, MODE_WRITEBACK);
}

TestSuite(request, .init = setup, .fini = world_end, .timeout = 60);

/* The set becomes one of the obsolete layout, which is found out when a volume joins it. */
static void detach(void)
{
	struct awaiter awaiter;
	struct error error = { .code = 0 };

	awaiter_init(&awaiter, world.reactor);
	volume_detach(world.volume, &error, &awaiter.op);
	cr_assert(zero(int, awaiter_wait(&awaiter)), "%s", error.text);
}

static void attach_to_what_is_obsolete(void)
{
	detach();
	world.set->cache.superblock.feature_incompatible |= OBSOLETE_LAYOUT;
	world_attach();
}

Test(request, that_writes_to_a_volume_that_became_read_only_is_refused)
{
	attach_to_what_is_obsolete();
	cr_expect(eq(int, world_write(0, 8, 1), -EROFS));
	cr_expect(eq(int, world_ask(REQUEST_ZERO, 0, 8), -EROFS));
	cr_expect(eq(int, world_ask(REQUEST_DISCARD, 0, 8), -EROFS));
	cr_expect(zero(u32, world.volume->in_flight));
}

Test(request, that_reads_or_flushes_a_volume_that_became_read_only_succeeds)
{
	attach_to_what_is_obsolete();
	cr_expect(zero(int, world_read(0, 8)));
	cr_expect(zero(int, world_ask(REQUEST_FLUSH, 0, 0)));
}

/* What was written before is made durable: the backing device is flushed. */
Test(request, that_flushes_a_volume_that_became_read_only_flushes_its_device)
{
	uint64_t flushes;

	attach_to_what_is_obsolete();
	flushes = device_shared(world.volume->backing)->flush.completed;
	cr_expect(zero(int, world_ask(REQUEST_FLUSH, 0, 0)));
	cr_expect(eq(u64, device_shared(world.volume->backing)->flush.completed, flushes + 1));
}

Test(request, that_writes_succeeds_again_once_the_volume_has_left_that_set)
{
	attach_to_what_is_obsolete();
	detach();
	cr_expect(zero(int, world_write(0, 8, 1)));
	cr_expect(eq(int, world_read(0, 8), 1));
}

static int byte_on_backing_device(uint64_t sector)
{
	int fd = open(world.backing_path, O_RDONLY | O_CLOEXEC);
	unsigned char byte;

	cr_assert(eq(i64, pread(fd, &byte, 1, (WORLD_DATA_OFFSET + sector) * 512), 1));
	close(fd);
	return byte;
}

Test(request, that_discards_reads_as_zeros)
{
	cr_assert(zero(int, world_write(0, 16, 1)));
	cr_assert(zero(int, world_ask(REQUEST_DISCARD, 0, 8)));
	cr_expect(zero(int, world_read(0, 8)));
	cr_expect(eq(int, world_read(8, 8), 1));
}

/* The backing device stays what the clean data in the cache say that it is. */
Test(request, that_discards_of_a_dead_set_with_dirty_data_touches_nothing)
{
	world.volume->mode = MODE_WRITETHROUGH;
	cr_assert(zero(int, world_write(0, 8, 1)));
	world.volume->mode = MODE_WRITEBACK;
	cr_assert(zero(int, world_write(8, 8, 1)));
	world_kill_set();
	cr_expect(eq(int, world_ask(REQUEST_DISCARD, 0, 8), -EIO));
	cr_expect(eq(int, byte_on_backing_device(0), 1));
	cr_expect(eq(int, world_read(0, 8), 1));
}

Test(request, that_discards_of_a_dead_set_is_one_of_the_backing_device)
{
	world.volume->mode = MODE_WRITETHROUGH;
	cr_assert(zero(int, world_write(0, 8, 1)));
	health_fail(&world.set->health, EIO, "killed by a test");
	cr_expect(zero(int, world_ask(REQUEST_DISCARD, 0, 8)));
	cr_expect(zero(int, byte_on_backing_device(0)));
	cr_expect(zero(int, world_read(0, 8)));
	cr_expect(eq(int, volume_state(world.volume), STATE_NONE));
}

Test(request, that_reads_of_a_dead_set_is_a_miss)
{
	const struct stats *stats = &world.volume->stats;

	world.volume->mode = MODE_WRITETHROUGH;
	cr_assert(zero(int, world_write(0, 8, 1)));
	health_fail(&world.set->health, EIO, "killed by a test");
	cr_expect(eq(int, world_read(0, 8), 1));
	cr_expect(eq(u64, stats_value(stats, STATS_TOTAL, STATS_MISSES), 1));
	cr_expect(zero(u64, stats_value(stats, STATS_TOTAL, STATS_HITS)));
}

Test(request, that_writes_in_part_of_a_block_keeps_the_rest)
{
	cr_assert(zero(int, world_write(0, 16, 1)));
	cr_assert(zero(int, world_write(3, 9, 2)));
	cr_assert(zero(int, world_ask(REQUEST_READ, 0, 16)));
	cr_expect(eq(int, world_byte(0, 3), 1));
	cr_expect(eq(int, world_byte(3, 9), 2));
	cr_expect(eq(int, world_byte(12, 4), 1));
}

Test(request, that_writes_tells_its_way)
{
	cr_assert(zero(int, world_write(0, 8, 1)));
	cr_expect(eq(int, world.way, TRAFFIC_WRITE_BACK));
	world.volume->mode = MODE_WRITETHROUGH;
	cr_assert(zero(int, world_write(8, 8, 1)));
	cr_expect(eq(int, world.way, TRAFFIC_WRITE_THROUGH));
	world.volume->mode = MODE_WRITEAROUND;
	cr_assert(zero(int, world_write(16, 8, 1)));
	cr_expect(eq(int, world.way, TRAFFIC_WRITE_BYPASS));
	detach();
	cr_assert(zero(int, world_write(0, 8, 1)));
	cr_expect(eq(int, world.way, TRAFFIC_WRITE_BYPASS));
}

/* It covers blocks in part, so it reads them first. */
Test(request, that_writes_in_part_of_a_block_is_a_write)
{
	cr_assert(zero(int, world_write(3, 9, 2)));
	cr_expect(eq(int, world.way, TRAFFIC_WRITE_BACK));
}

Test(request, that_reads_tells_its_way)
{
	cr_assert(zero(int, world_write(0, 8, 1)));
	cr_assert(eq(int, world_read(0, 8), 1));
	cr_expect(eq(int, world.way, TRAFFIC_READ_HIT));
	cr_assert(zero(int, world_read(64, 8)));
	cr_expect(eq(int, world.way, TRAFFIC_READ_MISS));
	detach();
	cr_assert(eq(int, world_read(0, 8), 1));
	cr_expect(eq(int, world.way, TRAFFIC_READ_BYPASS));
}

Test(request, that_flushes_or_discards_has_a_way_of_its_own)
{
	cr_assert(zero(int, world_ask(REQUEST_FLUSH, 0, 0)));
	cr_expect(eq(int, world.way, TRAFFIC_WAY_FLUSH));
	cr_assert(zero(int, world_ask(REQUEST_DISCARD, 0, 8)));
	cr_expect(eq(int, world.way, TRAFFIC_WAY_DISCARD));
	cr_assert(zero(int, world_ask(REQUEST_ZERO, 0, 8)));
	cr_expect(eq(int, world.way, TRAFFIC_WAY_DISCARD));
}
