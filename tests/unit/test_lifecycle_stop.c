/* How volumes and sets stop, and who hears of it when one of them has failed. */
#include "cache_world.h"

#include "io/device_internal.h"

/* ---- a backing device whose next flush fails ---- */

static int fail_syncs;
static bool fail_fua;

int fdatasync(int fd)
{
	(void)fd;
	if (fail_fua) {
		fail_fua = false;
		device_transfer_ended(world.volume->backing, &(struct transfer_end){
			.kind = TRANSFER_WRITE, .fua = true, .error = -EIO });
	}
	if (!fail_syncs)
		return 0;
	fail_syncs--;
	errno = EIO;
	return -1;
}

static void setup(void)
{
	world_begin_with(8, MODE_WRITEBACK);
}

TestSuite(stop, .init = setup, .fini = world_end, .timeout = 60);
TestSuite(failed_flush, .init = setup, .fini = world_end, .timeout = 60);

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

static int stop_the_volume(void)
{
	struct awaiter awaiter;
	struct error error = { .code = 0 };

	awaiter_init(&awaiter, world.reactor);
	volume_stop(world.volume, &error, &awaiter.op);
	return awaiter_wait(&awaiter);
}

/* STOP-4: nobody can write state NONE any more; an old clean copy must not come back. */
Test(stop, of_a_volume_leaves_no_old_keys_behind_if_its_set_fails_later)
{
	world.volume->mode = MODE_WRITETHROUGH;
	cr_assert(zero(int, world_write(0, 8, 1)));
	cr_assert(zero(int, world_ask(REQUEST_FLUSH, 0, 0)));
	world.volume->mode = MODE_WRITEAROUND;
	cr_assert(zero(int, world_write(0, 8, 2)));
	cr_assert(zero(int, stop_the_volume()));
	set_lock(world.set);
	health_fail(&world.set->health, EIO, "made to fail");
	set_unlock(world.set);
	cr_expect(eq(int, world_stop(), -EIO));
	world_serve();
	cr_expect(eq(ptr, world.volume->set, world.set));
	cr_expect(eq(int, world_read(0, 8), 2));
}

static void copy_file(const char *from, const char *to)
{
	char command[100];

	snprintf(command, sizeof(command), "cp %s %s", from, to);
	cr_assert(zero(int, system(command)));
}

/* STOP-4 */
Test(stop, of_a_volume_that_succeeded_survives_a_power_cut)
{
	cr_assert(zero(int, world_write(0, 8, 1)));
	cr_assert(zero(int, world_ask(REQUEST_FLUSH, 0, 0)));
	cr_assert(zero(int, world_write(0, 8, 2)));
	cr_assert(zero(int, stop_the_volume()));
	copy_file(world.cache_path, "stopped.cache");
	copy_file(world.backing_path, "stopped.backing");
	cr_expect(zero(int, world_stop()));
	copy_file("stopped.cache", world.cache_path);
	copy_file("stopped.backing", world.backing_path);
	unlink("stopped.cache");
	unlink("stopped.backing");
	world_serve();
	cr_expect(eq(ptr, world.volume->set, world.set));
	cr_expect(eq(int, world_read(0, 8), 2));
}

/* STOP-4: what was answered, and never flushed, is gone with the set. */
Test(stop, of_a_volume_with_dirty_data_tells_that_its_set_has_failed)
{
	cr_assert(zero(int, world_write(0, 8, 1)));
	fail_the_set();
	cr_expect(eq(int, stop_the_volume(), -EIO));
}

/* ---- failed flushes (VOLUME-4) ---- */

/* A device without a page cache, which would tell by itself; returns a descriptor of it. */
static int serve_from_memory(void)
{
	int fd;

	cr_assert(zero(int, world_stop()));
	fd = world_move_to_memory(world.backing_path);
	world_serve();
	world.volume->backing->direct = true;
	return fd;
}

static void write_back(void)
{
	world.volume->writeback_tunables.running = true;
	world.volume->writeback_tunables.percent = 0;
	world.volume->writeback_tunables.delay = 0;
	writeback_look_again(&world.volume->writeback);
}

/* A write that is answered, and then a flush for writeback that fails: the write may be lost. */
static void fail_flush_of_writeback(void)
{
	cr_assert(zero(int, world_write(64, 8, 1)));
	world.volume->mode = MODE_WRITETHROUGH;
	cr_assert(zero(int, world_write(0, 8, 1)));
	fail_syncs = 1;
	write_back();
	while (!world.volume->writeback.write_errors)
		world_pause();
	cr_assert(zero(int, fail_syncs));
}

Test(failed_flush, of_writeback_is_told_by_the_next_flush)
{
	int fd = serve_from_memory();

	fail_flush_of_writeback();
	cr_expect(eq(int, world_ask(REQUEST_FLUSH, 0, 0), -EIO));
	cr_expect(zero(int, world_ask(REQUEST_FLUSH, 0, 0)));
	close(fd);
}

/* The device was told by a FUA write that what it had is lost, and tells the flush nothing. */
Test(failed_flush, of_a_fua_write_keeps_dirty_what_was_being_written_back)
{
	int fd = serve_from_memory();

	cr_assert(zero(int, world_write(64, 8, 1)));
	fail_fua = true;
	write_back();
	while (fail_fua)
		world_pause();
	for (unsigned i = 0; i < 10; i++)
		world_pause();
	cr_expect(eq(u64, world.volume->writeback.write_errors, 1));
	cr_expect(eq(u64, volume_dirty_bytes(world.volume), 8 * 512));
	close(fd);
}

Test(failed_flush, is_told_by_the_stop_of_the_volume_if_nobody_was_told)
{
	int fd = serve_from_memory();

	fail_flush_of_writeback();
	cr_expect(eq(int, stop_the_volume(), -EIO));
	close(fd);
}

/* A flush that failed is told by itself, and no second time. */
Test(failed_flush, is_told_no_second_time)
{
	int fd = serve_from_memory();

	fail_syncs = 1;
	cr_expect(eq(int, world_ask(REQUEST_FLUSH, 0, 0), -EIO));
	cr_expect(zero(int, world_ask(REQUEST_FLUSH, 0, 0)));
	cr_expect(zero(int, stop_the_volume()));
	close(fd);
}

static int detach_the_volume(void)
{
	struct awaiter awaiter;
	struct error error = { .code = 0 };

	awaiter_init(&awaiter, world.reactor);
	volume_detach(world.volume, &error, &awaiter.op);
	return awaiter_wait(&awaiter);
}

/* The users are told, too. */
Test(failed_flush, is_told_once_by_a_detach_and_by_a_flush)
{
	int fd = serve_from_memory();

	fail_flush_of_writeback();
	cr_expect(eq(int, detach_the_volume(), -EIO));
	cr_expect(zero(int, detach_the_volume()));
	cr_expect(eq(int, world_ask(REQUEST_FLUSH, 0, 0), -EIO));
	close(fd);
}
