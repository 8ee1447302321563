/*
 * The extents of the set: the keys of each leaf, with those of the journal that are newer.
 *
 * An extent counts if it has a place, its pointer is not stale, and its volume was not retired.
 * No two such extents may have one place in the cache: a bit for each block shows that.
 */
#include <errno.h>

#include "base/numbers.h"
#include "base/units.h"
#include "check/internal.h"

uint64_t check_volume_end(const struct check *check, unsigned number)
{
	const struct check_volume *volume = &check->volume[number];

	if (volume->entry.flags & UUID_FLASH_ONLY)
		return round_up(volume->entry.sectors, check->cache->sb.block_sectors);
	return volume->backing ? device_sectors(volume->backing->device) : UINT64_MAX;
}

static uint64_t volume_begin(const struct check *check, unsigned number)
{
	const struct check_volume *volume = &check->volume[number];

	return volume->backing ? volume->backing->sb.data_offset : 0;
}

/* ---- one extent ---- */

void check_report_extent(struct check *check, enum check_id id, const struct bkey *k,
			 const struct error *error)
{
	struct check_fault fault = check_fault_of(check, id, error);

	fault.has_range = true;
	fault.from = (struct position){ bkey_volume(k), bkey_start(k) };
	fault.to = (struct position){ bkey_volume(k), bkey_end(k) };
	fault.loss = bkey_is_dirty(k) ? LOSS_DIRTY : LOSS_CLEAN;
	check_report(check, &fault);
}

bool check_has_place(const struct check *check, const struct bkey *k)
{
	struct bucket_range range = space_range(&check->space);

	return bkey_sectors(k) && bkey_has_usable_pointer(k) &&
	       pointer_is_within(&range, k->ptr, bkey_sectors(k));
}

/* Takes the whole blocks of its place.  False: one of them is taken already. */
static bool take_place(struct check *check, const struct bkey *k)
{
	unsigned block = check->cache->sb.block_sectors;
	uint64_t at = divide_up(pointer_sector(k->ptr), block);
	uint64_t end = (pointer_sector(k->ptr) + bkey_sectors(k)) / block;
	bool is_free = true;

	for (; at < end && check->placed; at++) {
		unsigned char bit = 1 << at % 8;

		is_free = is_free && !(check->placed[at / 8] & bit);
		check->placed[at / 8] |= bit;
	}
	return is_free;
}

static void look_at_place(struct check *check, const struct bkey *k)
{
	char text[BKEY_TEXT_BYTES];
	struct error error;

	if (take_place(check, k))
		return;
	error_set(&error, EINVAL, "extent %s: another has some of its place in the cache",
		  bkey_print(text, k));
	check_report_extent(check, CHECK_EXTENT_SHARED, k, &error);
}

/* Only dirty data need a place on the backing device. */
static void look_at_ends(struct check *check, const struct bkey *k)
{
	uint64_t begin = volume_begin(check, bkey_volume(k));
	uint64_t end = check_volume_end(check, bkey_volume(k));
	char text[BKEY_TEXT_BYTES];
	struct error error;

	if (!bkey_is_dirty(k) || (bkey_start(k) >= begin && bkey_end(k) <= end))
		return;
	error_set(&error, EINVAL, "extent %s: its volume has the sectors from %llu to %llu",
		  bkey_print(text, k), (unsigned long long)begin, (unsigned long long)end);
	check_report_extent(check, CHECK_EXTENT_BEYOND_END, k, &error);
}

static bool has_volume(const struct check *check, const struct bkey *k)
{
	return bkey_volume(k) < check->volumes &&
	       !uuid_is_zero(check->volume[bkey_volume(k)].entry.uuid);
}

static void judge_extent(struct check *check, const struct bkey *k)
{
	struct check_volume *volume;
	char text[BKEY_TEXT_BYTES];
	struct error error;

	look_at_place(check, k);
	if (!has_volume(check, k)) {
		error_set(&error, ENOENT, "extent %s: the table of volumes has no such number",
			  bkey_print(text, k));
		check_report_extent(check, CHECK_EXTENT_WITHOUT_VOLUME, k, &error);
		return;
	}
	volume = &check->volume[bkey_volume(k)];
	if (uuid_is_retired(volume->entry.uuid))
		return;
	look_at_ends(check, k);
	check->extents++;
	*(bkey_is_dirty(k) ? &volume->dirty_sectors : &volume->clean_sectors) += bkey_sectors(k);
	if (check->watch->extent)
		check->watch->extent(check->watch, check, k);
}

/* A bucket with dirty data is never given to others, so their pointer does not become stale. */
static void judge_stale(struct check *check, const struct bkey *k)
{
	char text[BKEY_TEXT_BYTES];
	struct error error;

	if (!bkey_is_dirty(k) || !has_volume(check, k) ||
	    uuid_is_retired(check->volume[bkey_volume(k)].entry.uuid))
		return;
	error_set(&error, EINVAL, "extent %s is dirty, and %u generations stale",
		  bkey_print(text, k), check_staleness(check, k->ptr));
	check_report_extent(check, CHECK_EXTENT_STALE, k, &error);
}

