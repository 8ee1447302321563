/* Writeback on real files: what it copies, what it leaves, and what becomes of errors. */
#include <signal.h>

#include "cache_world.h"

enum { A = 1, B = 2, BLOCK = 8, HIGH = 8000 };

static void setup(void)
{
	world_begin_with(BLOCK, MODE_WRITEBACK);
	world.volume->writeback_tunables.percent = 0;
	world.volume->writeback_tunables.delay = 0;
	signal(SIGXFSZ, SIG_IGN);
}

TestSuite(writeback, .init = setup, .fini = world_end, .timeout = 60);

static struct writeback *writeback(void)
{
	return &world.volume->writeback;
}

static void go(bool running)
{
	world.volume->writeback_tunables.running = running;
	writeback_wake(writeback());
}

static uint64_t dirty(void)
{
	return volume_dirty_bytes(world.volume) / 512;
}

/* Until all is written back, and the superblock says so. */
static void write_back(void)
{
	go(true);
	while (dirty() || volume_state(world.volume) == STATE_DIRTY)
		world_pause();
	go(false);
}

/* A byte of the backing device; -1: the sectors are not all of one byte. */
static int backing_byte(uint64_t sector, uint64_t sectors)
{
	int fd = open(world.backing_path, O_RDONLY);

	world.skew = 0;
	cr_assert(eq(i64, pread(fd, world.data, sectors * 512,
				(WORLD_DATA_OFFSET + sector) * 512), (int64_t)sectors * 512));
	close(fd);
	return world_byte(0, sectors);
}

static int state_on_disk(void)
{
	struct superblock_disk disk;
	struct superblock sb;
	int fd = open(world.backing_path, O_RDONLY);

	cr_assert(eq(i64, pread(fd, &disk, SUPERBLOCK_BYTES, SUPERBLOCK_SECTOR * 512),
		     SUPERBLOCK_BYTES));
	close(fd);
	superblock_decode_unchecked(&sb, &disk);
	return superblock_state(&sb);
}

Test(writeback, does_nothing_while_it_may_not_run)
{
	cr_assert(zero(int, world_write(0, BLOCK, A)));
	for (unsigned i = 0; i < 20; i++)
		world_pause();
	cr_expect(eq(u64, dirty(), BLOCK));
	cr_expect(eq(int, writeback()->state, WRITEBACK_IDLE));
	cr_expect(zero(int, backing_byte(0, BLOCK)));
}

Test(writeback, leaves_clean_data_in_the_cache_and_says_so)
{
	bool is_dirty = true;

	cr_assert(zero(int, world_write(0, BLOCK, A)));
	cr_expect(eq(int, state_on_disk(), STATE_DIRTY));
	write_back();
	cr_expect(eq(int, backing_byte(0, BLOCK), A));
	cr_expect(eq(int, state_on_disk(), STATE_CLEAN));
	cr_expect(ne(u64, world_place(world.volume, 0, &is_dirty), 0));
	cr_expect(not(is_dirty));
	cr_expect(eq(u64, writeback()->keys_done, 1));
	cr_expect(eq(u64, writeback()->sectors_done, BLOCK));
	cr_expect(eq(ptr, writeback()->batch, NULL));		/* memory is given back */
}

/* Many extents, of which two are contiguous, and one is longer than a copy. */
Test(writeback, copies_all_extents_of_a_volume)
{
	for (unsigned i = 0; i < 100; i++)
		cr_assert(zero(int, world_write(i * 3 * BLOCK, BLOCK, A)));
	cr_assert(zero(int, world_write(BLOCK, BLOCK, A)));
	cr_assert(zero(int, world_write(4096, 2048, B)));
	write_back();
	for (unsigned i = 0; i < 100; i++)
		cr_expect(eq(int, backing_byte(i * 3 * BLOCK, BLOCK), A), "extent %u", i);
	cr_expect(eq(int, backing_byte(BLOCK, BLOCK), A));
	cr_expect(zero(int, backing_byte(2 * BLOCK, BLOCK)));
	cr_expect(eq(int, backing_byte(4096, 2048), B));
	cr_expect(eq(u64, writeback()->sectors_done, 101 * BLOCK + 2048));
}

