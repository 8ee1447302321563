/*
 * bcachefuse format: superblocks for new cache and backing devices.
 *
 * Options, output and bytes written are those of make-bcache 1.0.8.  But values that
 * make-bcache writes and the kernel refuses are refused here: too few buckets, blocks
 * larger than a page, buckets smaller than a page, an unknown policy.
 *
 * (FORMAT-1) Every device is checked before the first is written.
 */
#include "tools/tools.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uuid/uuid.h>

#include "base/numbers.h"
#include "base/units.h"
#include "format/superblock.h"
#include "io/buffer.h"
#include "tools/member.h"
#include "tools/mounts.h"
#include "tools/occupant.h"

enum {
	SECTOR_BYTES = 512,
	PAGE_SECTORS = 8, /* page size of the kernels that will use it */
	BUCKET_SECTORS_DEFAULT = 1024,
	BUCKET_SECTORS_MAX = 32768, /* the largest power of two in 16 bits */
	BUCKET_BLOCKS_MIN = 2, /* with one block, a kernel splits the node endlessly */
	BUCKETS_MIN = 513, /* fewer: the kernel's free lists would have no room */
	HEAD_SECTORS = SUPERBLOCK_SECTOR + SUPERBLOCK_BYTES / SECTOR_BYTES,
	RESERVED_SECTORS = 23, /* sectors that make-bcache reserves before the first bucket */
};

static const char usage_text[] =
	"Usage: bcachefuse format [OPTION]... -C CACHE... -B BACKING...\n"
	"Writes bcache superblocks to devices or files. All devices of one command belong to the\n"
	"same set, so backing devices attach to the cache when they are first mounted.\n"
	"\n"
	"  -C, --cache              the devices that follow are caches (a set has one)\n"
	"  -B, --bdev               the devices that follow are backing devices\n"
	"  -b, --bucket=SIZE        bucket size, a power of two, 4k to 16M (default 512k)\n"
	"  -w, --block=SIZE         block size, a power of two, 512 to 4k (default: the devices')\n"
	"  -o, --data-offset=N      first data sector of backing devices, from 16 on (default 16)\n"
	"      --cset-uuid=UUID     the set's UUID (default: a random one)\n"
	"      --label=TEXT         label of the backing device, or of a cache without one\n"
	"      --writeback          set the cache mode of backing devices to writeback\n"
	"      --discard            set the discard flag of the cache, for kernels that use it\n"
	"      --cache_replacement_policy=lru|fifo|random   which data go first (default lru)\n"
	"      --wipe-bcache        overwrite bcache superblocks\n"
	"      --force              overwrite other content, and with --wipe-bcache also dirty\n"
	"                           data\n"
	"  -h, --help               print this help\n";

struct target {
	const char *path;
	bool is_cache;
	struct device *device;
};

struct format {
	struct target *targets;		/* caches first, as they are written and printed */
	unsigned count, cache_count;
	uint64_t block_sectors;		/* 0: the devices' */
	uint64_t bucket_sectors;
	uint64_t data_offset;
	uint8_t set_uuid[16];
	bool has_set_uuid;
	const char *label;
	bool writeback, discard;
	enum replacement replacement;
	unsigned overwrite;
};

/* Values of getopt_long() for options without a letter. */
enum {
	OPTION_SET_UUID = 256,
	OPTION_LABEL,
	OPTION_WRITEBACK,
	OPTION_DISCARD,
	OPTION_POLICY,
	OPTION_WIPE,
	OPTION_FORCE,
};