/* Without a table of volumes, nothing is known of any of them. */
static void take_extent(struct check *check, const struct bkey *k)
{
	if (!check->has_table || !check_has_place(check, k))
		return;
	if (check_staleness(check, k->ptr))
		judge_stale(check, k);
	else if (check->walk == WALK_JUDGE)
		judge_extent(check, k);
	else if (has_volume(check, k))
		check_compare_extent(check, k);
}

/* ---- a leaf ---- */

/* Does all of `k` lie before `from`? */
static bool lies_before(const struct bkey *k, struct position from)
{
	return bkey_volume(k) != from.volume ? bkey_volume(k) < from.volume :
					       bkey_end(k) <= from.sector && from.sector;
}

/* As the walk of recovery does it, before the journal's keys are there. */
static void judge_key(struct check *check, struct position from, const struct bkey *leaf,
		      const struct bkey *k)
{
	unsigned long long bucket = space_bucket_of(&check->space, leaf->ptr);
	char text[BKEY_TEXT_BYTES];
	struct error error;

	if (lies_before(k, from)) {
		error_set(&error, EINVAL, "extent %s belongs to the leaf before that of bucket "
			  "%llu", bkey_print(text, k), bucket);
		check_report_extent(check, CHECK_EXTENT_MISPLACED, k, &error);
	}
	if (!check_has_place(check, k) || !check_survey_extent(check, k, &error))
		return;
	error_prefix(&error, "leaf in bucket %llu: extent %s", bucket, bkey_print(text, k));
	check_report_extent(check, CHECK_EXTENT_POINTER_BAD, k, &error);
}

void check_leaves_begin(struct check *check)
{
	check->replayed_at = 0;
	check->replayed_from = (struct position){ 0, 0 };
}

/* The next key of the journal that begins before `end`, cut to what lies before it. */
static bool next_replayed(struct check *check, const struct bkey *end, struct bkey *k)
{
	struct position *from = &check->replayed_from;

	if (check->replayed_at == check->replayed.count)
		return false;
	*k = check->replayed.key[check->replayed_at];
	if (bkey_volume(k) == from->volume && bkey_start(k) < from->sector)
		bkey_cut_front(k, min_u64(from->sector, bkey_end(k)));
	if (bkey_volume(k) > bkey_volume(end) ||
	    (bkey_volume(k) == bkey_volume(end) && bkey_start(k) >= bkey_end(end)))
		return false;
	if (bkey_compare(k, end) > 0) {
		bkey_cut_back(k, bkey_end(end));
		*from = (struct position){ bkey_volume(end), bkey_end(end) };
	} else {
		check->replayed_at++;
	}
	return true;
}

/* False: no memory. */
static bool take_part(struct check *check, const struct bkey *end)
{
	struct bkey k;

	check->part.count = 0;
	while (next_replayed(check, end, &k)) {
		if (check->part.count == check->part.capacity &&
		    !run_try_reserve(&check->part, check->part.count * 2 + 16))
			return false;
		if (bkey_sectors(&k))
			run_add(&check->part, &k);
	}
	return true;
}

/* The keys of a leaf, up to its end, and what the journal has there. */
static void merge_leaf(struct check *check, const struct run *keys, const struct bkey *end)
{
	if (!take_part(check, end) ||
	    !run_try_reserve(&check->merged, keys->count + 2 * check->part.count)) {
		check_say(check, CHECK_NO_MEMORY, "no memory for %u keys", keys->count);
		return;
	}
	run_merge(keys, &check->part, &check->merged);
	for (unsigned i = 0; i < check->merged.count; i++)
		take_extent(check, &check->merged.key[i]);
}

void check_leaf(struct check *check, const struct run *keys, struct position from,
		const struct bkey *leaf)
{
	for (unsigned i = 0; i < keys->count && check->walk == WALK_JUDGE; i++)
		judge_key(check, from, leaf, &keys->key[i]);
	merge_leaf(check, keys, leaf);
}

void check_leaves_end(struct check *check)
{
	static const struct run nothing = { .key = NULL };
	struct bkey last = bkey_max();

	merge_leaf(check, &nothing, &last);
}

/* ---- the volumes ---- */

void check_volumes(struct check *check)
{
	char uuid[40], size[UNITS_TEXT_BYTES];

	for (unsigned i = 0; i < check->volumes; i++) {
		const struct check_volume *volume = &check->volume[i];
		const struct uuid_entry *entry = &volume->entry;

		if (uuid_is_zero(entry->uuid) || uuid_is_retired(entry->uuid) ||
		    entry->flags & UUID_FLASH_ONLY)
			continue;
		units_print_size(size, volume->dirty_sectors * 512);
		if (!volume->backing)
			check_say(check, CHECK_BACKING_ABSENT, "volume %u: its backing device %s "
				  "is not among the members; the cache has %s of it that are "
				  "dirty", i, units_print_uuid(uuid, entry->uuid), size);
		else if (volume->dirty_sectors &&
			 superblock_state(&volume->backing->sb) == STATE_CLEAN)
			check_say(check, CHECK_VOLUME_SAYS_CLEAN, "volume %u: %s says that it is "
				  "clean, and the cache has %s of it that are dirty", i,
				  volume->backing->path, size);
	}
}
