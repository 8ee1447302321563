/*
 * The journal, and what its newest entry names: the root of the index, the table of volumes and
 * the table of priorities.
 */
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "bcachefuse/uuid.h"
#include "check/internal.h"
#include "io/buffer.h"
#include "io/lock.h"

int check_survey(struct check *check, uint64_t ptr, struct error *error)
{
	int failed;

	lock_acquire(check->lock);
	failed = space_survey(&check->space, ptr, error);
	lock_release(check->lock);
	return failed;
}

int check_survey_extent(struct check *check, const struct bkey *k, struct error *error)
{
	int failed;

	lock_acquire(check->lock);
	failed = space_survey_extent(&check->space, k->ptr, bkey_sectors(k), bkey_is_dirty(k),
				     error);
	lock_release(check->lock);
	return failed;
}

int check_survey_metadata(struct check *check, const struct bkey *k, struct error *error)
{
	int failed;

	lock_acquire(check->lock);
	failed = space_survey_metadata(&check->space, k->ptr, bkey_sectors(k), error);
	lock_release(check->lock);
	return failed;
}

unsigned check_staleness(struct check *check, uint64_t ptr)
{
	unsigned staleness;

	lock_acquire(check->lock);
	staleness = space_staleness(&check->space, ptr);
	lock_release(check->lock);
	return staleness;
}

/* ---- the journal ---- */

struct journal_sink {
	struct journal_faults faults;
	struct check *check;
};

static int take_journal_fault(struct journal_faults *faults, enum journal_fault kind,
			      const struct error *error)
{
	static const enum check_id ids[] = {
		[JOURNAL_FAULT_READ] = CHECK_JOURNAL_UNREADABLE,
		[JOURNAL_FAULT_NONE] = CHECK_JOURNAL_EMPTY,
		[JOURNAL_FAULT_GAP] = CHECK_JOURNAL_GAP,
		[JOURNAL_FAULT_ENTRY] = CHECK_JOURNAL_ENTRY_BAD,
	};
	struct check *check = container_of(faults, struct journal_sink, faults)->check;
	struct check_fault fault = check_fault_of(check, ids[kind], error);

	check_report(check, &fault);
	return kind == JOURNAL_FAULT_NONE ? -error->code : 0;
}

static const struct journal_entry_disk *newest_entry(const struct check *check)
{
	return check->journal.entries[check->journal.count - 1];
}

/* Does an entry begin behind the newest one that would follow it, and is not whole? */
static void look_for_torn_entry(struct check *check, const struct journal_setup *setup)
{
	uint64_t newest = le64_get(newest_entry(check)->sequence), sector;
	unsigned index = check->journal.current, at = check->journal.newest_end;
	struct journal_entry_disk *entry;

	if (at >= setup->bucket_sectors) {
		index = (index + 1) % setup->bucket_count;
		at = 0;
	}
	entry = buffer_new(setup->block_sectors * 512);
	sector = setup->buckets[index] * setup->bucket_sectors + at;
	if (!device_read_now(setup->device, entry, sector, setup->block_sectors) &&
	    le64_get(entry->magic) == (setup->set_magic ^ JOURNAL_MAGIC) &&
	    le64_get(entry->sequence) == newest + 1)
		check_say(check, CHECK_JOURNAL_TORN, "journal entry %llu was not written as a "
			  "whole: the journal ends with entry %llu",
			  (unsigned long long)newest + 1, (unsigned long long)newest);
	buffer_free(entry);
}

/* As journal_can_go_on(), without a journal. */
static void look_for_room(struct check *check, const struct journal_setup *setup)
{
	unsigned next = (check->journal.current + 1) % setup->bucket_count;

	if (check->journal.bucket_newest[next] >= le64_get(newest_entry(check)->last_sequence))
		check_say(check, CHECK_JOURNAL_FULL, "no journal bucket is free behind entry %llu: "
			  "all have entries from %llu on",
			  (unsigned long long)le64_get(newest_entry(check)->sequence),
			  (unsigned long long)le64_get(newest_entry(check)->last_sequence));
}

