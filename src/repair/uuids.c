/*
 * Builds the table of volumes anew, from the superblocks of the backing devices.
 *
 * These do not say which number their keys have.  So the index is looked at with a table that has
 * all numbers: then a volume is the backing device whose data its clean extents have, or the only
 * one that is left, for the only number that is left.  A number with clean data that belongs to
 * none is retired; one with dirty data that begin before those of any backing device can is a
 * flash-only volume; with others the set is refused, as their backing device is not there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "io/buffer.h"
#include "repair/internal.h"

enum slot_kind { SLOT_UNUSED, SLOT_BACKING, SLOT_FLASH, SLOT_RETIRED };

struct slot {
	enum slot_kind kind;
	unsigned member;
};

struct uuids {
	struct repair *repair;
	struct slot *slot;
	unsigned slots;
	bool *is_placed;		/* by member */
	struct check_fault fault;
};

/* ---- the look with all numbers ---- */

static struct uuid_entry any_volume(const struct uuids *uuids, unsigned number)
{
	struct uuid_entry entry = { .first_registered = 1 };

	(void)uuids;
	memset(entry.uuid, 0x55, sizeof(entry.uuid));
	memcpy(entry.uuid, &number, sizeof(number));
	return entry;
}

typedef struct uuid_entry make_entry(const struct uuids *uuids, unsigned number);

static int write_table(struct uuids *uuids, make_entry *make, struct error *error)
{
	const struct bkey *k = &uuids->repair->check.uuid_bucket;
	unsigned sectors = bkey_sectors(k);
	struct uuid_entry_disk *disk = buffer_try_new(sectors * 512);
	unsigned room = sectors * 512 / sizeof(*disk);
	int failed;

	if (!disk)
		return repair_no_memory(error);
	for (unsigned i = 0; i < min_u64(room, uuids->slots); i++) {
		struct uuid_entry entry = make(uuids, i);

		uuid_entry_encode(&disk[i], &entry);
	}
	failed = repair_add_write(uuids->repair, repair_cache(uuids->repair),
				  pointer_sector(k->ptr), disk, sectors, error);
	buffer_free(disk);
	return failed;
}

/* Afterwards nothing of it is left but what the look has found. */
static int look_with_all(struct uuids *uuids, struct error *error)
{
	struct repair *repair = uuids->repair;
	int failed;

	if (!repair_step_new(repair, &uuids->fault, "try"))
		return repair_no_memory(error);
	failed = write_table(uuids, any_volume, error) ?: repair_look(repair, error);
	repair_drop_step(repair);
	return failed;
}

/* ---- which is which ---- */

static const struct repair_volume *volume_of(const struct uuids *uuids, unsigned number)
{
	static const struct repair_volume none;

	return uuids->repair->volume ? &uuids->repair->volume[number] : &none;
}

static bool is_of_set(const struct uuids *uuids, unsigned member)
{
	const struct check_member *m = &uuids->repair->member[member];

	return m->is_known && !m->is_twice && superblock_is_backing(&m->sb) &&
	       superblock_state(&m->sb) != STATE_NONE && !uuids->is_placed[member] &&
	       uuid_is_equal(m->sb.set_uuid, uuids->repair->check.cache->sb.set_uuid);
}

static void place(struct uuids *uuids, unsigned number, unsigned member)
{
	uuids->slot[number] = (struct slot){ SLOT_BACKING, member };
	uuids->is_placed[member] = true;
}

/* Only a few sectors may differ, and of any other member most must: volumes may be alike. */
static void place_by_content(struct uuids *uuids, unsigned number)
{
	struct repair_likeness best = { 0, 0 }, second = { 0, 0 };
	int member = -1;

	for (unsigned i = 0; i < uuids->repair->members; i++) {
		struct repair_likeness likeness;

		if (!is_of_set(uuids, i) || volume_of(uuids, number)->end >
		    device_sectors(uuids->repair->member[i].device))
			continue;
		repair_compare(uuids->repair, i, number, &likeness);
		if (likeness.same > best.same) {
			second = best;
			best = likeness;
			member = i;
		} else if (likeness.same > second.same) {
			second = likeness;
		}
	}
	if (member >= 0 && best.differ <= best.same / 8 && second.same <= best.same / 2)
		place(uuids, number, member);
}

/* The only one of which something is left; -1: none, or several. */
static int only_member(const struct uuids *uuids)
{
	int only = -1;

	for (unsigned i = 0; i < uuids->repair->members; i++) {
		if (!is_of_set(uuids, i))
			continue;
		if (only >= 0)
			return -1;
		only = i;
	}
	return only;
}

static bool is_left(const struct uuids *uuids, unsigned number)
{
	return uuids->slot[number].kind == SLOT_UNUSED && volume_of(uuids, number)->extents;
}

/* Could it be a flash-only volume?  Others begin where the data of their backing device do. */
static bool is_flash_only(const struct uuids *uuids, unsigned number)
{
	const struct check_volume *volume = &uuids->repair->check.volume[number];

	return !volume->clean_sectors && volume_of(uuids, number)->first < DATA_START_DEFAULT;
}

static void place_only(struct uuids *uuids)
{
	int member = only_member(uuids), number = -1;

	for (unsigned i = 0; i < uuids->slots; i++) {
		if (!is_left(uuids, i) || is_flash_only(uuids, i) ||
		    !uuids->repair->check.volume[i].dirty_sectors)
			continue;
		if (number >= 0)
			return;
		number = i;
	}
	if (member >= 0 && number >= 0)
		place(uuids, number, member);
}