/* Between the copy and the swap: what was written last stays dirty until it is copied, too. */
Test(writeback, does_not_take_a_newer_extent_for_clean)
{
	struct bkey old, new;
	struct insert insert;
	struct awaiter awaiter;
	struct lookup found;

	cr_assert(zero(int, world_write(0, BLOCK, A)));
	awaiter_init(&awaiter, world.reactor);
	set_lock(world.set);
	cr_assert(zero(int, index_lookup(&world.set->index, world.volume->slot,
					 WORLD_DATA_OFFSET, BLOCK, &found, &awaiter.op)));
	set_unlock(world.set);
	old = new = found.key;
	bkey_set_dirty(&new, false);
	cr_assert(zero(int, world_write(0, BLOCK, B)));
	insert = (struct insert){ .index = &world.set->index, .parent = &awaiter.op,
				  .keys = { new }, .count = 1, .expected = &old };
	insert_start(&insert);
	cr_assert(zero(int, awaiter_wait(&awaiter)));
	cr_expect(eq(u32, insert.collisions, 1));
	cr_expect(eq(u64, dirty(), BLOCK));
	write_back();
	cr_expect(eq(int, backing_byte(0, BLOCK), B));
}

/* The first pass begins after the first write, and what it copies is clean then. */
Test(writeback, makes_the_oldest_dirty_data_younger)
{
	uint64_t first_ns = volume_dirty_age_ns(world.volume);

	cr_expect(zero(u64, first_ns));
	cr_assert(zero(int, world_write(0, BLOCK, A)));
	first_ns = writeback()->age.since_ns;
	cr_expect(ne(u64, first_ns, 0));
	world_pause();
	cr_assert(zero(int, world_write(BLOCK, BLOCK, A)));
	cr_expect(eq(u64, writeback()->age.since_ns, first_ns));
	cr_expect(ge(u64, volume_dirty_age_ns(world.volume), 1000000));
	write_back();
	cr_expect(zero(u64, volume_dirty_age_ns(world.volume)));
	cr_assert(zero(int, world_write(0, BLOCK, B)));
	cr_expect(lt(u64, first_ns, writeback()->age.since_ns));
}

Test(writeback, knows_no_age_of_what_was_dirty_before_a_restart)
{
	cr_assert(zero(int, world_write(0, BLOCK, A)));
	cr_assert(zero(int, world_stop()));
	world_serve();
	go(false);
	cr_expect(eq(u64, volume_dirty_age_ns(world.volume), UINT64_MAX));
	cr_assert(zero(int, world_write(BLOCK, BLOCK, B)));
	cr_expect(eq(u64, volume_dirty_age_ns(world.volume), UINT64_MAX));
}

Test(writeback, goes_on_with_what_was_dirty_before_a_restart)
{
	cr_assert(zero(int, world_write(0, BLOCK, A)));
	cr_assert(zero(int, world_stop()));
	world_serve();
	cr_expect(eq(u64, dirty(), BLOCK));
	write_back();
	cr_expect(eq(int, backing_byte(0, BLOCK), A));
	cr_assert(zero(int, world_stop()));
	world_serve();
	cr_expect(eq(int, volume_state(world.volume), STATE_CLEAN));
	cr_expect(eq(int, world_read(0, BLOCK), A));
}

/* All of it was overwritten by clean data: nothing is dirty, and the superblock still says so. */
Test(writeback, says_clean_when_there_is_nothing_to_copy)
{
	cr_assert(zero(int, world_write(0, BLOCK, A)));
	world.volume->mode = MODE_WRITETHROUGH;
	cr_assert(zero(int, world_write(0, BLOCK, B)));
	cr_assert(eq(int, state_on_disk(), STATE_DIRTY));
	write_back();
	cr_expect(eq(int, state_on_disk(), STATE_CLEAN));
	cr_expect(zero(u64, writeback()->keys_done));
}

/* Also while it may not run, and before the next pass is due. */
Test(writeback, says_clean_before_the_volume_stops)
{
	cr_assert(zero(int, world_write(0, BLOCK, A)));
	world.volume->mode = MODE_WRITETHROUGH;
	cr_assert(zero(int, world_write(0, BLOCK, B)));
	cr_assert(eq(int, state_on_disk(), STATE_DIRTY));
	cr_assert(zero(int, world_stop()));
	cr_expect(eq(int, state_on_disk(), STATE_CLEAN));
	world_serve();
	cr_expect(eq(int, world_read(0, BLOCK), B));
}

