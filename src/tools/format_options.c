/*
 * The command line of bcachefuse format.
 *
 * Option names and most messages are those of make-bcache, so that scripts that were written for
 * it need only another command.
 */
#include "tools/format.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "base/numbers.h"
#include "base/units.h"
#include "tools/member.h"
#include "tools/occupant.h"

enum { BUCKET_SECTORS_MAX = 32768 };	/* the largest power of two in 16 bits */

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

/* The bound keeps the offset in bytes within 63 bits. */
static int parse_data_offset(struct format *format, const char *text, struct error *error)
{
	if (units_parse_number(text, &format->data_offset) ||
	    format->data_offset < DATA_START_DEFAULT ||
	    format->data_offset > INT64_MAX / SECTOR_BYTES)
		return error_set(error, EINVAL, "Bad data offset \"%s\"; minimum %d sectors", text,
				 DATA_START_DEFAULT);
	return 0;
}

/* The null UUID means "no set" in a superblock. */
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

/* A label of the full length has no NUL in the superblock. */
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

/* Handles one option, or a device (1); `kind` is that of the last -C or -B. */
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

/* Checks that need all of the command line, but no access to the devices. */
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

int format_parse(struct format *format, int argc, char **argv, struct error *error)
{
	char kind = 0;
	int option;

	/* The leading - of the letters makes getopt_long() return devices in their place, as 1. */
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
