/* Flash-only volumes: made, named, resized and destroyed; and what a restart finds of them. */
#include "cache_world.h"

enum { FIRST = 1, SECOND = 2, SECTORS = 4096 };

static void setup(void)
{
	world_begin_with(8, MODE_WRITEBACK);
}

TestSuite(flash, .init = setup, .fini = world_end, .timeout = 60);

static struct error said;

static struct volume *find_flash(void)
{
	for (struct volume *v = daemon_first_volume(&world.daemon); v;
	     v = daemon_next_volume(&world.daemon, v))
		if (v->is_flash)
			return v;
	return NULL;
}

static int create(uint64_t sectors)
{
	struct awaiter awaiter;
	int code;

	said = (struct error){ 0 };
	awaiter_init(&awaiter, world.reactor);
	set_create_volume(world.set, sectors, &said, &awaiter.op);
	code = awaiter_wait(&awaiter);
	if (find_flash())
		world.volume = find_flash();
	return code;
}

static int resize(uint64_t sectors)
{
	struct awaiter awaiter;

	said = (struct error){ 0 };
	awaiter_init(&awaiter, world.reactor);
	volume_resize(world.volume, sectors, &said, &awaiter.op);
	return awaiter_wait(&awaiter);
}

static int name(const char *label)
{
	struct awaiter awaiter;

	awaiter_init(&awaiter, world.reactor);
	volume_set_label(world.volume, label, &said, &awaiter.op);
	return awaiter_wait(&awaiter);
}

static int destroy(void)
{
	struct awaiter awaiter;

	awaiter_init(&awaiter, world.reactor);
	volume_destroy(world.volume, &said, &awaiter.op);
	return awaiter_wait(&awaiter);
}

static void restart(void)
{
	cr_assert(zero(int, world_stop()));
	world_serve();
	world.volume = find_flash();
}

static uint64_t dirty_sectors(unsigned slot)
{
	return world.set->index.dirty_sectors[slot];
}

Test(flash, volumes_are_made_and_read_as_zeros)
{
	cr_assert(zero(int, create(SECTORS)), "%s", said.text);
	cr_expect(world.volume->is_exported);
	cr_expect(eq(u64, world.volume->sectors, SECTORS));
	cr_expect(zero(int, world_read(0, 256)));
	cr_expect(zero(int, world_write(SECTORS - 8, 8, FIRST)));
	cr_expect(eq(int, world_read(SECTORS - 8, 8), FIRST));
	restart();
	cr_assert(ne(ptr, world.volume, NULL));
	cr_expect(eq(u64, world.volume->sectors, SECTORS));
	cr_expect(eq(int, world_read(SECTORS - 8, 8), FIRST));
}

Test(flash, volumes_have_whole_blocks)
{
	cr_assert(zero(int, create(SECTORS + 7)));
	cr_expect(eq(u64, world.volume->sectors, SECTORS));
	cr_expect(zero(int, resize(SECTORS - 1)));
	cr_expect(eq(u64, world.volume->sectors, SECTORS - 8));
}

Test(flash, volumes_of_less_than_a_block_are_refused)
{
	cr_expect(eq(int, create(7), -EINVAL));
	cr_expect(ne(ptr, strstr(said.text, "wanted 8 (a block)"), NULL), "%s", said.text);
	cr_expect(eq(int, create(UINT64_MAX / 512), -EINVAL));
	cr_expect(eq(ptr, find_flash(), NULL));
	cr_assert(zero(int, create(8)));
	cr_expect(eq(int, resize(0), -EINVAL));
	cr_expect(eq(u64, world.volume->sectors, 8));
}

Test(flash, volumes_are_as_many_as_there_are_slots)
{
	unsigned free = 0;

	for (unsigned i = 0; i < world.set->uuid_slots; i++)
		free += uuid_is_zero(world.set->uuids[i].uuid);
	for (unsigned i = 0; i < free; i++)
		cr_assert(zero(int, create(8)), "%s", said.text);
	cr_expect(eq(int, create(8), -EINVAL));
	cr_expect(ne(ptr, strstr(said.text, "slots were used"), NULL), "%s", said.text);
}

