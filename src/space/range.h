/*
 * The buckets that a key may point to, for checks of keys that come from a disk.
 */
#pragma once

#include "space/space.h"

/* All that the set has, without those of the journal. */
static inline struct bucket_range space_range(const struct space *space)
{
	return (struct bucket_range){
		.first = space->setup.first_bucket + space->setup.journal_buckets,
		.end = space->setup.buckets,
		.sectors = space->setup.bucket_sectors,
	};
}
