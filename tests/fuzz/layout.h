/*
 * Where the structures of a sound set lie in its cache device.
 *
 * Known from the format alone: nothing of src/ is used, for the program under test is not
 * trusted.  Offsets are bytes from the start of the device, so that a layout that was found
 * once holds for each copy of the set.
 */
#pragma once

#include "../evil/sound_set.h"

enum area_kind {
	AREA_SUPERBLOCK,
	AREA_ENTRY,		/* of the journal; the newest has number 0 */
	AREA_PART,		/* of the priority table */
	AREA_UUIDS,		/* the table of volumes */
	AREA_BSET,		/* of a btree node; the root's come first */
	AREA_KINDS
};

struct area {
	enum area_kind kind;
	uint64_t offset;
	unsigned room;		/* bytes up to the end of what it lies in */
	unsigned node;		/* AREA_BSET */
};

struct node_place {
	uint64_t offset;
	unsigned bytes, level;
	uint64_t pointer;	/* with which its checksums begin */
};

struct layout {
	uint64_t bytes;
	struct sound_sizes sizes;
	unsigned journal_buckets;
	uint64_t journal_offset;
	struct area *area[AREA_KINDS];
	unsigned count[AREA_KINDS];
	struct node_place *node;
	unsigned nodes;
	uint8_t *generations;
};

/* `cache`: the whole device.  A set that was never started has a superblock only. */
struct layout *layout_find(const uint8_t *cache, uint64_t bytes);

/* The checksum of the area is made right for its present content; bsets begin with `seed`. */
void layout_seal(const struct layout *layout, uint8_t *cache, const struct area *area,
		 uint64_t seed);
