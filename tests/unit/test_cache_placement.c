/*
 * Where a request's data end up: cache, backing device, or both, and what is counted.
 *
 * The simulator compares what volumes show; a cache that never keeps anything
 * would satisfy it.  Here the backing device is changed behind the engine's back:
 * a read that shows the old data came from the cache.
 */
#include <errno.h>

#include "crafted_set.h"
#include "cache/request.h"
#include "io/device_internal.h"
#include "io/device_shared.h"

enum {
	KIB = 1024,
	BLOCK = 8,			/* sectors: of the set, and of the volume by default */
	BUCKET = 128,			/* sectors */
	VOLUME_SECTORS = 32768,		/* 16 MiB; the cache has 37 */
	DATA_OFFSET = 16,
	DATA_ROOM = REQUEST_BYTES_MAX + REQUEST_SLACK_BYTES,
};

static const struct superblock cache_sb = {
	.buckets = 600, .bucket_sectors = BUCKET, .block_sectors = BLOCK, .first_bucket = 1,
};

static struct crafted cache, backing;
static struct volume *volume;
static struct cache_set *set;
static unsigned char *data;

/* ---- one request at a time ---- */

struct asked {
	struct request request;
	bool is_done;
	int error;
};

static void asked_done(struct request *request, int error)
{
	struct asked *asked = container_of(request, struct asked, request);

	asked->is_done = true;
	asked->error = error;
	reactor_stop(crafted_reactor);
}

static void ask(struct asked *asked, enum request_kind kind, uint64_t offset, uint64_t bytes)
{
	asked->is_done = false;
	asked->request.kind = kind;
	asked->request.volume = volume;
	asked->request.offset = offset;
	asked->request.bytes = bytes;
	asked->request.data = data;
	asked->request.task = 1;
	asked->request.done = asked_done;
	request_start(&asked->request);
}

static int await(struct asked *asked)
{
	while (!asked->is_done)
		reactor_run(crafted_reactor);
	return asked->error;
}

/* Looks again at every turn of the reactor, until nothing is left to do. */
struct watcher {
	struct op op;
	bool (*is_over)(void);
	bool has_seen;
};

static void watcher_step(struct op *op)
{
	struct watcher *watcher = container_of(op, struct watcher, op);

	watcher->has_seen = watcher->is_over();
	if (watcher->has_seen)
		reactor_stop(crafted_reactor);
	else
		op_queue(op);
}

static void run_until(bool (*is_over)(void))
{
	struct watcher watcher = { .is_over = is_over };

	op_init(&watcher.op, crafted_reactor, watcher_step);
	op_queue(&watcher.op);
	while (!watcher.has_seen)
		reactor_run(crafted_reactor);
}

static bool no_fill_is_under_way(void)
{
	return !set->fills.under_way;
}

static void expect_done(struct asked *asked)
{
	cr_assert(eq(int, await(asked), 0));
	if (!no_fill_is_under_way())	/* what a miss leaves behind is part of it here */
		run_until(no_fill_is_under_way);
}

static unsigned char byte_of(unsigned seed, uint64_t offset)
{
	return seed * 37 + offset / 512 * 11 + offset % 512;
}

static void fill_data(unsigned seed, uint64_t offset, uint64_t bytes)
{
	for (uint64_t i = 0; i < bytes; i++)
		data[i] = byte_of(seed, offset + i);
}

/* Clean data never wait for a bucket: they go around the cache where none is free. */
static bool buckets_are_free(void)
{
	return set->cache.space.free[USE_DATA].count >= 5;
}

static void write_flags(unsigned seed, uint64_t offset, uint64_t bytes, bool fua, bool sync)
{
	struct asked asked = { .request = { .fua = fua, .sync = sync } };

	run_until(buckets_are_free);
	fill_data(seed, offset, bytes);
	ask(&asked, REQUEST_WRITE, offset, bytes);
	expect_done(&asked);
}

static void write_at(unsigned seed, uint64_t offset, uint64_t bytes)
{
	write_flags(seed, offset, bytes, false, false);
}

static void do_kind(enum request_kind kind, uint64_t offset, uint64_t bytes)
{
	struct asked asked = { .request = { .fua = false } };

	ask(&asked, kind, offset, bytes);
	expect_done(&asked);
}

