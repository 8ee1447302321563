/*
 * Detects the content of a device: a bcache device by its superblock, everything else by
 * libblkid, including partition tables.
 *
 * Only its index could tell whether a cache holds dirty data.  Its superblock tells whether
 * the index is in use (CACHE_SYNC); then dirty data are assumed.  The same holds for an
 * attached backing device: it may say clean although its cache has dirty data, since a
 * kernel does not wait for the superblock that says dirty (ORDER-17).
 */
#include "tools/occupant.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "format/superblock.h"
#include "io/buffer.h"
#include "tools/convert.h"
#include "tools/member.h"

static int refuse_dirty(const char *path, const struct superblock *sb, struct error *error)
{
	char set[40];

	if (superblock_is_backing(sb) && superblock_state(sb) == STATE_DIRTY)
		return error_set(
			error, EEXIST,
			"%s: a bcache backing device in state dirty: part of "
			"its data is only in the cache; lose it with --wipe-bcache --force",
			path);
	if (superblock_is_backing(sb))
		return error_set(
			error, EEXIST,
			"%s: a bcache backing device in state clean, attached to cache set %s, "
			"which may all the same hold data that are nowhere else; detach it, or "
			"lose them with --wipe-bcache --force",
			path, units_print_uuid(set, sb->set_uuid));
	return error_set(error, EEXIST,
			 "%s: a bcache cache device in use by a set: it may hold data "
			 "that is nowhere else; lose it with --wipe-bcache --force",
			 path);
}

/* The head of this file says why a backing device in state CLEAN counts, too. */
static bool may_hold_dirty_data(const struct superblock *sb)
{
	if (!superblock_is_backing(sb))
		return superblock_is_sync(sb);
	return superblock_state(sb) == STATE_DIRTY || superblock_state(sb) == STATE_CLEAN;
}

static int check_bcache(const char *path, const struct superblock_disk *disk, unsigned allowed,
			struct error *error)
{
	struct superblock sb;

	if (!member_has_magic(disk))
		return 0;
	if (!(allowed & OVERWRITE_BCACHE))
		return error_set(error, EEXIST, "Already a bcache device on %s, overwrite with "
				 "--wipe-bcache", path);
	superblock_decode_unchecked(&sb, disk);
	if (may_hold_dirty_data(&sb) && !(allowed & OVERWRITE_DATA))
		return refuse_dirty(path, &sb, error);
	return 0;
}

/*
 * Asks libblkid for everything except bcache, which was checked before.  A file system with a wrong
 * checksum counts, too: it may be one that its owner wants to repair.
 */
static blkid_probe probe_new(const char *path)
{
	char bcache[] = "bcache";
	char *not_these[] = { bcache, NULL };
	blkid_probe probe = blkid_new_probe_from_filename(path);

	if (!probe)
		return NULL;
	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE |
					  BLKID_SUBLKS_LABEL | BLKID_SUBLKS_BADCSUM);
	blkid_probe_filter_superblocks_type(probe, BLKID_FLTR_NOTIN, not_these);
	blkid_probe_enable_partitions(probe, 1);
	return probe;
}

static const char *value_of(blkid_probe probe, const char *name)
{
	const char *value;

	return blkid_probe_lookup_value(probe, name, &value, NULL) ? NULL : value;
}

/*
 * In the middle of `convert`, or of `overlay --commit`: a superblock that both make invalid by
 * inverting its magic.
 */
static int check_half_way(struct device *device, const struct superblock_disk *disk,
			  struct error *error)
{
	static const uint8_t magic[] = SUPERBLOCK_MAGIC_BYTES;
	unsigned inverted = 0;

	for (unsigned i = 0; i < sizeof(magic); i++)
		inverted += (disk->magic[i] ^ magic[i]) == 0xff;
	if (!move_is_half_way(device) && inverted < sizeof(magic))
		return 0;
	return error_set(error, EEXIST, "%s: is half converted, or its overlay is half committed: "
			 "it may be all that its owner has; go on with that, or overwrite it with "
			 "--force", device_path(device));
}

static int refuse_found(const char *path, blkid_probe probe, struct error *error)
{
	const char *type = value_of(probe, "TYPE"), *label = value_of(probe, "LABEL");
	const char *table = value_of(probe, "PTTYPE");

	if (type)
		return error_set(error, EEXIST, "%s: found %s%s%s%s; overwrite it with --force",
				 path, type, label ? " labelled \"" : "", label ? label : "",
				 label ? "\"" : "");
	return error_set(error, EEXIST,
			 "%s: found a partition table (%s); overwrite it with --force", path,
			 table ? table : "unknown");
}

static int check_others(const char *path, struct error *error)
{
	blkid_probe probe = probe_new(path);
	int result;

	if (!probe)
		return error_set(error, EIO, "%s: libblkid cannot look at it", path);
	/* 1: nothing; 0: one thing; -2: several, such as remains of an older one; else an error. */
	switch (blkid_do_safeprobe(probe)) {
	case 1:
		result = 0;
		break;
	case 0:
		result = refuse_found(path, probe, error);
		break;
	case -2:
		result = error_set(error, EEXIST,
				   "%s: found several file systems or tables at once; "
				   "overwrite them with --force",
				   path);
		break;
	default:
		result = error_set(error, EIO, "%s: libblkid cannot read it", path);
	}
	blkid_free_probe(probe);
	return result;
}

/* The superblock is read through the device that will be written; libblkid opens it by itself. */
int occupant_check(struct device *device, unsigned allowed, struct error *error)
{
	const char *path = device_path(device);
	struct superblock_disk *disk = buffer_new(sizeof(*disk));
	int result = device_read_now(device, disk, SUPERBLOCK_SECTOR, sizeof(*disk) / 512);

	if (result)
		error_set(error, -result, "%s: cannot read sector %d: %s", path, SUPERBLOCK_SECTOR,
			  strerror(-result));
	else
		result = check_bcache(path, disk, allowed, error);
	if (!result && !(allowed & OVERWRITE_DATA))
		result = check_half_way(device, disk, error);
	buffer_free(disk);
	if (!result && !(allowed & OVERWRITE_DATA))
		result = check_others(path, error);
	return result;
}
