/* A volume: freezing, the one writer of its superblock, what is counted. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "awaiter.h"
#include "cache/cache_set.h"
#include "cache/volume.h"
#include "format/uuid.h"

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

static struct superblock on_device(void)
{
	static unsigned char bytes[SUPERBLOCK_BYTES];
	struct superblock sb = { .version = 0 };
	struct error error = { .code = 0 };

	cr_assert(zero(int, device_read_now(device, bytes, SUPERBLOCK_SECTOR,
					    SUPERBLOCK_BYTES / 512)));
	cr_assert(zero(int, superblock_decode(&sb, (void *)bytes, SECTORS, 512, &error)), "%s",
		  error.text);
	return sb;
}

static enum backing_state state_on_device(void)
{
	struct superblock sb = on_device();

	return superblock_state(&sb);
}

/* ---- changes of the superblock ---- */

static void change_state(enum backing_state state, struct awaiter *awaiter)
{
	struct superblock_change change = { .fields = CHANGE_STATE, .state = state };

	volume_change_superblock(&volume, &change, &awaiter->op);
}

static void change_label(const char *label, struct awaiter *awaiter)
{
	struct superblock_change change = { .fields = CHANGE_LABEL };

	strcpy(change.label, label);
	volume_change_superblock(&volume, &change, &awaiter->op);
}

static void change_mode(enum cache_mode mode, struct awaiter *awaiter)
{
	struct superblock_change change = { .fields = CHANGE_MODE, .mode = mode };

	volume_change_superblock(&volume, &change, &awaiter->op);
}

/* The error of its one step, which may have run already. */
static int end_of(struct awaiter *awaiter)
{
	return awaiter->steps ? awaiter->error : awaiter_wait(awaiter);
}

/* CHANGE-1: nobody sees what may still fail. */
Test(volume, changes_when_the_change_is_durable)
{
	change_state(STATE_DIRTY, &owner[0]);
	cr_expect(eq(int, volume_state(&volume), STATE_NONE));
	cr_expect(zero(int, awaiter_wait(&owner[0])));
	cr_expect(eq(int, volume_state(&volume), STATE_DIRTY));
	cr_expect(eq(int, state_on_device(), STATE_DIRTY));
	cr_expect(not(volume.writer.is_writing));
	cr_expect(zero(u64, device_errors(volume.backing)));
}

Test(volume, changes_only_the_fields_that_were_named)
{
	struct superblock_change change = { .fields = CHANGE_SET, .state = STATE_STALE,
					    .mode = MODE_NONE, .set_uuid = "set",
					    .label = "not named" };
	struct superblock sb;

	change_label("label", &owner[0]);
	change_mode(MODE_WRITEBACK, &owner[1]);
	volume_change_superblock(&volume, &change, &owner[2].op);
	for (unsigned i = 0; i < 3; i++)
		cr_expect(zero(int, end_of(&owner[i])));
	sb = on_device();
	cr_expect(eq(str, sb.label, "label"));
	cr_expect(eq(str, volume.label, "label"));
	cr_expect(eq(int, superblock_mode(&sb), MODE_WRITEBACK));
	cr_expect(eq(int, volume.mode, MODE_WRITEBACK));
	cr_expect(eq(int, superblock_state(&sb), STATE_NONE));
	cr_expect(uuid_is_equal(sb.set_uuid, change.set_uuid));
	cr_expect(uuid_is_equal(sb.uuid, volume.superblock.uuid));
}

/* What is under way does not have what the later ones change: one more write has it all. */
Test(volume, is_written_once_more_for_those_who_come_while_it_is_written)
{
	change_mode(MODE_WRITEBACK, &owner[0]);
	change_state(STATE_DIRTY, &owner[1]);
	change_label("label", &owner[2]);
	cr_expect(zero(int, awaiter_wait(&owner[0])));
	cr_expect(zero(int, end_of(&owner[1])));
	cr_expect(owner[2].steps || op_is_idle(&volume.writer.op));
	cr_expect(zero(int, end_of(&owner[2])));
	cr_expect(eq(int, state_on_device(), STATE_DIRTY));
	cr_expect(eq(str, on_device().label, "label"));
	cr_expect(not(volume.writer.is_writing));
}

/* A label that changes while DIRTY is written takes nothing back, nor is it lost. */
Test(volume, keeps_a_label_that_changes_while_dirty_is_written)
{
	cr_expect(eq(int, volume_make_dirty(&volume, &owner[0].op), -EAGAIN));
	change_label("label", &owner[1]);
	cr_expect(zero(int, awaiter_wait(&owner[0])));
	cr_expect(volume_is_marked_dirty(&volume));
	cr_expect(zero(int, end_of(&owner[1])));
	cr_expect(volume_is_marked_dirty(&volume));
	cr_expect(eq(int, state_on_device(), STATE_DIRTY));
	cr_expect(eq(str, on_device().label, "label"));
}