Test(writeback, does_not_say_clean_when_a_dirty_volume_stops)
{
	cr_assert(zero(int, world_write(0, 2 * BLOCK, A)));
	world.volume->mode = MODE_WRITETHROUGH;
	cr_assert(zero(int, world_write(0, BLOCK, B)));
	cr_assert(zero(int, world_stop()));
	cr_expect(eq(int, state_on_disk(), STATE_DIRTY));
	world_serve();
	cr_expect(eq(u64, dirty(), BLOCK));
	cr_expect(eq(int, world_read(BLOCK, BLOCK), A));
}

Test(writeback, makes_dirty_durable_again)
{
	cr_assert(zero(int, world_write(0, BLOCK, A)));
	write_back();
	cr_assert(zero(int, world_write(BLOCK, BLOCK, B)));
	cr_expect(eq(int, state_on_disk(), STATE_DIRTY));
}

/* A setting ends the pause between two passes. */
Test(writeback, takes_settings_at_once)
{
	world.volume->writeback_tunables.percent = 10;
	world.volume->writeback_tunables.delay = 1000;
	cr_assert(zero(int, world_write(0, BLOCK, A)));
	world.volume->writeback_tunables.running = true;
	writeback_wake(writeback());
	while (writeback()->state != WRITEBACK_PAUSE) {
		cr_assert(zero(int, world_write(BLOCK, BLOCK, B)));
		world_pause();
	}
	cr_assert(zero(int, world_write(BLOCK, BLOCK, B)));
	for (unsigned i = 0; i < 5; i++)
		world_pause();
	cr_expect(eq(int, writeback()->state, WRITEBACK_PAUSE));
	world.volume->writeback_tunables.delay = 0;
	writeback_look_again(writeback());
	while (dirty())
		world_pause();
	cr_expect(eq(int, backing_byte(BLOCK, BLOCK), B));
}

/* ---- errors ---- */

Test(writeback, keeps_dirty_what_the_backing_device_refuses)
{
	cr_assert(zero(int, world_write(0, BLOCK, A)));
	cr_assert(zero(int, world_write(HIGH, BLOCK, B)));
	world_limit_files((WORLD_DATA_OFFSET + HIGH) * 512);
	go(true);
	while (!writeback()->write_errors || dirty() > BLOCK)
		world_pause();
	world_limit_files(RLIM_INFINITY);
	cr_expect(eq(u64, dirty(), BLOCK));
	cr_expect(eq(int, backing_byte(0, BLOCK), A));
	cr_expect(ne(ptr, strstr(writeback()->error.text, "8 sectors at sector 8000"), NULL), "%s",
		  writeback()->error.text);
	cr_expect(eq(int, world_read(HIGH, BLOCK), B));
	write_back();			/* the device takes it now */
	cr_expect(eq(int, backing_byte(HIGH, BLOCK), B));
	cr_expect(zero(int, writeback()->error.code));
}

Test(writeback, makes_nothing_younger_that_it_could_not_write)
{
	uint64_t since_ns;

	cr_assert(zero(int, world_write(HIGH, BLOCK, B)));
	since_ns = writeback()->age.since_ns;
	world_limit_files((WORLD_DATA_OFFSET + HIGH) * 512);
	go(true);
	while (writeback()->write_errors < 2)
		world_pause();
	cr_expect(eq(u64, writeback()->age.since_ns, since_ns));
	world_limit_files(RLIM_INFINITY);
	write_back();
	cr_expect(lt(u64, since_ns, writeback()->age.since_ns));
}

Test(writeback, keeps_dirty_what_the_cache_cannot_read)
{
	uint64_t place;

	cr_assert(zero(int, world_write(0, BLOCK, A)));
	place = world_place(world.volume, 0, NULL);
	cr_assert(zero(int, world_ask(REQUEST_FLUSH, 0, 0)));
	world_cut(world.cache_path, place);
	go(true);
	while (!writeback()->read_errors)
		world_pause();
	go(false);
	cr_expect(eq(u64, dirty(), BLOCK));
	cr_expect(zero(int, backing_byte(0, BLOCK)));		/* and nothing else was written */
	cr_expect(eq(int, state_on_disk(), STATE_DIRTY));
}

