/* The set as a whole: its parts, made and unmade; which volumes its table names. */
#include "counted_memory.h"

#include "awaiter.h"
#include "cache/cache_set.h"

static struct reactor *reactor;
static struct device *device;
static struct cache_set set;

static void setup(void)
{
	reactor = test_reactor();
	device = test_device(64 * 128);
	set = (struct cache_set){
		.cache = {
			.device = device,
			.superblock = { .version = SUPERBLOCK_CACHE, .set_uuid = "set",
					.buckets = 64, .block_sectors = 8, .bucket_sectors = 128,
					.members = 1, .first_bucket = 1, .journal_buckets = 2,
					.journal_bucket = { 1, 2 } },
		},
	};
}

static void teardown(void)
{
	device_close(device);
	reactor_free(reactor);
}

TestSuite(cache_set, .init = setup, .fini = teardown, .timeout = 60);

static int init(size_t node_memory_bytes, bool read_only)
{
	struct error error = { .code = 0 };

	return set_init(&set, NULL, reactor, node_memory_bytes, read_only, &error);
}

Test(cache_set, gives_all_its_memory_back)
{
	int before = memory_pieces;

	cr_assert(zero(int, init(0, false)));
	cr_expect(lt(int, before, memory_pieces));
	set_done(&set);
	cr_expect(eq(int, memory_pieces, before));
}

Test(cache_set, that_finds_no_memory_for_its_buckets_leaves_none_behind)
{
	int before = memory_pieces;

	for (unsigned allocations = 1; allocations <= 4; allocations++) {
		memory_allocations_left = allocations;
		cr_expect(eq(int, init(0, false), -ENOMEM));
		memory_allocations_left = UINT_MAX;
		cr_expect(eq(int, memory_pieces, before));
	}
}

Test(cache_set, keeps_as_many_nodes_as_were_asked_for)
{
	size_t node_bytes = superblock_node_sectors(&set.cache.superblock) * 512 * 3 / 2;

	cr_assert(zero(int, init(100 * node_bytes, false)));
	cr_expect(eq(u32, set.index.nodes_max, 100));
	set_done(&set);
	cr_assert(zero(int, init(0, false)));
	cr_expect(eq(u32, set.index.nodes_max, (256 << 20) / node_bytes));
	set_done(&set);
}

Test(cache_set, is_read_only_in_all_its_parts)
{
	cr_assert(zero(int, init(0, true)));
	cr_expect(set.is_read_only);
	cr_expect(set.index.setup.memory_only);
	cr_expect(set.cache.space.setup.is_read_only);
	set_done(&set);
	cr_assert(zero(int, init(0, false)));
	cr_expect(not(set.is_read_only));
	cr_expect(not(set.index.setup.memory_only));
	set_done(&set);
}

/* ---- the table of volumes ---- */

Test(cache_set, has_the_volumes_that_its_table_names)
{
	cr_assert(zero(int, init(0, false)));
	set.uuids[1].uuid[0] = 7;
	uuid_retire(&set.uuids[2], 0);
	set.uuids[set.uuid_slots - 1].uuid[0] = 7;
	cr_expect(not(set_has_volume(&set, 0)));
	cr_expect(set_has_volume(&set, 1));
	cr_expect(not(set_has_volume(&set, 2)));
	cr_expect(set_has_volume(&set, set.uuid_slots - 1));
	cr_expect(not(set_has_volume(&set, set.uuid_slots)));
	set_done(&set);
}

Test(cache_set, forgets_the_keys_of_volumes_that_are_retired)
{
	cr_assert(zero(int, init(0, false)));
	set.uuids[1].uuid[0] = 7;
	uuid_retire(&set.uuids[2], 0);
	set_lock(&set);
	set_volumes_changed(&set);
	set_unlock(&set);
	cr_expect(not(set.index.is_gone[0]));
	cr_expect(not(set.index.is_gone[1]));
	cr_expect(set.index.is_gone[2]);
	set_done(&set);
}

/* ---- stopping ---- */

/* A pause of gc is short, but nobody has to wait for its end. */
Test(cache_set, that_stops_does_not_wait_for_a_gc_that_pauses)
{
	struct awaiter awaiter;

	cr_assert(zero(int, init(0, false)));
	set.gc.state = GC_WORK;
	timer_start(&set.gc.pause, UINT64_C(1000000000000), &set.gc.op);
	set_lock(&set);
	gc_stop(&set.gc);
	set_unlock(&set);
	awaiter_init(&awaiter, reactor);
	op_queue(&awaiter.op);
	awaiter_wait(&awaiter);
	cr_expect(gc_is_idle(&set.gc));
	timer_cancel(&set.gc.pause);
	set_done(&set);
}
