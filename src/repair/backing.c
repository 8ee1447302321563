/*
 * Rebuilds the superblock of a backing device from the table of volumes of its cache.
 *
 * The table has its UUID and label.  It does not say where the data begin on it: that is what the
 * superblock at its place says, if only its frame is damaged.  Otherwise the first key tells it, if
 * that begins at the usual sector, before which no data can begin; or the user.
 */
#include <errno.h>
#include <string.h>

#include "repair/internal.h"

/* A volume of the set that none of the members is. */
static bool is_missing(const struct check_volume *volume)
{
	const struct uuid_entry *entry = &volume->entry;

	return !uuid_is_zero(entry->uuid) && !uuid_is_retired(entry->uuid) &&
	       !(entry->flags & UUID_FLASH_ONLY) && !volume->backing;
}

static bool is_attached_to(const struct check *check, const struct check_volume *volume,
			   const struct check_member *member)
{
	return member->is_known && superblock_is_backing(&member->sb) &&
	       uuid_is_equal(member->sb.set_uuid, check->cache->sb.set_uuid) &&
	       uuid_is_equal(volume->entry.uuid, member->sb.uuid);
}

/* The volume that it is: the one of its UUID, or the only one that is missing; -1: none. */
static int volume_of(const struct repair *repair, unsigned member, bool *is_there)
{
	const struct check *check = &repair->check;
	int missing = -1;
	unsigned faulty = 0;

	for (unsigned i = 0; i < repair->members; i++)
		faulty += repair_is_faulty(repair, i);
	*is_there = false;
	for (unsigned i = 0; i < check->volumes; i++) {
		*is_there = is_attached_to(check, &check->volume[i], &repair->member[member]);
		if (*is_there)
			return i;
	}
	for (unsigned i = 0; i < check->volumes && faulty == 1; i++) {
		if (!is_missing(&check->volume[i]))
			continue;
		if (missing >= 0)
			return -1;
		missing = i;
	}
	return missing;
}

/* ---- the step ---- */

/* As long as the index has faults, nothing says that the volume is clean. */
static int compare_samples(const struct repair *repair, unsigned member, unsigned volume,
			   struct error *error)
{
	struct repair_likeness likeness;

	repair_compare(repair, member, volume, &likeness);
	if (likeness.differ <= likeness.same)
		return 0;
	return repair_refuse(error, "%s: it is not the backing device of volume %u: %u of %u "
			     "sectors differ from the clean data in the cache",
			     repair->member[member].path, volume, likeness.differ,
			     likeness.differ + likeness.same);
}

static bool may_be_dirty(const struct repair *repair, const struct check_volume *volume)
{
	for (unsigned i = 0; i < repair->faults; i++)
		if (repair->fault[i].id != CHECK_SUPERBLOCK_BAD &&
		    repair->fault[i].id != CHECK_SUPERBLOCK_UNREADABLE)
			return true;
	return volume->dirty_sectors;
}

/* No key begins before the data.  0: nothing tells where that is. */
static uint64_t offset_of(const struct repair *repair, unsigned volume)
{
	const struct repair_volume *has = repair->volume ? &repair->volume[volume] : NULL;

	if (repair->data_offset)
		return repair->data_offset;
	return has && has->extents && has->first == DATA_START_DEFAULT ? DATA_START_DEFAULT : 0;
}

static struct superblock make_superblock(const struct repair *repair, unsigned volume)
{
	const struct superblock *cache = &repair->check.cache->sb;
	const struct uuid_entry *entry = &repair->check.volume[volume].entry;
	struct superblock sb = {
		.version = SUPERBLOCK_BACKING, .data_offset = offset_of(repair, volume),
		.block_sectors = cache->block_sectors, .members = 1,
	};

	memcpy(sb.uuid, entry->uuid, sizeof(sb.uuid));
	memcpy(sb.label, entry->label, SUPERBLOCK_LABEL_BYTES);
	superblock_set_mode(&sb, MODE_WRITETHROUGH);
	if (sb.data_offset != DATA_START_DEFAULT)
		sb.version = SUPERBLOCK_BACKING_WITH_OFFSET;
	return sb;
}

static int plan_backing(struct repair *repair, const struct check_fault *fault, unsigned member,
			unsigned number, bool is_there, struct error *error)
{
	const struct check_volume *volume = &repair->check.volume[number];
	bool is_dirty = may_be_dirty(repair, volume);
	struct superblock sb = is_there ? repair->member[member].sb :
					  make_superblock(repair, number);

	memcpy(sb.set_uuid, repair->check.cache->sb.set_uuid, sizeof(sb.set_uuid));
	if (is_dirty && !is_there)
		superblock_set_mode(&sb, MODE_WRITEBACK);
	superblock_set_state(&sb, is_dirty ? STATE_DIRTY : STATE_CLEAN);
	superblock_encode(&sb);
	if (!repair_step_new(repair, fault, "rebuild the superblock of the backing device of "
			     "volume %u, %s; its data begin at sector %llu, as %s", number,
			     is_dirty ? "dirty" : "clean", (unsigned long long)sb.data_offset,
			     is_there ? "it says" : repair->data_offset ? "you say" :
			     "its first key does"))
		return repair_no_memory(error);
	return repair_add_write(repair, member, SUPERBLOCK_SECTOR, &sb.disk, SUPERBLOCK_BYTES / 512,
				error);
}

int repair_backing(struct repair *repair, const struct check_fault *fault, struct error *error)
{
	unsigned member = repair_member_of(repair, fault->path);
	bool is_there;
	int volume = volume_of(repair, member, &is_there), failed;

	if (!repair->check.has_table)
		return repair_refuse(error, "%s: %s; the table of volumes, which could tell, has a "
				     "fault, too", fault->path, fault->error.text);
	if (volume < 0)
		return repair_refuse(error, "%s: %s; nothing tells which volume of the set it is",
				     fault->path, fault->error.text);
	if (repair->check.cache->device &&
	    device_sectors(repair->member[member].device) <= DATA_START_DEFAULT)
		return repair_refuse(error, "%s: %s", fault->path, fault->error.text);
	if (!is_there && !offset_of(repair, volume))
		return repair_refuse(error, "%s: %s; nothing tells where its data begin: say it by "
				     "--data-offset, %d if it was formatted without one",
				     fault->path, fault->error.text, DATA_START_DEFAULT);
	failed = compare_samples(repair, member, volume, error);
	if (failed)
		return failed;
	return plan_backing(repair, fault, member, volume, is_there, error);
}
