/*
 * The format's own rules for a sound set: sizes, checksums, keys.
 *
 * For those who damage sets (make_damage.c, tests/fuzz).  Nothing of src/ is used: the program
 * under test is not trusted.  Where lengths may be damaged, a checksum is of what lies in `room`
 * bytes at most.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bcachefuse/bkey.h"
#include "bcachefuse/bset.h"
#include "bcachefuse/journal_entry.h"
#include "bcachefuse/prio.h"
#include "bcachefuse/superblock.h"

struct sound_sizes {
	uint64_t magic, buckets, first_bucket;
	unsigned block_bytes, bucket_bytes;
	unsigned meta_bytes;		/* of a bucket, what metadata use */
};

void sound_take_sizes(struct sound_sizes *sizes, const struct superblock_disk *sb);
unsigned sound_round_to_block(const struct sound_sizes *sizes, unsigned bytes);
unsigned sound_prios_per_part(const struct sound_sizes *sizes);

/* ---- checksums ---- */

uint64_t sound_crc64(uint64_t crc, const void *data, size_t bytes);
void sound_seal_superblock(struct superblock_disk *sb);
void sound_seal_entry(struct journal_entry_disk *entry, size_t room);
void sound_seal_part(struct prio_part_disk *part, size_t bytes);
/* `pointer`: of the node's key, with which its checksums begin. */
void sound_seal_bset(struct bset_disk *set, size_t room, uint64_t pointer);
bool sound_entry_is_valid(const struct sound_sizes *sizes, const struct journal_entry_disk *entry,
			  unsigned room);

/* ---- keys ---- */

static inline unsigned sound_key_volume(const struct bkey_disk *key)
{
	return le64_get(key->high) & 0xfffff;
}

static inline unsigned sound_key_sectors(const struct bkey_disk *key)
{
	return le64_get(key->high) >> 20 & 0xffff;
}

static inline unsigned sound_key_words(const struct bkey_disk *key)
{
	return 2 + (le64_get(key->high) >> 60 & 7);
}

/* Where its first pointer leads, in bytes from the start of the device. */
static inline uint64_t sound_key_offset(const struct bkey_disk *key)
{
	return (le64_get(key->pointers[0]) >> 8 & ((UINT64_C(1) << 43) - 1)) * 512;
}

static inline uint8_t sound_key_generation(const struct bkey_disk *key)
{
	return le64_get(key->pointers[0]);
}

static inline uint64_t sound_key_bucket(const struct sound_sizes *sizes,
					const struct bkey_disk *key)
{
	return sound_key_offset(key) / sizes->bucket_bytes;
}

/*
 * Of all keys of an interior node those whose children live, in order; returns how many.  A
 * pointer in a parent raises its bucket's generation, and who is behind then is dead.
 */
unsigned sound_live_children(const struct sound_sizes *sizes, uint8_t *generations,
			     struct bkey_disk **keys, unsigned count);