Test(volume, is_dirty_once_its_superblock_says_so)
{
	cr_expect(eq(int, volume_make_dirty(&volume, &owner[0].op), -EAGAIN));
	cr_expect(not(volume_is_marked_dirty(&volume)));
	cr_expect(eq(int, volume_make_dirty(&volume, &owner[1].op), -EAGAIN));
	cr_expect(not(waitlist_empty(&volume.writer.now)));
	cr_expect(waitlist_empty(&volume.writer.next));		/* one write serves both */
	awaiter_wait(&owner[0]);
	end_of(&owner[1]);
	cr_expect(zero(int, volume_make_dirty(&volume, &owner[0].op)));
	cr_expect(eq(int, state_on_device(), STATE_DIRTY));
}

/* ORDER-17: a write that began before says something else. */
Test(volume, is_not_dirty_by_a_write_that_began_before)
{
	change_label("label", &owner[0]);
	cr_expect(eq(int, volume_make_dirty(&volume, &owner[1].op), -EAGAIN));
	cr_expect(eq(int, volume_make_dirty(&volume, &owner[2].op), -EAGAIN));
	awaiter_wait(&owner[0]);
	cr_expect(zero(u32, owner[1].steps));
	cr_expect(not(volume_is_marked_dirty(&volume)));
	awaiter_wait(&owner[1]);
	cr_expect(volume_is_marked_dirty(&volume));
	cr_expect(eq(int, state_on_device(), STATE_DIRTY));
	end_of(&owner[2]);
}

/* ---- changes that fail ---- */

/* No file may be as long as where the superblock lies; or again as long as it likes. */
static void refuse_writes(bool refuse)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	cr_assert(zero(int, getrlimit(RLIMIT_FSIZE, &limit)));
	limit.rlim_cur = refuse ? 0 : limit.rlim_max;
	cr_assert(zero(int, setrlimit(RLIMIT_FSIZE, &limit)));
}

static void state_is_durable(enum backing_state state)
{
	change_state(state, &owner[3]);
	cr_assert(zero(int, awaiter_wait(&owner[3])));
}

Test(volume, stays_clean_when_its_superblock_cannot_be_written)
{
	state_is_durable(STATE_CLEAN);
	refuse_writes(true);
	cr_expect(eq(int, volume_make_dirty(&volume, &owner[0].op), -EAGAIN));
	cr_expect(ne(int, awaiter_wait(&owner[0]), 0));
	cr_expect(not(volume_is_marked_dirty(&volume)));
	cr_expect(eq(int, volume_state(&volume), STATE_CLEAN));
	cr_expect(eq(u64, device_errors(volume.backing), 1));
}

Test(volume, stays_as_it_was_when_a_change_fails)
{
	state_is_durable(STATE_DIRTY);
	refuse_writes(true);
	change_label("label", &owner[0]);
	change_mode(MODE_WRITEBACK, &owner[1]);
	cr_expect(ne(int, awaiter_wait(&owner[0]), 0));
	cr_expect(ne(int, end_of(&owner[1]), 0));
	cr_expect(eq(str, volume.label, ""));
	cr_expect(eq(str, volume.superblock.label, ""));
	cr_expect(eq(int, volume.mode, MODE_WRITETHROUGH));
	cr_expect(volume_is_marked_dirty(&volume));	/* neither write said something else */
}

/* CHANGE-3: the device may say what could not be written, or part with it only later. */
Test(volume, says_dirty_again_after_a_change_of_its_state_has_failed)
{
	state_is_durable(STATE_DIRTY);
	refuse_writes(true);
	change_state(STATE_NONE, &owner[0]);
	cr_expect(ne(int, awaiter_wait(&owner[0]), 0));
	cr_expect(eq(int, volume_state(&volume), STATE_DIRTY));
	refuse_writes(false);
	cr_expect(eq(int, volume_make_dirty(&volume, &owner[1].op), -EAGAIN));
	cr_expect(zero(int, awaiter_wait(&owner[1])));
	cr_expect(zero(int, volume_make_dirty(&volume, &owner[1].op)));
}

/* ---- freezing (VOLUME-1) ---- */

Test(volume, lets_requests_in)
{
	cr_expect(zero(int, volume_request_begin(&volume, &owner[0].op)));
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
	cr_expect(eq(int, volume_request_begin(&volume, &owner[0].op), -EAGAIN));
	cr_expect(eq(int, volume_request_begin(&volume, &owner[1].op), -EAGAIN));
	cr_expect(zero(u32, volume.in_flight));
	volume_thaw(&volume);
	cr_expect(zero(int, awaiter_wait(&owner[0])));
	if (!owner[1].steps)
		cr_expect(zero(int, awaiter_wait(&owner[1])));
	cr_expect(zero(int, volume_request_begin(&volume, &owner[0].op)));
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
	cr_assert(zero(int, volume_request_begin(&volume, &owner[1].op)));
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
	set.cache.superblock.feature_incompatible = FEATURE_OBSOLETE_LARGE_BUCKET;
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
