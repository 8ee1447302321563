/*
 * bcachefuse format: superblocks for new cache and backing devices.
 *
 * Options, output and bytes written are those of make-bcache 1.0.8.  But values that
 * make-bcache writes and the kernel refuses are refused here: too few buckets, blocks
 * larger than a page, buckets smaller than a page, an unknown policy.
 *
 * (FORMAT-1) Every device is checked before the first is written.
 * (FORMAT-2) All targets are open, and thereby claimed, from the checks to the end: nobody
 *     mounts or formats one in between.
 */
#include "tools/format.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "base/units.h"
#include "io/buffer.h"
#include "tools/mounts.h"
#include "tools/tools.h"

enum {
	BUCKET_SECTORS_DEFAULT = 1024,
	HEAD_SECTORS = SUPERBLOCK_SECTOR + SUPERBLOCK_BYTES / SECTOR_BYTES,
	RESERVED_SECTORS = 23,	/* sectors that make-bcache reserves before the first bucket */
};

/* FORMAT-2 */
static int open_targets(struct format *format, struct error *error)
{
	for (unsigned i = 0; i < format->count; i++) {
		struct target *target = &format->targets[i];
		int result = device_open(&target->device, target->path, DEVICE_READ_WRITE, error);

		if (result)
			return result == -ENOTCONN ? mounted_say_dead(target->path, error) : result;
	}
	return 0;
}

static void close_targets(struct format *format)
{
	for (unsigned i = 0; i < format->count; i++)
		if (format->targets[i].device)
			device_close(format->targets[i].device);
	free(format->targets);
}

/* Bits of the flags: 0 SYNC (only a set in use has it), 1 discard, from 2 on the policy. */
static void fill_cache(const struct format *format, const struct target *target,
		       struct superblock_disk *disk)
{
	disk->version = le64_of(SUPERBLOCK_CACHE);
	disk->flags = le64_of((uint64_t)format->discard << 1 | format->replacement << 2);
	disk->buckets_or_data_offset =
		le64_of(device_sectors(target->device) / format->bucket_sectors);
	disk->members = le16_of(1);
	disk->first_bucket = le16_of(RESERVED_SECTORS / format->bucket_sectors + 1);
}

/* As make-bcache does: the version that stores the offset only if it is not the default. */
static void fill_backing(const struct format *format, struct superblock_disk *disk)
{
	bool is_default = format->data_offset == DATA_START_DEFAULT;

	disk->version = le64_of(is_default ? SUPERBLOCK_BACKING : SUPERBLOCK_BACKING_WITH_OFFSET);
	disk->flags = le64_of(format->writeback ? MODE_WRITEBACK : MODE_WRITETHROUGH);
	if (!is_default)
		disk->buckets_or_data_offset = le64_of(format->data_offset);
}

/* The checksum comes last, over all the rest. */
static void fill(const struct format *format, const struct target *target,
		 struct superblock_disk *disk)
{
	static const uint8_t magic[] = SUPERBLOCK_MAGIC_BYTES;

	disk->sector = le64_of(SUPERBLOCK_SECTOR);
	memcpy(disk->magic, magic, sizeof(magic));
	uuid_generate(disk->uuid);
	memcpy(disk->set_uuid, format->set_uuid, sizeof(disk->set_uuid));
	disk->block_sectors = le16_of(format->block_sectors);
	disk->bucket_sectors = le16_of(format->bucket_sectors);
	if (target->is_cache)
		fill_cache(format, target, disk);
	else
		fill_backing(format, disk);
	if (format->label && (!target->is_cache || format->count == format->cache_count))
		memcpy(disk->label, format->label, strlen(format->label));
	disk->checksum = le64_of(superblock_checksum(disk));
}

/* The lines and tabs of make-bcache, for scripts that read the UUIDs from them. */
static void print_target(const struct target *target, const struct superblock *sb)
{
	char uuid[40];

	printf("UUID:\t\t\t%s\n", units_print_uuid(uuid, sb->uuid));
	printf("Set UUID:\t\t%s\n", units_print_uuid(uuid, sb->set_uuid));
	printf("version:\t\t%" PRIu64 "\n", sb->version);
	if (!target->is_cache) {
		printf("block_size:\t\t%u\ndata_offset:\t\t%" PRIu64 "\n", sb->block_sectors,
		       sb->data_offset);
		return;
	}
	printf("nbuckets:\t\t%" PRIu64 "\nblock_size:\t\t%u\nbucket_size:\t\t%u\n"
	       "nr_in_set:\t\t%u\nnr_this_dev:\t\t%u\nfirst_bucket:\t\t%u\n", sb->buckets,
	       sb->block_sectors, sb->bucket_sectors, sb->members, sb->member, sb->first_bucket);
}

/* Clears the sectors before the superblock, too, so that no old boot sector is left. */
static int write_target(const struct format *format, struct target *target, uint8_t *head,
			struct error *error)
{
	struct superblock_disk *disk = (void *)(head + SUPERBLOCK_SECTOR * SECTOR_BYTES);
	struct superblock sb;
	int result;

	memset(head, 0, HEAD_SECTORS * SECTOR_BYTES);
	fill(format, target, disk);
	result = superblock_decode(&sb, disk, device_sectors(target->device),
				   device_logical_block_bytes(target->device), error);
	assert(!result);	/* we accept what we write */
	result = device_write_now(target->device, head, 0, HEAD_SECTORS);
	if (!result)
		result = device_flush_now(target->device);
	if (result)
		return error_set(error, -result, "%s: cannot write the superblock: %s",
				 target->path, strerror(-result));
	print_target(target, &sb);
	return 0;
}

/* If a write fails, the targets before it stay formatted; those after it are as they were. */
static int write_targets(struct format *format, struct error *error)
{
	uint8_t *head = buffer_new(HEAD_SECTORS * SECTOR_BYTES);
	int result = 0;

	for (unsigned i = 0; i < format->count && !result; i++)
		result = write_target(format, &format->targets[i], head, error);
	buffer_free(head);
	return result;
}

static int format_all(struct format *format, struct error *error)
{
	int result = open_targets(format, error);

	if (result)
		return result;
	format_choose_block(format);
	if (format->cache_count)
		result = format_check_bucket(format, error);
	if (result)
		return result;
	for (unsigned i = 0; i < format->count; i++) {	/* FORMAT-1 */
		result = format_check_target(format, &format->targets[i], error);
		if (result)
			return result;
	}
	result = format_check_other_cache(format, error);
	if (result)
		return result;
	if (!format->has_set_uuid)
		uuid_generate(format->set_uuid);
	return write_targets(format, error);
}

int tool_format(int argc, char **argv)
{
	struct format format = {
		.bucket_sectors = BUCKET_SECTORS_DEFAULT,
		.data_offset = DATA_START_DEFAULT,
	};
	struct error error = { 0 };
	int result = format_parse(&format, argc, argv, &error);
	int code = result > 0 ? TOOL_DONE : TOOL_USAGE;

	if (!result) {
		result = format_all(&format, &error);
		code = result ? TOOL_REFUSED : TOOL_DONE;
	}
	if (result < 0)
		tool_complain("format", "%s", error.text);
	close_targets(&format);
	return code;
}
