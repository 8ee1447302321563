/*
 * The rules of bypass.h.
 */
#include "cache/bypass.h"

#include "cache/cache_set.h"
#include "cache/volume.h"

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

static bool cache_is_full(struct cache_set *set)
{
	unsigned in_use;

	set_lock(set);
	in_use = space_in_use_percent(&set->cache.space);
	set_unlock(set);
	return in_use > IN_USE_BYPASS_ABOVE;
}

/* A flash-only volume has nothing else to go to; what it misses is zeros, not to be kept. */
bool bypass_decide(const struct volume *volume, enum bypass_kind kind)
{
	struct cache_set *set = volume->set;

	if (!set)
		return true;
	if (volume->is_flash)
		return kind == BYPASS_READ;
	return set->is_read_only || is_leaving(volume, kind) || mode_bypasses(volume, kind) ||
	       cache_is_full(set);
}
