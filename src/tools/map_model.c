/*
 * The facts of a map: of each bucket its use and its live data, of each volume what is cached.
 *
 * Where a volume ends may be unknown.  Then its stretches begin with the length of a block, and
 * when an extent lies behind the last of them, each two become one of twice the length.
 */
#include "tools/map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "bcachefuse/prio.h"

enum { SHORTEST_STRETCH_SECTORS = 8, SECTOR_BYTES = 512 };
enum { AGING_ROUNDS = 1024 };	/* a priority sinks by one as often per cache size of I/O */

const char *const map_kind_names[MAP_KINDS] = {
	[MAP_FREE] = "free", [MAP_STALE] = "stale", [MAP_CLEAN] = "clean", [MAP_DIRTY] = "dirty",
	[MAP_INDEX] = "index", [MAP_JOURNAL] = "journal", [MAP_TABLES] = "tables",
};

int map_init(struct map *map, uint64_t buckets, unsigned bucket_sectors, struct error *error)
{
	assert(buckets && bucket_sectors);
	*map = (struct map){
		.buckets = buckets,
		.bucket_sectors = bucket_sectors,
		.bucket = calloc(buckets, sizeof(*map->bucket)),
	};
	if (map->bucket)
		return 0;
	return error_set(error, ENOMEM, "no memory for a map of %llu buckets",
			 (unsigned long long)buckets);
}

void map_done(struct map *map)
{
	for (unsigned i = 0; i < map->volumes; i++) {
		map_hour_done(&map->volume[i]->hour);
		free(map->volume[i]);
	}
	free(map->volume);
	free(map->bucket);
	*map = (struct map){ .buckets = 0 };
}

struct map_volume *map_add_volume(struct map *map, unsigned number, uint64_t sectors)
{
	struct map_volume *volume = calloc(1, sizeof(*volume));

	map->volume = realloc(map->volume, (map->volumes + 1) * sizeof(struct map_volume *));
	assert(volume && map->volume);
	map->volume[map->volumes++] = volume;
	volume->number = number;
	volume->sectors = sectors;
	volume->stretch_sectors = SHORTEST_STRETCH_SECTORS;
	if (!sectors)
		return volume;
	volume->stretch_sectors = max_u64(divide_up(sectors, MAP_STRETCHES),
					  SHORTEST_STRETCH_SECTORS);
	volume->stretches = divide_up(sectors, volume->stretch_sectors);
	return volume;
}

void map_name_absent(struct map_volume *volume, const char *label)
{
	const char *why = volume->is_flash ? "flash-only" : "its backing device is not here";

	if (*label)
		snprintf(volume->name, MAP_NAME_BYTES, "%.40s (%s)", label, why);
	else
		snprintf(volume->name, MAP_NAME_BYTES, "volume %u (%s)", volume->number, why);
}

/* Extents come in order, so mostly it is the same as before. */
static struct map_volume *volume_of(struct map *map, unsigned number)
{
	if (map->last && map->last->number == number)
		return map->last;
	for (unsigned i = 0; i < map->volumes; i++)
		if (map->volume[i]->number == number)
			return map->last = map->volume[i];
	return NULL;
}

/* ---- a volume ---- */

static void halve_stretches(struct map_volume *volume)
{
	struct map_stretch *stretch = volume->stretch;

	for (unsigned i = 0; i < MAP_STRETCHES / 2; i++)
		stretch[i] = (struct map_stretch){
			.clean_sectors = stretch[2 * i].clean_sectors +
					 stretch[2 * i + 1].clean_sectors,
			.dirty_sectors = stretch[2 * i].dirty_sectors +
					 stretch[2 * i + 1].dirty_sectors,
		};
	memset(stretch + MAP_STRETCHES / 2, 0, sizeof(*stretch) * (MAP_STRETCHES / 2));
	volume->stretch_sectors *= 2;
	volume->stretches = divide_up(volume->stretches, 2);
}
_Static_assert(MAP_STRETCHES % 2 == 0, "each two become one");

/* Clean data may lie behind the end of a volume that was shrunk: they go into the last one. */
static struct map_stretch *stretch_at(struct map_volume *volume, uint64_t sector, uint64_t *end)
{
	uint64_t at;

	while (!volume->sectors && sector / volume->stretch_sectors >= MAP_STRETCHES)
		halve_stretches(volume);
	at = sector / volume->stretch_sectors;
	*end = (at + 1) * volume->stretch_sectors;
	if (!volume->sectors) {
		volume->stretches = max_u64(volume->stretches, at + 1);
	} else if (at + 1 >= volume->stretches) {
		at = volume->stretches - 1;
		*end = UINT64_MAX;
	}
	return &volume->stretch[at];
}

static void take_addresses(struct map_volume *volume, const struct map_extent *extent)
{
	uint64_t end = extent->start + extent->sectors;

	for (uint64_t at = extent->start, until; at < end; at = until) {
		struct map_stretch *stretch = stretch_at(volume, at, &until);

		until = min_u64(until, end);
		*(extent->is_dirty ? &stretch->dirty_sectors : &stretch->clean_sectors) +=
			until - at;
	}
	*(extent->is_dirty ? &volume->dirty_sectors : &volume->clean_sectors) += extent->sectors;
}

/* ---- buckets ---- */

void map_take_extent(struct map *map, const struct map_extent *extent)
{
	struct map_volume *volume = volume_of(map, extent->volume);
	uint64_t number = extent->place / map->bucket_sectors;
	struct map_bucket *bucket;

	if (!extent->sectors || number >= map->buckets)
		return;
	bucket = &map->bucket[number];
	if (bucket->use > MAP_STALE)
		return;				/* DRAW-1 */
	bucket->use = MAP_STALE;
	if (!volume || extent->generation != bucket->generation)
		return;				/* DRAW-1 */
	*(extent->is_dirty ? &bucket->dirty_sectors : &bucket->clean_sectors) += extent->sectors;
	take_addresses(volume, extent);
}

enum map_kind map_kind(const struct map_bucket *bucket)
{
	if (bucket->dirty_sectors)
		return MAP_DIRTY;
	return bucket->clean_sectors ? MAP_CLEAN : bucket->use;
}

void map_figures(const struct map *map, struct map_figures *figures)
{
	*figures = (struct map_figures){ .highest = 0 };
	for (uint64_t i = 0; i < map->buckets; i++) {
		const struct map_bucket *bucket = &map->bucket[i];
		enum map_kind kind = map_kind(bucket);

		figures->buckets[kind]++;
		figures->clean_sectors += bucket->clean_sectors;
		figures->dirty_sectors += bucket->dirty_sectors;
		if (kind != MAP_CLEAN && kind != MAP_DIRTY)
			continue;
		if (!figures->data_buckets || bucket->priority < figures->lowest)
			figures->lowest = bucket->priority;
		if (bucket->priority > figures->highest)
			figures->highest = bucket->priority;
		figures->data_buckets++;
	}
}

uint64_t map_idle_bytes(const struct map *map, unsigned priority)
{
	uint64_t cache_bytes = map->buckets * map->bucket_sectors * SECTOR_BYTES;

	if (priority >= PRIO_INITIAL)
		return 0;
	return (PRIO_INITIAL - priority) * (cache_bytes / AGING_ROUNDS);
}
