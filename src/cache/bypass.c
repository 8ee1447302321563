/*
 * The rules of bypass.h.
 */
#include "cache/bypass.h"

#include "base/sometimes.h"
#include "cache/cache_set.h"
#include "cache/volume.h"
#include "io/congestion.h"

/* Nothing new comes into a set that its volume leaves; a set that stops waits for all fills. */
static bool is_leaving(const struct volume *volume, enum bypass_kind kind)
{
	return volume->is_detaching || (kind == BYPASS_READ && volume->set->is_stopping);
}

static bool mode_bypasses(const struct volume *volume, enum bypass_kind kind)
{
	return volume->mode == MODE_NONE ||
	       (kind == BYPASS_WRITE && volume->mode == MODE_WRITEAROUND);
}

static bool is_unaligned(const struct cache_set *set, const struct bypass_question *question)
{
	unsigned block_sectors = set->cache.superblock.block_sectors;

	return question->start % block_sectors || question->sectors % block_sectors;
}

/* 0: any stream is welcome. */
static unsigned congestion_limit(const struct cache_set *set)
{
	const struct congestion *congestion = device_congestion(set->cache.device);

	if (!congestion->value)		/* no random number is drawn in vain */
		return 0;
	return congestion_limit_sectors(congestion, clock_ns(set->reactor),
					reactor_random(set->reactor));
}

/* Streams are not followed while nothing depends on them, as in the kernel. */
static bool is_of_long_stream(struct volume *volume, const struct bypass_question *question)
{
	unsigned cutoff = volume->sequential_cutoff, limit = congestion_limit(volume->set);
	uint32_t bytes;

	if (!cutoff && !limit)
		return false;
	bytes = sequential_add(&volume->sequential, question->task, question->offset,
			       question->bytes, clock_ns(volume->reactor));
	SIM_SOMETIMES_IF(cutoff && bytes >= cutoff && question->kind == BYPASS_READ,
			 "a sequential read goes around the cache");
	SIM_SOMETIMES_IF(cutoff && bytes >= cutoff && question->kind == BYPASS_WRITE,
			 "a sequential write goes around the cache");
	SIM_SOMETIMES_IF(limit && bytes / 512 >= limit, "a request avoids a congested cache");
	return (cutoff && bytes / 512 >= cutoff / 512) || (limit && bytes / 512 >= limit);
}

/* A flash-only volume has nothing else to go to; what it misses is zeros, not to be kept. */
bool bypass_decide(struct volume *volume, const struct bypass_question *question)
{
	struct cache_set *set = volume->set;
	enum bypass_kind kind = question->kind;

	if (volume->is_flash)
		return kind == BYPASS_READ;
	return set->is_read_only || is_leaving(volume, kind) || mode_bypasses(volume, kind) ||
	       space_in_use_percent(&set->cache.space) > IN_USE_BYPASS_ABOVE ||
	       is_unaligned(set, question) || is_of_long_stream(volume, question);
}