void check_journal(struct check *check)
{
	struct journal_sink sink = { .faults.take = take_journal_fault, .check = check };
	struct journal_setup setup = journal_setup_of(&check->cache->sb);
	struct error error;
	int failed;

	setup.device = check->cache->device;
	for (unsigned i = 0; i < setup.bucket_count; i++)
		check_tell_place(check, PLACE_JOURNAL, setup.buckets[i] * setup.bucket_sectors,
				 setup.bucket_sectors, 0);
	failed = journal_read_all(&check->journal, &setup,
				  superblock_wants_discard(&check->cache->sb), &sink.faults,
				  &error);

	if (failed == -ENOMEM || failed == -EFBIG)
		check_say(check, CHECK_NO_MEMORY, "%s", error.text);
	if (failed || !check->journal.count)
		return;
	for (unsigned i = 0; i < check->journal.count && check->watch->entry; i++)
		check->watch->entry(check->watch, check, check->journal.entries[i]);
	look_for_torn_entry(check, &setup);
	look_for_room(check, &setup);
}

/* ---- its keys ---- */

/* Calls `take` for each key of the journal that is sound. */
static void each_key(struct check *check,
		     void (*take)(struct check *check, const struct journal_entry_disk *entry,
				  const struct bkey *k))
{
	struct bkey k;

	for (unsigned i = 0; i < check->journal.count; i++) {
		const struct journal_entry_disk *entry = check->journal.entries[i];
		unsigned words = le32_get(entry->words);

		for (unsigned at = 0, taken; at < words; at += taken) {
			taken = bkey_decode(&k, entry->keys + at, words - at);
			if (!taken)
				break;		/* which was reported by the journal's reader */
			take(check, entry, &k);
		}
	}
}

/* The generations that the journal's pointers tell count for all that is in the index. */
static void take_generation(struct check *check, const struct journal_entry_disk *entry,
			    const struct bkey *k)
{
	struct bucket_range range = space_range(&check->space);
	char text[BKEY_TEXT_BYTES];
	struct error error;

	if (bkey_check(k, &range, &error)) {
		error_prefix(&error, "journal entry %llu",
			     (unsigned long long)le64_get(entry->sequence));
		check_report_extent(check, CHECK_JOURNAL_ENTRY_BAD, k, &error);
		return;
	}
	if (check_points_elsewhere(k)) {
		error_set(&error, EINVAL, "journal entry %llu: extent %s: the set has no such "
			  "device", (unsigned long long)le64_get(entry->sequence),
			  bkey_print(text, k));
		check_report_extent(check, CHECK_EXTENT_ELSEWHERE, k, &error);
	}
	if (!check_has_place(check, k))
		return;
	check_learn_pointer(check, k->ptr);
	if (!check_survey(check, k->ptr, &error))
		return;
	error_prefix(&error, "journal entry %llu", (unsigned long long)le64_get(entry->sequence));
	check_report_extent(check, CHECK_EXTENT_POINTER_BAD, k, &error);
}

static void mark_key(struct check *check, const struct journal_entry_disk *entry,
		     const struct bkey *k)
{
	struct bucket_range range = space_range(&check->space);
	struct error error;

	if (bkey_check(k, &range, &error) || !check_has_place(check, k) ||
	    !check_survey_extent(check, k, &error))
		return;
	error_prefix(&error, "journal entry %llu", (unsigned long long)le64_get(entry->sequence));
	check_report_extent(check, CHECK_EXTENT_POINTER_BAD, k, &error);
}

void check_keys_of_journal(struct check *check)
{
	each_key(check, mark_key);
}

/* All keys as one run.  False: no memory. */
static bool gather_keys(struct check *check)
{
	struct bucket_range range = space_range(&check->space);
	struct run_stack stack = { .count = 0 };
	bool has_memory = true;
	struct error error;

	for (unsigned i = 0; i < check->journal.count && has_memory; i++) {
		const struct journal_entry_disk *entry = check->journal.entries[i];
		unsigned words = le32_get(entry->words);
		struct bkey k;

		for (unsigned at = 0, taken; at < words && has_memory; at += taken) {
			const struct run one = { .key = &k, .count = 1, .capacity = 1 };

			taken = bkey_decode(&k, entry->keys + at, words - at);
			if (!taken)
				break;
			if (bkey_sectors(&k) && !bkey_check(&k, &range, &error))
				has_memory = run_stack_push(&stack, &one);
		}
	}
	has_memory = has_memory && run_stack_collapse(&stack);
	if (has_memory && stack.count) {
		check->replayed = stack.run[0];
		stack.run[0] = (struct run){ .key = NULL };
	}
	run_stack_done(&stack);
	return has_memory;
}

