/* Of a backing device whose superblock cannot be written nothing becomes dirty in a set. */
#include "cache_world.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { OLD = 1, DIRTY = 2 };

static int backing_fd;

/* All that is written fails from now on. */
static void seal_backing(void)
{
	cr_assert(zero(int, fcntl(backing_fd, F_ADD_SEALS, F_SEAL_WRITE)));
}

static enum backing_state state_on_disk(void)
{
	struct superblock_disk disk;
	struct superblock sb;

	cr_assert(eq(i64, pread(backing_fd, &disk, sizeof(disk), SUPERBLOCK_SECTOR * 512),
		     sizeof(disk)));
	superblock_decode_unchecked(&sb, &disk);
	return superblock_state(&sb);
}

static void put_state_on_disk(enum backing_state state)
{
	struct superblock sb = world.volume->superblock;

	superblock_set_state(&sb, state);
	superblock_encode(&sb);
	cr_assert(eq(i64, pwrite(backing_fd, &sb.disk, SUPERBLOCK_BYTES, SUPERBLOCK_SECTOR * 512),
		     SUPERBLOCK_BYTES));
}

static void setup(void)
{
	world_begin_with(8, MODE_WRITEBACK);
	cr_assert(zero(int, world_stop()));
	backing_fd = world_move_to_memory(world.backing_path);
	world_serve();
	cr_assert(eq(ptr, world.volume->set, world.set));
}

static void teardown(void)
{
	world_end();
	close(backing_fd);
}

TestSuite(attach, .init = setup, .fini = teardown, .timeout = 60);

static int detach(void)
{
	struct awaiter awaiter;
	struct error error = { .code = 0 };

	awaiter_init(&awaiter, world.reactor);
	volume_detach(world.volume, &error, &awaiter.op);
	return awaiter_wait(&awaiter);
}

/* ---- while it joins ---- */

/* What a kernel leaves whose write of DIRTY was still under way: dirty keys, and CLEAN. */
static void make_secretly_dirty(void)
{
	cr_assert(zero(int, world_write(0, 8, DIRTY)));
	cr_assert(eq(int, state_on_disk(), STATE_DIRTY));
	put_state_on_disk(STATE_CLEAN);
	cr_assert(zero(int, world_stop()));
}

Test(attach, of_what_is_dirty_only_in_the_index_says_so_on_disk_first)
{
	make_secretly_dirty();
	world_serve();
	cr_expect(eq(ptr, world.volume->set, world.set));
	cr_expect(eq(int, state_on_disk(), STATE_DIRTY));
	cr_expect(eq(int, world_read(0, 8), DIRTY));
}

/* Else, once the set dies, what is on the backing device would be taken for all there is. */
Test(attach, that_cannot_say_dirty_leaves_the_volume_closed)
{
	struct error error = { .code = 0 };

	make_secretly_dirty();
	seal_backing();
	world_serve();
	cr_expect(eq(ptr, world.volume->set, NULL));
	cr_expect(not(world.volume->is_exported));
	cr_expect(not(world.volume->is_frozen));
	cr_expect(eq(int, volume_state(world.volume), STATE_CLEAN));
	cr_expect(not(volume_is_marked_dirty(world.volume)));
	cr_expect(lt(int, daemon_check_complete(&world.daemon, &error), 0));
	cr_expect(ne(ptr, strstr(error.text, "writing the superblock of the backing device: "),
		     NULL), "%s", error.text);
	cr_expect(eq(int, state_on_disk(), STATE_CLEAN));
}

Test(attach, that_cannot_say_clean_leaves_the_volume_without_a_set)
{
	struct awaiter awaiter;
	struct error error = { .code = 0 };

	cr_assert(zero(int, detach()));
	cr_assert(zero(int, world_write(0, 8, OLD)));
	seal_backing();
	awaiter_init(&awaiter, world.reactor);
	volume_attach(world.volume, world.set, &error, &awaiter.op);
	cr_expect(lt(int, awaiter_wait(&awaiter), 0));
	cr_expect(ne(ptr, strstr(error.text, "writing the superblock of the backing device: "),
		     NULL), "%s", error.text);
	cr_expect(eq(ptr, world.volume->set, NULL));
	cr_expect(eq(int, volume_state(world.volume), STATE_NONE));
	cr_expect(uuid_is_zero(world.volume->superblock.set_uuid));
	cr_expect(eq(int, world_read(0, 8), OLD));
}

/* ---- a superblock that cannot be written ---- */

typedef void job_start(struct error *error, struct op *op);