/* Reads, and compares with the data of `seed`; 0: zeros. */
static void expect_read(unsigned seed, uint64_t offset, uint64_t bytes)
{
	struct asked asked = { .request = { .fua = false } };

	run_until(buckets_are_free);	/* for what a miss leaves */
	memset(data, 0xee, DATA_ROOM);
	ask(&asked, REQUEST_READ, offset, bytes);
	expect_done(&asked);
	for (uint64_t i = 0; i < bytes; i++)
		cr_assert(eq(u8, data[asked.request.skew + i],
			     seed ? byte_of(seed, offset + i) : 0),
			  "byte %llu of a read at %llu", (unsigned long long)i,
			  (unsigned long long)offset);
}

/* ---- behind the engine's back ---- */

static void put_backing(unsigned seed, uint64_t offset, uint64_t bytes)
{
	fill_data(seed, offset, bytes);
	cr_assert(eq(i64, pwrite(backing.fd, data, bytes, DATA_OFFSET * 512 + offset),
		     (ssize_t)bytes));
}

static void expect_backing(unsigned seed, uint64_t offset, uint64_t bytes)
{
	cr_assert(eq(i64, pread(backing.fd, data, bytes, DATA_OFFSET * 512 + offset),
		     (ssize_t)bytes));
	for (uint64_t i = 0; i < bytes; i++)
		cr_assert(eq(u8, data[i], seed ? byte_of(seed, offset + i) : 0),
			  "byte %llu of the backing device", (unsigned long long)(offset + i));
}

/* The cache has `seed` there: a read does not see what the backing device is given. */
static void expect_cached(unsigned seed, uint64_t offset, uint64_t bytes)
{
	put_backing(99, offset, bytes);
	expect_read(seed, offset, bytes);
}

static void expect_not_cached(uint64_t offset, uint64_t bytes)
{
	put_backing(98, offset, bytes);
	expect_read(98, offset, bytes);
}

static uint64_t counted(enum stats_counter counter)
{
	return stats_value(&volume->stats, STATS_TOTAL, counter);
}

/* ---- looking inside ---- */

static struct bkey key_at(uint64_t offset)
{
	struct lookup found;
	int error;

	set_lock(set);
	error = index_lookup(&set->index, volume->slot, DATA_OFFSET + offset / 512, BLOCK, &found,
			     &crafted_awaiter.op);
	set_unlock(set);
	cr_assert(zero(int, error));
	cr_assert(found.is_hit);
	return found.key;
}

static struct bucket *bucket_at(uint64_t offset)
{
	struct bkey k = key_at(offset);

	return &set->cache.space.bucket[space_bucket_of(&set->cache.space, k.ptr)];
}

static unsigned percent_in_use(void)
{
	unsigned percent;

	set_lock(set);
	percent = space_in_use_percent(&set->cache.space);
	set_unlock(set);
	return percent;
}

/* ---- a set of one volume ---- */

static void make_backing(unsigned block_sectors, uint64_t sectors)
{
	backing = (struct crafted){ .sb = { .version = SUPERBLOCK_BACKING, .members = 1,
					    .block_sectors = block_sectors,
					    .data_offset = DATA_OFFSET } };
	crafted_make_file(&backing, DATA_OFFSET + sectors);
	memset(backing.sb.uuid, 4, sizeof(backing.sb.uuid));
	crafted_write_superblock(&backing);
}

static void attach(void)
{
	struct error error = { .code = 0 };

	volume->writeback_tunables.running = false;
	volume_attach(volume, set, &error, &crafted_awaiter.op);
	cr_assert(zero(int, awaiter_wait(&crafted_awaiter)), "%s", error.text);
	cr_assert(eq(ptr, volume->set, set));
}

static void begin_with(unsigned volume_block, uint64_t sectors, enum cache_mode mode)
{
	struct error error;

	data = aligned_alloc(4096, DATA_ROOM);
	crafted_make(&cache, &cache_sb);
	make_backing(volume_block, sectors);
	crafted_daemon_begin(false);
	cr_assert(zero(int, crafted_register(&cache, &error)), "%s", error.text);
	cr_assert(zero(int, crafted_register(&backing, &error)), "%s", error.text);
	set = daemon_find_set(&crafted_daemon, cache.sb.set_uuid);
	cr_assert(ne(ptr, set, NULL));
	volume = daemon_find_volume(&crafted_daemon, 0);
	cr_assert(ne(ptr, volume, NULL));
	attach();
	volume->mode = mode;
	volume->sequential_cutoff = 0;	/* streams are the affair of test_cache_bypass.c */
}

