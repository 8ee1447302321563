/*
 * The ranges of a volume that could not be read; see rescue_map.h.
 */
#include "tools/rescue_map.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/numbers.h"

static int map_grow(struct rescue_map *map)
{
	unsigned room = map->room ? 2 * map->room : 64;
	struct rescue_range *ranges = reallocarray(map->ranges, room, sizeof(*ranges));

	if (!ranges)
		return -ENOMEM;
	map->ranges = ranges;
	map->room = room;
	return 0;
}

int rescue_map_add(struct rescue_map *map, uint64_t offset, uint64_t bytes)
{
	struct rescue_range *last = map->count ? &map->ranges[map->count - 1] : NULL;

	assert(bytes && (!last || offset >= last->offset + last->bytes));	/* MAP-1 */
	if (last && offset == last->offset + last->bytes) {
		last->bytes += bytes;
		map->bytes += bytes;
		return 0;
	}
	if (map->count == map->room && map_grow(map))
		return -ENOMEM;
	map->ranges[map->count++] = (struct rescue_range){ offset, bytes };
	map->bytes += bytes;
	return 0;
}

static void print_range(FILE *stream, uint64_t from, uint64_t to, char status)
{
	if (from < to)
		fprintf(stream, "0x%08" PRIX64 "  0x%08" PRIX64 "  %c\n", from, to - from, status);
}

void rescue_map_print(const struct rescue_map *map, FILE *stream, uint64_t tried, uint64_t size)
{
	uint64_t at = 0;

	assert(tried <= size);
	fprintf(stream,
		"# Mapfile of GNU ddrescue, written by bcachefuse export %s\n"
		"# current_pos  current_status  current_pass\n"
		"0x%08" PRIX64 "     %c               1\n"
		"#      pos        size  status\n",
		PACKAGE_VERSION, tried, tried == size ? '+' : '?');
	for (unsigned i = 0; i < map->count && map->ranges[i].offset < tried; i++) {
		const struct rescue_range *range = &map->ranges[i];
		uint64_t end = min_u64(range->offset + range->bytes, tried);

		print_range(stream, at, range->offset, '+');
		print_range(stream, range->offset, end, '-');
		at = end;
	}
	print_range(stream, at, tried, '+');
	print_range(stream, tried, size, '?');
}

void rescue_map_done(struct rescue_map *map)
{
	free(map->ranges);
	*map = (struct rescue_map){ .count = 0 };
}
