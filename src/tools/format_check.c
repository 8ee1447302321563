/*
 * Checks of bcachefuse format: sizes that fit the devices and the kernels that will use them, and
 * nothing overwritten that somebody may miss.
 */
#include "tools/format.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/numbers.h"
#include "base/units.h"
#include "tools/member.h"
#include "tools/occupant.h"
#include "tools/tools.h"

enum { BUCKETS_MIN = 513 };	/* fewer: the kernel's free lists would have no room */

/*
 * As make-bcache does: the logical block of a disk; for a file, the preferred block of its file
 * system, but at most half a bucket.
 */
static unsigned preferred_block_sectors(const struct format *format, const struct target *target)
{
	unsigned bytes = device_logical_block_bytes(target->device);
	struct stat info;

	if (!device_is_block_device(target->device) && !stat(target->path, &info))
		bytes = min_u64(info.st_blksize,
				format->bucket_sectors * SECTOR_BYTES / BUCKET_BLOCKS_MIN);
	if (!is_power_of_two(bytes))
		bytes = SECTOR_BYTES;
	return clamp_u64(bytes / SECTOR_BYTES, 1, PAGE_SECTORS);
}

/* One size for all, since a set has one: the largest works on every device. */
void format_choose_block(struct format *format)
{
	if (format->block_sectors)
		return;
	for (unsigned i = 0; i < format->count; i++)
		format->block_sectors =
			max_u64(format->block_sectors,
				preferred_block_sectors(format, &format->targets[i]));
}

int format_check_bucket(const struct format *format, struct error *error)
{
	uint64_t wanted = BUCKET_BLOCKS_MIN * format->block_sectors;

	if (format->bucket_sectors >= wanted)
		return 0;
	return error_set(error, EINVAL,
			 "buckets of %" PRIu64 " bytes hold less than %d blocks of %" PRIu64
			 ", and a kernel hangs on such a set; wanted at least -b %" PRIu64
			 "k, or smaller blocks (-w)",
			 format->bucket_sectors * SECTOR_BYTES, BUCKET_BLOCKS_MIN,
			 format->block_sectors * SECTOR_BYTES, wanted / 2);
}

/* Refuses too few buckets, and names the largest bucket size that would do. */
static int refuse_few_buckets(const struct format *format, const struct target *target,
			      struct error *error)
{
	uint64_t bucket_sectors = format->bucket_sectors, fits = bucket_sectors;
	uint64_t sectors = device_sectors(target->device);
	uint64_t least = max_u64(PAGE_SECTORS, BUCKET_BLOCKS_MIN * format->block_sectors);

	while (fits >= least && sectors / fits < BUCKETS_MIN)
		fits /= 2;
	if (fits < least)
		return error_set(error, ENOSPC,
				 "%s: too small for a cache: found %" PRIu64 " bytes, "
				 "wanted at least %" PRIu64,
				 target->path, sectors * SECTOR_BYTES,
				 BUCKETS_MIN * least * SECTOR_BYTES);
	return error_set(error, ENOSPC,
			 "%s: Not enough buckets: found %" PRIu64 " of %" PRIu64
			 "k, wanted at least %d; buckets of %" PRIu64 "k would fit: -b %" PRIu64
			 "k",
			 target->path, sectors / bucket_sectors, bucket_sectors / 2, BUCKETS_MIN,
			 fits / 2, fits / 2);
}

/* A cache needs buckets enough; a backing device needs a block of data at least. */
static int check_size(const struct format *format, const struct target *target, struct error *error)
{
	uint64_t sectors = device_sectors(target->device);

	if (target->is_cache) {
		if (sectors / format->bucket_sectors < BUCKETS_MIN)
			return refuse_few_buckets(format, target, error);
		return 0;
	}
	if (format->data_offset % format->block_sectors)
		return error_set(error, EINVAL,
				 "%s: data offset of %" PRIu64 " sectors is not a multiple "
				 "of the block size of %" PRIu64,
				 target->path, format->data_offset, format->block_sectors);
	if (sectors < format->data_offset + format->block_sectors)
		return error_set(error, ENOSPC,
				 "%s: no room for data: found %" PRIu64 " sectors, data "
				 "would begin at sector %" PRIu64,
				 target->path, sectors, format->data_offset);
	return 0;
}

int format_check_target(const struct format *format, struct target *target, struct error *error)
{
	unsigned logical = device_logical_block_bytes(target->device);
	int result;

	if (format->block_sectors * SECTOR_BYTES < logical)
		return error_set(error, EINVAL,
				 "%s: block size of %" PRIu64 " bytes is smaller than the "
				 "device's %u",
				 target->path, format->block_sectors * SECTOR_BYTES, logical);
	device_set_block(target->device, format->block_sectors);
	result = check_size(format, target, error);
	return result ? result : occupant_check(target->device, format->overwrite, error);
}

int format_check_other_cache(const struct format *format, struct error *error)
{
	autofree char *other = NULL;
	char uuid[40];

	if (!format->has_set_uuid || !format->cache_count)
		return 0;
	other = member_find_other_cache(format->set_uuid, format->targets[0].path);
	units_print_uuid(uuid, format->set_uuid);
	if (other && !(format->overwrite & OVERWRITE_DATA))
		return error_set(error, EEXIST,
				 "%s: set %s has a cache device already, %s, and a set has one; "
				 "--force makes another nevertheless",
				 format->targets[0].path, uuid, other);
	tool_complain("format", "warning: %s becomes the cache device of set %s: a set has one, so "
		      "no other may be mounted with it", format->targets[0].path, uuid);
	return 0;
}
