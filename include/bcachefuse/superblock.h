/*
 * Sector 8 of every backing and cache device.
 */
#pragma once

#include <stddef.h>

#include "le.h"

enum {
	SUPERBLOCK_SECTOR = 8,
	SUPERBLOCK_BYTES = 4096,
	SUPERBLOCK_LABEL_BYTES = 32,
	JOURNAL_BUCKETS_MAX = 256,
	DATA_START_DEFAULT = 16,	/* first data sector of a version 1 backing device */
};

#define SUPERBLOCK_MAGIC_BYTES { 0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, \
				 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81 }

enum superblock_version {
	SUPERBLOCK_CACHE = 0,
	SUPERBLOCK_BACKING = 1,			/* data begins at sector 16 */
	SUPERBLOCK_CACHE_WITH_UUIDS = 3,	/* a used cache device */
	SUPERBLOCK_BACKING_WITH_OFFSET = 4,
	SUPERBLOCK_CACHE_WITH_FEATURES = 5,
	SUPERBLOCK_BACKING_WITH_FEATURES = 6,
};

enum {	/* feature_incompatible */
	FEATURE_OBSOLETE_LARGE_BUCKET = 1 << 0,
	FEATURE_LOG2_BUCKET_SIZE = 1 << 1,
};

/* flags of a cache device: bit 0 valid content, bit 1 discard, bits 2..4 replacement policy;
 * of a backing device: bits 0..3 cache mode, bits 61..62 state. */
enum cache_mode { MODE_WRITETHROUGH, MODE_WRITEBACK, MODE_WRITEAROUND, MODE_NONE };
enum backing_state { STATE_NONE, STATE_CLEAN, STATE_DIRTY, STATE_STALE };
enum replacement { REPLACEMENT_LRU, REPLACEMENT_FIFO, REPLACEMENT_RANDOM };

struct superblock_disk {
	le64 checksum;		/* of the bytes from 8 up to journal_buckets[keys] */
	le64 sector;		/* SUPERBLOCK_SECTOR */
	le64 version;
	uint8_t magic[16];
	uint8_t uuid[16];
	uint8_t set_uuid[16];	/* its first 8 bytes are the set magic */
	uint8_t label[SUPERBLOCK_LABEL_BYTES];
	le64 flags;
	le64 sequence;
	le64 feature_compatible;
	le64 feature_incompatible;
	le64 feature_read_only_compatible;
	uint8_t pad[40];
	le64 buckets_or_data_offset;	/* cache: number of buckets; backing: first data sector */
	le16 block_sectors;
	le16 bucket_sectors;		/* or log2 of it */
	le16 members;			/* cache devices in the set */
	le16 member;			/* which of them this is */
	le32 last_mount;		/* seconds since the epoch */
	le16 first_bucket;
	le16 keys;			/* number of journal buckets */
	le64 journal_buckets[JOURNAL_BUCKETS_MAX];
	le16 obsolete_bucket_sectors_high;
	uint8_t zero[SUPERBLOCK_BYTES - 0x8d2];
} __attribute__((packed));
_Static_assert(sizeof(struct superblock_disk) == SUPERBLOCK_BYTES, "disk format");
_Static_assert(offsetof(struct superblock_disk, buckets_or_data_offset) == 0xb8, "disk format");
_Static_assert(offsetof(struct superblock_disk, keys) == 0xce, "disk format");
_Static_assert(offsetof(struct superblock_disk, obsolete_bucket_sectors_high) == 0x8d0,
	       "disk format");
