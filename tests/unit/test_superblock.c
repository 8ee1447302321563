/* Superblocks as make-bcache and the kernel wrote them; each refusal; what follows from sizes. */
#include "format/superblock.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ZEROS_8 "\0\0\0\0\0\0\0\0"
#define ZEROS_32 ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_8
#define MAGIC "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"
#define FEATURES_AND_PAD ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_32 ZEROS_8

/* make-bcache -C -b 256k -w 4k --discard --cache_replacement_policy=fifo, 128 MiB */
static const uint8_t formatted_bytes[] =
	"\x7b\xc4\xc6\x7a\x6c\xfd\x55\xdc" "\x08\0\0\0\0\0\0\0" ZEROS_8 MAGIC
	"\xfd\x6e\xe3\x22\xa2\x56\x4d\x27\x9c\x61\x30\x47\x85\xd6\xaf\xeb"
	"\x11\x11\x11\x11\x22\x22\x33\x33\x44\x44\x55\x55\x55\x55\x55\x55" ZEROS_32
	"\x06\0\0\0\0\0\0\0" ZEROS_8 FEATURES_AND_PAD
	"\x00\x02\0\0\0\0\0\0" "\x08\0" "\0\x02" "\x01\0" "\0\0" "\0\0\0\0" "\x01\0" "\0\0";

/* After a kernel ran it: version 5, the bucket size is a power of two, five journal buckets. */
static const uint8_t used_bytes[] =
	"\x58\x9d\x91\x64\x31\xcd\x26\x7c"
	"\x08\0\0\0\0\0\0\0"
	"\x05\0\0\0\0\0\0\0" MAGIC
	"\x97\x8d\x71\x12\xeb\x85\x4a\x2e\xbb\x56\x1e\x74\x1e\xd9\x73\x93"
	"\x94\x4c\x3c\xc9\x5f\xda\x41\x65\xb7\xd9\xd0\x95\xc9\xe6\xb1\x63" ZEROS_32
	"\x01\0\0\0\0\0\0\0"
	"\x01\0\0\0\0\0\0\0" ZEROS_8 "\x02\0\0\0\0\0\0\0" ZEROS_8 ZEROS_32 ZEROS_8
	"\x80\x02\0\0\0\0\0\0"
	"\x01\0"
	"\x07\0"
	"\x01\0"
	"\0\0"
	"\x75\xbd\x02\x6b"
	"\x01\0"
	"\x05\0"
	"\x01\0\0\0\0\0\0\0"
	"\x02\0\0\0\0\0\0\0"
	"\x03\0\0\0\0\0\0\0"
	"\x04\0\0\0\0\0\0\0"
	"\x05\0\0\0\0\0\0\0";

/* A backing device: writeback, dirty. */
static const uint8_t backing_bytes[] =
	"\x15\x05\x31\x9b\x25\x04\x0e\x38" "\x08\0\0\0\0\0\0\0" "\x01\0\0\0\0\0\0\0" MAGIC
	"\x02\xdf\xa4\x09\x04\x5a\x47\xc4\xa5\x00\x77\xd8\xcf\xe1\xea\xbc"
	"\x94\x4c\x3c\xc9\x5f\xda\x41\x65\xb7\xd9\xd0\x95\xc9\xe6\xb1\x63" ZEROS_32
	"\x01\0\0\0\0\0\0\x40" ZEROS_8 FEATURES_AND_PAD
	ZEROS_8 "\x01\0" "\0\x04" "\0\0" "\0\0" "\x75\xbd\x02\x6b" "\0\0" "\0\0";