static int place_rest(struct uuids *uuids, unsigned number, struct error *error)
{
	const struct check_volume *volume = &uuids->repair->check.volume[number];

	if (is_flash_only(uuids, number))
		uuids->slot[number].kind = SLOT_FLASH;
	else if (volume->dirty_sectors)
		return repair_refuse(error, "the table of volumes: volume %u has %llu dirty "
				     "sectors, and nothing tells which backing device it is; name "
				     "all of them", number,
				     (unsigned long long)volume->dirty_sectors);
	else
		uuids->slot[number].kind = SLOT_RETIRED;
	return 0;
}

/* A dirty backing device without a number is given a new one, or nobody would take it. */
static void place_dirty(struct uuids *uuids, unsigned member)
{
	if (!is_of_set(uuids, member) ||
	    superblock_state(&uuids->repair->member[member].sb) != STATE_DIRTY)
		return;
	for (unsigned i = 0; i < uuids->slots; i++) {
		if (uuids->slot[i].kind != SLOT_UNUSED)
			continue;
		place(uuids, i, member);
		return;
	}
}

static int place_all(struct uuids *uuids, struct error *error)
{
	int failed = 0;

	for (unsigned i = 0; i < uuids->slots; i++)
		if (is_left(uuids, i))
			place_by_content(uuids, i);
	place_only(uuids);
	for (unsigned i = 0; i < uuids->slots && !failed; i++)
		if (is_left(uuids, i))
			failed = place_rest(uuids, i, error);
	for (unsigned i = 0; i < uuids->repair->members && !failed; i++)
		place_dirty(uuids, i);
	return failed;
}

/* ---- the step ---- */

static struct uuid_entry entry_of(const struct uuids *uuids, unsigned number)
{
	const struct slot *slot = &uuids->slot[number];
	const struct superblock *sb = &uuids->repair->member[slot->member].sb;
	struct uuid_entry entry = { .flags = 0 };

	switch (slot->kind) {
	case SLOT_UNUSED:
		break;
	case SLOT_BACKING:
		memcpy(entry.uuid, sb->uuid, sizeof(entry.uuid));
		memcpy(entry.label, sb->label, SUPERBLOCK_LABEL_BYTES);
		break;
	case SLOT_FLASH:
		memcpy(entry.uuid, uuids->repair->new_uuid, sizeof(entry.uuid));
		entry.uuid[15] ^= number + 1;
		entry.flags = UUID_FLASH_ONLY;
		entry.sectors = volume_of(uuids, number)->end;
		break;
	case SLOT_RETIRED:
		uuid_retire(&entry, 0);
		break;
	}
	return entry;
}

static int plan_table(struct uuids *uuids, struct error *error)
{
	unsigned counts[SLOT_RETIRED + 1] = { 0 };
	uint64_t dropped = 0;
	struct repair_step *step;

	for (unsigned i = 0; i < uuids->slots; i++) {
		counts[uuids->slot[i].kind]++;
		if (uuids->slot[i].kind == SLOT_RETIRED)
			dropped += uuids->repair->check.volume[i].clean_sectors;
	}
	step = repair_step_new(uuids->repair, &uuids->fault, "build the table of volumes anew: %u "
			       "backing device%s, %u retired%s", counts[SLOT_BACKING],
			       counts[SLOT_BACKING] == 1 ? "" : "s", counts[SLOT_RETIRED],
			       counts[SLOT_FLASH] ? ", and flash-only volumes, which end with "
			       "their last data and have lost their names" : "");
	if (!step)
		return repair_no_memory(error);
	step->clean_sectors = dropped;
	return write_table(uuids, entry_of, error);
}

/* Does the journal name a place for it, in a bucket that has nothing else? */
static bool has_place(const struct repair *repair)
{
	const struct check *check = &repair->check;
	const struct superblock *sb = &check->cache->sb;
	struct bucket_range range = space_range(&check->space);
	const struct bkey *k = &check->uuid_bucket;

	return bkey_has_usable_pointer(k) && !bkey_is_dirty(k) && bkey_sectors(k) &&
	       pointer_is_within(&range, k->ptr, bkey_sectors(k)) &&
	       pointer_sector(k->ptr) % sb->bucket_sectors == 0 &&
	       bkey_sectors(k) % sb->block_sectors == 0 &&
	       bkey_sectors(k) <= superblock_meta_bucket_sectors(sb) &&
	       le32_get(repair_newest_entry(repair)->version) >= JOURNAL_VERSION;
}

int repair_uuids(struct repair *repair, const struct check_fault *fault, struct error *error)
{
	struct uuids uuids = { .repair = repair, .fault = *fault };
	int failed;

	if (!repair->check.has_root)
		return repair_refuse(error, "%s", fault->error.text);
	if (!has_place(repair))
		return repair_journal(repair, fault, error);	/* names another one */
	uuids.slots = superblock_uuid_slots(&repair->check.cache->sb);
	uuids.slot = calloc(uuids.slots, sizeof(*uuids.slot));
	uuids.is_placed = calloc(repair->members, sizeof(*uuids.is_placed));
	failed = uuids.slot && uuids.is_placed ? look_with_all(&uuids, error) :
						 repair_no_memory(error);
	failed = failed ?: place_all(&uuids, error) ?: plan_table(&uuids, error);
	free(uuids.slot);
	free(uuids.is_placed);
	return failed;
}
