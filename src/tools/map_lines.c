/*
 * The lines of internal/buckets and internal/keys of a daemon, into a map.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/map_source.h"

/* Marks of data are older than the keys: data that the keys do not have are stale. */
static int use_of_word(const char *word, bool is_pointed_to)
{
	static const struct {
		const char *word;
		enum map_kind use;
	} uses[] = {
		{ "clean", MAP_STALE }, { "dirty", MAP_STALE }, { "index", MAP_INDEX },
		{ "journal", MAP_JOURNAL }, { "superblock", MAP_TABLES },
		{ "priorities", MAP_TABLES }, { "volumes", MAP_TABLES },
	};

	if (!strcmp(word, "free"))
		return is_pointed_to ? MAP_STALE : MAP_FREE;
	for (unsigned i = 0; i < ARRAY_SIZE(uses); i++)
		if (!strcmp(word, uses[i].word))
			return uses[i].use;
	return -1;
}

bool map_take_bucket_line(struct map *map, const char *line)
{
	unsigned generation, oldest, priority;
	uint64_t first, count;
	char word[16];
	int use;

	if (sscanf(line, "%" SCNu64 " %" SCNu64 " %15s %u %u %u", &first, &count, word,
		   &generation, &oldest, &priority) != 6)
		return false;
	use = use_of_word(word, generation != oldest);
	if (use < 0 || first > map->buckets || count > map->buckets - first ||
	    generation > UINT8_MAX || priority > UINT16_MAX)
		return false;
	for (uint64_t i = first; i < first + count; i++)
		map->bucket[i] = (struct map_bucket){
			.use = use, .generation = generation, .priority = priority,
		};
	return true;
}

/* The number at *at, which the text `before` precedes; *at goes behind it. */
static bool take_number(const char **at, const char *before, uint64_t *number)
{
	size_t length = strlen(before);
	char *end;

	if (strncmp(*at, before, length) || (*at)[length] < '0' || (*at)[length] > '9')
		return false;
	*number = strtoull(*at + length, &end, 10);
	*at = end;
	return true;
}

/* "VOLUME:START len SECTORS -> [DEVICE:PLACE gen GENERATION] dirty", or without a usable place. */
bool map_take_key_line(struct map *map, const char *line)
{
	uint64_t volume, start, sectors, device, place, generation;
	const char *at = line;

	if (!take_number(&at, "", &volume) || !take_number(&at, ":", &start) ||
	    !take_number(&at, " len ", &sectors))
		return false;
	if (!strncmp(at, " -> [check dev]", 15))
		return true;
	if (!take_number(&at, " -> [", &device) || !take_number(&at, ":", &place) ||
	    !take_number(&at, " gen ", &generation) || *at != ']')
		return false;
	if (device || sectors > UINT32_MAX || start > UINT64_MAX / 2)
		return true;
	map_take_extent(map, &(struct map_extent){
		.volume = volume, .start = start, .sectors = sectors, .place = place,
		.generation = generation, .is_dirty = !strncmp(at, "] dirty", 7),
	});
	return true;
}