/* Another, with its data at sector 2048. */
static const uint8_t offset_bytes[] =
	"\x88\xec\xc8\xef\x6a\x67\xa4\xee" "\x08\0\0\0\0\0\0\0" "\x04\0\0\0\0\0\0\0" MAGIC
	"\x89\x8a\xd1\x2f\x4c\x7f\x4d\xee\xb8\x6a\x61\x7e\x48\x1c\xc4\x5f"
	"\x1c\xbb\x8a\x4e\x42\x4d\x49\xc3\x8b\x24\x4d\xd0\xf8\xca\x4f\x8e" ZEROS_32
	"\x01\0\0\0\0\0\0\x40" ZEROS_8 FEATURES_AND_PAD
	"\0\x08\0\0\0\0\0\0" "\x01\0" "\0\x04" "\0\0" "\0\0" "\x42\xb9\x02\x6b" "\0\0" "\0\0";

enum { FORMATTED_SECTORS = 512 * 512, USED_SECTORS = 640 * 128, BACKING_SECTORS = 131072 };

#define SAMPLE(name) sample_of(name##_bytes, sizeof(name##_bytes) - 1)

static struct superblock_disk sample_of(const uint8_t *bytes, size_t count)
{
	struct superblock_disk disk;

	memset(&disk, 0, sizeof(disk));
	memcpy(&disk, bytes, count);
	return disk;
}

static struct superblock decoded(const struct superblock_disk *disk, uint64_t sectors)
{
	struct error error = { 0 };
	struct superblock sb;

	cr_assert(eq(int, superblock_decode(&sb, disk, sectors, 512, &error), 0), "%s", error.text);
	return sb;
}

Test(superblock, reads_what_make_bcache_wrote)
{
	struct superblock_disk disk = SAMPLE(formatted);
	struct superblock sb = decoded(&disk, FORMATTED_SECTORS);

	cr_expect(eq(u64, sb.version, SUPERBLOCK_CACHE));
	cr_expect(not(superblock_is_backing(&sb)));
	cr_expect(eq(u64, sb.buckets, 512));
	cr_expect(eq(u32, sb.bucket_sectors, 512));
	cr_expect(eq(u32, sb.block_sectors, 8));
	cr_expect(eq(u32, sb.first_bucket, 1));
	cr_expect(eq(u32, sb.journal_buckets, 0));
	cr_expect(eq(u64, superblock_set_magic(&sb), 0x3333222211111111));
	cr_expect(not(superblock_is_sync(&sb)));
	cr_expect(superblock_wants_discard(&sb));
	cr_expect(eq(u32, superblock_replacement(&sb), REPLACEMENT_FIFO));
}

Test(superblock, reads_what_the_kernel_wrote)
{
	struct superblock_disk disk = SAMPLE(used);
	struct superblock sb = decoded(&disk, USED_SECTORS);

	cr_expect(eq(u64, sb.version, SUPERBLOCK_CACHE_WITH_FEATURES));
	cr_expect(superblock_is_sync(&sb));
	cr_expect(eq(u64, sb.sequence, 1));
	cr_expect(eq(u64, sb.feature_incompatible, FEATURE_LOG2_BUCKET_SIZE));
	cr_expect(eq(u32, sb.bucket_sectors, 128));
	cr_expect(eq(u32, sb.journal_buckets, 5));
	cr_expect(eq(u64, sb.journal_bucket[4], 5));
	cr_expect(eq(u32, sb.last_mount, 0x6b02bd75));
	cr_expect(eq(u32, sb.members, 1));
}

Test(superblock, reads_a_backing_device)
{
	struct superblock_disk disk = SAMPLE(backing);
	struct superblock sb = decoded(&disk, BACKING_SECTORS);

	cr_expect(superblock_is_backing(&sb));
	cr_expect(eq(u64, sb.data_offset, 16));
	cr_expect(eq(u32, superblock_mode(&sb), MODE_WRITEBACK));
	cr_expect(eq(u32, superblock_state(&sb), STATE_DIRTY));
	cr_expect(eq(str, sb.label, ""));
}

