/*
 * Gathers the buckets of a map into the cells of a picture.
 *
 * Cell i of n has the buckets from i/n to (i + 1)/n of all, so the square is always full.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/numbers.h"
#include "tools/map.h"

/* Of as many buckets of two kinds, this one is shown. */
static const enum map_kind importance[MAP_KINDS] = {
	MAP_DIRTY, MAP_INDEX, MAP_JOURNAL, MAP_TABLES, MAP_CLEAN, MAP_STALE, MAP_FREE,
};

static enum map_kind kind_of_most(const uint64_t counts[MAP_KINDS])
{
	enum map_kind most = importance[0];

	for (unsigned i = 1; i < MAP_KINDS; i++)
		if (counts[importance[i]] > counts[most])
			most = importance[i];
	return most;
}

static void make_cell(struct map_cell *cell, const struct map *map)
{
	uint64_t counts[MAP_KINDS] = { 0 }, sectors = 0, priorities = 0, with_data;

	for (uint64_t i = cell->first; i < cell->first + cell->count; i++) {
		const struct map_bucket *bucket = &map->bucket[i];
		enum map_kind kind = map_kind(bucket);

		counts[kind]++;
		sectors += bucket->clean_sectors + bucket->dirty_sectors;
		priorities += kind == MAP_CLEAN || kind == MAP_DIRTY ? bucket->priority : 0;
	}
	with_data = counts[MAP_CLEAN] + counts[MAP_DIRTY];
	cell->kind = kind_of_most(counts);
	cell->has_data = with_data;
	if (!with_data)
		return;
	cell->priority = priorities / with_data;
	cell->full_percent = min_u64(sectors * 100 / (with_data * map->bucket_sectors), 100);
}

void map_picture_make(struct map_picture *picture, const struct map *map, unsigned side_max)
{
	unsigned side = 1;

	while (2 * side <= side_max && (uint64_t)4 * side * side <= map->buckets)
		side *= 2;
	*picture = (struct map_picture){
		.side = side,
		.cells = side * side,
		.cell = calloc((size_t)side * side, sizeof(*picture->cell)),
	};
	assert(picture->cell);
	map_figures(map, &picture->figures);
	for (unsigned i = 0; i < picture->cells; i++) {
		struct map_cell *cell = &picture->cell[i];

		cell->first = map->buckets * i / picture->cells;
		cell->count = map->buckets * (i + 1) / picture->cells - cell->first;
		make_cell(cell, map);
	}
}

void map_picture_done(struct map_picture *picture)
{
	free(picture->cell);
	picture->cell = NULL;
}

unsigned map_age_shade(const struct map_picture *picture, const struct map_cell *cell)
{
	unsigned spread = picture->figures.highest - picture->figures.lowest;

	if (!spread)
		return 0;
	return (picture->figures.highest - cell->priority) * (MAP_SHADES - 1) / spread;
}

unsigned map_full_shade(const struct map_cell *cell)
{
	return min_u64(cell->full_percent * MAP_SHADES / 100, MAP_SHADES - 1);
}

unsigned map_top_percent(const struct map_volume *volume)
{
	static const unsigned tops[] = { 1, 2, 5, 10, 20, 50 };
	uint64_t most = 0;

	for (unsigned i = 0; i < volume->stretches; i++)
		most = max_u64(most, volume->stretch[i].clean_sectors +
					     volume->stretch[i].dirty_sectors);
	for (unsigned i = 0; i < ARRAY_SIZE(tops); i++)
		if (most * 100 <= volume->stretch_sectors * tops[i])
			return tops[i];
	return 100;
}
