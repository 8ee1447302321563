/*
 * A second, independent reader of cache sets, which judges what the engine wrote.
 *
 * It shares no code with src/ and no structs with include/: offsets are numbers,
 * as in the description of the format.  It reads a set as a kernel would that
 * starts it now (newest-wins over the runs of a node, then the journal), in
 * memory, and refuses what no sound set contains.
 *
 * (READER-1) What reader_load() accepts is consistent: checksums, order, generations,
 *     no bucket used for two things, no sector of the cache in two extents.
 * (READER-2) Nothing is written; a reader outlives changes of the device only as long
 *     as nobody reads data through it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader;

struct reader_device {
	int (*read)(void *context, uint64_t sector, unsigned sectors, void *data); /* 0 is good */
	void *context;
	uint64_t sectors;
};

enum reader_from { READER_HOLE, READER_CLEAN, READER_DIRTY };

/* 0 and a reader, or -1 and in `why` a sentence.  A set that was never started has no volumes. */
int reader_load(struct reader **reader, const struct reader_device *cache, char *why,
		size_t why_bytes);
void reader_free(struct reader *reader);

bool reader_is_fresh(const struct reader *reader);	/* never started: all content is invalid */
bool reader_is_set(const struct reader *reader, const uint8_t set_uuid[16]);
unsigned reader_slots(const struct reader *reader);
const uint8_t *reader_uuid(const struct reader *reader, unsigned slot);
/* The slot with this uuid, or -1. */
int reader_volume(const struct reader *reader, const uint8_t uuid[16]);
/* 0 if the slot is none of a flash-only volume. */
uint64_t reader_flash_sectors(const struct reader *reader, unsigned slot);
uint64_t reader_dirty_sectors(const struct reader *reader, unsigned slot);

/*
 * Reads what the cache has of a volume.  `key_sector` counts as the keys do: from
 * the start of the backing device, its superblock included.  from[i] tells where
 * sector i comes from (enum reader_from); holes leave `data` as it was.
 */
int reader_read(const struct reader *reader, unsigned slot, uint64_t key_sector, unsigned sectors,
		void *data, uint8_t *from);

struct reader_backing {
	uint8_t uuid[16], set_uuid[16];
	uint64_t data_offset;
	unsigned mode;		/* 0 writethrough, 1 writeback, 2 writearound, 3 none */
	unsigned state;		/* 0 none, 1 clean, 2 dirty, 3 stale */
};

int reader_load_backing(struct reader_backing *backing, const struct reader_device *device,
			char *why, size_t why_bytes);
/*
 * Which slot of the set has content of this backing device?  -1: none, the device
 * alone is the volume.  -2: it is dirty and its content is not there.
 */
int reader_slot_of(const struct reader *reader, const struct reader_backing *backing);