Test(superblock, reads_where_the_data_begin)
{
	struct superblock_disk disk = SAMPLE(offset);
	struct superblock sb = decoded(&disk, BACKING_SECTORS);

	cr_expect(eq(u64, sb.version, SUPERBLOCK_BACKING_WITH_OFFSET));
	cr_expect(eq(u64, sb.data_offset, 2048));
}

Test(superblock, label_may_fill_its_field)
{
	struct superblock_disk disk = SAMPLE(backing);
	struct superblock sb;

	memset(disk.label, 'x', sizeof(disk.label));
	superblock_decode_unchecked(&sb, &disk);
	cr_expect(eq(sz, strlen(sb.label), 32));
}

static void expect_unchanged(struct superblock_disk disk, uint64_t sectors)
{
	struct superblock sb = decoded(&disk, sectors);

	superblock_encode(&sb);
	cr_expect(not(memcmp(&sb.disk, &disk, sizeof(disk))));
}

Test(superblock, written_again_is_the_same)
{
	expect_unchanged(SAMPLE(formatted), FORMATTED_SECTORS);
	expect_unchanged(SAMPLE(used), USED_SECTORS);
	expect_unchanged(SAMPLE(backing), BACKING_SECTORS);
	expect_unchanged(SAMPLE(offset), BACKING_SECTORS);
}

Test(superblock, keeps_what_we_do_not_know)
{
	struct superblock_disk disk = SAMPLE(backing);

	disk.flags = le64_of(0x5123456789abcdf1);
	memset(disk.pad, 0x5a, sizeof(disk.pad));
	memcpy(disk.label, "home\0rubbish", 12);
	disk.buckets_or_data_offset = le64_of(4711);	/* means nothing in version 1 */
	disk.feature_compatible = le64_of(4712);	/* neither */
	disk.zero[17] = 9;
	disk.checksum = le64_of(superblock_checksum(&disk));
	expect_unchanged(disk, BACKING_SECTORS);
}

Test(superblock, changes_only_the_flag_that_is_set)
{
	struct superblock_disk disk = SAMPLE(backing);
	struct superblock sb = decoded(&disk, BACKING_SECTORS);

	sb.flags = ~UINT64_C(0);
	superblock_set_state(&sb, STATE_CLEAN);
	cr_expect(eq(u64, sb.flags, 0xbfffffffffffffff));
	superblock_set_mode(&sb, MODE_WRITEAROUND);
	cr_expect(eq(u64, sb.flags, 0xbffffffffffffff2));
	superblock_set_mode(&sb, MODE_NONE);
	superblock_set_state(&sb, STATE_STALE);
	cr_expect(eq(u64, sb.flags, 0xfffffffffffffff3));
}

Test(superblock, changes_only_the_cache_flag_that_is_set)
{
	struct superblock_disk disk = SAMPLE(formatted);
	struct superblock sb = decoded(&disk, FORMATTED_SECTORS);

	superblock_set_sync(&sb, true);
	cr_expect(eq(u64, sb.flags, 7));
	superblock_set_replacement(&sb, REPLACEMENT_RANDOM);
	cr_expect(eq(u64, sb.flags, 11));
	superblock_set_discard(&sb, false);
	cr_expect(eq(u64, sb.flags, 9));
	superblock_set_sync(&sb, false);
	cr_expect(eq(u64, sb.flags, 8));
}

Test(superblock, writes_a_new_label_over_all_of_the_old_one)
{
	struct superblock_disk disk = SAMPLE(backing);
	struct superblock sb;

	memset(disk.label, 'x', sizeof(disk.label));
	superblock_decode_unchecked(&sb, &disk);
	strcpy(sb.label, "home");
	superblock_encode(&sb);
	cr_expect(not(memcmp(sb.disk.label, "home\0\0\0\0", 8)));
	cr_expect(eq(u8, sb.disk.label[31], 0));
	cr_expect(eq(u64, sb.checksum, superblock_checksum(&sb.disk)));
}

