/* A backing device that has grown, or is shorter than what the set has of it. */
#include "cache_world.h"

enum { FIRST = 1, SECOND = 2, END = WORLD_BACKING_SECTORS, MORE = 4096, LESS = 4096 };

static struct error said;

TestSuite(size, .fini = world_end, .timeout = 60);

/* What the file has, so many sectors of the volume. */
static void make_file(uint64_t sectors)
{
	cr_assert(zero(int, truncate(world.backing_path, (WORLD_DATA_OFFSET + sectors) * 512)));
}

static int measure(void)
{
	struct awaiter awaiter;

	said = (struct error){ 0 };
	awaiter_init(&awaiter, world.reactor);
	volume_measure(world.volume, &said, &awaiter.op);
	return awaiter_wait(&awaiter);
}

static void restart(uint64_t sectors)
{
	cr_assert(zero(int, world_stop()));
	make_file(sectors);
	world_serve();
	cr_assert(eq(ptr, world.volume->set, world.set));
}

Test(size, of_a_device_that_has_grown_is_taken_over)
{
	world_begin_with(8, MODE_WRITEBACK);
	cr_assert(zero(int, world_write(END - 8, 8, FIRST)));
	make_file(END + MORE);
	cr_expect(eq(u64, world.volume->sectors, END));
	cr_expect(zero(int, measure()), "%s", said.text);
	cr_expect(eq(u64, world.volume->sectors, END + MORE));
	cr_expect(not(world.volume->is_frozen));
	cr_expect(zero(int, world_read(END, 256)));
	cr_expect(zero(int, world_write(END + MORE - 8, 8, SECOND)));
	cr_expect(eq(int, world_read(END - 8, 8), FIRST));
	restart(END + MORE);
	cr_expect(eq(int, world_read(END + MORE - 8, 8), SECOND));
}

Test(size, that_has_not_changed_is_as_it_was)
{
	world_begin_with(8, MODE_WRITEBACK);
	cr_expect(zero(int, measure()));
	cr_expect(eq(u64, world.volume->sectors, END));
}

Test(size, of_a_device_that_has_shrunk_is_refused)
{
	world_begin_with(8, MODE_WRITEBACK);
	make_file(END - 8);
	cr_expect(eq(int, measure(), -EINVAL));
	cr_expect(ne(ptr, strstr(said.text, "has become shorter"), NULL), "%s", said.text);
	cr_expect(eq(u64, world.volume->sectors, END));
}

Test(size, grows_without_a_set)
{
	world_begin_with(8, MODE_WRITEBACK);
	cr_assert(zero(int, world_stop()));
	unlink(world.cache_path);
	world.cache_path[0] = '\0';
	world_serve();
	world.volume->is_exported = true;
	make_file(END + MORE);
	cr_expect(zero(int, measure()));
	cr_expect(eq(u64, world.volume->sectors, END + MORE));
}

/* What was cached of the device when it was larger is not what it has there now. */
Test(size, hides_clean_data_behind_the_end_for_ever)
{
	world_begin_with(8, MODE_WRITETHROUGH);
	cr_assert(zero(int, world_write(END - 8, 8, FIRST)));
	cr_expect(ne(u64, world_place(world.volume, END - 8, NULL), 0));
	restart(END - LESS);
	cr_expect(not(volume_is_read_only(world.volume)));
	make_file(END);
	cr_expect(zero(int, measure()));
	cr_expect(zero(int, world_read(END - 8, 8)));
	cr_expect(zero(u64, world_place(world.volume, END - 8, NULL)));
}

/* It was shorter for a while, also if nobody tells when it is long again. */
Test(size, that_is_shorter_once_hides_what_was_cached_behind_the_end)
{
	world_begin_with(8, MODE_WRITETHROUGH);
	cr_assert(zero(int, world_write(END - 8, 8, FIRST)));
	cr_assert(zero(int, world_write(END - LESS - 8, 8, SECOND)));
	restart(END - LESS);
	cr_expect(ne(u64, world_place(world.volume, END - LESS - 8, NULL), 0));
	restart(END);
	cr_expect(zero(u64, world_place(world.volume, END - 8, NULL)));
	cr_expect(zero(int, world_read(END - 8, 8)));
}

