/* Requests that go around the cache: long streams, and those that a congested cache turns away. */
#include "cache/bypass.h"
#include "cache_world.h"
#include "io/congestion.h"

enum {
	OLD = 1, NEW = 2,
	PIECE = 64,				/* sectors of a request */
	CUTOFF = 4 * PIECE * 512,
	CACHE_SECTORS = WORLD_BUCKETS * WORLD_BUCKET_SECTORS,
	SET_SECTORS = CACHE_SECTORS / 8,	/* the working set */
	STREAM_SECTORS = 4 * CACHE_SECTORS,
};

static void setup(void)
{
	world_begin_with(8, MODE_WRITEBACK);
	world.volume->sequential_cutoff = CUTOFF;
}

TestSuite(bypass, .init = setup, .fini = world_end, .timeout = 60);

static uint64_t counted(enum stats_counter counter)
{
	return stats_value(&world.volume->stats, STATS_TOTAL, counter);
}

static bool is_cached(uint64_t sector)
{
	return world_place(world.volume, sector, NULL) != 0;
}

static void wait_for_fills(void)
{
	while (world.set->fills.under_way)
		world_pause();
}

static void write_stream(uint64_t sector, unsigned pieces, unsigned char byte)
{
	for (unsigned i = 0; i < pieces; i++)
		cr_assert(zero(int, world_write(sector + i * PIECE, PIECE, byte)));
}

static void read_stream(uint64_t sector, unsigned pieces, int byte)
{
	for (unsigned i = 0; i < pieces; i++)
		cr_assert(eq(int, world_read(sector + i * PIECE, PIECE), byte));
	wait_for_fills();
}

/* The request that reaches the cutoff is the first one that goes around. */
Test(bypass, takes_writes_of_a_stream_beyond_the_cutoff)
{
	write_stream(0, 6, NEW);
	cr_expect(is_cached(2 * PIECE));
	cr_expect(not(is_cached(3 * PIECE)));
	cr_expect(not(is_cached(5 * PIECE)));
	cr_expect(eq(u64, counted(STATS_BYPASSED_SECTORS), 3 * PIECE));
	cr_expect(eq(u64, volume_dirty_bytes(world.volume), 3 * PIECE * 512));
	for (unsigned i = 0; i < 6; i++)
		cr_expect(eq(int, world_read(i * PIECE, PIECE), NEW));
}

Test(bypass, takes_older_data_out_of_the_cache)
{
	for (unsigned i = 6; i--;)
		cr_assert(zero(int, world_write(i * PIECE, PIECE, OLD)));
	cr_assert(is_cached(5 * PIECE));
	write_stream(0, 6, NEW);
	cr_expect(not(is_cached(5 * PIECE)));
	cr_expect(eq(u64, volume_dirty_bytes(world.volume), 3 * PIECE * 512));
	for (unsigned i = 0; i < 6; i++)
		cr_expect(eq(int, world_read(i * PIECE, PIECE), NEW));
}

Test(bypass, takes_reads_of_a_stream_beyond_the_cutoff)
{
	read_stream(0, 6, 0);
	cr_expect(is_cached(2 * PIECE));
	cr_expect(not(is_cached(3 * PIECE)));
	cr_expect(eq(u64, counted(STATS_MISSES), 3));
	cr_expect(eq(u64, counted(STATS_BYPASS_MISSES), 3));
	cr_expect(eq(u64, counted(STATS_BYPASSED_SECTORS), 3 * PIECE));
}

Test(bypass, shows_what_is_cached)
{
	for (unsigned i = 6; i--;)
		cr_assert(zero(int, world_write(i * PIECE, PIECE, OLD)));
	read_stream(0, 6, OLD);
	cr_expect(eq(u64, counted(STATS_HITS), 3));
	cr_expect(eq(u64, counted(STATS_BYPASS_HITS), 3));
	cr_expect(is_cached(5 * PIECE));
}