Test(superblock, grows_from_formatted_to_used)
{
	struct superblock_disk disk = SAMPLE(formatted), again;
	struct superblock sb = decoded(&disk, FORMATTED_SECTORS);

	sb.version = SUPERBLOCK_CACHE_WITH_UUIDS;
	sb.sequence = 1;
	sb.journal_buckets = superblock_fresh_journal_buckets(&sb);
	for (unsigned i = 0; i < sb.journal_buckets; i++)
		sb.journal_bucket[i] = sb.first_bucket + i;
	superblock_encode(&sb);
	again = sb.disk;
	sb = decoded(&again, FORMATTED_SECTORS);
	cr_expect(eq(u32, sb.journal_buckets, 4));
	cr_expect(eq(u64, sb.sequence, 1));
}

/* Refusals: a good superblock, one field wrong, the checksum right. */

static void expect_refusal_on(struct superblock_disk disk, uint64_t sectors, unsigned logical_block,
			      const char *words)
{
	struct error error = { 0 };
	struct superblock sb;

	disk.checksum = le64_of(superblock_checksum(&disk));
	cr_expect(eq(int, superblock_decode(&sb, &disk, sectors, logical_block, &error), -EINVAL));
	cr_expect(not(strncmp(error.text, words, strlen(words))), "\"%s\"", error.text);
	cr_expect(eq(chr, error.text[strlen(words)], ':'));
}

static void expect_refusal(const struct superblock_disk *disk, const char *words)
{
	expect_refusal_on(*disk, FORMATTED_SECTORS, 512, words);
}

Test(superblock, elsewhere_is_none)
{
	struct superblock_disk disk = SAMPLE(used);

	disk.sector = le64_of(16);
	expect_refusal(&disk, "Not a bcache superblock (bad offset)");
}

Test(superblock, without_magic_is_none)
{
	struct superblock_disk disk = SAMPLE(used);

	struct error error = { 0 };
	struct superblock sb;

	disk.magic[15] ^= 1;
	cr_expect(eq(int, superblock_decode(&sb, &disk, USED_SECTORS, 512, &error), -EINVAL));
	cr_expect(eq(str, error.text, "this is no bcache device (bad magic)"));
}

Test(superblock, of_something_else_is_told_without_its_bytes)
{
	struct error error = { 0 };
	struct superblock_disk disk;
	struct superblock sb;

	memset(&disk, '7', sizeof(disk));
	cr_expect(eq(int, superblock_decode(&sb, &disk, USED_SECTORS, 512, &error), -EINVAL));
	cr_expect(eq(str, error.text, "this is no bcache device (bad magic)"));
}

/* The count tells how many bytes are covered: it is not believed before it is checked. */
Test(superblock, with_too_many_journal_buckets_is_refused_before_its_checksum)
{
	struct superblock_disk disk = SAMPLE(used);

	disk.keys = le16_of(257);
	expect_refusal(&disk, "Too many journal buckets");
	disk.keys = le16_of(0xffff);
	disk.checksum = le64_of(0);
	expect_refusal(&disk, "Too many journal buckets");
}

Test(superblock, with_any_covered_bit_wrong_is_refused)
{
	for (int i = 0; i < (0xd0 + 5 * 8) * 8; i++) {
		struct superblock_disk disk = SAMPLE(used);
		struct superblock sb;

		((uint8_t *)&disk)[i / 8] ^= 1 << i % 8;
		cr_expect(eq(int, superblock_decode(&sb, &disk, USED_SECTORS, 512, NULL), -EINVAL),
			  "bit %d", i);
	}
}

Test(superblock, says_both_checksums)
{
	struct superblock_disk disk = SAMPLE(backing);
	struct error error;
	struct superblock sb;

	disk.checksum = le64_of(5);
	cr_expect(eq(int, superblock_decode(&sb, &disk, BACKING_SECTORS, 512, &error), -EINVAL));
	cr_expect(eq(str, error.text,
		     "Bad checksum: found 0000000000000005, wanted 380e04259b310515"));
}

