/*
 * The numbers of a map as JSON; bcachefuse-map(8) explains the keys.
 */
#include "tools/json.h"
#include "tools/map.h"

enum { SECTOR_BYTES = 512, JSON_SIDE_MAX = 64 };

static void json_figures(struct json *json, const struct map *map)
{
	struct map_figures figures;

	map_figures(map, &figures);
	json_number(json, "buckets", map->buckets);
	json_number(json, "bucket_bytes", (uint64_t)map->bucket_sectors * SECTOR_BYTES);
	json_open_object(json, "buckets_by_kind");
	for (unsigned kind = 0; kind < MAP_KINDS; kind++)
		json_number(json, map_kind_names[kind], figures.buckets[kind]);
	json_close_object(json);
	json_number(json, "clean_bytes", figures.clean_sectors * SECTOR_BYTES);
	json_number(json, "dirty_bytes", figures.dirty_sectors * SECTOR_BYTES);
	if (!figures.data_buckets)
		return;
	json_number(json, "priority_highest", figures.highest);
	json_number(json, "priority_lowest", figures.lowest);
	json_number(json, "newest_idle_bytes", map_idle_bytes(map, figures.highest));
	json_number(json, "oldest_idle_bytes", map_idle_bytes(map, figures.lowest));
}

static void json_cells(struct json *json, const struct map *map)
{
	struct map_picture picture;

	map_picture_make(&picture, map, JSON_SIDE_MAX);
	json_number(json, "side", picture.side);
	json_open_array(json, "cells");
	for (unsigned i = 0; i < picture.cells; i++) {
		const struct map_cell *cell = &picture.cell[i];

		json_open_object(json, NULL);
		json_number(json, "bucket", cell->first);
		json_number(json, "buckets", cell->count);
		json_string(json, "kind", map_kind_names[cell->kind]);
		if (cell->has_data) {
			json_number(json, "idle_bytes", map_idle_bytes(map, cell->priority));
			json_number(json, "full_percent", cell->full_percent);
		}
		json_close_object(json);
	}
	json_close_array(json);
	map_picture_done(&picture);
}

static void json_stretches(struct json *json, const struct map_volume *volume)
{
	json_number(json, "stretch_bytes", volume->stretch_sectors * SECTOR_BYTES);
	json_open_array(json, "stretches");
	for (unsigned i = 0; i < volume->stretches; i++) {
		json_open_object(json, NULL);
		json_number(json, "clean_bytes", volume->stretch[i].clean_sectors * SECTOR_BYTES);
		json_number(json, "dirty_bytes", volume->stretch[i].dirty_sectors * SECTOR_BYTES);
		json_close_object(json);
	}
	json_close_array(json);
}

static void json_hour(struct json *json, const struct map_hour *hour)
{
	json_open_array(json, "hour");
	for (unsigned i = 0; i < hour->count; i++) {
		const struct map_interval *interval = &hour->interval[i];

		json_open_object(json, NULL);
		json_number(json, "age_ms", interval->age_ms);
		json_number(json, "interval_ms", interval->ms);
		json_number(json, "dirty_bytes", interval->dirty_bytes);
		json_number(json, "reads", interval->reads);
		json_number(json, "hits", interval->hits);
		json_number(json, "writes", interval->writes);
		json_number(json, "read_us", interval->read_us);
		json_number(json, "write_us", interval->write_us);
		json_close_object(json);
	}
	json_close_array(json);
}

static void json_volume(struct json *json, const struct map_volume *volume)
{
	json_open_object(json, NULL);
	json_number(json, "number", volume->number);
	json_string(json, "name", volume->name);
	json_string(json, "backing_uuid", volume->uuid);
	json_bool(json, "flash_only", volume->is_flash);
	if (volume->sectors)
		json_number(json, "size_bytes", volume->sectors * SECTOR_BYTES);
	json_number(json, "clean_bytes", volume->clean_sectors * SECTOR_BYTES);
	json_number(json, "dirty_bytes", volume->dirty_sectors * SECTOR_BYTES);
	json_stretches(json, volume);
	if (volume->hour.count)
		json_hour(json, &volume->hour);
	json_close_object(json);
}

static void json_set(struct json *json, const struct map *map)
{
	json_open_object(json, NULL);
	json_string(json, "uuid", map->uuid);
	json_bool(json, "mounted", map->is_live);
	json_figures(json, map);
	json_cells(json, map);
	json_open_array(json, "volumes");
	for (unsigned i = 0; i < map->volumes; i++)
		json_volume(json, map->volume[i]);
	json_close_array(json);
	json_close_object(json);
}

void map_write_json(FILE *stream, const struct map_page *page)
{
	struct json json;

	json_start(&json, stream);
	json_open_object(&json, NULL);
	json_command(&json, "map");
	json_string(&json, "time", page->time);
	json_open_array(&json, "sets");
	for (unsigned i = 0; i < page->maps; i++)
		json_set(&json, &page->map[i]);
	json_close_array(&json);
	json_close_object(&json);
	json_end(&json);
}