Test(bypass, needs_no_blocks_to_follow_a_stream)
{
	for (unsigned i = 0; i < 200; i++)
		cr_assert(zero(int, world_ask_of(world.volume, REQUEST_WRITE, i * 1000, 1000)));
	cr_expect(is_cached(0));
	cr_expect(not(is_cached(199 * 1000 / 512)));
}

Test(bypass, leaves_scattered_requests_in_the_cache)
{
	for (unsigned i = 0; i < 16; i++)
		cr_assert(zero(int, world_write(i * 7 % 16 * 2 * PIECE, PIECE, NEW)));
	cr_expect(zero(u64, counted(STATS_BYPASSED_SECTORS)));
}

Test(bypass, takes_no_stream_without_a_cutoff)
{
	world.volume->sequential_cutoff = 0;
	write_stream(0, 16, NEW);
	cr_expect(zero(u64, counted(STATS_BYPASSED_SECTORS)));
	cr_expect(is_cached(15 * PIECE));
}

Test(bypass, takes_streams_when_the_cache_is_congested)
{
	struct congestion *congestion = device_congestion(world.set->cache.device);

	world.volume->sequential_cutoff = 0;
	congestion->value = -CONGESTION_MAX;
	congestion->last_slow_ns = clock_ns(world.reactor);
	cr_assert(zero(int, world_write(0, PIECE, NEW)));
	cr_expect(not(is_cached(0)));
	congestion->read_threshold_us = congestion->write_threshold_us = 0;
	cr_assert(zero(int, world_write(0, PIECE, NEW)));
	cr_expect(is_cached(0));
}

/* ---- a stream of four times the cache ---- */

static void setup_large(void)
{
	struct error error = { .code = 0 };

	log_open(LOG_TO_STDERR, LOG_LEVEL_WARNING);
	world = (struct world){ .reactor = test_reactor(), .blocking = blocking_new(&error) };
	cr_assert(world.blocking != NULL, "%s", error.text);
	world.data = buffer_new(WORLD_REQUEST_BYTES);
	world_format_cache(8, 0);
	world_format_backing(8, SET_SECTORS + PIECE + STREAM_SECTORS, MODE_WRITETHROUGH);
	world_serve();
	world_attach();
}

TestSuite(stream, .init = setup_large, .fini = world_end, .timeout = 60);

/* In an order in which no request follows the one before; how many pieces were cached? */
static unsigned read_working_set(void)
{
	unsigned pieces = SET_SECTORS / PIECE;
	uint64_t hits = counted(STATS_HITS) + counted(STATS_BYPASS_HITS);

	for (unsigned i = pieces; i--;) {
		world_rest();		/* fills never wait for a bucket */
		cr_assert(zero(int, world_ask(REQUEST_READ, (uint64_t)i * PIECE, PIECE)));
		wait_for_fills();
	}
	return counted(STATS_HITS) + counted(STATS_BYPASS_HITS) - hits;
}

static void read_long_stream(void)
{
	enum { LARGE = REQUEST_BYTES_MAX / 512 };
	uint64_t start = SET_SECTORS + PIECE;

	for (uint64_t at = 0; at + LARGE <= STREAM_SECTORS; at += LARGE) {
		world_rest();
		cr_assert(zero(int, world_ask(REQUEST_READ, start + at, LARGE)));
		wait_for_fills();
	}
}

Test(stream, of_four_times_the_cache_leaves_the_working_set_there)
{
	cr_assert(zero(u32, read_working_set()));
	cr_assert(eq(u32, read_working_set(), SET_SECTORS / PIECE));
	read_long_stream();
	cr_expect(eq(u32, read_working_set(), SET_SECTORS / PIECE));
}

/* The test above tests something. */
Test(stream, without_a_cutoff_pushes_the_working_set_out)
{
	world.volume->sequential_cutoff = 0;
	cr_assert(zero(u32, read_working_set()));
	read_long_stream();
	cr_expect(lt(u32, read_working_set(), SET_SECTORS / PIECE / 2));
}