Test(flash, volumes_keep_their_label)
{
	cr_assert(zero(int, create(SECTORS)));
	cr_expect(zero(int, name("a label of thirty-two characters")));
	cr_expect(eq(str, world.volume->label, "a label of thirty-two characters"));
	restart();
	cr_expect(eq(str, world.volume->label, "a label of thirty-two characters"));
	cr_expect(eq(u64, world.volume->sectors, SECTORS));
}

Test(flash, volumes_grow)
{
	cr_assert(zero(int, create(SECTORS)));
	cr_expect(zero(int, world_write(0, 8, FIRST)));
	cr_expect(zero(int, name("grows")));
	cr_expect(zero(int, resize(2 * SECTORS)));
	cr_expect(eq(int, world_read(0, 8), FIRST));
	cr_expect(zero(int, world_read(SECTORS, 256)));
	cr_expect(zero(int, world_write(2 * SECTORS - 8, 8, SECOND)));
	restart();
	cr_expect(eq(u64, world.volume->sectors, 2 * SECTORS));
	cr_expect(eq(str, world.volume->label, "grows"));
	cr_expect(eq(int, world_read(2 * SECTORS - 8, 8), SECOND));
}

/* FLASH-1, and the buckets behind the end are free for others. */
Test(flash, volumes_that_have_shrunk_grow_with_zeros)
{
	unsigned slot;

	cr_assert(zero(int, create(SECTORS)));
	slot = world.volume->slot;
	for (unsigned at = 0; at < SECTORS; at += 512)
		cr_expect(zero(int, world_write(at, 256, FIRST)));
	cr_expect(eq(u64, dirty_sectors(slot), SECTORS / 2));
	cr_expect(zero(int, resize(128)));
	cr_expect(eq(u64, dirty_sectors(slot), 128));
	cr_expect(zero(int, resize(SECTORS)));
	cr_expect(eq(int, world_read(0, 128), FIRST));
	cr_expect(zero(int, world_read(128, 384)));
	cr_expect(zero(int, world_read(SECTORS - 512, 256)));
}

/* As a kernel leaves it, which does not remove what is behind the end. */
Test(flash, volumes_that_a_kernel_shrunk_grow_with_zeros)
{
	cr_assert(zero(int, create(SECTORS)));
	cr_expect(zero(int, world_write(128, 256, FIRST)));
	world.volume->sectors = world.set->uuids[world.volume->slot].sectors = 128;
	cr_expect(zero(int, resize(SECTORS)));
	cr_expect(zero(int, world_read(128, 256)));
}

static int answer;
static struct awaiter asked_awaiter;

static void answered_late(struct request *request UNUSED, int error)
{
	answer = error;
	op_arrive(&asked_awaiter.op, 0);
}

/* It was checked against the size of that time. */
Test(flash, volumes_that_shrink_refuse_requests_behind_the_end)
{
	struct request request = { .kind = REQUEST_WRITE, .offset = (SECTORS - 8) * 512,
				   .bytes = 8 * 512, .data = world.data, .done = answered_late };

	cr_assert(zero(int, create(SECTORS)));
	request.volume = world.volume;
	volume_freeze(world.volume);
	awaiter_init(&asked_awaiter, world.reactor);
	op_await(&asked_awaiter.op);
	request_start(&request);
	world.volume->sectors = 128;
	volume_thaw(world.volume);
	awaiter_wait(&asked_awaiter);
	cr_expect(eq(int, answer, -ENOSPC));
	cr_expect(zero(u64, dirty_sectors(world.volume->slot)));
}

Test(flash, volumes_are_destroyed_for_ever)
{
	unsigned slot;

	cr_assert(zero(int, create(SECTORS)));
	slot = world.volume->slot;
	cr_expect(zero(int, world_write(0, 256, FIRST)));
	cr_expect(zero(int, destroy()));
	cr_expect(eq(ptr, find_flash(), NULL));
	cr_expect(uuid_is_retired(world.set->uuids[slot].uuid));
	cr_expect(zero(int, create(SECTORS)));
	cr_expect(ne(u32, world.volume->slot, slot));
	cr_expect(zero(int, world_read(0, 256)));
	cr_expect(zero(int, destroy()));
	restart();
	cr_expect(eq(ptr, world.volume, NULL));
	cr_expect(uuid_is_retired(world.set->uuids[slot].uuid));
}