static const struct option long_options[] = {
	{ "cache", no_argument, NULL, 'C' },
	{ "bdev", no_argument, NULL, 'B' },
	{ "bucket", required_argument, NULL, 'b' },
	{ "block", required_argument, NULL, 'w' },
	{ "data-offset", required_argument, NULL, 'o' },
	{ "data_offset", required_argument, NULL, 'o' },
	{ "cset-uuid", required_argument, NULL, OPTION_SET_UUID },
	{ "label", required_argument, NULL, OPTION_LABEL },
	{ "writeback", no_argument, NULL, OPTION_WRITEBACK },
	{ "discard", no_argument, NULL, OPTION_DISCARD },
	{ "cache_replacement_policy", required_argument, NULL, OPTION_POLICY },
	{ "cache-replacement-policy", required_argument, NULL, OPTION_POLICY },
	{ "wipe-bcache", no_argument, NULL, OPTION_WIPE },
	{ "force", no_argument, NULL, OPTION_FORCE },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* A size of `what` between two bounds, in sectors. */
static int parse_size(const char *what, const char *text, unsigned sectors_min,
		      unsigned sectors_max, uint64_t *sectors, struct error *error)
{
	uint64_t bytes;

	if (units_parse_size(text, &bytes))
		return error_set(error, EINVAL, "%s size \"%s\" is not a size; wanted one like 64k",
				 what, text);
	if (bytes < sectors_min * SECTOR_BYTES)
		return error_set(error, EINVAL,
				 "%s size too small: found %" PRIu64 " bytes, wanted "
				 "at least %u",
				 what, bytes, sectors_min * SECTOR_BYTES);
	if (bytes > sectors_max * SECTOR_BYTES)
		return error_set(error, EINVAL,
				 "%s size too large: found %" PRIu64 " bytes, wanted "
				 "at most %u",
				 what, bytes, sectors_max * SECTOR_BYTES);
	if (!is_power_of_two(bytes))
		return error_set(error, EINVAL, "%s size must be a power of two: found %" PRIu64
				 " bytes", what, bytes);
	*sectors = bytes / SECTOR_BYTES;
	return 0;
}

static int parse_data_offset(struct format *format, const char *text, struct error *error)
{
	if (units_parse_number(text, &format->data_offset) ||
	    format->data_offset < DATA_START_DEFAULT ||
	    format->data_offset > INT64_MAX / SECTOR_BYTES)
		return error_set(error, EINVAL, "Bad data offset \"%s\"; minimum %d sectors", text,
				 DATA_START_DEFAULT);
	return 0;
}

static int parse_set_uuid(struct format *format, const char *text, struct error *error)
{
	if (uuid_parse(text, format->set_uuid) || uuid_is_null(format->set_uuid))
		return error_set(error, EINVAL, "Bad uuid \"%s\"", text);
	format->has_set_uuid = true;
	return 0;
}

static int parse_policy(struct format *format, const char *text, struct error *error)
{
	static const char *const names[] = { "lru", "fifo", "random", NULL };
	int policy = units_parse_choice(text, names);

	if (policy < 0)
		return error_set(error, EINVAL,
				 "there is no replacement policy \"%s\"; wanted lru, "
				 "fifo or random",
				 text);
	format->replacement = policy;
	return 0;
}

static int parse_label(struct format *format, const char *text, struct error *error)
{
	if (strlen(text) > SUPERBLOCK_LABEL_BYTES)
		return error_set(error, EINVAL, "label \"%s\" has %zu bytes, at most %d fit", text,
				 strlen(text), SUPERBLOCK_LABEL_BYTES);
	format->label = text;
	return 0;
}

/* Adds a target: caches before backing devices, in the order of the command line. */
static void add_target(struct format *format, const char *path, bool is_cache)
{
	unsigned at = is_cache ? format->cache_count++ : format->count;
	struct target *targets = reallocarray(format->targets, format->count + 1, sizeof(*targets));

	assert(targets);
	memmove(targets + at + 1, targets + at, (format->count - at) * sizeof(*targets));
	targets[at] = (struct target){ .path = path, .is_cache = is_cache };
	format->targets = targets;
	format->count++;
}

/* Handles one option or device; `kind` is that of the last -C or -B. */
static int parse_one(struct format *format, int option, char *kind, struct error *error)
{
	switch (option) {
	case 'C':
	case 'B':
		*kind = option;
		return 0;
	case 1:
		if (!*kind)
			return error_set(error, EINVAL, "Please specify -C or -B");
		add_target(format, optarg, *kind == 'C');
		return 0;
	case 'b':
		return parse_size("bucket", optarg, PAGE_SECTORS, BUCKET_SECTORS_MAX,
				  &format->bucket_sectors, error);
	case 'w':
		return parse_size("block", optarg, 1, PAGE_SECTORS, &format->block_sectors, error);
	case 'o':
		return parse_data_offset(format, optarg, error);
	case OPTION_SET_UUID:
		return parse_set_uuid(format, optarg, error);
	case OPTION_LABEL:
		return parse_label(format, optarg, error);
	case OPTION_WRITEBACK:
		format->writeback = true;
		return 0;
	case OPTION_DISCARD:
		format->discard = true;
		return 0;
	case OPTION_POLICY:
		return parse_policy(format, optarg, error);
	case OPTION_WIPE:
		format->overwrite |= OVERWRITE_BCACHE;
		return 0;
	case OPTION_FORCE:
		format->overwrite |= OVERWRITE_DATA;
		return 0;
	}
	return -EINVAL;
}

static int check_targets(const struct format *format, struct error *error)
{
	unsigned backing_count = format->count - format->cache_count;

	if (!format->count)
		return error_set(error, EINVAL, "Please supply a device");
	if (format->cache_count > 1)
		return error_set(
			error, EINVAL, "%u cache devices, %s and %s among them: a set has one",
			format->cache_count, format->targets[0].path, format->targets[1].path);
	if (format->label && backing_count > 1)
		return error_set(error, EINVAL,
				 "one label for %u backing devices: format them one by "
				 "one, with the same --cset-uuid",
				 backing_count);
	for (unsigned i = 0; i < format->count; i++)
		for (unsigned j = 0; j < i; j++)
			if (member_check_distinct(format->targets[j].path, format->targets[i].path,
						  error))
				return -EINVAL;
	return 0;
}

/* Parses the command line into `format`; 1: printed the help. */
static int parse(struct format *format, int argc, char **argv, struct error *error)
{
	char kind = 0;
	int option;

	optind = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "-hCBo:w:b:", long_options, NULL)) != -1) {
		int result;

		if (option == 'h') {
			fputs(usage_text, stdout);
			return 1;
		}
		if (option == '?')
			return error_set(error, EINVAL, "option %s is unknown or lacks its value; "
					 "--help lists them", argv[optind - 1]);
		result = parse_one(format, option, &kind, error);
		if (result)
			return result;
	}
	for (; optind < argc; optind++) {	/* after -- */
		int result;

		optarg = argv[optind];
		result = parse_one(format, 1, &kind, error);
		if (result)
			return result;
	}
	return check_targets(format, error);
}

