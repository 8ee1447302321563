/* A volume: freezing, the one writer of its superblock, what is counted. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "awaiter.h"
#include "cache/cache_set.h"
#include "cache/volume.h"

enum { SECTORS = 64, OWNERS = 4 };

static struct reactor *reactor;
static struct device *device;
static struct volume volume;
static struct awaiter owner[OWNERS];

static void setup(void)
{
	reactor = test_reactor();
	device = test_device(SECTORS);
	volume_init(&volume, NULL, reactor, device);
	volume.superblock = (struct superblock){ .version = SUPERBLOCK_BACKING, .uuid = "volume",
						 .data_offset = 16, .block_sectors = 8,
						 .bucket_sectors = 128, .members = 1 };
	for (unsigned i = 0; i < OWNERS; i++)
		awaiter_init(&owner[i], reactor);
}

static void teardown(void)
{
	volume_done(&volume);
	device_close(device);
	reactor_free(reactor);
}

TestSuite(volume, .init = setup, .fini = teardown, .timeout = 60);

static enum backing_state state_on_device(void)
{
	static unsigned char bytes[SUPERBLOCK_BYTES];
	struct superblock sb = { .version = 0 };
	struct error error = { .code = 0 };

	cr_assert(zero(int, device_read_now(device, bytes, SUPERBLOCK_SECTOR,
					    SUPERBLOCK_BYTES / 512)));
	cr_assert(zero(int, superblock_decode(&sb, (void *)bytes, SECTORS, 512, &error)), "%s",
		  error.text);
	return superblock_state(&sb);
}

/* ---- the superblock ---- */

Test(volume, writes_its_superblock)
{
	superblock_set_state(&volume.superblock, STATE_DIRTY);
	volume_write_superblock(&volume, &owner[0].op);
	cr_expect(zero(int, awaiter_wait(&owner[0])));
	cr_expect(eq(int, state_on_device(), STATE_DIRTY));
	cr_expect(not(volume.superblock_is_writing));
	cr_expect(zero(u64, volume.io_errors));
}

/* What is under way may not have what the second one changed. */
Test(volume, writes_its_superblock_again_for_who_comes_while_it_is_written)
{
	volume_write_superblock(&volume, &owner[0].op);
	superblock_set_state(&volume.superblock, STATE_DIRTY);
	volume_write_superblock(&volume, &owner[1].op);
	volume_write_superblock(&volume, &owner[2].op);
	cr_expect(zero(int, awaiter_wait(&owner[0])));
	if (!owner[1].steps)
		cr_expect(zero(int, awaiter_wait(&owner[1])));
	if (!owner[2].steps)
		cr_expect(zero(int, awaiter_wait(&owner[2])));
	cr_expect(eq(int, state_on_device(), STATE_DIRTY));
	cr_expect(not(volume.superblock_is_writing));
}

Test(volume, is_dirty_once_its_superblock_says_so)
{
	cr_expect(eq(int, volume_make_dirty(&volume, &owner[0].op), -EAGAIN));
	cr_expect(eq(int, volume.dirty, DIRTY_WRITING));
	cr_expect(eq(int, volume_make_dirty(&volume, &owner[1].op), -EAGAIN));
	cr_expect(not(waitlist_empty(&volume.superblock_now)));
	cr_expect(waitlist_empty(&volume.superblock_next));	/* one write serves both */
	awaiter_wait(&owner[0]);
	if (!owner[1].steps)
		awaiter_wait(&owner[1]);
	cr_expect(eq(int, volume.dirty, DIRTY_YES));
	cr_expect(zero(int, volume_make_dirty(&volume, &owner[0].op)));
	cr_expect(eq(int, state_on_device(), STATE_DIRTY));
}

/* ORDER-17: a write that began before says something else. */
Test(volume, is_not_dirty_by_a_write_that_began_before)
{
	volume_write_superblock(&volume, &owner[0].op);
	cr_expect(eq(int, volume_make_dirty(&volume, &owner[1].op), -EAGAIN));
	cr_expect(eq(int, volume_make_dirty(&volume, &owner[2].op), -EAGAIN));
	awaiter_wait(&owner[0]);
	cr_expect(zero(u32, owner[1].steps));
	cr_expect(eq(int, volume.dirty, DIRTY_WRITING));
	awaiter_wait(&owner[1]);
	cr_expect(eq(int, volume.dirty, DIRTY_YES));
	cr_expect(eq(int, state_on_device(), STATE_DIRTY));
	if (!owner[2].steps)
		awaiter_wait(&owner[2]);
}

/* No file may be as long as where the superblock lies. */
static void refuse_writes(void)
{
	const struct rlimit nothing = { .rlim_cur = 0, .rlim_max = 0 };

	signal(SIGXFSZ, SIG_IGN);
	cr_assert(zero(int, setrlimit(RLIMIT_FSIZE, &nothing)));
}