/* Runs the job; the errno, which has its reason. */
static int run(job_start *start)
{
	struct awaiter awaiter;
	struct error error = { .code = 0 };
	int code;

	awaiter_init(&awaiter, world.reactor);
	start(&error, &awaiter.op);
	code = awaiter_wait(&awaiter);
	cr_expect(eq(int, error.code, -code), "%s", error.text);
	return code;
}

static void detach_start_here(struct error *error, struct op *op)
{
	volume_detach(world.volume, error, op);
}

static void label_start(struct error *error, struct op *op)
{
	volume_set_label(world.volume, "label", error, op);
}

static void mode_start(struct error *error, struct op *op)
{
	volume_set_mode(world.volume, MODE_WRITEAROUND, error, op);
}

static void run_start(struct error *error, struct op *op)
{
	volume_run(world.volume, error, op);
}

/* Reads go on through the set, which has the data, and so do writes. */
static void expect_attached(void)
{
	cr_expect(eq(ptr, world.volume->set, world.set));
	cr_expect(not(world.volume->is_frozen));
	cr_expect(not(world.volume->is_detaching));
	cr_expect(uuid_is_equal(world.volume->superblock.set_uuid,
				world.set->cache.superblock.set_uuid));
	cr_expect(set_has_volume(world.set, world.volume->slot));
	cr_expect(eq(int, world_read(0, 8), OLD));
}

Test(attach, stays_when_a_detach_cannot_say_none)
{
	world.volume->mode = MODE_WRITETHROUGH;
	cr_assert(zero(int, world_write(0, 8, OLD)));
	seal_backing();
	cr_expect(lt(int, run(detach_start_here), 0));
	cr_expect(eq(int, volume_state(world.volume), STATE_CLEAN));
	expect_attached();
}

/* The device may say NONE after such a detach: DIRTY is to be said again (ORDER-17). */
Test(attach, is_not_taken_for_dirty_after_a_detach_that_failed)
{
	cr_assert(zero(int, world_write(0, 8, DIRTY)));
	world.volume->mode = MODE_WRITETHROUGH;
	cr_assert(zero(int, world_write(0, 8, OLD)));
	cr_assert(zero(u64, volume_dirty_bytes(world.volume)));
	cr_assert(volume_is_marked_dirty(world.volume));
	seal_backing();
	cr_expect(lt(int, run(detach_start_here), 0));
	expect_attached();
	world.volume->mode = MODE_WRITEBACK;
	cr_expect(not(volume_is_marked_dirty(world.volume)));
	cr_expect(lt(int, world_write(0, 8, DIRTY), 0));
	cr_expect(eq(int, world_read(0, 8), OLD));
}

Test(attach, keeps_its_label_when_another_cannot_be_written)
{
	seal_backing();
	cr_expect(lt(int, run(label_start), 0));
	cr_expect(eq(str, world.volume->label, ""));
	cr_expect(eq(str, world.volume->superblock.label, ""));
	cr_expect(eq(str, world.set->uuids[world.volume->slot].label, ""));
}

Test(attach, keeps_its_mode_when_another_cannot_be_written)
{
	seal_backing();
	cr_expect(lt(int, run(mode_start), 0));
	cr_expect(eq(int, world.volume->mode, MODE_WRITEBACK));
	cr_expect(eq(int, superblock_mode(&world.volume->superblock), MODE_WRITEBACK));
}

/* No file may grow to where a superblock is; or files may be as long as they like. */
static void refuse_writes(bool refuse)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	cr_assert(zero(int, getrlimit(RLIMIT_FSIZE, &limit)));
	limit.rlim_cur = refuse ? 0 : limit.rlim_max;
	cr_assert(zero(int, setrlimit(RLIMIT_FSIZE, &limit)));
}

/* The backing device is registered, and the set is not. */
static void serve_without_set(void)
{
	struct daemon_options options = { .read_only = false };

	cr_assert(zero(int, world_stop()));
	daemon_init(&world.daemon, world.reactor, world.blocking, &options);
	cr_assert(zero(int, world_register(world.backing_path)));
	world.volume = daemon_first_volume(&world.daemon);
}

/* STALE may be on the device though its write failed: when the set comes, CLEAN replaces it. */
Test(attach, says_again_what_a_start_without_the_set_may_have_replaced)
{
	serve_without_set();
	cr_assert(not(world.volume->is_exported));
	refuse_writes(true);
	cr_expect(lt(int, run(run_start), 0));
	refuse_writes(false);
	cr_expect(not(world.volume->is_exported));
	cr_expect(eq(int, volume_state(world.volume), STATE_CLEAN));
	put_state_on_disk(STATE_STALE);
	cr_assert(zero(int, world_register(world.cache_path)));
	world.set = daemon_first_set(&world.daemon);
	cr_expect(eq(ptr, world.volume->set, world.set));
	cr_expect(eq(int, state_on_disk(), STATE_CLEAN));
}

