/* Moving gc: what is left in nearly empty buckets is moved together, and stays what it was. */
#include "cache_world.h"

enum {
	EXTENT = 16,			/* eight of them fill a bucket */
	BUCKETS_USED = 10,
	EXTENTS = BUCKETS_USED * WORLD_BUCKET_SECTORS / EXTENT,
	KEPT_OF = 8,			/* one of so many extents is kept */
};

static void setup(void)
{
	world_begin_with(8, MODE_WRITEBACK);
}

TestSuite(gc_move, .init = setup, .fini = world_end, .timeout = 60);

static struct gc *gc(void)
{
	return &world.set->gc;
}

static unsigned char byte_of(unsigned extent)
{
	return 1 + extent % 250;
}

/* Buckets full of extents, of which one of eight is left. */
static void write_fragments(void)
{
	for (unsigned i = 0; i < EXTENTS; i++)
		cr_assert(zero(int, world_write(i * EXTENT, EXTENT, byte_of(i))));
	for (unsigned i = 0; i < EXTENTS; i += KEPT_OF)
		cr_assert(zero(int, world_ask(REQUEST_DISCARD, (i + 1) * EXTENT,
					      (KEPT_OF - 1) * EXTENT)));
}

/* All that was kept is in the cache, as dirty as it was; in how many buckets? */
static unsigned buckets_of_fragments(bool are_dirty)
{
	bool is_used[WORLD_BUCKETS] = { false };
	unsigned used = 0;

	for (unsigned i = 0; i < EXTENTS; i += KEPT_OF) {
		bool is_dirty = !are_dirty;
		uint64_t place = world_place(world.volume, i * EXTENT, &is_dirty);

		cr_assert(ne(u64, place, 0), "extent %u", i);
		cr_expect(eq(int, is_dirty, are_dirty));
		used += !is_used[place / WORLD_BUCKET_SECTORS];
		is_used[place / WORLD_BUCKET_SECTORS] = true;
		cr_expect(eq(int, world_read(i * EXTENT, EXTENT), byte_of(i)));
	}
	return used;
}

static void expect_nothing_pinned(void)
{
	const struct space *space = &world.set->cache.space;

	for (unsigned i = 0; i < WORLD_BUCKETS; i++) {
		bool is_open = false;

		for (unsigned k = 0; k < space->open_limit; k++)
			is_open |= space->open_bucket[k].sectors_left &&
				   space->open_bucket[k].bucket == i;
		cr_expect(le(u32, space->bucket[i].pins, space->bucket[i].is_listed || is_open));
	}
}

Test(gc_move, puts_what_is_left_of_many_buckets_into_few)
{
	uint64_t dirty;

	write_fragments();
	cr_assert(ge(u32, buckets_of_fragments(true), BUCKETS_USED));
	dirty = world.set->index.dirty_sectors[world.volume->slot];
	gc()->move.is_enabled = true;
	world_collect_gc();
	cr_expect(le(u32, buckets_of_fragments(true), 3));
	cr_expect(eq(u64, world.set->index.dirty_sectors[world.volume->slot], dirty));
	cr_expect(zero(u64, gc()->move.collisions));
	cr_expect(lt(u64, 0, gc()->move.moved_sectors));
	expect_nothing_pinned();
}

Test(gc_move, frees_the_buckets_for_the_next_gc)
{
	uint64_t available;

	write_fragments();
	world_collect_gc();
	available = world.set->cache.space.available;
	gc()->move.is_enabled = true;
	world_collect_gc();
	gc()->move.is_enabled = false;
	world_collect_gc();
	cr_expect(le(u64, available + BUCKETS_USED / 2, world.set->cache.space.available));
}

/* A replay may bring old keys back, and with them the old places: the data are there, too. */
Test(gc_move, is_no_matter_to_a_start)
{
	write_fragments();
	gc()->move.is_enabled = true;
	world_collect_gc();
	cr_assert(zero(int, world_stop()));
	world_serve();
	cr_expect(le(u32, buckets_of_fragments(true), BUCKETS_USED));
}

Test(gc_move, is_off_while_there_is_room)
{
	write_fragments();
	world_collect_gc();
	cr_expect(ge(u32, buckets_of_fragments(true), BUCKETS_USED));
	cr_expect(zero(u64, gc()->move.moved_sectors));
}

/* Dirty data can't be evicted, so what is short of room moves them, whatever the setting. */
Test(gc_move, comes_by_itself_where_room_is_short)
{
	write_fragments();
	world_collect_gc();
	set_lock(world.set);
	world.set->cache.space.dirty_promised += WORLD_BUCKETS;
	set_unlock(world.set);
	world_collect_gc();
	world.set->cache.space.dirty_promised -= WORLD_BUCKETS;
	cr_expect(le(u32, buckets_of_fragments(true), 3));
}

/* RELOCATE-2: what was moved once is left alone. */
Test(gc_move, moves_nothing_twice)
{
	uint64_t moved;

	write_fragments();
	gc()->move.is_enabled = true;
	world_collect_gc();
	moved = gc()->move.moved_sectors;
	cr_assert(lt(u64, 0, moved));
	for (unsigned i = 0; i < 3; i++)
		world_collect_gc();
	cr_expect(eq(u64, gc()->move.moved_sectors, moved));
}

/* MOVE-3: buckets that splits may need are not taken. */
Test(gc_move, does_nothing_without_spare_buckets)
{
	struct bucket_ring *ring = &world.set->cache.space.free[USE_BTREE];
	unsigned count;

	write_fragments();
	world_collect_gc();
	gc()->move.is_enabled = true;
	count = ring->count;
	ring->count = ring->size / 2;
	world_collect_gc();
	cr_expect(zero(u64, gc()->move.moved_sectors));
	ring->count = count;
	expect_nothing_pinned();
}

/* ORDER-14: a replay must not bring it back when its bucket has been reused. */
Test(gc_move, closes_the_entry_with_an_old_key_before_the_next_gc)
{
	const struct journal *journal = &world.set->journal;
	uint64_t with_old_key;

	world.set->journal.delay_ns = UINT64_C(3600000000000);
	write_fragments();
	world_rest();
	with_old_key = journal->open;
	cr_assert(lt(u64, journal->durable, with_old_key));
	gc()->move.is_enabled = true;
	world_collect_gc();
	cr_assert(lt(u64, 0, gc()->move.moved_sectors));
	for (unsigned i = 0; i < 1000 && journal->durable < with_old_key; i++)
		world_pause();
	cr_expect(le(u64, with_old_key, journal->durable));
}

Test(gc_move, ends_when_the_set_stops)
{
	uint64_t runs;

	write_fragments();
	gc()->move.is_enabled = true;
	runs = gc()->runs;
	set_lock(world.set);
	gc_trigger(gc());
	set_unlock(world.set);
	while (gc()->runs == runs)
		world_pause();
	cr_assert(zero(int, world_stop()));
	world_serve();
	for (unsigned i = 0; i < EXTENTS; i += KEPT_OF)
		cr_expect(eq(int, world_read(i * EXTENT, EXTENT), byte_of(i)));
}
