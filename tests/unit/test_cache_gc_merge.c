/*
 * Gc gives thin nodes back: after small writes have swept a volume much larger than the cache, the
 * nodes are no more than the live keys need.
 */
#define WORLD_SMALL_BUCKETS
#include "cache_world.h"
#include "index/internal.h"

enum {
	APART = 8,
	PART = 1000,
	SWEPT = WORLD_BACKING_SECTORS / APART,
	NODE_WORDS = (WORLD_BUCKET_SECTORS * 512 - sizeof(struct bset_disk)) / 8,
};

static void setup(void)
{
	world_begin_with(1, MODE_WRITETHROUGH);
}

TestSuite(gc_merge, .init = setup, .fini = world_end, .timeout = 120);

static struct gc *gc(void)
{
	return &world.set->gc;
}

/* From the start of the volume to its end, at random places of a part of it after the other. */
static void sweep(void)
{
	for (unsigned part = 0; part < SWEPT / PART; part++)
		for (unsigned i = 0; i < PART; i++)
			cr_assert(zero(int, world_write((part * PART + i * 379 % PART) * APART, 1,
							i % 251)));
}

static unsigned buckets_of_nodes(void)
{
	world_collect_gc();
	return gc()->last_nodes;
}

Test(gc_merge, leaves_no_more_nodes_than_the_live_keys_need)
{
	unsigned nodes, needed;

	sweep();
	nodes = buckets_of_nodes();
	needed = gc()->last_key_words / (NODE_WORDS / 3) + 3;
	cr_expect(le(u32, nodes, needed));
	cr_expect(lt(u32, nodes, WORLD_BUCKETS / 4));
	printf("# %u nodes for %u words of keys; %u were given back\n", nodes,
	       (unsigned)gc()->last_key_words, (unsigned)world.set->index.nodes_given_back);
}
