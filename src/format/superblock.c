/*
 * Decodes, checks and encodes the superblock.
 *
 * (SUPERBLOCK-2) `keys` determines how many bytes the checksum covers, so it is checked
 *     before the checksum; nothing beyond the list of journal buckets is read.
 * (SUPERBLOCK-3) Sizes are compared by division or in 64 bits, so no product overflows.
 * (SUPERBLOCK-4) The size of a bucket in bytes, and bucket numbers, fit into 32 bits.
 *
 * The bucket, member and journal fields of a backing device have whatever its creator put
 * there: they are preserved, and never used.
 */
#include "format/superblock.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/crc64.h"
#include "base/numbers.h"
#include "base/units.h"

typedef unsigned long long ull;

enum {
	BUCKETS_MIN = 128,
	PAGE_SECTORS = 8,		/* page size of the kernels that read our sets */
	MEMBERS_MAX = 8,
	META_BUCKET_SECTORS_MAX = 8192,	/* a kernel cannot allocate more in one piece */
	BUCKET_SECTORS_MAX = 1 << 22,	/* SUPERBLOCK-4 */
	NODE_SECTORS_FULL = 512,	/* in buckets up to this size, a node fills the bucket */
	SECTOR_BYTES = 512,
};

static const uint8_t superblock_magic[16] = SUPERBLOCK_MAGIC_BYTES;

static void set_flags(struct superblock *sb, unsigned first_bit, uint64_t mask, uint64_t value)
{
	assert(value <= mask);
	sb->flags = (sb->flags & ~(mask << first_bit)) | value << first_bit;
}

void superblock_set_sync(struct superblock *sb, bool sync) { set_flags(sb, 0, 1, sync); }
void superblock_set_discard(struct superblock *sb, bool discard) { set_flags(sb, 1, 1, discard); }
void superblock_set_replacement(struct superblock *sb, enum replacement replacement)
{
	set_flags(sb, 2, 7, replacement);
}
void superblock_set_mode(struct superblock *sb, enum cache_mode mode)
{
	set_flags(sb, 0, 15, mode);
}
void superblock_set_state(struct superblock *sb, enum backing_state state)
{
	set_flags(sb, 61, 3, state);
}

static unsigned journal_buckets(const struct superblock_disk *disk)	/* SUPERBLOCK-2 */
{
	return min_u64(le16_get(disk->keys), JOURNAL_BUCKETS_MAX);
}

uint64_t superblock_checksum(const struct superblock_disk *disk)
{
	size_t covered =
		offsetof(struct superblock_disk, journal_buckets) + 8 * journal_buckets(disk);

	return crc64((const uint8_t *)disk + 8, covered - 8);
}

static bool has_features(const struct superblock *sb)
{
	return sb->version == SUPERBLOCK_CACHE_WITH_FEATURES ||
	       sb->version == SUPERBLOCK_BACKING_WITH_FEATURES;
}

/* Does the device have this incompatible feature?  It decides how the bucket size is stored. */
static bool has_bucket_feature(const struct superblock *sb, uint64_t feature)
{
	return sb->version == SUPERBLOCK_CACHE_WITH_FEATURES && sb->feature_incompatible & feature;
}

/* A power of two that does not fit becomes 0, which the checks refuse. */
static unsigned bucket_sectors_decode(const struct superblock *sb)
{
	unsigned low = le16_get(sb->disk.bucket_sectors);

	if (has_bucket_feature(sb, FEATURE_LOG2_BUCKET_SIZE))
		return low < 32 ? 1u << low : 0;
	if (has_bucket_feature(sb, FEATURE_OBSOLETE_LARGE_BUCKET))
		return (unsigned)le16_get(sb->disk.obsolete_bucket_sectors_high) << 16 | low;
	return low;
}

