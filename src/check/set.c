/*
 * All phases of a set, in their order, and what they have in memory.
 */
#include "base/numbers.h"
#include "check/internal.h"
#include "io/buffer.h"
#include "io/lock.h"

/* Space is only surveyed: it gets no reactor, and none of its ops ever runs. */
static bool make_space(struct check *check)
{
	const struct superblock *sb = &check->cache->sb;
	struct space_setup setup = space_setup_of(sb);
	uint64_t blocks = sb->buckets * sb->bucket_sectors / sb->block_sectors;
	struct error error;

	setup.lock = check->lock;
	setup.device = check->cache->device;
	setup.is_read_only = true;
	if (space_init(&check->space, &setup, &error)) {
		check_say(check, CHECK_NO_MEMORY, "%s", error.text);
		return false;
	}
	check->has_space = true;
	check->bucket = calloc(sb->buckets, 1);
	check->placed = calloc(blocks / 8 + 1, 1);
	if (!check->placed)
		check_say(check, CHECK_NO_MEMORY, "no memory for a bit for each of %llu blocks",
			  (unsigned long long)blocks);
	return check->bucket;
}

/* An estimate, for the progress: a node in each bucket of metadata. */
static void count_index(struct check *check)
{
	uint64_t node_bytes = superblock_node_sectors(&check->cache->sb) * UINT64_C(512);

	for (uint64_t i = 0; i < check->space.setup.buckets; i++)
		check->index_bytes += check->space.bucket[i].prio == PRIO_METADATA ? node_bytes : 0;
	if (!check->has_priorities)
		check->index_bytes *= 2;
}

static void look_at_index(struct check *check)
{
	count_index(check);
	check_learn(check);
	check_nodes(check, WALK_JUDGE);
	if (check->is_stopped)
		return;
	check_keys_of_journal(check);
	if (check->has_table)
		check_volumes(check);
	if (check->against_backing)
		check_compare(check);
}

/* Dirty backing devices of a set that was never used have lost their cache. */
static void look_at_unused(struct check *check)
{
	check_say(check, CHECK_SET_UNUSED, "the set was never used");
	check_match_members(check);
}

void check_set(struct check *check, const struct check_member *cache)
{
	check->cache = cache;
	if (cache->sb.members != 1)
		check_say(check, CHECK_SUPERBLOCK_BAD, "found a set of %u cache devices, wanted "
			  "one", cache->sb.members);
	if (!superblock_is_sync(&cache->sb)) {
		look_at_unused(check);
		return;
	}
	check->lock = lock_new();
	if (!make_space(check) || !check_goes_on(check, PHASE_JOURNAL, 0, 0))
		return;
	check_journal(check);
	if (!check->journal.count || !check_goes_on(check, PHASE_PRIORITIES, 0, 0))
		return;
	check_roots(check);
	if (check->has_table)
		check_match_members(check);
	if (check->volumes)
		look_at_index(check);
}

void check_done(struct check *check)
{
	journal_found_done(&check->journal);
	node_decode_done(&check->decode);
	run_done(&check->replayed);
	run_done(&check->part);
	run_done(&check->merged);
	for (unsigned i = 0; i < ARRAY_SIZE(check->compared); i++)
		buffer_free(check->compared[i]);
	buffer_free(check->node_bytes);
	free(check->bucket);
	free(check->placed);
	free(check->volume);
	if (check->has_space)
		space_done(&check->space);
	if (check->lock)
		lock_free(check->lock);
	*check = (struct check){ .member = check->member, .members = check->members,
				 .watch = check->watch,
				 .is_stopped = check->is_stopped,
				 .against_backing = check->against_backing };
}
