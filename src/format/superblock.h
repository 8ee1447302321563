/*
 * The superblock: decode, check against the device, encode.
 *
 * (SUPERBLOCK-1) Encoding changes the image that was read, so unknown fields and bits are
 *     preserved.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "bcachefuse/superblock.h"

struct superblock {
	uint64_t version;
	uint8_t uuid[16];
	uint8_t set_uuid[16];
	char label[SUPERBLOCK_LABEL_BYTES + 1];
	uint64_t flags;
	uint64_t sequence;
	uint64_t feature_compatible, feature_incompatible, feature_read_only_compatible;
	uint64_t buckets;		/* cache only */
	uint64_t data_offset;		/* backing only, sectors */
	unsigned block_sectors;
	unsigned bucket_sectors;	/* cache only; the true size, whatever the encoding */
	unsigned members, member;
	uint32_t last_mount;
	unsigned first_bucket;
	unsigned journal_buckets;	/* `keys` on disk */
	uint64_t journal_bucket[JOURNAL_BUCKETS_MAX];
	uint64_t checksum;		/* as found */
	struct superblock_disk disk;	/* as read or last encoded */
};

static inline bool superblock_is_backing(const struct superblock *sb)
{
	return sb->version == SUPERBLOCK_BACKING || sb->version == SUPERBLOCK_BACKING_WITH_OFFSET ||
	       sb->version == SUPERBLOCK_BACKING_WITH_FEATURES;
}
static inline uint64_t superblock_set_magic(const struct superblock *sb)
{
	uint64_t magic = 0;

	for (int i = 7; i >= 0; i--)
		magic = magic << 8 | sb->set_uuid[i];
	return magic;
}
static inline bool superblock_is_sync(const struct superblock *sb) { return sb->flags & 1; }
static inline bool superblock_wants_discard(const struct superblock *sb) { return sb->flags & 2; }
static inline enum replacement superblock_replacement(const struct superblock *sb)
{
	return sb->flags >> 2 & 7;
}
static inline enum cache_mode superblock_mode(const struct superblock *sb)
{
	return sb->flags & 15;
}
static inline enum backing_state superblock_state(const struct superblock *sb)
{
	return sb->flags >> 61 & 3;
}
void superblock_set_sync(struct superblock *sb, bool sync);
void superblock_set_mode(struct superblock *sb, enum cache_mode mode);
void superblock_set_state(struct superblock *sb, enum backing_state state);
void superblock_set_replacement(struct superblock *sb, enum replacement replacement);
void superblock_set_discard(struct superblock *sb, bool discard);

/*
 * Decodes the 4096 bytes and makes all checks of the kernel, in its order, and some of our
 * own; `device_sectors` and `logical_block_bytes` describe the device.  -EINVAL and the
 * reason, which begins with the kernel's words; `sb` is valid only on success.
 */
int superblock_decode(struct superblock *sb, const struct superblock_disk *disk,
		      uint64_t device_sectors, unsigned logical_block_bytes,
		      struct error *error) MUST_CHECK;
/* Decodes without checks, except of the number of journal buckets: for `show`. */
void superblock_decode_unchecked(struct superblock *sb, const struct superblock_disk *disk);
/* The checksum that the image should have. */
uint64_t superblock_checksum(const struct superblock_disk *disk);

/* Writes the fields and the checksum into sb->disk. (SUPERBLOCK-1) */
void superblock_encode(struct superblock *sb);

/* Sizes that follow from the bucket size, as in the kernel; in sectors. */
unsigned superblock_meta_bucket_sectors(const struct superblock *sb);
unsigned superblock_node_sectors(const struct superblock *sb);
/* Entries per part of the priority table, and number of parts. */
unsigned superblock_prio_per_part(const struct superblock *sb);
unsigned superblock_prio_parts(const struct superblock *sb);
unsigned superblock_uuid_slots(const struct superblock *sb);
/* The number of journal buckets of a fresh set. */
unsigned superblock_fresh_journal_buckets(const struct superblock *sb);
