/*
 * Compares clean extents with the backing devices, which have a copy of each.
 */
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "check/internal.h"
#include "io/buffer.h"

enum { PIECE_SECTORS = 2048 };

/* The first sector that differs, and behind the last one. */
struct difference {
	uint64_t first, end;
};

static void note_difference(const struct check *check, uint64_t start, unsigned sectors,
			    struct difference *found)
{
	for (unsigned i = 0; i < sectors; i++) {
		if (!memcmp(check->compared[0] + i * 512, check->compared[1] + i * 512, 512))
			continue;
		if (!found->end)
			found->first = start + i;
		found->end = start + i + 1;
	}
}

static void report_part(struct check *check, enum check_id id, const struct bkey *k,
			const struct difference *part, const struct error *error)
{
	struct bkey cut = *k;

	bkey_cut_back(&cut, part->end);
	bkey_cut_front(&cut, part->first);
	check_report_extent(check, id, &cut, error);
}

/* False: one of the two cannot be read. */
static bool read_piece(struct check *check, const struct bkey *k, uint64_t start, unsigned sectors)
{
	struct device *backing = check->volume[bkey_volume(k)].backing->device;
	struct difference all = { start, start + sectors };
	struct error error;
	int failed = device_read_now(check->cache->device, check->compared[0],
				     pointer_sector(k->ptr) + (start - bkey_start(k)), sectors);
	const char *path = check->cache->path;

	if (!failed) {
		path = check->volume[bkey_volume(k)].backing->path;
		failed = device_read_now(backing, check->compared[1], start, sectors);
	}
	if (!failed)
		return true;
	error_set(&error, -failed, "the data on %s cannot be read: %s", path, strerror(-failed));
	report_part(check, CHECK_EXTENT_UNREADABLE, k, &all, &error);
	return false;
}

/* Sectors behind the end of the backing device cannot be read anyway. */
void check_compare_extent(struct check *check, const struct bkey *k)
{
	const struct check_volume *volume = &check->volume[bkey_volume(k)];
	struct difference found = { 0, 0 };
	struct error error;
	uint64_t end;

	if (!volume->backing || bkey_is_dirty(k) || uuid_is_retired(volume->entry.uuid))
		return;
	end = min_u64(bkey_end(k), device_sectors(volume->backing->device));
	for (uint64_t at = bkey_start(k); at < end; at += PIECE_SECTORS) {
		unsigned sectors = min_u64(end - at, PIECE_SECTORS);

		if (!check_goes_on(check, PHASE_DATA, check->data_done, check->data_bytes))
			return;
		if (read_piece(check, k, at, sectors))
			note_difference(check, at, sectors, &found);
		check->data_done += sectors * 512;
	}
	if (!found.end)
		return;
	error_set(&error, EIO, "the clean data in the cache differ from those on %s",
		  volume->backing->path);
	report_part(check, CHECK_EXTENT_DIFFERS, k, &found, &error);
}

void check_compare(struct check *check)
{
	for (unsigned i = 0; i < check->volumes; i++)
		if (check->volume[i].backing)
			check->data_bytes += check->volume[i].clean_sectors * 512;
	for (unsigned i = 0; i < ARRAY_SIZE(check->compared); i++)
		check->compared[i] = buffer_new(PIECE_SECTORS * 512);
	check_nodes(check, WALK_COMPARE);
}