Test(volume, stays_clean_when_its_superblock_cannot_be_written)
{
	refuse_writes();
	superblock_set_state(&volume.superblock, STATE_CLEAN);
	cr_expect(eq(int, volume_make_dirty(&volume, &owner[0].op), -EAGAIN));
	cr_expect(ne(int, awaiter_wait(&owner[0]), 0));
	cr_expect(eq(int, volume.dirty, DIRTY_NO));
	cr_expect(eq(int, volume_state(&volume), STATE_CLEAN));
	cr_expect(eq(u64, volume.io_errors, 1));
}

Test(volume, stays_dirty_when_another_superblock_cannot_be_written)
{
	refuse_writes();
	superblock_set_state(&volume.superblock, STATE_DIRTY);
	volume.dirty = DIRTY_YES;
	volume_write_superblock(&volume, &owner[0].op);
	cr_expect(ne(int, awaiter_wait(&owner[0]), 0));
	cr_expect(eq(int, volume.dirty, DIRTY_YES));
	cr_expect(eq(int, volume_state(&volume), STATE_DIRTY));
}

/* ---- freezing (VOLUME-1) ---- */

Test(volume, lets_requests_in)
{
	cr_expect(volume_request_begin(&volume, &owner[0].op));
	cr_expect(eq(u32, volume.in_flight, 1));
	volume_request_ref(&volume);
	cr_expect(eq(u32, volume.in_flight, 2));
	volume_request_end(&volume);
	volume_request_end(&volume);
	cr_expect(zero(u32, volume.in_flight));
}

Test(volume, makes_requests_wait_while_it_is_frozen)
{
	volume_freeze(&volume);
	cr_expect(not(volume_request_begin(&volume, &owner[0].op)));
	cr_expect(not(volume_request_begin(&volume, &owner[1].op)));
	cr_expect(zero(u32, volume.in_flight));
	volume_thaw(&volume);
	cr_expect(zero(int, awaiter_wait(&owner[0])));
	if (!owner[1].steps)
		cr_expect(zero(int, awaiter_wait(&owner[1])));
	cr_expect(volume_request_begin(&volume, &owner[0].op));
	volume_request_end(&volume);
}

Test(volume, is_drained_at_once_where_nothing_is_in_flight)
{
	volume_freeze(&volume);
	volume_quiesce(&volume, &owner[0].op);
	cr_expect(zero(int, awaiter_wait(&owner[0])));
}

Test(volume, is_drained_when_the_last_one_leaves)
{
	cr_assert(volume_request_begin(&volume, &owner[1].op));
	volume_request_ref(&volume);
	volume_freeze(&volume);
	volume_quiesce(&volume, &owner[0].op);
	volume_request_end(&volume);
	cr_expect(owner[0].op.awaited);
	volume_request_end(&volume);
	cr_expect(not(owner[0].op.awaited));
	cr_expect(zero(int, awaiter_wait(&owner[0])));
}

/* ---- what is counted, what is allowed ---- */

static struct cache_set set;

Test(volume, counts_for_itself_and_its_set)
{
	volume_count(&volume, STATS_HITS, 1);
	volume.set = &set;
	volume_count(&volume, STATS_HITS, 2);
	cr_expect(eq(u64, stats_value(&volume.stats, STATS_TOTAL, STATS_HITS), 2));
	cr_expect(eq(u64, stats_value(&set.stats, STATS_TOTAL, STATS_HITS), 2));
}

Test(volume, without_a_backing_device_counts_nothing)
{
	volume.set = &set;
	volume.is_flash = true;
	volume_count(&volume, STATS_HITS, 1);
	cr_expect(zero(u64, stats_value(&volume.stats, STATS_TOTAL, STATS_HITS)));
	cr_expect(zero(u64, stats_value(&set.stats, STATS_TOTAL, STATS_HITS)));
}

Test(volume, is_read_only_by_its_mount_or_by_its_set)
{
	cr_expect(not(volume_is_read_only(&volume)));
	volume.is_mounted_read_only = true;
	cr_expect(volume_is_read_only(&volume));
	volume.is_mounted_read_only = false;
	volume.set = &set;
	cr_expect(not(volume_is_read_only(&volume)));
	set.superblock.feature_incompatible = FEATURE_OBSOLETE_LARGE_BUCKET;
	cr_expect(volume_is_read_only(&volume));
}

Test(volume, has_no_dirty_bytes_without_a_set)
{
	uint64_t dirty_sectors[2] = { 3, 5 };

	cr_expect(zero(u64, volume_dirty_bytes(&volume)));
	set.index.dirty_sectors = dirty_sectors;
	volume.set = &set;
	volume.slot = 1;
	cr_expect(eq(u64, volume_dirty_bytes(&volume), 5 * 512));
}
