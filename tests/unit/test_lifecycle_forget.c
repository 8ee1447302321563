/* A backing device that is gone for good is forgotten: all that the set holds of it, or nothing. */
#include "cache_world.h"

enum { DIRTY = 2 };

static struct error said;
static char gone_path[32];		/* while the backing device is not there */

static void setup(void)
{
	world_begin_with(8, MODE_WRITEBACK);
	cr_assert(zero(int, world_write(0, 64, DIRTY)));
}

TestSuite(forget, .init = setup, .fini = world_end, .timeout = 60);

/* The set starts again, with or without its backing device. */
static void restart(bool with_backing)
{
	cr_assert(zero(int, world_stop()));
	strcpy(with_backing ? world.backing_path : gone_path,
	       with_backing ? gone_path : world.backing_path);
	if (!with_backing)
		*world.backing_path = 0;
	world_serve();
}

static int forget(unsigned slot)
{
	struct awaiter awaiter;

	said = (struct error){ 0 };
	awaiter_init(&awaiter, world.reactor);
	set_forget(world.set, slot, &said, &awaiter.op);
	return awaiter_wait(&awaiter);
}

/* Counted from the keys, as the set starts. */
static uint64_t dirty_sectors(void)
{
	return world.set->index.dirty_sectors[0];
}

Test(forget, drops_what_is_dirty)
{
	restart(false);
	cr_assert(eq(u64, dirty_sectors(), 64));
	cr_assert(zero(int, forget(0)), "%s", said.text);
	cr_expect(not(set_has_volume(world.set, 0)));
	while (world.set->gc.found_remains || !world.set->gc.runs)
		world_collect_gc();
	cr_expect(zero(u64, world.set->gc.last_data_sectors));
	restart(true);
	cr_expect(zero(u64, dirty_sectors()));
}

Test(forget, lets_no_dirty_device_in_again)
{
	restart(false);
	cr_assert(zero(int, forget(0)), "%s", said.text);
	restart(true);
	cr_assert(ne(ptr, world.volume, NULL));
	cr_expect(eq(ptr, world.volume->set, NULL));
	cr_expect(ne(ptr, strstr(world.volume->attach_error.text, "dirty"), NULL));
}

/* FORGET-2 */
Test(forget, refuses_a_device_that_is_attached)
{
	cr_expect(eq(int, forget(0), -EBUSY));
	cr_expect(set_has_volume(world.set, 0));
	cr_expect(eq(int, world_read(0, 64), DIRTY));
}

Test(forget, refuses_a_slot_without_a_volume)
{
	cr_expect(eq(int, forget(1), -ENOENT));
	cr_expect(eq(int, forget(1 << 20), -ENOENT));
}

/* FORGET-1 */
Test(forget, changes_nothing_if_the_set_has_failed)
{
	restart(false);
	world_kill_set();
	cr_expect(eq(int, forget(0), -EIO));
	cr_expect(set_has_volume(world.set, 0));
}