Test(writeback, ends_with_its_set)
{
	cr_assert(zero(int, world_write(0, BLOCK, A)));
	world_kill_set();
	go(true);
	world_pause();
	cr_expect(eq(int, writeback()->state, WRITEBACK_IDLE));
	cr_expect(eq(int, state_on_disk(), STATE_DIRTY));
}

/* ---- detach ---- */

static int detach(void)
{
	struct awaiter awaiter;
	struct error error = { .code = 0 };

	awaiter_init(&awaiter, world.reactor);
	volume_detach(world.volume, &error, &awaiter.op);
	return awaiter_wait(&awaiter);
}

/* Of data that the backing device refuses, until world_limit_files() says otherwise. */
static void begin_detach_in_vain(struct awaiter *awaiter)
{
	cr_assert(zero(int, world_write(HIGH, BLOCK, A)));
	world_limit_files((WORLD_DATA_OFFSET + HIGH) * 512);
	awaiter_init(awaiter, world.reactor);
	volume_detach(world.volume, NULL, &awaiter->op);
}

/* Also one that may not run. */
Test(writeback, comes_before_a_detach)
{
	cr_assert(zero(int, world_write(0, BLOCK, A)));
	cr_assert(zero(int, detach()));
	cr_expect(eq(ptr, world.volume->set, NULL));
	cr_expect(eq(int, state_on_disk(), STATE_NONE));
	cr_expect(eq(int, backing_byte(0, BLOCK), A));
	cr_expect(eq(int, writeback()->state, WRITEBACK_OFF));
}

/* One that can't be written stays in its set, and a second detach is refused. */
Test(writeback, of_a_detach_can_be_cancelled)
{
	struct awaiter awaiter;

	begin_detach_in_vain(&awaiter);
	while (!writeback()->write_errors)
		world_pause();
	cr_expect(eq(int, detach(), -EALREADY));
	cr_expect(world.volume->is_detaching);
	volume_cancel_detach(world.volume);
	cr_expect(eq(int, awaiter_wait(&awaiter), -ECANCELED));
	world_limit_files(RLIM_INFINITY);
	cr_expect(not(world.volume->is_detaching));
	cr_expect(eq(ptr, world.volume->set, world.set));
	cr_expect(eq(u64, dirty(), BLOCK));
	cr_assert(zero(int, detach()));
	cr_expect(eq(int, backing_byte(HIGH, BLOCK), A));
}

/* Writes go to the backing device alone from the beginning. */
Test(writeback, of_a_detach_lets_nothing_become_dirty)
{
	struct awaiter awaiter;

	begin_detach_in_vain(&awaiter);
	cr_assert(zero(int, world_write(0, BLOCK, B)));
	cr_expect(eq(u64, dirty(), BLOCK));
	cr_expect(eq(int, backing_byte(0, BLOCK), B));
	world_limit_files(RLIM_INFINITY);
	cr_assert(zero(int, awaiter_wait(&awaiter)));
	cr_expect(eq(ptr, world.volume->set, NULL));
}

/* ---- ranges ---- */

/* A read that first reads all from the backing device sees what is copied there meanwhile. */
Test(writeback, lets_a_read_begin_again)
{
	struct range read = { .start = 0 }, copy;
	struct awaiter awaiter;
	struct ranges *ranges = &world.volume->ranges;

	awaiter_init(&awaiter, world.reactor);
	cr_assert(zero(int, range_take(ranges, &read, RANGE_READ, 100, 200, &awaiter.op)));
	range_begin_copy(ranges, &copy, 199, 300);
	cr_expect(not(read.was_copied));
	range_end_copy(ranges, &copy);
	cr_expect(read.was_copied);
	read.was_copied = false;
	range_begin_copy(ranges, &copy, 200, 300);
	range_end_copy(ranges, &copy);
	cr_expect(not(read.was_copied));
	range_release(ranges, &read);
}

