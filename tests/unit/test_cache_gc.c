/* Garbage collection: what it counts, what it marks, and which nodes it has rewritten. */
#include "cache_world.h"
#include "index/internal.h"

enum { KEY_SECTORS = 8, STALE_MAX = 10 };

static void setup(void)
{
	world_begin_with(8, MODE_WRITEBACK);
}

TestSuite(gc, .init = setup, .fini = world_end, .timeout = 60);

static struct gc *gc(void)
{
	return &world.set->gc;
}

static struct node *root(void)
{
	return world.set->index.root;
}

/* `count` extents of a block each, with a block between them, dirty. */
static void write_keys(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		cr_assert(zero(int, world_write(i * 2 * KEY_SECTORS, KEY_SECTORS, 1)));
}

static struct bucket *bucket_of(uint64_t sector)
{
	return &world.set->cache.space.bucket[world_place(world.volume, sector, NULL) /
					WORLD_BUCKET_SECTORS];
}

/* All in its bucket are `generations` behind what it is now. */
static void make_stale(uint64_t sector, unsigned generations)
{
	bucket_of(sector)->generation += generations;
}

static void forget_stale(void)
{
	memset(world.set->index.dirty_sectors, 0,
	       world.set->uuid_slots * sizeof(*world.set->index.dirty_sectors));
}

/* ---- counting ---- */

Test(gc, counts_what_it_finds)
{
	write_keys(10);
	world_collect_gc();
	cr_expect(eq(u64, gc()->last_nodes, 1));
	cr_expect(eq(u64, gc()->last_keys, 10));
	cr_expect(eq(u64, gc()->last_key_words, 30));
	cr_expect(eq(u64, gc()->last_data_sectors, 10 * KEY_SECTORS));
}

Test(gc, counts_anew_each_time)
{
	write_keys(4);
	world_collect_gc();
	world_collect_gc();
	cr_expect(eq(u64, gc()->last_nodes, 1));
	cr_expect(eq(u64, gc()->last_keys, 4));
	cr_expect(eq(u64, gc()->last_key_words, 12));
	cr_expect(eq(u64, gc()->last_data_sectors, 4 * KEY_SECTORS));
}

Test(gc, takes_its_time)
{
	uint64_t began = clock_ns(world.reactor);

	world_collect_gc();
	cr_expect(ge(u64, gc()->last_begin_ns, began));
	cr_expect(ge(u64, gc()->last_end_ns, gc()->last_begin_ns));
	cr_expect(ge(u64, gc()->duration_max_ns, gc()->duration_average_ns));
	cr_expect(le(u64, gc()->duration_max_ns, clock_ns(world.reactor) - began));
}

Test(gc, takes_the_average_of_its_times_over_eight_runs)
{
	uint64_t most = UINT64_C(1) << 60;

	world_collect_gc();
	gc()->duration_average_ns = gc()->interval_average_ns = 8 * most / 8;
	world_collect_gc();
	cr_expect(ge(u64, gc()->duration_average_ns, most / 8 * 7));
	cr_expect(le(u64, gc()->duration_average_ns, most / 8 * 7 + most / 64));
	cr_expect(ge(u64, gc()->interval_average_ns, most / 8 * 7));
	cr_expect(le(u64, gc()->interval_average_ns, most / 8 * 7 + most / 64));
}

Test(gc, takes_its_interval_from_beginning_to_beginning)
{
	uint64_t first;

	world_collect_gc();
	first = gc()->last_begin_ns;
	gc()->interval_average_ns = 0;
	world_collect_gc();
	cr_expect(eq(u64, gc()->interval_average_ns, gc()->last_begin_ns - first));
}

/* ---- marking ---- */

Test(gc, marks_buckets_as_what_lies_in_them)
{
	struct space *space = &world.set->cache.space;
	struct bucket *bucket;

	write_keys(1);
	bucket = bucket_of(0);
	world_collect_gc();
	cr_expect(eq(int, bucket->mark, MARK_DIRTY));
	cr_expect(eq(int, space->bucket[space_bucket_of(space, root()->key.ptr)].mark,
		     MARK_METADATA));
	cr_expect(eq(int, space->bucket[space_bucket_of(space, world.set->uuid_bucket.ptr)].mark,
		     MARK_METADATA));
	cr_expect(space->marks_valid);
}