static void bucket_sectors_encode(struct superblock *sb)
{
	if (has_bucket_feature(sb, FEATURE_LOG2_BUCKET_SIZE)) {
		assert(is_power_of_two(sb->bucket_sectors));
		sb->disk.bucket_sectors = le16_of(__builtin_ctz(sb->bucket_sectors));
		return;
	}
	sb->disk.bucket_sectors = le16_of(sb->bucket_sectors);
	if (has_bucket_feature(sb, FEATURE_OBSOLETE_LARGE_BUCKET))
		sb->disk.obsolete_bucket_sectors_high = le16_of(sb->bucket_sectors >> 16);
	else
		assert(sb->bucket_sectors <= UINT16_MAX);
}

static uint64_t data_offset_decode(const struct superblock *sb)
{
	return sb->version == SUPERBLOCK_BACKING ? DATA_START_DEFAULT :
						   le64_get(sb->disk.buckets_or_data_offset);
}

static void features_decode(struct superblock *sb)
{
	sb->feature_compatible = le64_get(sb->disk.feature_compatible);
	sb->feature_incompatible = le64_get(sb->disk.feature_incompatible);
	sb->feature_read_only_compatible = le64_get(sb->disk.feature_read_only_compatible);
}

void superblock_decode_unchecked(struct superblock *sb, const struct superblock_disk *disk)
{
	*sb = (struct superblock){
		.version = le64_get(disk->version),
		.flags = le64_get(disk->flags),
		.sequence = le64_get(disk->sequence),
		.block_sectors = le16_get(disk->block_sectors),
		.members = le16_get(disk->members),
		.member = le16_get(disk->member),
		.last_mount = le32_get(disk->last_mount),
		.first_bucket = le16_get(disk->first_bucket),
		.journal_buckets = journal_buckets(disk),
		.checksum = le64_get(disk->checksum),
		.disk = *disk,
	};
	memcpy(sb->uuid, disk->uuid, sizeof(disk->uuid));
	memcpy(sb->set_uuid, disk->set_uuid, sizeof(disk->set_uuid));
	memcpy(sb->label, disk->label, sizeof(disk->label));
	for (unsigned i = 0; i < sb->journal_buckets; i++)
		sb->journal_bucket[i] = le64_get(disk->journal_buckets[i]);
	if (has_features(sb))
		features_decode(sb);
	sb->bucket_sectors = bucket_sectors_decode(sb);
	if (superblock_is_backing(sb))
		sb->data_offset = data_offset_decode(sb);
	else
		sb->buckets = le64_get(disk->buckets_or_data_offset);
}

static bool is_zero(const uint8_t uuid[16])
{
	static const uint8_t zero[16];

	return !memcmp(uuid, zero, sizeof(zero));
}

/* The checks that hold for every device, in the kernel's order. */
static int check_common(const struct superblock *sb, unsigned logical_block_bytes,
			struct error *error)
{
	const struct superblock_disk *disk = &sb->disk;

	/* Does not quote the bytes: the file may be one that the user must not read. */
	if (memcmp(disk->magic, superblock_magic, sizeof(superblock_magic)))
		return error_set(error, EINVAL, "this is no bcache device (bad magic)");
	if (le64_get(disk->sector) != SUPERBLOCK_SECTOR)
		return error_set(error, EINVAL, "Not a bcache superblock (bad offset): found %llu, "
				 "wanted %d", (ull)le64_get(disk->sector), SUPERBLOCK_SECTOR);
	if (le16_get(disk->keys) > JOURNAL_BUCKETS_MAX)
		return error_set(error, EINVAL,
				 "Too many journal buckets: found %u, wanted at most %d",
				 le16_get(disk->keys), JOURNAL_BUCKETS_MAX); /* SUPERBLOCK-2 */
	if (sb->checksum != superblock_checksum(disk))
		return error_set(error, EINVAL, "Bad checksum: found %016llx, wanted %016llx",
				 (ull)sb->checksum, (ull)superblock_checksum(disk));
	if (is_zero(sb->uuid))
		return error_set(error, EINVAL, "Bad UUID: found only zeros for this device, "
				 "wanted its own");
	if (sb->block_sectors * SECTOR_BYTES < logical_block_bytes)
		return error_set(error, EINVAL,
				 "Superblock block size smaller than device block size: "
				 "found %u bytes, wanted at least %u",
				 sb->block_sectors * SECTOR_BYTES, logical_block_bytes);
	return 0;
}

