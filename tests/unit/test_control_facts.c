/* Figures that are counted are those that a walk over all buckets finds. */
#include "cache_world.h"
#include "control/facts.h"

static void setup(void)
{
	world_begin_with(8, MODE_WRITEBACK);
}

TestSuite(facts, .init = setup, .fini = world_end, .timeout = 60);

static void run_gc(void)
{
	uint64_t before = world.set->gc.runs;

	set_lock(world.set);
	gc_trigger(&world.set->gc);
	set_unlock(world.set);
	for (unsigned i = 0; i < 5000 && world.set->gc.runs == before; i++)
		world_pause();
	cr_assert(lt(u64, before, world.set->gc.runs));
}

static void expect_near(double counted, unsigned walked, const char *what)
{
	cr_expect(counted > walked - 1.0 && counted < walked + 2.0, "%s: %f and %u", what,
		  counted, walked);
}

static void expect_alike(void)
{
	struct set_facts counted = set_facts_take(world.set);
	struct priority_facts walked;

	priority_facts_take(world.set, &walked);
	/* The kernel counts metadata that are no nodes as unused, too. */
	cr_expect(counted.shares.unused < walked.unused_percent + 1.0);
	cr_expect(counted.shares.unused + counted.shares.metadata > walked.unused_percent - 1.0);
	expect_near(counted.shares.clean, walked.clean_percent, "clean");
	expect_near(counted.shares.dirty, walked.dirty_percent, "dirty");
	expect_near(counted.shares.metadata, walked.metadata_percent, "metadata");
}

Test(facts, of_an_empty_set_are_alike)
{
	run_gc();
	expect_alike();
}

Test(facts, of_dirty_and_clean_data_are_alike)
{
	world.volume->mode = MODE_WRITEBACK;
	for (unsigned at = 0; at < 4096; at += 256)
		cr_assert(zero(int, world_write(at, 256, 1)));
	world.volume->mode = MODE_WRITETHROUGH;
	for (unsigned at = 4096; at < WORLD_BACKING_SECTORS; at += 256)
		cr_assert(zero(int, world_write(at, 256, 2)));
	run_gc();
	expect_alike();
	cr_expect(lt(dbl, 4.0, set_facts_take(world.set).shares.dirty));
	cr_expect(lt(dbl, 4.0, set_facts_take(world.set).shares.clean));
}

/* Of a set that does not run nothing is known. */
Test(facts, of_no_set_are_zero)
{
	struct set_facts facts;

	world.set->is_running = false;
	facts = set_facts_take(world.set);
	world.set->is_running = true;
	cr_expect(zero(u64, facts.cache_bytes));
	cr_expect(eq(i64, facts.gc_age_ns, -1));
}
