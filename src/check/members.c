/*
 * The members by themselves: their superblocks, and which backing device belongs to which cache.
 *
 * A superblock with a fault is reported; if only its frame is damaged (magic, offset, checksum),
 * the copy in memory gets a new one, so that the set can be looked at all the same.
 */
#include <errno.h>
#include <string.h>

#include "base/units.h"
#include "check/internal.h"
#include "io/buffer.h"

static void member_fault(struct check *check, const struct check_member *member, enum check_id id,
			 const struct error *error)
{
	struct check_fault fault = check_fault_of(check, id, error);

	fault.path = member->path;
	check_report(check, &fault);
}

/* Would it be a good one with another frame? */
static bool mend_copy(struct check_member *member, struct superblock_disk *disk)
{
	static const uint8_t magic[16] = SUPERBLOCK_MAGIC_BYTES;
	struct error error;

	memcpy(disk->magic, magic, sizeof(magic));
	disk->sector = le64_of(SUPERBLOCK_SECTOR);
	disk->checksum = le64_of(superblock_checksum(disk));
	return !superblock_decode(&member->sb, disk, device_sectors(member->device),
				  device_logical_block_bytes(member->device), &error);
}

static void look_at_superblock(struct check *check, struct check_member *member,
			       struct superblock_disk *disk)
{
	struct error error;
	int failed;

	if (device_sectors(member->device) < SUPERBLOCK_SECTOR + SUPERBLOCK_BYTES / 512) {
		error_set(&error, EINVAL, "this is no bcache device: it has %llu sectors only",
			  (unsigned long long)device_sectors(member->device));
		member_fault(check, member, CHECK_SUPERBLOCK_BAD, &error);
		return;
	}
	failed = device_read_now(member->device, disk, SUPERBLOCK_SECTOR, SUPERBLOCK_BYTES / 512);
	if (failed) {
		error_set(&error, -failed, "the superblock cannot be read: %s", strerror(-failed));
		member_fault(check, member, CHECK_SUPERBLOCK_UNREADABLE, &error);
		return;
	}
	member->is_known = !superblock_decode(&member->sb, disk, device_sectors(member->device),
					      device_logical_block_bytes(member->device), &error);
	if (member->is_known)
		return;
	member_fault(check, member, CHECK_SUPERBLOCK_BAD, &error);
	member->is_known = mend_copy(member, disk);
}

static void look_for_twin(struct check *check, unsigned number)
{
	struct check_member *member = &check->member[number];
	struct error error;

	for (unsigned i = 0; i < number && member->is_known && !member->is_twice; i++) {
		const struct check_member *other = &check->member[i];

		if (!other->is_known || !uuid_is_equal(other->sb.uuid, member->sb.uuid))
			continue;
		member->is_twice = true;
		error_set(&error, EEXIST, "it has the UUID of %s", other->path);
		member_fault(check, member, CHECK_MEMBER_TWICE, &error);
	}
}

void check_superblocks(struct check *check)
{
	struct superblock_disk *disk = buffer_new(SUPERBLOCK_BYTES);

	for (unsigned i = 0; i < check->members; i++) {
		if (!check_goes_on(check, PHASE_SUPERBLOCKS, i * (uint64_t)SUPERBLOCK_BYTES,
				   check->members * (uint64_t)SUPERBLOCK_BYTES))
			break;
		if (check->member[i].device)
			look_at_superblock(check, &check->member[i], disk);
		else
			member_fault(check, &check->member[i], CHECK_SUPERBLOCK_UNREADABLE,
				     &check->member[i].error);
		look_for_twin(check, i);
	}
	buffer_free(disk);
}

static bool is_attached(const struct check_member *member)
{
	return member->is_known && superblock_is_backing(&member->sb) &&
	       superblock_state(&member->sb) != STATE_NONE;
}

static bool has_cache(const struct check *check, const struct check_member *backing)
{
	for (unsigned i = 0; i < check->members; i++)
		if (check_member_is_cache(&check->member[i]) &&
		    uuid_is_equal(check->member[i].sb.set_uuid, backing->sb.set_uuid))
			return true;
	return false;
}

void check_without_cache(struct check *check)
{
	struct error error;
	char uuid[40];

	check->cache = NULL;
	for (unsigned i = 0; i < check->members; i++) {
		const struct check_member *member = &check->member[i];

		if (!is_attached(member) || has_cache(check, member))
			continue;
		error_set(&error, ENODEV, "it says that it is %s in set %s, whose cache is not "
			  "among the members",
			  superblock_state(&member->sb) == STATE_CLEAN ? "clean" : "dirty",
			  units_print_uuid(uuid, member->sb.set_uuid));
		member_fault(check, member, CHECK_CACHE_ABSENT, &error);
	}
}

static struct check_volume *volume_of(struct check *check, const struct check_member *backing)
{
	for (unsigned i = 0; i < check->volumes; i++)
		if (uuid_is_equal(check->volume[i].entry.uuid, backing->sb.uuid))
			return &check->volume[i];
	return NULL;
}

/* An attach refuses these, too (lifecycle/attach.c). */
static void look_whether_set_takes(struct check *check, const struct check_member *member)
{
	unsigned wanted = check->cache->sb.block_sectors;
	struct error error;

	if (member->sb.block_sectors < wanted) {
		error_set(&error, EINVAL, "its block size is less than that of its set: found %u "
			  "sectors, wanted %u or more", member->sb.block_sectors, wanted);
		member_fault(check, member, CHECK_VOLUME_REFUSED, &error);
	}
	if (uuid_is_retired(member->sb.uuid)) {
		error_set(&error, EINVAL, "it has the UUID that marks slots of detached volumes");
		member_fault(check, member, CHECK_VOLUME_REFUSED, &error);
	}
}

/* A set that knows nothing of a clean backing device gives it a new slot: that is no fault. */
void check_match_members(struct check *check)
{
	struct check_volume *volume;
	struct error error;

	for (unsigned i = 0; i < check->members; i++) {
		const struct check_member *member = &check->member[i];

		if (!is_attached(member) || member->is_twice ||
		    !uuid_is_equal(member->sb.set_uuid, check->cache->sb.set_uuid))
			continue;
		look_whether_set_takes(check, member);
		volume = volume_of(check, member);
		if (volume) {
			volume->backing = member;
		} else if (superblock_state(&member->sb) == STATE_DIRTY) {
			error_set(&error, ENOENT, "it is dirty, and not in the table of volumes "
				  "of its cache, %s", check->cache->path);
			member_fault(check, member, CHECK_VOLUME_UNKNOWN, &error);
		}
	}
}
