/*
 * Is writeback limited, and by which rate?  Gathers the facts for the controller of
 * writeback_rate.c.
 */
#include "base/numbers.h"
#include "cache/cache_set.h"
#include "cache/volume.h"

enum { IDLE_ROUNDS = 6 };	/* updates of the rate without a request, until the set is idle */
#define NS_PER_SECOND UINT64_C(1000000000)

static bool is_idle_set(const struct writeback *writeback)
{
	const struct cache_set *set = writeback->volume->set;
	uint64_t rounds_ns = writeback->volume->writeback_tunables.rate_update_seconds *
			     IDLE_ROUNDS * NS_PER_SECOND;

	return set->idle_max_writeback_rate &&
	       clock_ns(set->reactor) - set->last_request_ns >= rounds_ns;
}

bool writeback_is_unlimited(const struct writeback *writeback)
{
	const struct volume *volume = writeback->volume;

	return volume->is_detaching || !volume->writeback_tunables.percent ||
	       is_idle_set(writeback);
}

uint64_t writeback_current_rate(const struct writeback *writeback)
{
	if (writeback->state == WRITEBACK_OFF)
		return 0;
	return writeback_is_unlimited(writeback) ? WRITEBACK_RATE_MAX :
						   writeback->rate.sectors_per_second;
}

uint64_t writeback_target_of(const struct volume *volume)
{
	struct cache_set *set = volume->set;
	const struct space_setup *space = &set->cache.space.setup;
	uint64_t cache = space->buckets * space->bucket_sectors, all = 0;
	struct list_link *link;

	for (link = list_first(&set->volumes); link; link = list_next(&set->volumes, link)) {
		const struct volume *v = container_of(link, struct volume, set_link);

		if (v->is_flash)
			cache -= min_u64(cache, volume_dirty_bytes(v) / 512);
		else
			all += v->sectors;
	}
	return writeback_target(cache, volume->writeback_tunables.percent, volume->sectors, all);
}

void writeback_update_rate(struct writeback *writeback)
{
	struct volume *volume = writeback->volume;
	struct cache_set *set = volume->set;
	struct space *space = &set->cache.space;
	uint64_t now = clock_ns(set->reactor);
	struct writeback_load load = { .bucket_sectors = space->setup.bucket_sectors };

	if (now - writeback->rate.updated_ns <
	    volume->writeback_tunables.rate_update_seconds * NS_PER_SECOND)
		return;
	writeback->target_sectors = load.target = writeback_target_of(volume);
	load.dirty = volume_dirty_bytes(volume) / 512;
	set_lock(set);
	load.in_use_percent = space_in_use_percent(space);
	load.dirty_buckets = space->setup.buckets - space->available;
	set_unlock(set);
	writeback_rate_update(&writeback->rate, &volume->writeback_tunables, &load, now);
}