Test(superblock, without_uuid_is_refused)
{
	struct superblock_disk disk = SAMPLE(backing);

	memset(disk.uuid, 0, sizeof(disk.uuid));
	expect_refusal(&disk, "Bad UUID");
}

Test(superblock, with_blocks_smaller_than_the_device_s_is_refused)
{
	struct superblock_disk disk = SAMPLE(backing);

	expect_refusal_on(disk, BACKING_SECTORS, 4096,
			  "Superblock block size smaller than device block size");
	disk.block_sectors = le16_of(0);
	expect_refusal(&disk, "Superblock block size smaller than device block size");
}

Test(superblock, with_data_over_itself_is_refused)
{
	struct superblock_disk disk = SAMPLE(offset);

	disk.buckets_or_data_offset = le64_of(15);
	expect_refusal(&disk, "Bad data offset");
	disk.version = le64_of(SUPERBLOCK_BACKING_WITH_FEATURES);
	expect_refusal(&disk, "Bad data offset");
}

/* No read or write of its data would be one of whole blocks. */
Test(superblock, with_data_within_a_block_of_its_device_is_refused)
{
	struct superblock_disk disk = SAMPLE(offset);
	struct error error = { 0 };
	struct superblock sb;

	disk.block_sectors = le16_of(8);
	disk.buckets_or_data_offset = le64_of(2044);
	expect_refusal_on(disk, FORMATTED_SECTORS, 4096, "Bad data offset");
	disk.checksum = le64_of(superblock_checksum(&disk));
	cr_expect(zero(int, superblock_decode(&sb, &disk, FORMATTED_SECTORS, 512, &error)), "%s",
		  error.text);
}

Test(superblock, with_unknown_features_is_refused)
{
	struct superblock_disk disk = SAMPLE(used);

	disk.feature_incompatible = le64_of(4);
	expect_refusal(&disk, "Unsupported incompatible feature found");
	disk.feature_read_only_compatible = le64_of(1);
	expect_refusal(&disk, "Unsupported read-only compatible feature found");
	disk.feature_compatible = le64_of(1);
	expect_refusal(&disk, "Unsupported compatible feature found");
}

Test(superblock, without_feature_words_has_no_features)
{
	struct superblock_disk disk = SAMPLE(formatted);

	disk.feature_compatible = disk.feature_incompatible = le64_of(~UINT64_C(0));
	disk.checksum = le64_of(superblock_checksum(&disk));
	cr_expect(eq(u64, decoded(&disk, FORMATTED_SECTORS).feature_incompatible, 0));
}

Test(superblock, knows_the_obsolete_large_buckets)
{
	struct superblock_disk disk = SAMPLE(used);

	disk.feature_incompatible = le64_of(FEATURE_OBSOLETE_LARGE_BUCKET);
	disk.bucket_sectors = le16_of(0);
	disk.obsolete_bucket_sectors_high = le16_of(2);
	disk.checksum = le64_of(superblock_checksum(&disk));
	cr_expect(eq(u32, decoded(&disk, UINT64_MAX).bucket_sectors, 0x20000));
	expect_unchanged(disk, UINT64_MAX);
}

Test(superblock, with_too_few_or_too_many_buckets_is_refused)
{
	struct superblock_disk disk = SAMPLE(formatted);

	disk.buckets_or_data_offset = le64_of(127);
	expect_refusal(&disk, "Not enough buckets");
	disk.buckets_or_data_offset = le64_of(UINT64_C(1) << 63);
	expect_refusal(&disk, "Too many buckets");
}

Test(superblock, with_a_bad_block_size_is_refused)
{
	struct superblock_disk disk = SAMPLE(formatted);

	disk.block_sectors = le16_of(3);
	expect_refusal(&disk, "Bad block size (not power of 2)");
	disk.block_sectors = le16_of(16);
	expect_refusal(&disk, "Bad block size (larger than page size)");
}