static bool has_keys_of(unsigned slot)
{
	struct node_walk walk;
	const struct bkey *k;
	bool found = false;

	set_lock(world.set);
	cr_assert(zero(u32, world.set->index.root->level));
	node_walk_begin(&walk, world.set->index.root);
	while ((k = node_walk_next(&walk)))
		found |= bkey_volume(k) == slot && bkey_pointers(k);
	set_unlock(world.set);
	return found;
}

Test(flash, volumes_that_are_destroyed_leave_no_keys)
{
	unsigned slot;

	cr_assert(zero(int, create(SECTORS)));
	slot = world.volume->slot;
	cr_expect(zero(int, world_write(0, 256, FIRST)));
	cr_expect(has_keys_of(slot));
	cr_expect(zero(int, destroy()));
	for (unsigned i = 0; i < 5000 && has_keys_of(slot); i++)
		world_pause();
	cr_expect(not(has_keys_of(slot)));
}

/* The second one finds the buckets empty: else a set of such volumes alone would stay full. */
Test(flash, destroyed_volumes_give_their_buckets_back)
{
	struct space *space = &world.set->cache.space;
	uint64_t available;

	world_collect_gc();
	available = space->available;
	cr_assert(zero(int, create(SECTORS)));
	for (unsigned at = 0; at < SECTORS; at += 256)
		cr_expect(zero(int, world_write(at, 256, FIRST)));
	world_collect_gc();
	cr_expect(lt(u64, space->available, available - SECTORS / WORLD_BUCKET_SECTORS / 2));
	cr_expect(zero(int, destroy()));
	for (unsigned i = 0; i < 3000 && space->available + 8 < available; i++)
		world_pause();
	cr_expect(ge(u64, space->available + 8, available));
}

/* A power cut before the table says it leaves the volume, with all that it has. */
Test(flash, volumes_whose_end_cannot_be_written_keep_their_keys)
{
	unsigned slot;
	int fd;

	cr_assert(zero(int, world_stop()));
	fd = world_move_to_memory(world.cache_path);
	world_serve();
	cr_assert(zero(int, create(SECTORS)));
	slot = world.volume->slot;
	cr_expect(zero(int, world_write(0, 256, FIRST)));
	cr_assert(zero(int, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)));
	cr_expect(lt(int, destroy(), 0));
	cr_expect(not(world.set->index.is_gone[slot]));
	close(fd);
}

Test(flash, volumes_are_destroyed_when_nobody_has_them_open)
{
	cr_assert(zero(int, create(SECTORS)));
	world.volume->opens++;
	cr_expect(zero(int, destroy()));
	cr_expect(eq(ptr, find_flash(), world.volume));
	cr_expect(world.volume->is_stopping);
	world.volume->opens--;
	volume_closed(world.volume);
	for (unsigned i = 0; i < 5000 && find_flash(); i++)
		world_pause();
	cr_expect(eq(ptr, find_flash(), NULL));
	restart();
	cr_expect(eq(ptr, find_flash(), NULL));
}

Test(flash, volumes_of_a_set_that_failed_cannot_be_changed)
{
	cr_assert(zero(int, create(SECTORS)));
	world_kill_set();
	cr_expect(eq(int, create(SECTORS), -EIO));
	cr_expect(eq(int, resize(8), -EIO));
	cr_expect(ne(ptr, strstr(said.text, "killed by a test"), NULL), "%s", said.text);
	cr_expect(eq(int, name("label"), -EIO));
	cr_expect(eq(str, world.volume->label, ""));
	cr_expect(eq(u64, world.volume->sectors, SECTORS));
	cr_expect(eq(int, destroy(), -EIO));
	cr_expect(eq(ptr, find_flash(), NULL));
}