/*
 * As make-bcache does: the logical block of a disk; for a file, the preferred block of its file
 * system, but at most half a bucket.
 */
static unsigned preferred_block_sectors(const struct format *format, const struct target *target)
{
	unsigned bytes = device_logical_block_bytes(target->device);
	struct stat info;

	if (!device_is_block_device(target->device) && !stat(target->path, &info))
		bytes = min_u64(info.st_blksize,
				format->bucket_sectors * SECTOR_BYTES / BUCKET_BLOCKS_MIN);
	if (!is_power_of_two(bytes))
		bytes = SECTOR_BYTES;
	return clamp_u64(bytes / SECTOR_BYTES, 1, PAGE_SECTORS);
}

static void choose_block(struct format *format)
{
	if (format->block_sectors)
		return;
	for (unsigned i = 0; i < format->count; i++)
		format->block_sectors =
			max_u64(format->block_sectors,
				preferred_block_sectors(format, &format->targets[i]));
}

static int check_bucket(const struct format *format, struct error *error)
{
	uint64_t wanted = BUCKET_BLOCKS_MIN * format->block_sectors;

	if (format->bucket_sectors >= wanted)
		return 0;
	return error_set(error, EINVAL,
			 "buckets of %" PRIu64 " bytes hold less than %d blocks of %" PRIu64
			 ", and a kernel hangs on such a set; wanted at least -b %" PRIu64
			 "k, or smaller blocks (-w)",
			 format->bucket_sectors * SECTOR_BYTES, BUCKET_BLOCKS_MIN,
			 format->block_sectors * SECTOR_BYTES, wanted / 2);
}

/* Refuses too few buckets, and names the largest bucket size that would do. */
static int refuse_few_buckets(const struct format *format, const struct target *target,
			      struct error *error)
{
	uint64_t bucket_sectors = format->bucket_sectors, fits = bucket_sectors;
	uint64_t sectors = device_sectors(target->device);
	uint64_t least = max_u64(PAGE_SECTORS, BUCKET_BLOCKS_MIN * format->block_sectors);