/* Kernels do not check this for a backing device, and crash on other values. */
static int check_block(const struct superblock *sb, struct error *error)
{
	if (!is_power_of_two(sb->block_sectors))
		return error_set(error, EINVAL,
				 "Bad block size (not power of 2): found %u sectors, "
				 "wanted 1, 2, 4 or 8",
				 sb->block_sectors);
	if (sb->block_sectors > PAGE_SECTORS)
		return error_set(error, EINVAL, "Bad block size (larger than page size): found %u "
				 "sectors, wanted at most %d", sb->block_sectors, PAGE_SECTORS);
	return 0;
}

/* A backing device: where its data begin, and its block. */
static int check_backing(const struct superblock *sb, uint64_t device_sectors,
			 unsigned logical_block_bytes, struct error *error)
{
	if (sb->data_offset < DATA_START_DEFAULT)
		return error_set(error, EINVAL, "Bad data offset: found %llu, wanted at least %d",
				 (ull)sb->data_offset, DATA_START_DEFAULT);
	if (sb->data_offset >= device_sectors)	/* the kernel does not check this, and crashes */
		return error_set(error, EINVAL,
				 "Bad data offset: found %llu, wanted less than the "
				 "device's %llu sectors",
				 (ull)sb->data_offset, (ull)device_sectors);
	if (sb->data_offset * SECTOR_BYTES % logical_block_bytes)	/* nor this; i/o fails */
		return error_set(error, EINVAL,
				 "Bad data offset: found %llu sectors, wanted a multiple of the "
				 "device's block of %u",
				 (ull)sb->data_offset, logical_block_bytes / SECTOR_BYTES);
	return check_block(sb, error);
}

/* A version without feature words decodes them as zero. */
static int check_features(const struct superblock *sb, struct error *error)
{
	uint64_t known = FEATURE_OBSOLETE_LARGE_BUCKET | FEATURE_LOG2_BUCKET_SIZE;

	if (sb->feature_compatible)
		return error_set(error, EINVAL, "Unsupported compatible feature found: found %llx, "
				 "wanted none", (ull)sb->feature_compatible);
	if (sb->feature_read_only_compatible)
		return error_set(error, EINVAL, "Unsupported read-only compatible feature found: "
				 "found %llx, wanted none", (ull)sb->feature_read_only_compatible);
	if (sb->feature_incompatible & ~known)
		return error_set(error, EINVAL,
				 "Unsupported incompatible feature found: found %llx, "
				 "wanted none but %llx",
				 (ull)sb->feature_incompatible, (ull)known);
	return 0;
}

static int check_bucket(const struct superblock *sb, struct error *error)
{
	if (!is_power_of_two(sb->bucket_sectors))
		return error_set(error, EINVAL,
				 "Bad bucket size (not power of 2): found %u (stored "
				 "as %u), wanted a power of 2",
				 sb->bucket_sectors, le16_get(sb->disk.bucket_sectors));
	if (sb->bucket_sectors < PAGE_SECTORS)
		return error_set(error, EINVAL,
				 "Bad bucket size (smaller than page size): found %u "
				 "sectors, wanted at least %d",
				 sb->bucket_sectors, PAGE_SECTORS);
	if (sb->bucket_sectors > BUCKET_SECTORS_MAX)
		return error_set(error, EINVAL,
				 "Bad bucket size (too large): found %u sectors, wanted at most %d",
				 sb->bucket_sectors, BUCKET_SECTORS_MAX);
	return 0;
}

