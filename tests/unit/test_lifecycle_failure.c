/*
 * What becomes of a set and of its volumes when a device fails.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <sys/resource.h>

#include "cache_world.h"

enum { BLOCK = 8, HIGH = 4096 };

static void setup(void)
{
	signal(SIGXFSZ, SIG_IGN);
	world_begin_with(BLOCK, MODE_WRITEBACK);
}

TestSuite(failure, .init = setup, .fini = world_end, .timeout = 60);

static void limit_files(rlim_t bytes)
{
	const struct rlimit limit = { .rlim_cur = bytes, .rlim_max = RLIM_INFINITY };

	cr_assert(zero(int, setrlimit(RLIMIT_FSIZE, &limit)));
}

/* A write that no device takes. */
static void write_nowhere(void)
{
	cr_assert(zero(int, world_ask(REQUEST_FLUSH, 0, 0)));
	limit_files(0);
	cr_expect(ne(int, world_write(0, BLOCK, 2), 0));
	limit_files(RLIM_INFINITY);
	world_pause();
}

Test(failure, of_a_device_is_told)
{
	write_nowhere();
	cr_expect(eq(int, world.daemon.last_error.code, EFBIG));
	cr_expect(ne(ptr, strstr(world.daemon.last_error.text, "write error: File too large"),
		     NULL));
}

Test(failure, of_a_set_comes_with_as_many_errors_as_its_limit)
{
	cr_assert(zero(int, world_write(HIGH, BLOCK, 1)));	/* state DIRTY is written */
	device_set_error_limit(world.set->cache.device, 2, 0);
	write_nowhere();
	cr_expect(zero(int, health_error(&world.set->health)));
	write_nowhere();
	cr_expect(eq(int, health_error(&world.set->health), -EIO));
}

Test(failure, of_a_volume_comes_with_as_many_errors_as_its_limit)
{
	world.volume->opens = 1;
	device_set_error_limit(world.volume->backing, 1, 0);
	write_nowhere();
	cr_expect(world.volume->io_disable);
	cr_expect(world.volume->is_stopping);
	cr_expect(eq(int, world_read(0, BLOCK), -EIO));
	cr_expect(zero(int, health_error(&world.set->health)));
	world.volume->opens = 0;
}

Test(failure, leaves_dirty_data_to_be_read_if_so_configured)
{
	world.set->on_failure = FAILURE_READONLY;
	cr_assert(zero(int, world_write(HIGH, BLOCK, 1)));
	world_kill_set();
	cr_expect(eq(int, world_read(HIGH, BLOCK), 1));
	cr_expect(zero(int, world_read(0, BLOCK)));
	cr_expect(eq(int, world_write(HIGH, BLOCK, 2), -EIO));
}

Test(failure, stops_volumes_that_are_to_stop_with_it)
{
	world.volume->stops_with_set = true;
	world.volume->opens = 1;
	cr_assert(zero(int, world_write(HIGH, BLOCK, 1)));
	world_kill_set();
	cr_expect(world.volume->is_stopping);
	cr_expect(eq(int, volume_state(world.volume), STATE_DIRTY));
	world.volume->opens = 0;
}