static void begin(enum cache_mode mode)
{
	begin_with(BLOCK, VOLUME_SECTORS, mode);
}

static void end(void)
{
	crafted_daemon_end();
	crafted_done(&cache);
	crafted_done(&backing);
	free(data);
}

TestSuite(placement, .fini = end, .timeout = 120);

/* ---- writes, by mode ---- */

Test(placement, a_write_in_writeback_mode_goes_into_the_cache_alone)
{
	begin(MODE_WRITEBACK);
	write_at(1, 64 * KIB, 12 * KIB);
	expect_backing(0, 64 * KIB, 12 * KIB);
	cr_expect(eq(u64, volume_dirty_bytes(volume), 12 * KIB));
	cr_expect(eq(int, volume_state(volume), STATE_DIRTY));
	cr_expect(zero(u64, counted(STATS_BYPASSED_SECTORS)));
	expect_read(1, 64 * KIB, 12 * KIB);
	cr_expect(eq(u64, counted(STATS_HITS), 1));
}

Test(placement, a_write_in_writethrough_mode_goes_into_both)
{
	begin(MODE_WRITETHROUGH);
	write_at(1, 64 * KIB, 12 * KIB);
	expect_backing(1, 64 * KIB, 12 * KIB);
	cr_expect(zero(u64, volume_dirty_bytes(volume)));
	cr_expect(eq(int, volume_state(volume), STATE_CLEAN));
	expect_cached(1, 64 * KIB, 12 * KIB);
}

Test(placement, a_write_in_writearound_mode_takes_older_data_out_of_the_cache)
{
	begin(MODE_WRITETHROUGH);
	write_at(1, 0, 64 * KIB);
	volume->mode = MODE_WRITEAROUND;
	write_at(2, 8 * KIB, 16 * KIB);
	cr_expect(eq(u64, counted(STATS_BYPASSED_SECTORS), 32));
	expect_backing(2, 8 * KIB, 16 * KIB);
	expect_not_cached(8 * KIB, 16 * KIB);
	expect_cached(1, 0, 8 * KIB);
	expect_cached(1, 24 * KIB, 40 * KIB);
}

Test(placement, a_write_in_mode_none_goes_around)
{
	begin(MODE_NONE);
	write_at(1, 0, 16 * KIB);
	expect_backing(1, 0, 16 * KIB);
	expect_not_cached(0, 16 * KIB);
	cr_expect(zero(u64, volume_dirty_bytes(volume)));
}

Test(placement, a_write_through_hides_dirty_data_and_is_durable_below_first)
{
	begin(MODE_WRITEBACK);
	write_at(1, 0, 16 * KIB);
	volume->mode = MODE_WRITETHROUGH;
	write_at(2, 4 * KIB, 4 * KIB);
	cr_expect(eq(u64, volume_dirty_bytes(volume), 12 * KIB));
	expect_backing(2, 4 * KIB, 4 * KIB);
	expect_read(1, 0, 4 * KIB);
	expect_cached(2, 4 * KIB, 4 * KIB);
	expect_read(1, 8 * KIB, 8 * KIB);
}

/* Else each of these would be FUA on the backing device. */
Test(placement, a_write_over_clean_data_hides_no_dirty_ones)
{
	struct asked asked = { .request = { .fua = false } };

	begin(MODE_WRITEBACK);
	write_at(1, 64 * KIB, 4 * KIB);		/* there are some, elsewhere */
	volume->mode = MODE_WRITETHROUGH;
	write_at(1, 0, 16 * KIB);
	fill_data(2, 4 * KIB, 4 * KIB);
	ask(&asked, REQUEST_WRITE, 4 * KIB, 4 * KIB);
	expect_done(&asked);
	cr_expect(not(asked.request.write.hides_dirty));
	fill_data(2, 64 * KIB, 4 * KIB);
	ask(&asked, REQUEST_WRITE, 64 * KIB, 4 * KIB);
	expect_done(&asked);
	cr_expect(asked.request.write.hides_dirty);
}

Test(placement, a_write_around_hides_dirty_data)
{
	begin(MODE_WRITEBACK);
	write_at(1, 0, 16 * KIB);
	volume->mode = MODE_NONE;
	write_at(2, 4 * KIB, 4 * KIB);
	cr_expect(eq(u64, volume_dirty_bytes(volume), 12 * KIB));
	expect_not_cached(4 * KIB, 4 * KIB);
	expect_read(1, 8 * KIB, 8 * KIB);
}

