/*
 * A key: the location of one extent of a volume on the cache device.
 *
 * In memory, a key is three words in host byte order, with the layout of the disk
 * (include/bcachefuse/bkey.h).  It has at most one pointer, since sets have one cache
 * device; keys with more are refused when they are read.
 *
 * Keys are ordered by (volume, end).  A key stores the END of its extent: start = end -
 * sectors.  A key without a pointer is a hole: it hides older keys.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "bcachefuse/bkey.h"

struct bkey {
	uint64_t high;
	uint64_t low;
	uint64_t ptr;	/* 0 without a pointer */
};

enum {
	BKEY_SECTORS_MAX = 65535,
	BKEY_HOLE_SECTORS_MAX = 32768,
	BKEY_VOLUME_MAX = 0xfffff,
	BKEY_WORDS_MAX = 3,	/* of keys that we write */
	POINTER_DEVICE_NONE = 4095,	/* a cache miss's placeholder points there */
};
#define BKEY_END_MAX UINT64_C(0x7fffffffffffffff)
#define BKEY_DIRTY (UINT64_C(1) << 36)
#define BKEY_HEADER_MASK \
	(~((UINT64_C(0xffff) << 20) | UINT64_C(0xfffff))) /* all but size and volume */

static inline unsigned bkey_pointers(const struct bkey *k) { return k->high >> 60 & 7; }
static inline unsigned bkey_sectors(const struct bkey *k) { return k->high >> 20 & 0xffff; }
static inline unsigned bkey_volume(const struct bkey *k) { return k->high & 0xfffff; }
static inline bool bkey_is_dirty(const struct bkey *k) { return k->high & BKEY_DIRTY; }
static inline uint64_t bkey_end(const struct bkey *k) { return k->low; }
static inline uint64_t bkey_start(const struct bkey *k) { return k->low - bkey_sectors(k); }
static inline unsigned bkey_words(const struct bkey *k) { return 2 + bkey_pointers(k); }

static inline unsigned pointer_device(uint64_t ptr) { return ptr >> 51 & 0xfff; }
static inline uint64_t pointer_sector(uint64_t ptr) { return ptr >> 8 & ((UINT64_C(1) << 43) - 1); }
static inline uint8_t pointer_generation(uint64_t ptr) { return ptr; }
static inline uint64_t pointer_of(unsigned device, uint64_t sector, uint8_t generation)
{
	return (uint64_t)device << 51 | sector << 8 | generation;
}

/*
 * Is it on a device of the set?  A set has one, with number 0; a placeholder is on none, and other
 * numbers are of devices that no set has.
 */
static inline bool pointer_is_usable(uint64_t ptr)
{
	return pointer_device(ptr) == 0;
}

/* Does it say where its data are?  A hole and a placeholder do not. */
static inline bool bkey_has_usable_pointer(const struct bkey *k)
{
	return bkey_pointers(k) && pointer_is_usable(k->ptr);
}

/* The pointer advanced by `sectors`; all other bits are unchanged, also those of a placeholder. */
static inline uint64_t pointer_advance(uint64_t ptr, uint64_t sectors)
{
	uint64_t mask = ((UINT64_C(1) << 43) - 1) << 8;

	return (ptr & ~mask) | ((ptr + (sectors << 8)) & mask);
}

static inline struct bkey bkey_of(unsigned volume, uint64_t end, unsigned sectors)
{
	return (struct bkey){ .high = UINT64_C(1) << 63 | (uint64_t)sectors << 20 | volume,
			      .low = end };
}
static inline struct bkey bkey_with_pointer(struct bkey k, uint64_t ptr)
{
	k.high = (k.high & ~(UINT64_C(7) << 60)) | UINT64_C(1) << 60;
	k.ptr = ptr;
	return k;
}
static inline void bkey_set_sectors(struct bkey *k, unsigned sectors)
{
	k->high = (k->high & ~(UINT64_C(0xffff) << 20)) | (uint64_t)sectors << 20;
}
static inline void bkey_set_pointers(struct bkey *k, unsigned pointers)
{
	k->high = (k->high & ~(UINT64_C(7) << 60)) | (uint64_t)pointers << 60;
}
static inline void bkey_set_dirty(struct bkey *k, bool dirty)
{
	k->high = dirty ? k->high | BKEY_DIRTY : k->high & ~BKEY_DIRTY;
}

/* The last position of the tree: the root's own key ends there. */
static inline struct bkey bkey_max(void)
{
	return bkey_of(BKEY_VOLUME_MAX, BKEY_END_MAX, 0);
}

/* Negative, 0, positive: a comes before, with, after b in the tree. */
static inline int bkey_compare(const struct bkey *a, const struct bkey *b)
{
	if (bkey_volume(a) != bkey_volume(b))
		return bkey_volume(a) < bkey_volume(b) ? -1 : 1;
	return a->low < b->low ? -1 : a->low > b->low;
}
static inline bool bkey_is_zero_position(const struct bkey *k)	/* of "node freed" records */
{
	return !bkey_volume(k) && !k->low;
}

/* Cuts the extent, such that it begins at `start`, or ends at `end`. */
void bkey_cut_front(struct bkey *k, uint64_t start);
void bkey_cut_back(struct bkey *k, uint64_t end);

/* By how many generations `now` is after `then`: 0: not at all; 1..128: the pointer is stale. */
static inline unsigned generation_after(uint8_t now, uint8_t then)
{
	uint8_t distance = now - then;

	return distance <= 128 ? distance : 0;
}

/*
 * Reads one key from `words` (of which `room` remain).  Returns the words it took; 0 if it does
 * not fit, or if it has pointers that cannot be to copies of one extent.  In memory a key has one
 * pointer: of copies (sets of old kernels had up to eight devices) the first one on a device of the
 * set.
 */
unsigned bkey_decode(struct bkey *k, const le64 *words, unsigned room);
/* Writes it; returns the words it took. */
unsigned bkey_encode(const struct bkey *k, le64 *words);

/* The buckets that a key may point to: those of the device, without the first ones, which hold the
 * superblock, and without those of the journal. */
struct bucket_range {
	uint64_t first, end;
	unsigned sectors;	/* of each bucket */
};

/* Does the extent at `ptr` lie inside one of the buckets? */
static inline bool pointer_is_within(const struct bucket_range *range, uint64_t ptr,
				     unsigned sectors)
{
	uint64_t bucket = pointer_sector(ptr) / range->sectors;

	return pointer_is_usable(ptr) && bucket >= range->first && bucket < range->end &&
	       pointer_sector(ptr) % range->sectors + sectors <= range->sectors;
}

/*
 * Checks an extent that comes from a disk, in a leaf or in the journal, for the limits that all
 * later arithmetic relies on.  0; -EINVAL and the reason.
 */
int bkey_check(const struct bkey *k, const struct bucket_range *range,
	       struct error *error) MUST_CHECK;
/* The same for a key of an interior node: a pointer to a child, or the record of a freed node. */
int bkey_check_child(const struct bkey *k, const struct bucket_range *range,
		     struct error *error) MUST_CHECK;

enum { BKEY_TEXT_BYTES = 96 };
/* "0:1016 len 8 -> [0:16384 gen 5] dirty" as in the kernel's debugfs. Returns `text`. */
const char *bkey_print(char text[BKEY_TEXT_BYTES], const struct bkey *k);