/* Sizes of blocks and buckets, against the device. */
static int check_sizes(const struct superblock *sb, uint64_t device_sectors, struct error *error)
{
	if (sb->buckets > INT64_MAX)
		return error_set(error, EINVAL, "Too many buckets: found %llu, wanted at most %llu",
				 (ull)sb->buckets, (ull)INT64_MAX);
	if (sb->buckets < BUCKETS_MIN)
		return error_set(error, EINVAL,
				 "Not enough buckets: found %llu, wanted at least %d",
				 (ull)sb->buckets, BUCKETS_MIN);
	if (check_block(sb, error))
		return -EINVAL;
	if (check_bucket(sb, error))
		return -EINVAL;
	if (sb->buckets > device_sectors / sb->bucket_sectors)	/* SUPERBLOCK-3 */
		return error_set(error, EINVAL, "Invalid superblock: device too small: found %llu "
				 "sectors, wanted %llu buckets of %u", (ull)device_sectors,
				 (ull)sb->buckets, sb->bucket_sectors);
	if (sb->buckets > UINT32_MAX)	/* SUPERBLOCK-4 */
		return error_set(error, EINVAL, "Too many buckets: found %llu, wanted at most %llu",
				 (ull)sb->buckets, (ull)UINT32_MAX);
	return 0;
}

/* Kernels know only journals whose buckets follow each other. */
static int check_journal_order(const struct superblock *sb, struct error *error)
{
	for (unsigned i = 0; i < sb->journal_buckets; i++)
		if (sb->journal_bucket[i] != sb->first_bucket + (uint64_t)i)
			return error_set(error, EINVAL,
					 "Journal buckets not sequential: found bucket "
					 "%llu at %u, wanted %u",
					 (ull)sb->journal_bucket[i], i, sb->first_bucket + i);
	return 0;
}

/* The member's place in its set, and its journal. */
static int check_members_and_journal(const struct superblock *sb, struct error *error)
{
	int bad;

	if (is_zero(sb->set_uuid))
		return error_set(error, EINVAL,
				 "Bad UUID: found only zeros for the set, wanted its own");
	if (!sb->members || sb->members > MEMBERS_MAX || sb->member >= sb->members)
		return error_set(error, EINVAL,
				 "Bad cache device number in set: found number %u of %u, "
				 "wanted a number below a count of 1 to %d",
				 sb->member, sb->members, MEMBERS_MAX);
	bad = check_journal_order(sb, error);
	if (bad)
		return bad;
	if (sb->first_bucket + (uint64_t)sb->journal_buckets > sb->buckets)
		return error_set(error, EINVAL,
				 "Too many journal buckets: found %u from bucket %u on, "
				 "wanted them within %llu",
				 sb->journal_buckets, sb->first_bucket, (ull)sb->buckets);
	/* SUPERBLOCK-3 */
	if ((uint64_t)sb->first_bucket * sb->bucket_sectors < DATA_START_DEFAULT)
		return error_set(error, EINVAL,
				 "Invalid superblock: first bucket comes before end of "
				 "super: found sector %llu, wanted at least %d",
				 (ull)sb->first_bucket * sb->bucket_sectors, DATA_START_DEFAULT);
	return 0;
}

static int check_cache(const struct superblock *sb, uint64_t device_sectors, struct error *error)
{
	int bad = check_features(sb, error);

	if (!bad)
		bad = check_sizes(sb, device_sectors, error);
	if (!bad)
		bad = check_members_and_journal(sb, error);
	return bad;
}

int superblock_decode(struct superblock *sb, const struct superblock_disk *disk,
		      uint64_t device_sectors, unsigned logical_block_bytes, struct error *error)
{
	int bad;

	superblock_decode_unchecked(sb, disk);
	bad = check_common(sb, logical_block_bytes, error);
	if (bad)
		return bad;
	switch (sb->version) {
	case SUPERBLOCK_BACKING:
	case SUPERBLOCK_BACKING_WITH_OFFSET:
	case SUPERBLOCK_BACKING_WITH_FEATURES:
		return check_backing(sb, device_sectors, logical_block_bytes, error);
	case SUPERBLOCK_CACHE:
	case SUPERBLOCK_CACHE_WITH_UUIDS:
	case SUPERBLOCK_CACHE_WITH_FEATURES:
		return check_cache(sb, device_sectors, error);
	default:
		return error_set(error, EINVAL,
				 "Unsupported superblock version: found %llu, wanted "
				 "0, 1, 3, 4, 5 or 6",
				 (ull)sb->version);
	}
}