/* ---- what the newest entry names ---- */

/* Can `k` point to a node or a table of volumes?  As recovery asks (lifecycle/recover.c). */
static bool names_metadata(const struct check *check, const struct bkey *k)
{
	const struct superblock *sb = &check->cache->sb;

	return check_has_place(check, k) && !bkey_is_dirty(k) &&
	       bkey_sectors(k) % sb->block_sectors == 0 &&
	       pointer_sector(k->ptr) % sb->bucket_sectors == 0;
}

static void take_root(struct check *check)
{
	const struct journal_entry_disk *entry = newest_entry(check);
	struct bkey last = bkey_max();
	char text[BKEY_TEXT_BYTES];

	check->root_level = le16_get(entry->btree_level);
	if (!bkey_slot_decode(&check->root, &entry->btree_root) ||
	    !names_metadata(check, &check->root) || bkey_compare(&check->root, &last))
		check_say(check, CHECK_ROOT_BAD, "journal entry %llu names %s as the root, wanted "
			  "a bucket for one that ends at %u:%llu",
			  (unsigned long long)le64_get(entry->sequence),
			  bkey_print(text, &check->root), bkey_volume(&last),
			  (unsigned long long)bkey_end(&last));
	else if (check->root_level + 1 >= INDEX_LEVELS_MAX)
		check_say(check, CHECK_ROOT_BAD, "journal entry %llu says that the root has level "
			  "%u, wanted at most %d", (unsigned long long)le64_get(entry->sequence),
			  check->root_level, INDEX_LEVELS_MAX - 2);
	else
		check->has_root = true;
}

/* The parts are a chain; the number of links is bounded, whatever they say. */
static void tell_priorities(struct check *check, uint64_t bucket)
{
	const struct superblock *sb = &check->cache->sb;
	struct prio_part_disk *part = buffer_new(sb->block_sectors * 512);

	for (unsigned i = 0; i < superblock_prio_parts(sb); i++) {
		uint64_t sector = bucket * sb->bucket_sectors;

		if (bucket < sb->first_bucket || bucket >= sb->buckets)
			break;
		check_tell_place(check, PLACE_PRIORITIES, sector,
				 superblock_meta_bucket_sectors(sb), 0);
		if (device_read_now(check->cache->device, part, sector, sb->block_sectors))
			break;
		bucket = le64_get(part->next);
	}
	buffer_free(part);
}

/* A part that cannot be read leaves the generations of its buckets unknown. */
static void read_priorities(struct check *check)
{
	const struct journal_entry_disk *entry = newest_entry(check);
	uint64_t first = le64_get(entry->prio_bucket[check->cache->sb.member]);
	struct error error;

	if (check->without_priorities)
		return;
	tell_priorities(check, first);
	check->has_priorities = !space_read_table(&check->space, first, &error);
	if (!check->has_priorities)
		check_say(check, error.code == ENOMEM ? CHECK_NO_MEMORY : CHECK_PRIORITIES_BAD,
			  "%s", error.text);
}

static bool make_volumes(struct check *check)
{
	check->volumes = superblock_uuid_slots(&check->cache->sb);
	check->volume = calloc(check->volumes, sizeof(*check->volume));
	if (check->volume)
		return true;
	check_say(check, CHECK_NO_MEMORY, "no memory for the table of volumes");
	check->volumes = 0;
	return false;
}

/* Does a volume before this one have its UUID? */
static void look_for_uuid(struct check *check, unsigned number)
{
	const uint8_t *uuid = check->volume[number].entry.uuid;

	if (uuid_is_zero(uuid) || uuid_is_retired(uuid))
		return;
	for (unsigned i = 0; i < number; i++) {
		if (!uuid_is_equal(check->volume[i].entry.uuid, uuid))
			continue;
		check_say(check, CHECK_UUID_TWICE, "volumes %u and %u have the same UUID", i,
			  number);
		return;
	}
}