Test(placement, a_write_to_a_volume_that_is_being_detached_goes_around)
{
	begin(MODE_WRITEBACK);
	volume->is_detaching = true;
	write_at(1, 0, 8 * KIB);
	volume->is_detaching = false;
	expect_backing(1, 0, 8 * KIB);
	expect_not_cached(0, 8 * KIB);
}

/* The cache takes whole blocks only. */
Test(placement, a_write_of_the_short_last_block_goes_around)
{
	begin_with(BLOCK, 2048 + 3, MODE_WRITEBACK);
	write_at(1, 2048 * 512, 3 * 512);
	expect_backing(1, 2048 * 512, 3 * 512);
	cr_expect(zero(u64, volume_dirty_bytes(volume)));
	write_at(1, 2040 * 512, 4 * KIB);
	cr_expect(eq(u64, volume_dirty_bytes(volume), 4 * KIB));
}

Test(placement, dirty_data_are_let_in_up_to_the_cutoff_that_holds_for_the_write)
{
	begin(MODE_WRITEBACK);
	write_at(1, 0, 1024 * KIB);
	cr_assert(lt(u32, 0, percent_in_use()));
	set->cutoff_writeback = 0;
	write_flags(1, 2048 * KIB, 4 * KIB, false, false);
	cr_expect(eq(u64, volume_dirty_bytes(volume), 1024 * KIB));
	expect_backing(1, 2048 * KIB, 4 * KIB);
	write_flags(1, 2048 * KIB, 4 * KIB, false, true);
	cr_expect(eq(u64, volume_dirty_bytes(volume), 1028 * KIB));
	set->cutoff_writeback_sync = 0;
	write_flags(2, 2052 * KIB, 4 * KIB, false, true);
	cr_expect(eq(u64, volume_dirty_bytes(volume), 1028 * KIB));
	expect_cached(2, 2052 * KIB, 4 * KIB);	/* not around: through */
}

Test(placement, data_written_again_are_dirty_once)
{
	begin(MODE_WRITEBACK);
	write_at(1, 0, 256 * KIB);
	write_at(2, 128 * KIB, 256 * KIB);
	cr_expect(eq(u64, volume_dirty_bytes(volume), 384 * KIB));
	expect_read(1, 0, 128 * KIB);
	expect_read(2, 128 * KIB, 256 * KIB);
}

Test(placement, a_write_lets_go_of_the_room_it_was_promised_and_of_its_buckets)
{
	begin(MODE_WRITEBACK);
	write_at(1, 0, 1024 * KIB);
	cr_expect(zero(u64, set->cache.space.dirty_promised));
	volume->mode = MODE_WRITETHROUGH;
	write_at(1, 1024 * KIB, 256 * KIB);
	expect_read(1, 0, 1024 * KIB);
	for (uint64_t i = 0; i < set->cache.space.setup.buckets; i++)
		cr_assert(le(u32, set->cache.space.bucket[i].pins, 1));	/* of an open one */
}

Test(placement, a_write_with_fua_is_in_a_durable_entry)
{
	uint64_t before;

	begin(MODE_WRITEBACK);
	before = set->journal.keys_written;
	write_flags(1, 0, 4 * KIB, true, true);
	cr_expect(lt(u64, before, set->journal.keys_written));
	cr_expect(zero(u32, set->journal.words));	/* nothing is left in the open entry */
	write_flags(1, 4 * KIB, 4 * KIB, false, true);
	cr_expect(lt(u32, 0, set->journal.words));
}

/* ---- reads ---- */

Test(placement, a_read_that_misses_is_kept_and_the_next_one_hits)
{
	begin(MODE_WRITETHROUGH);
	put_backing(1, 128 * KIB, 32 * KIB);
	expect_read(1, 128 * KIB, 32 * KIB);
	cr_expect(eq(u64, counted(STATS_MISSES), 1));
	cr_expect(zero(u64, counted(STATS_HITS)));
	expect_cached(1, 128 * KIB, 32 * KIB);
	cr_expect(eq(u64, counted(STATS_MISSES), 1));
	cr_expect(eq(u64, counted(STATS_HITS), 1));
	cr_expect(zero(u64, volume_dirty_bytes(volume)));
}