/* GC-2 */
Test(gc, leaves_the_leaves_durable_that_it_has_passed)
{
	write_keys(3);
	cr_assert(lt(u32, 0, root()->open.count));
	world_collect_gc();
	cr_expect(zero(u32, root()->open.count));
	cr_expect(eq(u64, root()->settled, root()->inserted));
}

/* ---- rewriting ---- */

static void expect_rewritten(bool is_rewritten)
{
	uint64_t ptr = root()->key.ptr, rewrites = gc()->rewrites;

	world_collect_gc();
	while (!plans_are_idle(&world.set->index))
		world_pause();
	cr_expect(eq(u64, gc()->rewrites - rewrites, is_rewritten));
	cr_expect(eq(int, root()->key.ptr != ptr, is_rewritten));
}

Test(gc, leaves_a_leaf_alone_that_is_sound)
{
	write_keys(4);
	expect_rewritten(false);
}

static void write_in_two_buckets(unsigned in_first, unsigned in_second)
{
	struct open_bucket *open = world.set->cache.space.open_bucket;

	write_keys(in_first);
	for (unsigned i = 0; i < OPEN_BUCKETS_MAX; i++)		/* the next begins another */
		if (open[i].sectors_left)
			open[i].sectors_left = 0;
	for (unsigned i = in_first; i < in_first + in_second; i++)
		cr_assert(zero(int, world_write(i * 2 * KEY_SECTORS, KEY_SECTORS, 1)));
	cr_assert(ne(ptr, bucket_of(0), bucket_of(in_first * 2 * KEY_SECTORS)));
}

Test(gc, has_a_leaf_rewritten_of_whose_keys_more_than_half_are_stale)
{
	write_in_two_buckets(3, 2);
	make_stale(0, 1);
	expect_rewritten(true);
	cr_expect(eq(u32, root()->keys.count, 2));
	forget_stale();
}

Test(gc, leaves_a_leaf_alone_of_whose_keys_half_are_stale)
{
	write_in_two_buckets(2, 2);
	make_stale(0, 1);
	expect_rewritten(false);
	cr_expect(eq(u64, gc()->last_keys, 2));
	cr_expect(eq(u64, gc()->last_data_sectors, 2 * KEY_SECTORS));
	forget_stale();
}

Test(gc, has_a_leaf_rewritten_that_has_a_pointer_far_behind)
{
	write_in_two_buckets(1, 3);
	make_stale(0, STALE_MAX + 1);
	expect_rewritten(true);
	cr_expect(eq(u32, root()->keys.count, 3));
	forget_stale();
}

Test(gc, leaves_a_leaf_alone_whose_pointers_are_not_far_behind)
{
	write_in_two_buckets(1, 3);
	make_stale(0, STALE_MAX);
	expect_rewritten(false);
	forget_stale();
}

Test(gc, has_a_leaf_rewritten_that_has_keys_of_a_volume_that_has_gone)
{
	struct bkey k = bkey_of(5, 100, 4);
	struct insert insert = { .index = &world.set->index, .is_journaled = true, .count = 1 };
	struct awaiter awaiter;

	write_keys(3);
	k = bkey_with_pointer(k, pointer_of(0, world_place(world.volume, 0, NULL), 0));
	k.ptr += bucket_of(0)->generation;
	insert.keys[0] = k;
	awaiter_init(&awaiter, world.reactor);
	insert.parent = &awaiter.op;
	insert_start(&insert);
	cr_assert(zero(int, awaiter_wait(&awaiter)));
	world.set->index.is_gone[5] = true;
	expect_rewritten(true);
	cr_expect(eq(u32, root()->keys.count, 3));
}

/* ---- many leaves ---- */

