/*
 * A cache device as a member of its set: what is on it, and what belongs to it alone.
 *
 * A set has one today, set->cache: no kernel from 5.10 on opens a set of several.  Code that has a
 * pointer finds its device by cache_device_of(), so that several become an array, by the
 * device number in pointers.
 */
#pragma once

#include "format/superblock.h"
#include "io/device.h"
#include "space/space.h"

/* The guards are named as in cache_set.h. */
struct cache_device {
	struct device *device;			/* const; counts errors and latencies by kind */
	char member_name[64];			/* const: DIR/sys/block/<member_name> */
	struct superblock superblock;		/* reactor: geometry const */
	unsigned char *superblock_buffer;	/* reactor: 4 KiB, for writing it */
	struct space space;			/* lock: buckets, their priorities, free lists */
};

/*
 * Transfers of a cache device must be whole blocks.  Extents are, unless they are damaged, or the
 * last one of a kernel's flash-only volume.
 */
static inline bool cache_device_has_blocks(const struct cache_device *cache, uint64_t ptr,
					   uint64_t sectors)
{
	unsigned block_sectors = cache->superblock.block_sectors;

	return pointer_sector(ptr) % block_sectors == 0 && sectors % block_sectors == 0;
}