Test(writeback, is_awaited_by_changes_of_the_backing_device)
{
	struct range copy;
	struct awaiter awaiter;
	struct ranges *ranges = &world.volume->ranges;

	awaiter_init(&awaiter, world.reactor);
	range_begin_copy(ranges, &copy, 100, 200);
	cr_expect(zero(int, ranges_await_copies(ranges, 200, 300, &awaiter.op)));
	cr_expect(eq(int, ranges_await_copies(ranges, 199, 300, &awaiter.op), -EAGAIN));
	range_end_copy(ranges, &copy);
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	cr_expect(zero(int, ranges_await_copies(ranges, 199, 300, &awaiter.op)));
}

Test(writeback, leaves_out_what_is_being_written)
{
	struct range write;
	struct awaiter awaiter;
	struct ranges *ranges = &world.volume->ranges;

	awaiter_init(&awaiter, world.reactor);
	cr_assert(zero(int, range_take(ranges, &write, RANGE_WRITE, 100, 200, &awaiter.op)));
	cr_expect(ranges_have_write(ranges, 199, 300));
	cr_expect(not(ranges_have_write(ranges, 200, 300)));
	cr_expect(not(ranges_have_write(ranges, 0, 100)));
	range_release(ranges, &write);
	cr_expect(not(ranges_have_write(ranges, 199, 300)));
}

/* What was copied must be copied again if the backing device changes before the swap. */
Test(writeback, copies_again_what_changed_before_the_swap)
{
	struct writeback_batch *batch;
	struct awaiter awaiter;

	awaiter_init(&awaiter, world.reactor);
	cr_expect(zero(int, writeback_begin_change(writeback(), 0, 1000, &awaiter.op)));
	batch = writeback()->batch = calloc(1, sizeof(*batch));
	for (unsigned i = 0; i < 4; i++)
		batch->key[batch->count++] = (struct writeback_key){
			.key = bkey_of(world.volume->slot, i * 100 + 8, 8), .is_copied = true };
	cr_expect(zero(int, writeback_begin_change(writeback(), 107, 201, &awaiter.op)));
	cr_expect(batch->key[0].is_copied);
	cr_expect(not(batch->key[1].is_copied));
	cr_expect(not(batch->key[2].is_copied));
	cr_expect(batch->key[3].is_copied);
	writeback()->state = WRITEBACK_SWAP;
	batch->insert.count = 1;
	batch->expected[0] = batch->key[3].key;
	cr_expect(zero(int, writeback_begin_change(writeback(), 308, 400, &awaiter.op)));
	cr_expect(eq(int, writeback_begin_change(writeback(), 307, 400, &awaiter.op), -EAGAIN));
	waitlist_wake_all(&world.volume->ranges.copied, 0);
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	free(batch);
	writeback()->batch = NULL;
	writeback()->state = WRITEBACK_IDLE;
}

/* ---- stripes ---- */

enum { STRIPE = 64 };

static void count_stripes(bool are_expensive)
{
	struct awaiter awaiter;
	struct error error = { .code = 0 };

	world.volume->stripe_sectors = STRIPE;
	awaiter_init(&awaiter, world.reactor);
	volume_set_partial_stripes(world.volume, are_expensive, &error, &awaiter.op);
	cr_assert(zero(int, awaiter_wait(&awaiter)), "%s", error.text);
}

/* The first sector of the stripe; key sectors are those of the device. */
static uint64_t stripe(unsigned number)
{
	return number * STRIPE - WORLD_DATA_OFFSET;
}

Test(writeback, counts_stripes_when_they_are_expensive)
{
	const struct index *index = &world.set->index;

	cr_assert(zero(int, world_write(stripe(2), STRIPE, A)));
	cr_expect(eq(ptr, world.volume->stripes, NULL));
	count_stripes(true);
	cr_expect(eq(ptr, index->stripes[world.volume->slot], world.volume->stripes));
	cr_expect(eq(u32, world.volume->stripes->dirty[2], STRIPE));
	cr_assert(zero(int, world_write(stripe(3) - BLOCK, 2 * BLOCK, A)));
	cr_expect(eq(u32, world.volume->stripes->dirty[2], STRIPE));
	cr_expect(eq(u32, world.volume->stripes->dirty[3], BLOCK));
	write_back();
	cr_expect(zero(u32, world.volume->stripes->dirty[2]));
	count_stripes(false);
	cr_expect(eq(ptr, world.volume->stripes, NULL));
	cr_expect(eq(ptr, index->stripes[world.volume->slot], NULL));
}

