/* How volumes and sets stop, and who hears of it when one of them has failed. */
#include "cache_world.h"

static void setup(void)
{
	world_begin_with(8, MODE_WRITEBACK);
}

TestSuite(stop, .init = setup, .fini = world_end, .timeout = 60);

static void fail_the_set(void)
{
	set_lock(world.set);
	health_fail(&world.set->health, EIO, "made to fail");
	set_unlock(world.set);
	world_pause();
}

/* As `echo 1 > stop` does, while the volume is open. */
static void mark_the_set(void)
{
	struct awaiter awaiter;
	struct error error = { .code = 0 };

	world.volume->opens++;
	awaiter_init(&awaiter, world.reactor);
	set_stop(world.set, &error, &awaiter.op);
	cr_assert(zero(int, awaiter_wait(&awaiter)), "%s", error.text);
	cr_assert(eq(ptr, daemon_first_set(&world.daemon), world.set));
}

static void close_the_volume(void)
{
	world.volume->opens--;
	volume_closed(world.volume);
	while (daemon_first_set(&world.daemon))
		world_pause();
	cr_assert(eq(ptr, daemon_first_volume(&world.daemon), NULL));
}

static int stop_daemon(struct error *error)
{
	struct awaiter awaiter;

	awaiter_init(&awaiter, world.reactor);
	daemon_stop(&world.daemon, error, &awaiter.op);
	return awaiter_wait(&awaiter);
}

/* STOP-3: nobody waits for the end of a set that ends at a last close (seed 1547). */
Test(stop, reports_what_failed_at_a_last_close)
{
	struct error error = { .code = 0 };

	mark_the_set();
	fail_the_set();
	close_the_volume();
	cr_expect(eq(int, stop_daemon(&error), -EIO));
	cr_expect(strstr(error.text, "made to fail") != NULL, "%s", error.text);
}

Test(stop, at_a_last_close_is_no_failure_of_the_daemon_if_nothing_failed)
{
	struct error error = { .code = 0 };

	mark_the_set();
	close_the_volume();
	cr_expect(zero(int, stop_daemon(&error)), "%s", error.text);
}

Test(stop, of_the_daemon_reports_a_set_that_has_failed)
{
	struct error error = { .code = 0 };

	fail_the_set();
	cr_expect(eq(int, stop_daemon(&error), -EIO));
	cr_expect(strstr(error.text, "made to fail") != NULL, "%s", error.text);
}