/* Clean extents of one sector, more than a leaf can hold, all in the bucket of sector 0. */
static void insert_leaves(void)
{
	struct awaiter awaiter;
	uint64_t ptr;

	write_keys(1);
	ptr = pointer_of(0, world_place(world.volume, 0, NULL), bucket_of(0)->generation);
	awaiter_init(&awaiter, world.reactor);
	for (unsigned i = 0; i < 6000; i += INSERT_KEYS_MAX) {
		struct insert insert = { .index = &world.set->index, .is_journaled = true,
					 .parent = &awaiter.op, .count = INSERT_KEYS_MAX };

		for (unsigned k = 0; k < INSERT_KEYS_MAX; k++)
			insert.keys[k] = bkey_with_pointer(bkey_of(5, (i + k + 1) * 2, 1), ptr);
		insert_start(&insert);
		cr_assert(zero(int, awaiter_wait(&awaiter)));
	}
	while (!plans_are_idle(&world.set->index))
		world_pause();
	cr_assert(ge(u32, root()->keys.count, 2));
}

Test(gc, goes_from_leaf_to_leaf)
{
	insert_leaves();
	world_collect_gc();
	cr_expect(eq(u64, gc()->last_nodes, root()->keys.count + 1));
}

/* A pointer to a child that was replaced; its bucket is free, and on no list. */
static struct bucket *bucket_of_dead_child(void)
{
	struct space *space = &world.set->cache.space;

	for (unsigned i = 0; i < root()->dead.count; i++) {
		struct bkey *k = &root()->dead.key[i];
		struct bucket *bucket = &space->bucket[space_bucket_of(space, k->ptr)];

		if (bkey_sectors(k) && bkey_end(k) && !bucket->is_listed && !bucket->pins &&
		    bucket->mark == MARK_NONE)
			return bucket;
	}
	return NULL;
}

Test(gc, has_an_interior_node_rewritten_for_a_dead_pointer)
{
	struct bucket *bucket;

	insert_leaves();
	bucket = bucket_of_dead_child();
	cr_assert(ne(ptr, bucket, NULL));
	bucket->generation += STALE_MAX;
	expect_rewritten(true);
	cr_expect(zero(u32, root()->dead.count));
}

/* ---- stopping ---- */

/* A gc of so few nodes may have ended before anybody sees it: then it stops at rest. */
Test(gc, ends_when_it_is_stopped)
{
	uint64_t runs;

	write_keys(3);
	runs = gc()->runs;
	set_lock(world.set);
	gc_trigger(gc());
	set_unlock(world.set);
	while (gc()->state == GC_IDLE && gc()->runs == runs)
		world_pause();
	set_lock(world.set);
	gc_stop(gc());
	set_unlock(world.set);
	while (!gc_is_idle(gc()))
		world_pause();
	cr_expect(eq(int, gc()->state, GC_IDLE));
}

/* ---- settings ---- */

Test(gc, rewrites_all_leaves_where_that_is_set)
{
	uint64_t bucket;

	write_keys(10);
	world_collect_gc();
	bucket = pointer_sector(root()->key.ptr);
	world_collect_gc();
	cr_expect(eq(u64, pointer_sector(root()->key.ptr), bucket));
	gc()->rewrites_all = true;
	world_collect_gc();
	cr_expect(ne(u64, pointer_sector(root()->key.ptr), bucket));
	cr_expect(eq(u64, gc()->last_keys, 10));
}

/* Half of the cache must be in use; of one that is not nothing could be won. */
Test(gc, follows_writeback_where_that_is_set)
{
	uint64_t available = world.set->cache.space.available;

	world_collect_gc();
	set_lock(world.set);
	gc_after_writeback(gc());
	cr_expect(not(world.set->cache.space.gc_is_wanted));
	gc()->follows_writeback = true;
	gc_after_writeback(gc());
	cr_expect(not(world.set->cache.space.gc_is_wanted));
	world.set->cache.space.available = world.set->cache.space.setup.buckets / 2;
	gc_after_writeback(gc());
	cr_expect(world.set->cache.space.gc_is_wanted);
	world.set->cache.space.available = available;
	set_unlock(world.set);
}