Test(writeback, counts_stripes_at_an_attach)
{
	cr_assert(zero(int, world_write(stripe(2), BLOCK, A)));
	count_stripes(true);
	cr_assert(zero(int, world_write(0, BLOCK, A)));
	write_back();
	cr_assert(zero(int, detach()));
	cr_expect(eq(ptr, world.volume->stripes, NULL));
	world_attach();
	cr_assert(ne(ptr, world.volume->stripes, NULL));
	cr_assert(zero(int, world_write(stripe(5), BLOCK, A)));
	cr_expect(eq(u32, world.volume->stripes->dirty[5], BLOCK));
}

/* Slowly: after the first copy there is time to look. */
Test(writeback, begins_with_full_stripes)
{
	cr_assert(zero(int, world_write(stripe(1), BLOCK, A)));
	cr_assert(zero(int, world_write(stripe(4), STRIPE, A)));
	cr_assert(zero(int, world_write(stripe(7), STRIPE, A)));
	cr_assert(zero(int, world_write(stripe(8), BLOCK, A)));
	count_stripes(true);
	world.set->idle_max_writeback_rate = false;
	world.volume->writeback_tunables.percent = 10;
	world.volume->writeback_tunables.rate_minimum = 8;
	go(true);
	while (backing_byte(stripe(4), STRIPE) != A)
		world_pause();
	cr_expect(zero(int, backing_byte(stripe(1), BLOCK)));
	world.volume->writeback_tunables.percent = 0;
	writeback_look_again(writeback());
	write_back();
	cr_expect(eq(int, backing_byte(stripe(7), STRIPE), A));
	cr_expect(eq(int, backing_byte(stripe(1), BLOCK), A));
	cr_expect(eq(int, backing_byte(stripe(8), BLOCK), A));
}

/* The extents of a batch of full stripes; they are not copied. */
static void collect_full_stripes(struct writeback_batch *batch)
{
	struct writeback *writeback = &world.volume->writeback;

	writeback->batch = batch;
	batch->is_complete = false;
	while (!batch->is_complete) {
		set_lock(world.set);
		cr_assert(zero(int, writeback_scan(writeback)));
		set_unlock(world.set);
	}
	writeback->batch = NULL;
}

/* Its last extent crosses the end; the next stripe becomes full before the batch goes on. */
Test(writeback, collects_no_extent_of_full_stripes_twice)
{
	struct writeback *writeback = &world.volume->writeback;
	struct writeback_batch *batch = calloc(1, sizeof(*batch));

	cr_assert(zero(int, world_write(stripe(2), STRIPE - BLOCK, A)));
	cr_assert(zero(int, world_write(stripe(3) - BLOCK, 2 * BLOCK, A)));
	count_stripes(true);
	writeback->full_at = writeback->full_end = world.volume->data_offset;
	collect_full_stripes(batch);
	cr_assert(eq(u32, batch->count, 2));
	cr_assert(zero(int, world_write(stripe(3) + BLOCK, STRIPE - BLOCK, A)));
	collect_full_stripes(batch);
	cr_expect(eq(u32, batch->count, 3));
	for (unsigned i = 1; i < batch->count; i++)
		cr_expect(le(u64, bkey_end(&batch->key[i - 1].key),
			     bkey_start(&batch->key[i].key)));
	free(batch);
}

/* A write that would go around the cache is kept where its stripe is dirty in part. */
Test(writeback, keeps_what_completes_a_stripe)
{
	bool is_dirty = false;

	cr_assert(zero(int, world_write(stripe(2), BLOCK, A)));
	count_stripes(true);
	world.volume->sequential_cutoff = 4096;
	cr_assert(zero(int, world_write(stripe(2) + BLOCK, STRIPE - BLOCK, B)));
	cr_expect(ne(u64, world_place(world.volume, stripe(2) + BLOCK, &is_dirty), 0));
	cr_expect(is_dirty);
	cr_assert(zero(int, world_write(stripe(6), STRIPE, B)));
	cr_expect(zero(u64, world_place(world.volume, stripe(6), NULL)));
}
