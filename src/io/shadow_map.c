/*
 * The maps of an overlay file: which units of each member it has.
 *
 * Blocks without a bit are neither in memory nor in the file, so both grow with what was written.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/crc64.h"
#include "base/numbers.h"
#include "io/shadow_internal.h"

static uint64_t units_of(uint64_t sectors)
{
	return divide_up(sectors * 512, SHADOW_UNIT_BYTES);
}

static unsigned blocks_of(uint64_t sectors)
{
	return divide_up(units_of(sectors), SHADOW_MAP_UNITS);
}

uint64_t shadow_map_bytes(uint64_t sectors)
{
	return (uint64_t)blocks_of(sectors) * 2 * SHADOW_BLOCK_BYTES;
}

/* ---- in memory ---- */

bool shadow_map_has(const struct shadow_member *member, uint64_t unit)
{
	const struct shadow_map *map = member->maps[unit / SHADOW_MAP_UNITS];
	unsigned bit = unit % SHADOW_MAP_UNITS;

	return map && map->bits[bit / 8] >> bit % 8 & 1;
}

static struct shadow_map *map_new(struct shadow_member *member, unsigned index)
{
	struct shadow_map *map = calloc(1, sizeof(*map));

	assert(map);
	map->member = member;
	map->index = index;
	member->maps[index] = map;
	return map;
}

void shadow_map_set(struct shadow_member *member, uint64_t unit, uint64_t count)
{
	struct list *unsettled = &member->shadow->unsettled;

	for (uint64_t end = unit + count; unit < end; unit++) {
		unsigned index = unit / SHADOW_MAP_UNITS, bit = unit % SHADOW_MAP_UNITS;
		struct shadow_map *map = member->maps[index];

		if (shadow_map_has(member, unit))
			continue;
		if (!map)
			map = map_new(member, index);
		map->bits[bit / 8] |= 1 << bit % 8;
		map->units++;
		if (!list_linked(&map->link))
			list_add_last(unsettled, &map->link);
	}
}

/* A block that is not there is passed as a whole: there may be many. */
uint64_t shadow_map_run(const struct shadow_member *member, uint64_t unit, uint64_t max)
{
	bool has = shadow_map_has(member, unit);
	uint64_t run = 0;

	while (run < max && shadow_map_has(member, unit + run) == has) {
		uint64_t at = unit + run;

		run += member->maps[at / SHADOW_MAP_UNITS] ? 1 :
		       SHADOW_MAP_UNITS - at % SHADOW_MAP_UNITS;
	}
	return min_u64(run, max);
}

void shadow_map_free(struct shadow_member *member)
{
	for (unsigned i = 0; member->maps && i < member->map_count; i++)
		free(member->maps[i]);
	free(member->maps);
}

/* ---- in the file ---- */

static uint64_t copy_offset(const struct shadow_member *member, unsigned index, uint64_t sequence)
{
	return member->map_offset + ((uint64_t)index * 2 + sequence % 2) * SHADOW_BLOCK_BYTES;
}

static uint64_t checksum_of(const struct shadow_map_disk *disk)
{
	return crc64((const char *)disk + sizeof(disk->checksum),
		     sizeof(*disk) - sizeof(disk->checksum));
}

int shadow_map_write(struct shadow_map *map)
{
	struct shadow_map_disk disk = { .zero = { 0 } };
	struct shadow_member *member = map->member;
	int failed;

	disk.sequence = le64_of(map->sequence + 1);
	disk.member = le32_of(member->index);
	disk.index = le32_of(map->index);
	memcpy(disk.bits, map->bits, sizeof(disk.bits));
	disk.checksum = le64_of(checksum_of(&disk));
	failed = shadow_write_at(member->shadow->fd, &disk,
				 copy_offset(member, map->index, map->sequence + 1), sizeof(disk));
	if (!failed)
		map->sequence++;
	return failed;
}

static bool is_zero(const struct shadow_map_disk *disk)
{
	const unsigned char *bytes = (const unsigned char *)disk;

	return !bytes[0] && !memcmp(bytes, bytes + 1, sizeof(*disk) - 1);
}

/* Is it the copy of this block that has an even or odd sequence, as its place says? */
static bool is_valid(const struct shadow_member *member, unsigned index, unsigned place,
		     const struct shadow_map_disk *disk)
{
	uint64_t sequence = le64_get(disk->sequence);

	return le64_get(disk->checksum) == checksum_of(disk) && sequence % 2 == place &&
	       le32_get(disk->member) == member->index && le32_get(disk->index) == index;
}

static void take_block(struct shadow_member *member, unsigned index,
		       const struct shadow_map_disk *disk)
{
	struct shadow_map *map = map_new(member, index);

	map->sequence = le64_get(disk->sequence);
	memcpy(map->bits, disk->bits, sizeof(map->bits));
	for (unsigned i = 0; i < sizeof(map->bits); i++)
		map->units += __builtin_popcount(map->bits[i]);
}

/* The newer one of two valid copies; one that is torn or empty leaves the other (SHADOW-2). */
static int load_block(struct shadow_member *member, unsigned index, struct error *error)
{
	struct shadow_map_disk copies[2];
	const struct shadow_map_disk *best = NULL;
	unsigned empty = 0;
	int failed = shadow_read_at(member->shadow->fd, copies, copy_offset(member, index, 0),
				    sizeof(copies));

	if (failed)
		return error_set(error, -failed, "%s: the map cannot be read: %s",
				 member->shadow->path, strerror(-failed));
	for (unsigned i = 0; i < 2; i++) {
		empty += is_zero(&copies[i]);
		if (is_valid(member, index, i, &copies[i]) &&
		    (!best || le64_get(copies[i].sequence) > le64_get(best->sequence)))
			best = &copies[i];
	}
	if (!best && !empty)
		return error_set(error, EUCLEAN, "%s: block %u of the map of %s is damaged, in "
				 "both copies", member->shadow->path, index, member->path);
	if (best)
		take_block(member, index, best);
	return 0;
}

/* Where the file has holes, blocks are empty. */
int shadow_map_load(struct shadow_member *member, struct error *error)
{
	uint64_t end = member->map_offset + shadow_map_bytes(member->sectors);
	uint64_t at = member->map_offset;
	int failed = 0;

	member->map_count = blocks_of(member->sectors);
	member->maps = calloc(member->map_count, sizeof(*member->maps));
	if (!member->maps)
		return error_set(error, ENOMEM, "no memory for the map of %s", member->path);
	while (at < end && !failed) {
		off_t data = lseek(member->shadow->fd, at, SEEK_DATA);
		unsigned index;

		if (data < 0 && errno == ENXIO)
			break;
		if (data > (off_t)at)
			at = min_u64(data, end);
		if (at == end)
			break;
		index = (at - member->map_offset) / (2 * SHADOW_BLOCK_BYTES);
		failed = load_block(member, index, error);
		at = copy_offset(member, index + 1, 0);
	}
	return failed;
}