Test(superblock, with_a_bad_bucket_size_is_refused)
{
	struct superblock_disk disk = SAMPLE(formatted);

	disk.bucket_sectors = le16_of(0);
	expect_refusal(&disk, "Bad bucket size (not power of 2)");
	disk.bucket_sectors = le16_of(24);
	expect_refusal(&disk, "Bad bucket size (not power of 2)");
	disk.bucket_sectors = le16_of(4);
	expect_refusal(&disk, "Bad bucket size (smaller than page size)");
}

Test(superblock, with_an_absurd_power_for_a_bucket_size_is_refused)
{
	struct superblock_disk disk = SAMPLE(used);

	disk.bucket_sectors = le16_of(32);
	expect_refusal(&disk, "Bad bucket size (not power of 2)");
	disk.bucket_sectors = le16_of(0xffff);
	expect_refusal(&disk, "Bad bucket size (not power of 2)");
}

Test(superblock, larger_than_its_device_is_refused)
{
	struct superblock_disk disk = SAMPLE(formatted);

	expect_refusal_on(disk, FORMATTED_SECTORS - 1, 512, "Invalid superblock: device too small");
}

/* 2^55 buckets of 2^9 sectors are 2^64: nothing, for whoever multiplies in 64 bits. */
Test(superblock, larger_than_any_number_is_refused)
{
	struct superblock_disk disk = SAMPLE(formatted);

	disk.buckets_or_data_offset = le64_of(UINT64_C(1) << 55);
	expect_refusal(&disk, "Invalid superblock: device too small");
	disk.buckets_or_data_offset = le64_of(UINT64_C(1) << 23);	/* 2^32 sectors */
	expect_refusal(&disk, "Invalid superblock: device too small");
}

/* Of a sparse file: its bucket would have 2^32 bytes, or its buckets need longer numbers. */
Test(superblock, larger_than_our_numbers_is_refused)
{
	struct superblock_disk disk = SAMPLE(formatted);

	disk.buckets_or_data_offset = le64_of(UINT64_C(1) << 32);
	expect_refusal_on(disk, UINT64_MAX, 512, "Too many buckets");
	disk = (struct superblock_disk)SAMPLE(used);
	disk.bucket_sectors.raw = htole16(23);
	expect_refusal_on(disk, UINT64_MAX, 512, "Bad bucket size (too large)");
}

Test(superblock, of_no_set_is_refused_on_a_cache_only)
{
	struct superblock_disk disk = SAMPLE(formatted), backing = SAMPLE(backing);

	memset(disk.set_uuid, 0, sizeof(disk.set_uuid));
	expect_refusal(&disk, "Bad UUID");
	memset(backing.set_uuid, 0, sizeof(backing.set_uuid));
	backing.checksum = le64_of(superblock_checksum(&backing));
	decoded(&backing, BACKING_SECTORS);
}

Test(superblock, with_a_bad_place_in_its_set_is_refused)
{
	struct superblock_disk disk = SAMPLE(formatted);

	disk.members = le16_of(0);
	expect_refusal(&disk, "Bad cache device number in set");
	disk.members = le16_of(9);
	expect_refusal(&disk, "Bad cache device number in set");
	disk.members = disk.member = le16_of(1);
	expect_refusal(&disk, "Bad cache device number in set");
}

Test(superblock, with_journal_buckets_out_of_order_is_refused)
{
	struct superblock_disk disk = SAMPLE(used);

	disk.journal_buckets[3] = le64_of(7);
	expect_refusal(&disk, "Journal buckets not sequential");
}

Test(superblock, with_a_journal_beyond_its_end_is_refused)
{
	struct superblock_disk disk = SAMPLE(used);

	disk.first_bucket = le16_of(636);
	for (unsigned i = 0; i < 5; i++)
		disk.journal_buckets[i] = le64_of(636 + i);
	expect_refusal(&disk, "Too many journal buckets");
}

