/*
 * Writes the superblock of a cache device.  (cache/volume_superblock.c writes that of a backing
 * device, since dirty writes need it, too.)
 */
#include "lifecycle/internal.h"

#include <string.h>

void set_write_superblock(struct cache_set *set, struct op *op)
{
	struct superblock *sb = &set->cache.superblock;

	sb->sequence++;
	if (sb->version < SUPERBLOCK_CACHE_WITH_UUIDS)
		sb->version = SUPERBLOCK_CACHE_WITH_UUIDS;
	superblock_encode(sb);
	memcpy(set->cache.superblock_buffer, &sb->disk, SUPERBLOCK_BYTES);
	device_write_metadata(set->cache.device, set->cache.superblock_buffer, SUPERBLOCK_SECTOR,
			      SUPERBLOCK_BYTES / 512, true, op);
}