Test(placement, a_read_that_misses_in_part_is_made_of_both)
{
	begin(MODE_WRITEBACK);
	put_backing(1, 0, 64 * KIB);
	write_at(1, 16 * KIB, 16 * KIB);
	put_backing(99, 16 * KIB, 16 * KIB);
	expect_read(1, 0, 64 * KIB);
	cr_expect(eq(u64, counted(STATS_MISSES), 1));
	expect_cached(1, 0, 16 * KIB);			/* the first gap was kept */
	expect_not_cached(32 * KIB, 32 * KIB);
}

Test(placement, a_read_in_mode_none_leaves_no_trace)
{
	begin(MODE_NONE);
	put_backing(1, 0, 16 * KIB);
	expect_read(1, 0, 16 * KIB);
	expect_not_cached(0, 16 * KIB);
	cr_expect(eq(u64, counted(STATS_BYPASS_MISSES), 2));
	cr_expect(zero(u64, counted(STATS_MISSES)));
	cr_expect(eq(u64, counted(STATS_BYPASSED_SECTORS), 64));
}

Test(placement, a_hit_in_mode_none_is_a_bypassed_hit)
{
	begin(MODE_WRITEBACK);
	write_at(1, 0, 16 * KIB);
	volume->mode = MODE_NONE;
	expect_read(1, 0, 16 * KIB);
	cr_expect(eq(u64, counted(STATS_BYPASS_HITS), 1));
	cr_expect(zero(u64, counted(STATS_HITS)));
}

Test(placement, a_read_of_a_volume_without_a_set_is_of_the_backing_device)
{
	begin(MODE_WRITETHROUGH);
	volume->set = NULL;
	put_backing(1, 0, 16 * KIB);
	expect_read(1, 0, 16 * KIB);
	expect_not_cached(0, 16 * KIB);
	write_at(2, 0, 8 * KIB);
	expect_backing(2, 0, 8 * KIB);
	do_kind(REQUEST_FLUSH, 0, 0);
	volume->set = set;
}

Test(placement, a_read_of_many_extents_takes_several_turns)
{
	begin(MODE_WRITEBACK);
	put_backing(1, 0, 1024 * KIB);
	for (unsigned i = 0; i < 128; i++)
		write_at(1, i * 8 * KIB, 4 * KIB);
	expect_read(1, 0, 1024 * KIB);
	cr_expect(eq(u64, volume_dirty_bytes(volume), 512 * KIB));
}

Test(placement, a_hit_raises_the_priority_of_its_bucket)
{
	unsigned at_first;

	begin(MODE_WRITETHROUGH);
	write_at(1, 0, 64 * KIB);
	at_first = bucket_at(0)->prio;
	bucket_at(0)->prio = at_first / 2;
	expect_read(1, 0, 4 * KIB);
	cr_expect(eq(u32, bucket_at(0)->prio, at_first));
}

Test(placement, priorities_sink_as_much_is_read_and_written)
{
	uint64_t before;

	begin(MODE_WRITETHROUGH);
	write_at(1, 0, 64 * KIB);
	before = set->cache.space.io_sectors;
	expect_read(1, 0, 8 * KIB);
	cr_expect(eq(u64, set->cache.space.io_sectors, before + 16));
	write_at(1, 0, 4 * KIB);
	cr_expect(eq(u64, set->cache.space.io_sectors, before + 24));
	volume->mode = MODE_NONE;
	write_at(1, 0, 4 * KIB);
	cr_expect(eq(u64, set->cache.space.io_sectors, before + 24));	/* around */
}

/* ---- parts of blocks ---- */

static void expect_patch(uint64_t offset, uint64_t bytes)
{
	uint64_t start = offset / (16 * KIB) * (16 * KIB);

	expect_read(1, start, offset - start);
	expect_read(2, offset, bytes);
	expect_read(1, offset + bytes, 64 * KIB - (offset + bytes - start));
}

Test(placement, a_write_of_parts_of_blocks_keeps_what_is_around_it)
{
	static const struct { unsigned offset, bytes; } patches[] = {
		{ 100, 1 },		/* within a block */
		{ 0, 100 },		/* its beginning */
		{ 4000, 96 },		/* its end */
		{ 4000, 200 },		/* across two */
		{ 4000, 8292 },		/* whole ones between */
		{ 4096, 5000 },		/* a whole one, and a beginning */
		{ 5000, 7288 },		/* an end, and a whole one */
	};

	begin(MODE_WRITEBACK);
	for (unsigned i = 0; i < ARRAY_SIZE(patches); i++) {
		write_at(1, i * 64 * KIB, 64 * KIB);
		write_at(2, i * 64 * KIB + patches[i].offset, patches[i].bytes);
		expect_patch(i * 64 * KIB + patches[i].offset, patches[i].bytes);
	}
}