	while (fits >= least && sectors / fits < BUCKETS_MIN)
		fits /= 2;
	if (fits < least)
		return error_set(error, ENOSPC,
				 "%s: too small for a cache: found %" PRIu64 " bytes, "
				 "wanted at least %" PRIu64,
				 target->path, sectors * SECTOR_BYTES,
				 BUCKETS_MIN * least * SECTOR_BYTES);
	return error_set(error, ENOSPC,
			 "%s: Not enough buckets: found %" PRIu64 " of %" PRIu64
			 "k, wanted at least %d; buckets of %" PRIu64 "k would fit: -b %" PRIu64
			 "k",
			 target->path, sectors / bucket_sectors, bucket_sectors / 2, BUCKETS_MIN,
			 fits / 2, fits / 2);
}

static int check_size(const struct format *format, const struct target *target, struct error *error)
{
	uint64_t sectors = device_sectors(target->device);

	if (target->is_cache) {
		if (sectors / format->bucket_sectors < BUCKETS_MIN)
			return refuse_few_buckets(format, target, error);
		return 0;
	}
	if (format->data_offset % format->block_sectors)
		return error_set(error, EINVAL,
				 "%s: data offset of %" PRIu64 " sectors is not a multiple "
				 "of the block size of %" PRIu64,
				 target->path, format->data_offset, format->block_sectors);
	if (sectors < format->data_offset + format->block_sectors)
		return error_set(error, ENOSPC,
				 "%s: no room for data: found %" PRIu64 " sectors, data "
				 "would begin at sector %" PRIu64,
				 target->path, sectors, format->data_offset);
	return 0;
}

static int check_target(const struct format *format, struct target *target, struct error *error)
{
	unsigned logical = device_logical_block_bytes(target->device);
	int result;

	if (format->block_sectors * SECTOR_BYTES < logical)
		return error_set(error, EINVAL,
				 "%s: block size of %" PRIu64 " bytes is smaller than the "
				 "device's %u",
				 target->path, format->block_sectors * SECTOR_BYTES, logical);
	device_set_block(target->device, format->block_sectors);
	result = check_size(format, target, error);
	return result ? result : occupant_check(target->device, format->overwrite, error);
}

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

static void fill_backing(const struct format *format, struct superblock_disk *disk)
{
	bool is_default = format->data_offset == DATA_START_DEFAULT;

	disk->version = le64_of(is_default ? SUPERBLOCK_BACKING : SUPERBLOCK_BACKING_WITH_OFFSET);
	disk->flags = le64_of(format->writeback ? MODE_WRITEBACK : MODE_WRITETHROUGH);
	if (!is_default)
		disk->buckets_or_data_offset = le64_of(format->data_offset);
}

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

static int write_targets(struct format *format, struct error *error)
{
	uint8_t *head = buffer_new(HEAD_SECTORS * SECTOR_BYTES);
	int result = 0;

	for (unsigned i = 0; i < format->count && !result; i++)
		result = write_target(format, &format->targets[i], head, error);
	buffer_free(head);
	return result;
}

/* A set has one cache device.  Files cannot be searched for another one: prints a warning. */
static int check_other_cache(const struct format *format, struct error *error)
{
	autofree char *other = NULL;
	char uuid[40];

	if (!format->has_set_uuid || !format->cache_count)
		return 0;
	other = member_find_other_cache(format->set_uuid, format->targets[0].path);
	units_print_uuid(uuid, format->set_uuid);
	if (other && !(format->overwrite & OVERWRITE_DATA))
		return error_set(error, EEXIST,
				 "%s: set %s has a cache device already, %s, and a set has one; "
				 "--force makes another nevertheless",
				 format->targets[0].path, uuid, other);
	tool_complain("format", "warning: %s becomes the cache device of set %s: a set has one, so "
		      "no other may be mounted with it", format->targets[0].path, uuid);
	return 0;
}

static int format_all(struct format *format, struct error *error)
{
	int result = open_targets(format, error);

	if (result)
		return result;
	choose_block(format);
	if (format->cache_count)
		result = check_bucket(format, error);
	if (result)
		return result;
	for (unsigned i = 0; i < format->count; i++) {	/* FORMAT-1 */
		result = check_target(format, &format->targets[i], error);
		if (result)
			return result;
	}
	result = check_other_cache(format, error);
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
	int result = parse(&format, argc, argv, &error);
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
