/* Settings of a set that its superblock holds: durable, or as they were. */
#include "cache_world.h"

#include <sys/mman.h>

static int cache_fd;

static void setup(void)
{
	world_begin_with(8, MODE_WRITEBACK);
	cr_assert(zero(int, world_stop()));
	cache_fd = world_move_to_memory(world.cache_path);
	world_serve();
	cr_assert(eq(ptr, world.volume->set, world.set));
}

static void teardown(void)
{
	world_end();
	close(cache_fd);
}

TestSuite(set_setting, .init = setup, .fini = teardown, .timeout = 60);

static struct superblock on_disk(void)
{
	struct superblock_disk disk;
	struct superblock sb;

	cr_assert(eq(i64, pread(cache_fd, &disk, sizeof(disk), SUPERBLOCK_SECTOR * 512),
		     sizeof(disk)));
	superblock_decode_unchecked(&sb, &disk);
	cr_assert(eq(u64, sb.checksum, superblock_checksum(&disk)));
	return sb;
}

static int change_replacement(enum replacement replacement)
{
	struct awaiter awaiter;
	struct error error = { .code = 0 };
	int code;

	awaiter_init(&awaiter, world.reactor);
	set_change_replacement(world.set, replacement, &error, &awaiter.op);
	code = awaiter_wait(&awaiter);
	cr_expect(eq(int, error.code, -code), "%s", error.text);
	return code;
}

static int change_discard(bool discard)
{
	struct awaiter awaiter;
	struct error error = { .code = 0 };

	awaiter_init(&awaiter, world.reactor);
	set_change_discard(world.set, discard, &error, &awaiter.op);
	return awaiter_wait(&awaiter);
}

Test(set_setting, of_the_policy_is_durable_and_in_use)
{
	struct superblock sb;

	cr_expect(zero(int, change_replacement(REPLACEMENT_RANDOM)));
	sb = on_disk();
	cr_expect(eq(int, superblock_replacement(&sb), REPLACEMENT_RANDOM));
	cr_expect(eq(int, world.set->cache.space.setup.replacement, REPLACEMENT_RANDOM));
	cr_expect(superblock_is_sync(&sb));
}

Test(set_setting, of_the_policy_leaves_discards_alone)
{
	struct superblock sb;

	cr_expect(zero(int, change_discard(true)));
	cr_expect(zero(int, change_replacement(REPLACEMENT_FIFO)));
	sb = on_disk();
	cr_expect(superblock_wants_discard(&sb));
	cr_expect(zero(int, change_discard(false)));
	sb = on_disk();
	cr_expect(not(superblock_wants_discard(&sb)));
	cr_expect(eq(int, superblock_replacement(&sb), REPLACEMENT_FIFO));
}

Test(set_setting, that_changes_nothing_is_not_written)
{
	uint64_t before = on_disk().sequence;

	cr_expect(zero(int, change_replacement(REPLACEMENT_LRU)));
	cr_expect(zero(int, change_discard(false)));
	cr_expect(eq(u64, on_disk().sequence, before));
	cr_expect(zero(int, change_discard(true)));
	cr_expect(eq(u64, on_disk().sequence, before + 1));
}

Test(set_setting, that_cannot_be_written_is_as_before)
{
	uint64_t before = world.set->cache.superblock.sequence;

	cr_assert(zero(int, fcntl(cache_fd, F_ADD_SEALS, F_SEAL_WRITE)));
	cr_expect(lt(int, change_replacement(REPLACEMENT_FIFO), 0));
	cr_expect(eq(int, superblock_replacement(&world.set->cache.superblock), REPLACEMENT_LRU));
	cr_expect(eq(int, world.set->cache.space.setup.replacement, REPLACEMENT_LRU));
	cr_expect(eq(u64, world.set->cache.superblock.sequence, before));
}