Test(placement, a_read_of_any_bytes_is_of_those)
{
	begin(MODE_WRITEBACK);
	write_at(1, 0, 64 * KIB);
	expect_read(1, 1, 1);
	expect_read(1, 4095, 2);
	expect_read(1, 4096, 4096);
	expect_read(1, 8191, 12289);
}

/* The last block of the volume is short. */
Test(placement, a_volume_may_end_within_a_block)
{
	uint64_t bytes = (2048 + 3) * 512;

	begin_with(BLOCK, 2048 + 3, MODE_WRITEBACK);
	write_at(1, bytes - 3 * 512, 3 * 512);
	expect_read(1, bytes - 3 * 512, 3 * 512);
	write_at(2, bytes - 700, 700);
	expect_read(2, bytes - 700, 700);
	expect_read(1, bytes - 3 * 512, 3 * 512 - 700);
	write_at(3, bytes - 8192, 8192);
	expect_read(3, bytes - 8192, 8192);
}

/* ---- zeros and discards ---- */

Test(placement, zeros_of_any_length_are_written_around_the_cache)
{
	uint64_t bytes = 3 * REQUEST_BYTES_MAX + 12 * KIB + 100;

	begin(MODE_WRITEBACK);
	for (unsigned i = 0; i < 4; i++)
		write_at(1, i * REQUEST_BYTES_MAX, REQUEST_BYTES_MAX);
	do_kind(REQUEST_ZERO, 50, bytes);
	expect_read(1, 0, 50);
	for (uint64_t at = 50; at < 50 + bytes; at += 256 * KIB)
		expect_read(0, at, min_u64(256 * KIB, 50 + bytes - at));
	expect_read(1, 50 + bytes, 4000);
	expect_backing(0, 4096, 1024 * KIB);
	cr_expect(eq(u64, volume_dirty_bytes(volume),
		     4 * REQUEST_BYTES_MAX - round_up(50 + bytes, 4096)));
}

/* Of whole blocks, and writes zeros to the rest, each sector of which is counted once. */
Test(placement, a_discard_leaves_zeros_and_nothing_dirty)
{
	begin(MODE_WRITEBACK);
	write_at(1, 0, 64 * KIB);
	do_kind(REQUEST_DISCARD, 100, 32 * KIB);
	expect_read(1, 0, 100);
	expect_read(0, 100, 32 * KIB);
	expect_read(1, 32 * KIB + 100, 32 * KIB - 100);
	cr_expect(eq(u64, volume_dirty_bytes(volume), 28 * KIB));
	cr_expect(eq(u64, counted(STATS_BYPASSED_SECTORS), 8 + 56 + 8));
}

Test(placement, a_discard_of_less_than_a_block_writes_zeros)
{
	begin(MODE_WRITEBACK);
	write_at(1, 0, 12 * KIB);
	do_kind(REQUEST_DISCARD, 5000, 10);
	expect_read(1, 0, 5000);
	expect_read(0, 5000, 10);
	expect_read(1, 5010, 12 * KIB - 5010);
	cr_expect(eq(u64, volume_dirty_bytes(volume), 8 * KIB));
}

/* As the kernel finds out about a disk behind a loop device: the first discard is refused. */
Test(placement, a_discard_that_the_device_cannot_do_writes_zeros)
{
	begin(MODE_WRITEBACK);
	for (unsigned i = 0; i < 3; i++)
		write_at(1, i * REQUEST_BYTES_MAX, REQUEST_BYTES_MAX);
	volume->backing->can_discard = false;
	do_kind(REQUEST_DISCARD, 100, 2560 * KIB);
	expect_read(1, 0, 100);
	for (uint64_t at = 100; at < 2560 * KIB; at += 256 * KIB)
		expect_read(0, at, 256 * KIB);
	expect_read(1, 2560 * KIB + 100, 4 * KIB);
	cr_expect(eq(u64, counted(STATS_BYPASSED_SECTORS), (2560 + 4) * 2));
}