/* Registers the set; the backing device, which is there already, may join it by itself. */
static void register_set(void)
{
	struct awaiter awaiter;
	struct error error = { .code = 0 };

	awaiter_init(&awaiter, world.reactor);
	daemon_register(&world.daemon, world.cache_path, &error, &awaiter.op);
	cr_assert(zero(int, awaiter_wait(&awaiter)), "%s", error.text);
	world.set = daemon_first_set(&world.daemon);
}

/*
 * A power cut late in a detach: the superblock says NONE, and the slot is still there.  That its
 * keys are dirty means nothing, since it left when its data were on the backing device.
 */
Test(attach, of_a_volume_that_was_detached_drops_no_dirty_data)
{
	cr_assert(zero(int, world_write(0, 8, DIRTY)));
	memset(world.volume->superblock.set_uuid, 0, 16);
	put_state_on_disk(STATE_NONE);
	serve_without_set();
	world.daemon.last_error = (struct error){ 0 };
	register_set();
	cr_expect(eq(ptr, world.volume->set, NULL));
	world_attach();
	cr_expect(eq(str, world.daemon.last_error.text, ""));
	cr_expect(zero(u64, volume_dirty_bytes(world.volume)));
}

static void attach_here(struct error *error, struct op *op)
{
	volume_attach(world.volume, world.set, error, op);
}

/*
 * A superblock may name the set although its write was answered with an error.  Without a slot such
 * a volume would wait for a set that never takes it (simulator, seed 2312).
 */
Test(attach, without_a_free_slot_leaves_the_old_one)
{
	int slot = world.volume->slot;

	memset(world.volume->superblock.set_uuid, 0, 16);
	put_state_on_disk(STATE_NONE);
	serve_without_set();
	register_set();
	for (unsigned i = 0; i < world.set->uuid_slots; i++)
		if (uuid_is_zero(world.set->uuids[i].uuid))
			memset(world.set->uuids[i].uuid, 0xaa, 16);
	cr_expect(eq(int, run(attach_here), -EINVAL));
	cr_expect(eq(ptr, world.volume->set, NULL));
	cr_expect(eq(int, uuids_find(world.set, world.volume->uuid), slot));
}

Test(attach, of_a_volume_that_ran_without_its_set_says_what_it_drops)
{
	cr_assert(zero(int, world_write(0, 8, DIRTY)));
	put_state_on_disk(STATE_STALE);
	serve_without_set();
	register_set();
	cr_expect(eq(ptr, world.volume->set, world.set));
	cr_expect(ne(ptr, strstr(world.daemon.last_error.text, "discarding 4.0k of dirty data"),
		     NULL), "%s", world.daemon.last_error.text);
}

/* ---- once it is there ---- */

/* VOLUME-2: no dirty write is answered before the superblock says so. */
Test(attach, is_followed_by_no_dirty_write_where_dirty_cannot_be_said)
{
	world.volume->mode = MODE_WRITETHROUGH;
	cr_assert(zero(int, world_write(0, 8, OLD)));
	world.volume->mode = MODE_WRITEBACK;
	seal_backing();
	for (unsigned i = 0; i < 2; i++) {
		cr_expect(lt(int, world_write(0, 8, DIRTY), 0));
		cr_expect(not(volume_is_marked_dirty(world.volume)));
		cr_expect(eq(int, volume_state(world.volume), STATE_CLEAN));
		cr_expect(eq(u64, device_errors(world.volume->backing), i + 1));
	}
	cr_expect(zero(u64, volume_dirty_bytes(world.volume)));
	cr_expect(zero(u64, world.set->cache.space.dirty_promised));
	cr_expect(eq(int, world_read(0, 8), OLD));
	world_kill_set();
	cr_expect(eq(int, world_read(0, 8), OLD));
}

/* It failed after the attach had looked at it; its other volumes have left by then. */
Test(attach, leaves_a_set_that_fails_meanwhile)
{
	world_kill_set();
	while (world.volume->set)
		world_pause();
	world.volume->set = world.set;
	list_add_last(&world.set->volumes, &world.volume->set_link);
	failure_see_volume(world.set);
	while (world.volume->set)
		world_pause();
	cr_expect(eq(int, volume_state(world.volume), STATE_NONE));
	cr_expect(list_empty(&world.set->volumes));
}
