/* Devices that wait for their set, and why; attaching by path; what is given up. */
#include "cache_world.h"

enum { DIRTY = 2 };

static struct error said;
static char twin_path[32];

static void setup(void)
{
	world_begin_with(8, MODE_WRITETHROUGH);
	world.daemon.directory = "/mounted";	/* from then on, what waits is told */
	twin_path[0] = '\0';
}

static void teardown(void)
{
	if (twin_path[0])
		unlink(twin_path);
	world_end();
}

TestSuite(waiting, .init = setup, .fini = teardown, .timeout = 60);

static bool was_told(const char *words)
{
	bool was = strstr(world.daemon.last_error.text, words);

	cr_expect(was, "wanted: %s, found: %s", words, world.daemon.last_error.text);
	return was && world.daemon.last_error_s;
}

/* A second device with the UUID, which names the same set, and is clean, too. */
static void make_twin(void)
{
	char bytes[SUPERBLOCK_BYTES + SUPERBLOCK_SECTOR * 512];
	int from = open(world.backing_path, O_RDONLY | O_CLOEXEC), to;

	strcpy(twin_path, "world_XXXXXX_img");
	to = mkstemps(twin_path, sizeof("_img") - 1);
	cr_assert(ge(int, to, 0));
	cr_assert(eq(i64, read(from, bytes, sizeof(bytes)), sizeof(bytes)));
	cr_assert(eq(i64, write(to, bytes, sizeof(bytes)), sizeof(bytes)));
	cr_assert(zero(int, ftruncate(to, (WORLD_DATA_OFFSET + WORLD_BACKING_SECTORS) * 512)));
	close(from);
	close(to);
}

static int register_path(const char *path)
{
	struct awaiter awaiter;

	said = (struct error){ 0 };
	awaiter_init(&awaiter, world.reactor);
	daemon_register(&world.daemon, path, &said, &awaiter.op);
	return awaiter_wait(&awaiter);
}

static struct volume *twin(void)
{
	return daemon_find_volume(&world.daemon, 1);
}

static int stop_volume(struct volume *volume)
{
	struct awaiter awaiter;

	awaiter_init(&awaiter, world.reactor);
	volume_stop(volume, &said, &awaiter.op);
	return awaiter_wait(&awaiter);
}

static int detach(void)
{
	struct awaiter awaiter;

	awaiter_init(&awaiter, world.reactor);
	volume_detach(world.volume, &said, &awaiter.op);
	return awaiter_wait(&awaiter);
}

static void rest_until_twin_is_attached(void)
{
	for (unsigned i = 0; i < 2000 && !twin()->set; i++)
		world_pause();
	cr_expect(eq(ptr, twin()->set, world.set));
	cr_expect(twin()->is_exported);
	cr_expect(zero(int, twin()->attach_error.code));
}

Test(waiting, devices_say_why_the_set_refused_them)
{
	make_twin();
	cr_expect(zero(int, register_path(twin_path)));
	cr_assert(ne(ptr, twin(), NULL));
	cr_expect(not(twin()->is_exported));
	cr_expect(was_told("is registered, and waits: tried to attach"));
	cr_expect(was_told("duplicate UUID already attached"));
}

Test(waiting, devices_are_tried_again_when_a_volume_has_stopped)
{
	make_twin();
	cr_expect(zero(int, register_path(twin_path)));
	cr_expect(zero(int, stop_volume(world.volume)));
	rest_until_twin_is_attached();
}

Test(waiting, devices_are_tried_again_when_a_volume_has_left)
{
	make_twin();
	cr_expect(zero(int, register_path(twin_path)));
	cr_expect(zero(int, detach()));
	rest_until_twin_is_attached();
}

/* The obstacle is another: it is told again, once. */
Test(waiting, devices_go_on_waiting)
{
	make_twin();
	cr_expect(zero(int, register_path(twin_path)));
	twin()->superblock.block_sectors = 1;
	cr_expect(zero(int, stop_volume(world.volume)));
	for (unsigned i = 0; i < 50; i++)
		world_pause();
	cr_expect(not(twin()->is_exported));
	cr_expect(was_told("block size less than set's block size"));
}

/* ---- by the path of the cache device ---- */

static int attach_to(const char *path)
{
	struct awaiter awaiter;

	said = (struct error){ 0 };
	awaiter_init(&awaiter, world.reactor);
	volume_attach_path(world.volume, path, &said, &awaiter.op);
	return awaiter_wait(&awaiter);
}

Test(waiting, is_over_when_it_is_attached_by_path)
{
	char path[64];

	cr_expect(zero(int, detach()));
	snprintf(path, sizeof(path), "./%s", world.cache_path);
	cr_expect(zero(int, attach_to(path)), "%s", said.text);
	cr_expect(eq(ptr, world.volume->set, world.set));
}

Test(waiting, goes_on_if_the_path_is_of_no_cache_device)
{
	cr_expect(zero(int, detach()));
	cr_expect(eq(int, attach_to(world.backing_path), -ENOENT));
	cr_expect(ne(ptr, strstr(said.text, "no registered set has this cache device"), NULL),
		  "%s", said.text);
	cr_expect(eq(int, attach_to("/nowhere"), -ENOENT));
	cr_expect(eq(ptr, world.volume->set, NULL));
	cr_expect(eq(int, attach_to(world.cache_path), 0));
	cr_expect(eq(int, attach_to(world.cache_path), -EINVAL));
}

/* ---- what is given up ---- */

static int run_without_set(void)
{
	struct awaiter awaiter;

	awaiter_init(&awaiter, world.reactor);
	volume_run(world.volume, &said, &awaiter.op);
	return awaiter_wait(&awaiter);
}

Test(waiting, that_is_given_up_says_so_and_so_does_the_set)
{
	char cache_path[32];

	world.volume->mode = MODE_WRITEBACK;
	cr_assert(zero(int, world_write(0, 128, DIRTY)));
	cr_assert(zero(int, world_stop()));
	strcpy(cache_path, world.cache_path);
	world.cache_path[0] = '\0';
	world_serve();
	world.daemon.directory = "/mounted";
	cr_expect(not(world.volume->is_exported));
	cr_expect(zero(int, run_without_set()));
	cr_expect(was_told("all dirty data that set 73657400-"));
	cr_expect(was_told("are given up"));
	strcpy(world.cache_path, cache_path);
	cr_expect(zero(int, register_path(cache_path)));
	world.set = daemon_first_set(&world.daemon);
	cr_expect(was_told("discarding 64.0k of dirty data"));
	cr_expect(zero(int, world_read(0, 128)));
}