/* Keys without a pointer have a largest size; a discard of the whole volume needs many. */
Test(placement, a_discard_may_be_of_all)
{
	begin(MODE_WRITEBACK);
	write_at(1, 0, 1024 * KIB);
	write_at(1, VOLUME_SECTORS * 512 - 64 * KIB, 64 * KIB);
	do_kind(REQUEST_DISCARD, 0, VOLUME_SECTORS * 512);
	cr_expect(zero(u64, volume_dirty_bytes(volume)));
	expect_read(0, 0, 1024 * KIB);
	expect_read(0, VOLUME_SECTORS * 512 - 64 * KIB, 64 * KIB);
}

/* ---- flushes, order ---- */

Test(placement, a_flush_makes_all_keys_durable)
{
	begin(MODE_WRITEBACK);
	write_at(1, 0, 4 * KIB);
	cr_expect(lt(u32, 0, set->journal.words));
	do_kind(REQUEST_FLUSH, 0, 0);
	cr_expect(zero(u32, set->journal.words));
	cr_expect(eq(u64, set->journal.durable, set->journal.open - 1));
}

Test(placement, a_flush_is_one_of_the_backing_device_too)
{
	uint64_t before;

	begin(MODE_WRITETHROUGH);
	before = device_shared(volume->backing)->flush.completed;
	do_kind(REQUEST_FLUSH, 0, 0);
	cr_expect(lt(u64, before, device_shared(volume->backing)->flush.completed));
}

/* A read that overlaps a write waits for it, and shows it. */
Test(placement, requests_that_overlap_run_in_their_order)
{
	struct asked write = { .request = { .fua = true } }, read = { .request = { .fua = false } };
	unsigned char *other = aligned_alloc(4096, DATA_ROOM);

	begin(MODE_WRITEBACK);
	fill_data(1, 0, 64 * KIB);
	ask(&write, REQUEST_WRITE, 0, 64 * KIB);
	read.request.volume = volume;
	memset(other, 0xee, 64 * KIB);
	read.request.kind = REQUEST_READ;
	read.request.offset = 32 * KIB;
	read.request.bytes = 4 * KIB;
	read.request.data = other;
	read.request.done = asked_done;
	request_start(&read.request);
	cr_expect(not(read.is_done));
	expect_done(&read);
	cr_expect(write.is_done);
	for (unsigned i = 0; i < 4 * KIB; i++)
		cr_assert(eq(u8, other[i], byte_of(1, 32 * KIB + i)));
	free(other);
}

/* ---- garbage collection ---- */

static uint64_t runs_wanted;

static bool gc_has_run(void)
{
	return set->gc.runs >= runs_wanted && set->gc.state == GC_IDLE;
}

static void collect(void)
{
	runs_wanted = set->gc.runs + 1;
	set_lock(set);
	gc_trigger(&set->gc);
	set_unlock(set);
	run_until(gc_has_run);
}

Test(placement, gc_finds_what_is_in_use)
{
	begin(MODE_WRITEBACK);
	write_at(1, 0, 1024 * KIB);
	volume->mode = MODE_WRITETHROUGH;
	for (unsigned i = 4; i < 8; i++)
		write_at(1, i * 256 * KIB, 256 * KIB);
	collect();
	cr_expect(eq(u64, set->gc.last_data_sectors, 4096));
	cr_expect(ge(u64, set->gc.last_keys, 2));
	cr_expect(ge(u64, set->gc.last_nodes, 1));
	cr_expect(eq(int, bucket_at(0)->mark, MARK_DIRTY));
	cr_expect(eq(int, bucket_at(2000 * KIB)->mark, MARK_RECLAIMABLE));
	cr_expect(eq(u32, bucket_at(2000 * KIB)->used_sectors, BUCKET));
}

Test(placement, gc_makes_room_of_what_was_discarded)
{
	struct bucket *bucket;

	begin(MODE_WRITEBACK);
	write_at(1, 0, 1024 * KIB);
	bucket = bucket_at(0);
	do_kind(REQUEST_DISCARD, 0, 1024 * KIB);
	cr_expect(eq(int, bucket->mark, MARK_DIRTY));	/* until gc has looked */
	collect();
	cr_expect(le(int, bucket->mark, MARK_RECLAIMABLE));
	cr_expect(zero(u32, bucket->used_sectors));
	cr_expect(zero(u64, set->gc.last_data_sectors));
}
