/*
 * Sizes, checksums and keys of a sound set, by the format alone.
 */
#include "sound_set.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR_BYTES = 512, META_BYTES_MAX = 4 << 20 };

void sound_take_sizes(struct sound_sizes *sizes, const struct superblock_disk *sb)
{
	uint64_t magic;

	memcpy(&magic, sb->set_uuid, sizeof(magic));
	sizes->magic = le64toh(magic);
	sizes->buckets = le64_get(sb->buckets_or_data_offset);
	sizes->first_bucket = le16_get(sb->first_bucket);
	sizes->block_bytes = le16_get(sb->block_sectors) * SECTOR_BYTES;
	sizes->bucket_bytes = le16_get(sb->bucket_sectors) * SECTOR_BYTES;
	if (le64_get(sb->version) >= SUPERBLOCK_CACHE_WITH_FEATURES &&
	    le64_get(sb->feature_incompatible) & FEATURE_LOG2_BUCKET_SIZE)
		sizes->bucket_bytes = SECTOR_BYTES << le16_get(sb->bucket_sectors);
	sizes->meta_bytes = sizes->bucket_bytes < META_BYTES_MAX ? sizes->bucket_bytes :
								   META_BYTES_MAX;
}

unsigned sound_round_to_block(const struct sound_sizes *sizes, unsigned bytes)
{
	return (bytes + sizes->block_bytes - 1) / sizes->block_bytes * sizes->block_bytes;
}

unsigned sound_prios_per_part(const struct sound_sizes *sizes)
{
	return (sizes->meta_bytes - sizeof(struct prio_part_disk)) /
	       sizeof(struct bucket_prio_disk);
}

/* ---- checksums ---- */

uint64_t sound_crc64(uint64_t crc, const void *data, size_t bytes)
{
	static uint64_t table[256];
	const uint8_t *at = data;

	/* From the last to the second, by which it is known that all are there. */
	for (unsigned i = 0; !table[1] && i < 256; i++) {
		uint64_t value = (uint64_t)(255 - i) << 56;

		for (int bit = 0; bit < 8; bit++)
			value = value << 1 ^ (value >> 63 ? UINT64_C(0x42f0e1eba9ea3693) : 0);
		table[255 - i] = value;
	}
	while (bytes--)
		crc = crc << 8 ^ table[crc >> 56 ^ *at++];
	return ~crc;
}

static size_t at_most(size_t bytes, size_t room)
{
	return bytes < room ? bytes : room;
}

void sound_seal_superblock(struct superblock_disk *sb)
{
	size_t bytes = offsetof(struct superblock_disk, journal_buckets) +
		       8 * (size_t)le16_get(sb->keys);

	sb->checksum = le64_of(sound_crc64(UINT64_MAX, &sb->sector,
					   at_most(bytes, SUPERBLOCK_BYTES) - 8));
}

void sound_seal_entry(struct journal_entry_disk *entry, size_t room)
{
	size_t bytes = sizeof(*entry) + 8 * (size_t)le32_get(entry->words);

	entry->checksum = le64_of(sound_crc64(UINT64_MAX, &entry->magic, at_most(bytes, room) - 8));
}

void sound_seal_part(struct prio_part_disk *part, size_t bytes)
{
	part->checksum = le64_of(sound_crc64(UINT64_MAX, &part->magic, bytes - 8));
}

void sound_seal_bset(struct bset_disk *set, size_t room, uint64_t pointer)
{
	uint64_t seed = le32_get(set->version) ? pointer : UINT64_MAX;
	size_t bytes = sizeof(*set) + 8 * (size_t)le32_get(set->words);

	set->checksum = le64_of(sound_crc64(seed, &set->magic, at_most(bytes, room) - 8));
}

bool sound_entry_is_valid(const struct sound_sizes *sizes, const struct journal_entry_disk *entry,
			  unsigned room)
{
	unsigned words = le32_get(entry->words);

	return le64_get(entry->magic) == (sizes->magic ^ JOURNAL_MAGIC) &&
	       words <= (room - sizeof(*entry)) / 8 &&
	       le64_get(entry->checksum) == sound_crc64(UINT64_MAX, &entry->magic,
							sizeof(*entry) + 8 * words - 8);
}

/* ---- keys ---- */

static int child_order(const void *a, const void *b)
{
	const struct bkey_disk *x = *(struct bkey_disk *const *)a;
	const struct bkey_disk *y = *(struct bkey_disk *const *)b;
	uint64_t u = sound_key_volume(x), v = sound_key_volume(y);

	if (u == v) {
		u = le64_get(x->low);
		v = le64_get(y->low);
	}
	return u < v ? -1 : u > v;
}

unsigned sound_live_children(const struct sound_sizes *sizes, uint8_t *generations,
			     struct bkey_disk **keys, unsigned count)
{
	unsigned live = 0;

	for (unsigned i = 0; i < count; i++) {
		uint8_t *now = &generations[sound_key_bucket(sizes, keys[i])];
		uint8_t generation = sound_key_generation(keys[i]);

		if ((uint8_t)(generation - *now) < 128)
			*now = generation;
	}
	for (unsigned i = 0; i < count; i++)
		if (le64_get(keys[i]->low) && generations[sound_key_bucket(sizes, keys[i])] ==
						      sound_key_generation(keys[i]))
			keys[live++] = keys[i];
	qsort(keys, live, sizeof(*keys), child_order);
	return live;
}
