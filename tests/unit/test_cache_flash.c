/*
 * Flash-only volumes, of sizes that are no multiple of the set's blocks too: their cache device
 * knows whole blocks only (the engine asserts what it writes).
 */
#include "cache_world.h"

enum { SECTORS = 1003, TAIL = 3, WHOLE = SECTORS - TAIL };

static void setup(void)
{
	world_begin_with(8, MODE_WRITEBACK);
	world_add_flash_volume(SECTORS);
}

TestSuite(flash, .init = setup, .fini = world_end, .timeout = 60);

Test(flash, volume_has_the_size_that_it_was_made_with)
{
	cr_expect(eq(u64, world.volume->sectors, SECTORS));
}

Test(flash, volume_holds_zeros_at_first)
{
	cr_expect(zero(int, world_read(0, SECTORS)));
}

Test(flash, volume_keeps_its_last_sectors)
{
	cr_assert(zero(int, world_write(WHOLE, TAIL, 7)));
	cr_expect(eq(int, world_read(WHOLE, TAIL), 7));
	cr_expect(zero(int, world_read(WHOLE - 8, 8)));
}

Test(flash, volume_keeps_all_that_was_written)
{
	cr_assert(zero(int, world_write(0, SECTORS, 7)));
	cr_expect(eq(int, world_read(0, SECTORS), 7));
}

Test(flash, volume_ends_with_a_whole_block_in_the_cache)
{
	bool is_dirty;
	uint64_t place;

	cr_assert(zero(int, world_write(WHOLE + 1, 1, 7)));
	place = world_place(world.volume, WHOLE, &is_dirty);
	cr_assert(ne(u64, place, 0));
	cr_expect(is_dirty);
	cr_expect(zero(u64, place % 8));
	cr_expect(eq(u64, world_place(world.volume, WHOLE + 7, NULL), place + 7));
}

Test(flash, volume_can_be_written_in_parts_of_its_last_block)
{
	cr_assert(zero(int, world_write(WHOLE, 1, 1)));
	cr_assert(zero(int, world_write(WHOLE + 1, 2, 2)));
	cr_assert(zero(int, world_ask(REQUEST_READ, WHOLE, TAIL)));
	cr_expect(eq(int, world_byte(0, 1), 1));
	cr_expect(eq(int, world_byte(1, 2), 2));
}

Test(flash, volume_forgets_what_is_discarded_up_to_its_end)
{
	cr_assert(zero(int, world_write(0, SECTORS, 7)));
	cr_assert(zero(int, world_ask(REQUEST_DISCARD, WHOLE - 8, 8 + TAIL)));
	cr_expect(eq(int, world_read(0, WHOLE - 8), 7));
	cr_expect(zero(int, world_read(WHOLE - 8, 8 + TAIL)));
	cr_expect(zero(u64, world_place(world.volume, WHOLE + 7, NULL)));
}

Test(flash, volume_keeps_the_rest_of_blocks_that_a_discard_covers_in_part)
{
	cr_assert(zero(int, world_write(0, SECTORS, 7)));
	cr_assert(zero(int, world_ask(REQUEST_DISCARD, 4, 8)));
	cr_expect(eq(int, world_read(0, 4), 7));
	cr_expect(zero(int, world_read(4, 8)));
	cr_expect(eq(int, world_read(12, 4), 7));
}

Test(flash, volume_becomes_zeros)
{
	cr_assert(zero(int, world_write(0, SECTORS, 7)));
	cr_assert(zero(int, world_ask(REQUEST_ZERO, WHOLE - 20, 20 + TAIL)));
	cr_expect(eq(int, world_read(0, WHOLE - 20), 7));
	cr_expect(zero(int, world_read(WHOLE - 20, 20 + TAIL)));
}

Test(flash, volume_fails_where_the_cache_has_lost_it)
{
	cr_assert(zero(int, world_write(0, 8, 7)));
	world_cut(world.cache_path, world_place(world.volume, 0, NULL));
	cr_expect(eq(int, world_read(0, 8), -EIO));
	cr_expect(eq(u64, device_errors(world.set->cache.device), 1));
}

/* As a kernel leaves it: an extent that ends with the volume. */
static uint64_t write_short_key(void)
{
	struct insert insert = { .index = &world.set->index, .is_journaled = true, .count = 1 };
	struct awaiter awaiter;
	uint64_t place;

	cr_assert(zero(int, world_write(WHOLE - 8, 8 + TAIL, 7)));
	place = world_place(world.volume, WHOLE - 8, NULL);
	awaiter_init(&awaiter, world.reactor);
	insert.parent = &awaiter.op;
	insert.keys[0] = bkey_of(world.volume->slot, WHOLE + 8, 8 - TAIL);
	insert_start(&insert);
	cr_assert(zero(int, awaiter_wait(&awaiter)));
	return place;
}

Test(flash, volume_reads_whole_blocks_where_its_last_key_is_short)
{
	uint64_t place = write_short_key();

	cr_expect(zero(u64, world_place(world.volume, SECTORS, NULL)));
	cr_expect(eq(u64, world_place(world.volume, SECTORS - 1, NULL), place + 8 + TAIL - 1));
	cr_expect(eq(int, world_read(WHOLE - 8, 8 + TAIL), 7));
}

/* What is behind the key in its block is nothing of the volume: it may hold anything. */
Test(flash, volume_grows_behind_a_last_key_that_is_short)
{
	uint64_t place = write_short_key();
	unsigned char garbage[512];
	int fd = open(world.cache_path, O_WRONLY);
	struct awaiter awaiter;
	struct error error;

	memset(garbage, 0xdd, sizeof(garbage));
	for (unsigned i = 8 + TAIL; i < 16; i++)
		cr_assert(eq(i64, pwrite(fd, garbage, 512, (place + i) * 512), 512));
	close(fd);
	awaiter_init(&awaiter, world.reactor);
	volume_resize(world.volume, SECTORS + 1000, &error, &awaiter.op);
	cr_assert(zero(int, awaiter_wait(&awaiter)), "%s", error.text);
	cr_expect(eq(int, world_read(WHOLE - 8, 8 + TAIL), 7));
	cr_expect(zero(int, world_read(SECTORS, 64)));
	cr_expect(zero(int, world_ask(REQUEST_READ, WHOLE, 24)));
	cr_expect(eq(int, world_byte(0, TAIL), 7));
	cr_expect(zero(int, world_byte(TAIL, 24 - TAIL)));
	cr_expect(zero(int, world_write(WHOLE + TAIL, 1, 9)));
	cr_expect(eq(int, world_read(WHOLE - 8, 8 + TAIL), 7));
	cr_expect(eq(int, world_read(WHOLE + TAIL, 1), 9));
	cr_expect(zero(int, world_read(WHOLE + TAIL + 1, 8)));
}