/* Bytes behind the label's end are kept unless the label itself changes (SUPERBLOCK-1). */
static void label_encode(struct superblock *sb)
{
	size_t length = strnlen(sb->label, SUPERBLOCK_LABEL_BYTES);

	if (!strncmp((const char *)sb->disk.label, sb->label, SUPERBLOCK_LABEL_BYTES))
		return;
	memset(sb->disk.label, 0, sizeof(sb->disk.label));
	memcpy(sb->disk.label, sb->label, length);
}

static void features_encode(struct superblock *sb)
{
	sb->disk.feature_compatible = le64_of(sb->feature_compatible);
	sb->disk.feature_incompatible = le64_of(sb->feature_incompatible);
	sb->disk.feature_read_only_compatible = le64_of(sb->feature_read_only_compatible);
}

/* A version 1 backing device has no data offset: its bytes there are kept (SUPERBLOCK-1). */
static void size_encode(struct superblock *sb)
{
	if (!superblock_is_backing(sb))
		sb->disk.buckets_or_data_offset = le64_of(sb->buckets);
	else if (sb->version != SUPERBLOCK_BACKING)
		sb->disk.buckets_or_data_offset = le64_of(sb->data_offset);
}

void superblock_encode(struct superblock *sb)
{
	struct superblock_disk *disk = &sb->disk;

	assert(sb->journal_buckets <= JOURNAL_BUCKETS_MAX);
	disk->sector = le64_of(SUPERBLOCK_SECTOR);
	disk->version = le64_of(sb->version);
	memcpy(disk->magic, superblock_magic, sizeof(superblock_magic));
	memcpy(disk->uuid, sb->uuid, sizeof(sb->uuid));
	memcpy(disk->set_uuid, sb->set_uuid, sizeof(sb->set_uuid));
	label_encode(sb);
	disk->flags = le64_of(sb->flags);
	disk->sequence = le64_of(sb->sequence);
	if (has_features(sb))
		features_encode(sb);
	size_encode(sb);
	disk->block_sectors = le16_of(sb->block_sectors);
	bucket_sectors_encode(sb);
	disk->members = le16_of(sb->members);
	disk->member = le16_of(sb->member);
	disk->last_mount = le32_of(sb->last_mount);
	disk->first_bucket = le16_of(sb->first_bucket);
	disk->keys = le16_of(sb->journal_buckets);
	for (unsigned i = 0; i < sb->journal_buckets; i++)
		disk->journal_buckets[i] = le64_of(sb->journal_bucket[i]);
	sb->checksum = superblock_checksum(disk);
	disk->checksum = le64_of(sb->checksum);
}

unsigned superblock_meta_bucket_sectors(const struct superblock *sb)
{
	return min_u64(sb->bucket_sectors, META_BUCKET_SECTORS_MAX);
}

unsigned superblock_node_sectors(const struct superblock *sb)
{
	unsigned meta = superblock_meta_bucket_sectors(sb);

	return meta <= NODE_SECTORS_FULL ? meta : max_u64(meta / 4, NODE_SECTORS_FULL);
}

unsigned superblock_prio_per_part(const struct superblock *sb)
{
	enum { HEADER_BYTES = 0x28, ENTRY_BYTES = 3 };

	return (superblock_meta_bucket_sectors(sb) * SECTOR_BYTES - HEADER_BYTES) / ENTRY_BYTES;
}

unsigned superblock_prio_parts(const struct superblock *sb)
{
	return divide_up(sb->buckets, superblock_prio_per_part(sb));
}

unsigned superblock_uuid_slots(const struct superblock *sb)
{
	enum { SLOT_BYTES = 128 };

	return superblock_meta_bucket_sectors(sb) * SECTOR_BYTES / SLOT_BYTES;
}

unsigned superblock_fresh_journal_buckets(const struct superblock *sb)
{
	return clamp_u64(sb->buckets / 128, 2, JOURNAL_BUCKETS_MAX);
}