/* A power cut after the answer would bring the key back, and nobody would look for it again. */
Test(size, is_larger_when_holes_behind_the_end_are_durable)
{
	struct insert insert = { .count = 1 };
	struct awaiter awaiter;
	const struct journal *journal;
	uint32_t bucket;

	world_begin_with(8, MODE_WRITETHROUGH);
	cr_assert(zero(int, world_write(0, 8, FIRST)));
	awaiter_init(&awaiter, world.reactor);
	insert.index = &world.set->index;
	insert.parent = &awaiter.op;
	bucket = world_place(world.volume, 0, NULL) / WORLD_BUCKET_SECTORS;
	set_lock(world.set);
	insert.keys[0] = bkey_with_pointer(
		bkey_of(world.volume->slot, WORLD_DATA_OFFSET + END + 8, 8),
		space_pointer(&world.set->cache.space, bucket));
	set_unlock(world.set);
	insert_start(&insert);
	cr_assert(zero(int, awaiter_wait(&awaiter)));
	cr_assert(ne(u64, world_place(world.volume, END, NULL), 0));
	make_file(END + MORE);
	cr_expect(zero(int, measure()));
	cr_expect(zero(u64, world_place(world.volume, END, NULL)));
	journal = &world.set->journal;
	cr_expect(zero(u32, journal->words));
	cr_expect(eq(u64, journal->durable, journal->open - 1));
}

Test(size, too_small_for_dirty_data_lets_nobody_write)
{
	world_begin_with(8, MODE_WRITEBACK);
	cr_assert(zero(int, world_write(END - 16, 8, FIRST)));
	restart(END - LESS);
	cr_expect(volume_is_read_only(world.volume));
	cr_expect(eq(u64, world.volume->dirty_end, END - 8));
	cr_expect(eq(int, world_write(0, 8, SECOND), -EROFS));
	cr_expect(zero(int, world_read(0, 8)));
	make_file(END);
	cr_expect(zero(int, measure()));
	cr_expect(not(volume_is_read_only(world.volume)));
	cr_expect(eq(int, world_read(END - 16, 8), FIRST));
	cr_expect(zero(int, world_write(0, 8, SECOND)));
}

Test(size, that_suffices_for_dirty_data_lets_all_write)
{
	world_begin_with(8, MODE_WRITEBACK);
	cr_assert(zero(int, world_write(END - LESS - 8, 8, FIRST)));
	restart(END - LESS);
	cr_expect(not(volume_is_read_only(world.volume)));
	cr_expect(eq(int, world_read(END - LESS - 8, 8), FIRST));
}

/* The rest of the block has nothing to write back. */
Test(size, that_grows_lets_a_short_last_block_be_written_back)
{
	struct error error = { .code = 0 };

	world = (struct world){ .reactor = test_reactor(), .blocking = blocking_new(&error) };
	world.data = buffer_new(WORLD_REQUEST_BYTES);
	world_format_cache(1, 0);
	world_format_backing(8, END + 3, MODE_WRITEBACK);
	world_serve();
	world_attach();
	cr_assert(zero(int, world_write(END, 3, FIRST)));
	cr_expect(eq(u64, volume_dirty_bytes(world.volume), 3 * 512));
	make_file(END + MORE);
	cr_expect(zero(int, measure()), "%s", said.text);
	cr_expect(eq(int, world_read(END, 3), FIRST));
	world.volume->writeback_tunables.running = true;
	world.volume->writeback_tunables.percent = 0;
	writeback_look_again(&world.volume->writeback);
	for (unsigned i = 0; i < 3000 && volume_dirty_bytes(world.volume); i++)
		world_pause();
	cr_expect(zero(u64, volume_dirty_bytes(world.volume)), "%s",
		  world.volume->writeback.error.text);
	cr_expect(eq(int, world_read(END, 3), FIRST));
}
