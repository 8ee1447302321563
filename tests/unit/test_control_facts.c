/* Figures that are counted are those that a walk finds; requests that hang say why. */
#include "cache_world.h"
#include "control/control.h"
#include "control/facts.h"

static void setup(void)
{
	world_begin_with(8, MODE_WRITEBACK);
}

TestSuite(facts, .init = setup, .fini = world_end, .timeout = 60);

/* Twice: the first may have been under way, and does not know all. */
static void run_gc(void)
{
	world_collect_gc();
	world_collect_gc();
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

/* ---- requests that are not answered ---- */

static const struct control_file *inflight_file(void)
{
	const struct control_file *file = control_set_internal_files;

	while (strcmp(file->name, "inflight"))
		file++;
	return file;
}

static bool shows(const char *wanted)
{
	struct control_subject subject = { .daemon = &world.daemon, .set = world.set };
	struct text text = { 0 };
	bool found;

	inflight_file()->show(&subject, &text);
	found = strstr(text.bytes, wanted) == text.bytes;
	cr_expect(found, "wanted: %s, found: %s", wanted, text.bytes);
	text_done(&text);
	return found;
}

static void answered_some_time(struct request *request UNUSED, int error UNUSED)
{
	reactor_stop(world.reactor);
}

Test(facts, of_requests_tell_for_how_long_and_for_what_they_wait)
{
	struct request request = { .kind = REQUEST_READ, .volume = world.volume, .offset = 8192,
				   .bytes = 4096, .data = world.data, .done = answered_some_time };

	cr_expect(shows("\n"));
	volume_freeze(world.volume);
	request_start(&request);
	cr_expect(shows("\n"));		/* it is young */
	request.began_ns -= UINT64_C(12345000000);
	cr_expect(shows("bcache0 read of 4096 bytes at 8192: for 12.345 s; waits for its volume"));
	volume_thaw(world.volume);
	reactor_run(world.reactor);
	cr_expect(list_empty(&world.volume->requests));
	cr_expect(shows("\n"));
}