/* The table has no checksum: what no implementation writes shows that it is not one. */
static bool look_at_volume(struct check *check, unsigned number)
{
	const struct uuid_entry *entry = &check->volume[number].entry;

	look_for_uuid(check, number);
	if (entry->flags & ~(uint32_t)UUID_FLASH_ONLY) {
		check_say(check, CHECK_UUIDS_BAD, "volume %u has flags %x, wanted 0 or 1", number,
			  entry->flags);
		return false;
	}
	if (entry->flags && entry->sectors > INT64_MAX / 512) {
		check_say(check, CHECK_UUIDS_BAD, "volume %u has %llu sectors, wanted at most %llu",
			  number, (unsigned long long)entry->sectors,
			  (unsigned long long)INT64_MAX / 512);
		return false;
	}
	return true;
}

/* False: it seems to be no table of volumes. */
static bool decode_uuids(struct check *check, const void *table, unsigned bytes)
{
	bool is_old = le32_get(newest_entry(check)->version) < JOURNAL_VERSION;
	const struct uuid_entry_v0_disk *old = table;
	const struct uuid_entry_disk *now = table;
	unsigned room = bytes / (is_old ? sizeof(*old) : sizeof(*now));
	bool is_sound = true;

	for (unsigned i = 0; i < min_u64(room, check->volumes); i++) {
		struct uuid_entry *entry = &check->volume[i].entry;

		if (is_old)
			uuid_entry_decode_v0(entry, &old[i]);
		else
			uuid_entry_decode(entry, &now[i]);
		is_sound = look_at_volume(check, i) && is_sound;
	}
	check->has_table = true;
	return is_sound;
}

static void read_uuids(struct check *check)
{
	const struct journal_entry_disk *entry = newest_entry(check);
	const struct superblock *sb = &check->cache->sb;
	struct bkey *k = &check->uuid_bucket;
	char text[BKEY_TEXT_BYTES];
	struct error error;
	void *table;
	int failed;

	if (!bkey_slot_decode(k, &entry->uuid_bucket) || !names_metadata(check, k) ||
	    bkey_sectors(k) > superblock_meta_bucket_sectors(sb)) {
		check_say(check, CHECK_UUIDS_BAD, "journal entry %llu names %s as the table of "
			  "volumes, wanted a bucket and at most %u sectors of it",
			  (unsigned long long)le64_get(entry->sequence), bkey_print(text, k),
			  superblock_meta_bucket_sectors(sb));
		return;
	}
	check_learn_pointer(check, k->ptr);
	if (check_survey_metadata(check, k, &error))
		check_say(check, CHECK_UUIDS_BAD, "the table of volumes: %s", error.text);
	table = buffer_try_new(bkey_sectors(k) * 512);
	failed = table ? device_read_now(check->cache->device, table, pointer_sector(k->ptr),
					 bkey_sectors(k)) : -ENOMEM;
	if (failed)
		check_say(check, CHECK_UUIDS_BAD, "the table of volumes, in bucket %llu, cannot be "
			  "read: %s", (unsigned long long)space_bucket_of(&check->space, k->ptr),
			  strerror(-failed));
	else if (decode_uuids(check, table, bkey_sectors(k) * 512))
		check_tell_place(check, PLACE_UUIDS, pointer_sector(k->ptr), bkey_sectors(k), 0);
	buffer_free(table);
}

void check_roots(struct check *check)
{
	struct error error;

	take_root(check);
	read_priorities(check);
	if (!make_volumes(check))
		return;
	each_key(check, take_generation);
	if (check->has_root) {
		check_learn_pointer(check, check->root.ptr);
		if (check_survey(check, check->root.ptr, &error))
			check_say(check, CHECK_ROOT_BAD, "%s", error.text);
	}
	read_uuids(check);
	if (!gather_keys(check))
		check_say(check, CHECK_NO_MEMORY, "no memory for the keys of the journal");
}