Test(superblock, inside_its_first_bucket_is_refused)
{
	struct superblock_disk disk = SAMPLE(formatted);

	disk.first_bucket = le16_of(0);
	expect_refusal(&disk, "Invalid superblock: first bucket comes before end of super");
}

Test(superblock, of_an_unknown_version_is_refused)
{
	static const uint64_t unknown[] = { 2, 7, UINT64_MAX };

	for (int i = 0; i < 3; i++) {
		struct superblock_disk disk = SAMPLE(used);

		disk.version = le64_of(unknown[i]);
		expect_refusal(&disk, "Unsupported superblock version");
	}
}

Test(superblock, wrong_in_everything_is_refused_for_what_comes_first)
{
	struct superblock_disk disk = SAMPLE(used);

	memset(disk.uuid, 0, sizeof(disk.uuid));
	disk.buckets_or_data_offset = le64_of(1);
	disk.members = le16_of(0);
	expect_refusal(&disk, "Bad UUID");
	disk.uuid[0] = 1;
	expect_refusal(&disk, "Not enough buckets");
	disk.buckets_or_data_offset = le64_of(640);
	expect_refusal(&disk, "Bad cache device number in set");
}

Test(superblock, unchecked_survives_anything)
{
	struct superblock_disk disk;
	struct superblock sb;

	for (int byte = 0; byte < 256; byte++) {
		memset(&disk, byte, sizeof(disk));
		superblock_decode_unchecked(&sb, &disk);
		cr_expect(sb.journal_buckets <= JOURNAL_BUCKETS_MAX);
	}
}

static const struct {
	unsigned bucket_sectors, meta, node, prio_per_part, uuid_slots;
} derived[] = {
	{ 8, 8, 8, 1352, 32 },
	{ 64, 64, 64, 10909, 256 },
	{ 128, 128, 128, 21832, 512 },
	{ 512, 512, 512, 87368, 2048 },
	{ 1024, 1024, 512, 174749, 4096 },
	{ 2048, 2048, 512, 349512, 8192 },
	{ 4096, 4096, 1024, 699037, 16384 },
	{ 8192, 8192, 2048, 1398088, 32768 },
	{ 16384, 8192, 2048, 1398088, 32768 },
};

Test(superblock, gives_the_sizes_of_metadata)
{
	for (size_t i = 0; i < ARRAY_SIZE(derived); i++) {
		struct superblock sb = { .bucket_sectors = derived[i].bucket_sectors,
					 .buckets = 1000 };

		cr_expect(eq(u32, superblock_meta_bucket_sectors(&sb), derived[i].meta));
		cr_expect(eq(u32, superblock_node_sectors(&sb), derived[i].node));
		cr_expect(eq(u32, superblock_prio_per_part(&sb), derived[i].prio_per_part));
		cr_expect(eq(u32, superblock_uuid_slots(&sb), derived[i].uuid_slots));
	}
}

Test(superblock, gives_the_number_of_priority_parts)
{
	struct superblock sb = { .bucket_sectors = 8, .buckets = 32768 };

	cr_expect(eq(u32, superblock_prio_parts(&sb), 25));
	sb.buckets = 1352;
	cr_expect(eq(u32, superblock_prio_parts(&sb), 1));
	sb.buckets = 1353;
	cr_expect(eq(u32, superblock_prio_parts(&sb), 2));
}

Test(superblock, gives_the_size_of_a_fresh_journal)
{
	static const unsigned pairs[][2] = { { 4096, 32 }, { 8192, 64 }, { 520, 4 }, { 32768, 256 },
					     { 128, 2 }, { 1u << 30, 256 } };

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct superblock sb = { .buckets = pairs[i][0] };

		cr_expect(eq(u32, superblock_fresh_journal_buckets(&sb), pairs[i][1]));
	}
}
