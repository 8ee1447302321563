/*
 * bcachefuse show: prints superblocks.
 *
 * Lines, their order and exit codes are those of bcache-super-show 1.0.8, for scripts that
 * parse them.  That includes its format of labels (bytes above 127 are negative numbers),
 * and that it stops at versions 5 and 6, which it does not know.  --json prints everything.
 *
 * A damaged superblock is shown as far as it can be trusted: view_init() finds the first fault, and
 * the lines end there.  Nothing is claimed or locked, so a mounted device can be shown.
 */
#include "tools/tools.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "format/superblock.h"
#include "tools/json.h"
#include "tools/member.h"
#include "tools/mounts.h"

static const char usage_text[] =
	"Usage: bcachefuse show [-f] [--json] DEVICE...\n"
	"Prints the superblock of each device or file as bcache-super-show does.\n"
	"\n"
	"  -f, --force  keep going if the checksum is wrong\n"
	"      --json   print one object, with an element for each device\n"
	"  -h, --help   print this help\n"
	"\n"
	"Exit codes: 0 success, 1 usage error, 2 no superblock or a damaged one,\n"
	"3 an experimental format.\n";

static const char *const replacement_names[] = { "lru", "fifo", "random" };
static const char *const mode_names[] = { "writethrough", "writeback", "writearound",
					  "no caching" };
static const char *const state_names[] = { "detached", "clean", "dirty", "inconsistent" };

/* A superblock to be shown, and the first fault in it. */
struct view {
	const char *path;
	const struct superblock_disk *disk;
	struct superblock sb;
	uint64_t wanted_checksum;
	const char *fault;	/* NULL: none */
	int code;		/* exit code */
};

static const char *name_of(const char *const *names, size_t count, unsigned value)
{
	return value < count ? names[value] : NULL;
}

/* The versions that bcache-super-show knows; those with features are newer. */
static bool is_cache_to_the_old_tool(uint64_t version)
{
	return version == SUPERBLOCK_CACHE || version == SUPERBLOCK_CACHE_WITH_UUIDS;
}

static bool is_backing_to_the_old_tool(uint64_t version)
{
	return version == SUPERBLOCK_BACKING || version == SUPERBLOCK_BACKING_WITH_OFFSET;
}

static bool is_known(const struct superblock *sb)
{
	return sb->version <= SUPERBLOCK_BACKING_WITH_FEATURES && sb->version != 2;
}

/* Early formats of backing devices had keys where now there are none. */
static bool is_experimental(const struct superblock_disk *disk)
{
	return le64_get(disk->version) == SUPERBLOCK_BACKING_WITH_OFFSET &&
	       (le16_get(disk->keys) == 1 || le64_get(disk->journal_buckets[0]));
}

static void view_fault(struct view *view, const char *fault, int code)
{
	view->fault = fault;
	view->code = code;
}

/* Checks in the order of the lines, so that those before the fault are still printed. */
static void view_init(struct view *view, const char *path, const struct superblock_disk *disk,
		      bool force)
{
	*view = (struct view){ .path = path, .disk = disk };
	superblock_decode_unchecked(&view->sb, disk);
	if (!member_has_magic(disk)) {
		view_fault(view, "Invalid superblock (bad magic)", SHOW_BAD);
		return;
	}
	if (le64_get(disk->sector) != SUPERBLOCK_SECTOR) {
		view_fault(view, "Invalid superblock (bad sector)", SHOW_BAD);
		return;
	}
	view->wanted_checksum = superblock_checksum(disk);
	if (view->wanted_checksum != le64_get(disk->checksum) && !force)
		view_fault(view, "Corrupt superblock (bad csum)", SHOW_BAD);
	else if (is_experimental(disk))
		view_fault(view, "Possible experimental format detected, bailing",
			   SHOW_EXPERIMENTAL);
}

/* "1 [writeback]"; only the number, if it has no name. */
static void print_choice(const char *label, unsigned value, const char *name)
{
	printf("%s%u", label, value);
	if (name)
		printf(" [%s]", name);
	putchar('\n');
}

static bool is_plain_in_labels(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '.' || c == '-' || c == '_';
}

static void print_label(const struct superblock *sb)
{
	printf("dev.label\t\t");
	for (const char *c = sb->label; *c; c++)
		if (is_plain_in_labels(*c))
			putchar(*c);
		else
			printf("%%%x", (unsigned)(signed char)*c);
	puts(*sb->label ? "" : "(empty)");
}

/* With the 16 bits of the bucket size that the old tool knows; large buckets have more. */
static void print_cache(const struct view *view)
{
	const struct superblock *sb = &view->sb;
	unsigned bucket = le16_get(view->disk->bucket_sectors);

	printf("dev.cache.first_sector\t%u\n"
	       "dev.cache.cache_sectors\t%" PRIu64 "\n"
	       "dev.cache.total_sectors\t%" PRIu64 "\n"
	       "dev.cache.ordered\t%s\n"
	       "dev.cache.discard\t%s\n"
	       "dev.cache.pos\t\t%u\n",
	       bucket * sb->first_bucket, bucket * (sb->buckets - sb->first_bucket),
	       bucket * sb->buckets, superblock_is_sync(sb) ? "yes" : "no",
	       superblock_wants_discard(sb) ? "yes" : "no", sb->member);
	print_choice("dev.cache.replacement\t", superblock_replacement(sb),
		     name_of(replacement_names, ARRAY_SIZE(replacement_names),
			     superblock_replacement(sb)));
}

static void print_backing(const struct superblock *sb)
{
	printf("dev.data.first_sector\t%" PRIu64 "\n", sb->data_offset);
	print_choice("dev.data.cache_mode\t", superblock_mode(sb),
		     name_of(mode_names, ARRAY_SIZE(mode_names), superblock_mode(sb)));
	print_choice("dev.data.cache_state\t", superblock_state(sb),
		     name_of(state_names, ARRAY_SIZE(state_names), superblock_state(sb)));
}

/* The fault in the words of bcache-super-show; with a name if there are several devices. */
static void print_fault(const char *path, bool with_name, const char *fault)
{
	fflush(stdout);
	if (with_name)
		tool_say(stderr, "%s: %s", path, fault);
	else
		tool_say(stderr, "%s", fault);
}

/* Prints the lines up to the version; false: the output ends at the fault. */
static bool print_head(const struct view *view)
{
	const struct superblock *sb = &view->sb;
	uint64_t sector = le64_get(view->disk->sector);

	if (!member_has_magic(view->disk)) {
		puts("sb.magic\t\tbad magic");
		return false;
	}
	puts("sb.magic\t\tok");
	printf("sb.first_sector\t\t%" PRIu64 "%s\n", sector,
	       sector == SUPERBLOCK_SECTOR ? " [match]" : " [expected 8s]");
	if (sector != SUPERBLOCK_SECTOR)
		return false;
	printf("sb.csum\t\t\t%" PRIX64, sb->checksum);
	if (sb->checksum == view->wanted_checksum)
		puts(" [match]");
	else
		printf(" [expected %" PRIX64 "]\n", view->wanted_checksum);
	if (view->code == SHOW_BAD)
		return false;
	printf("sb.version\t\t%" PRIu64 " [%s]\n", sb->version,
	       is_cache_to_the_old_tool(sb->version) ? "cache device"
	       : is_backing_to_the_old_tool(sb->version) ? "backing device" : "unknown");
	return is_cache_to_the_old_tool(sb->version) || is_backing_to_the_old_tool(sb->version);
}

/* The experimental format is found only after the lines that all formats share. */
static void print_lines(const struct view *view)
{
	const struct superblock *sb = &view->sb;
	char uuid[40];

	if (!print_head(view))
		return;
	putchar('\n');
	print_label(sb);
	printf("dev.uuid\t\t%s\n"
	       "dev.sectors_per_block\t%u\n"
	       "dev.sectors_per_bucket\t%u\n",
	       units_print_uuid(uuid, sb->uuid), sb->block_sectors,
	       le16_get(view->disk->bucket_sectors));
	if (view->fault)
		return;
	if (is_cache_to_the_old_tool(sb->version))
		print_cache(view);
	else
		print_backing(sb);
	printf("\ncset.uuid\t\t%s\n", units_print_uuid(uuid, sb->set_uuid));
}

/* The name, for people; the number only where there is no name for it. */
static void json_choice(struct json *json, const char *name, const char *choice, unsigned value)
{
	if (choice)
		json_string(json, name, choice);
	else
		json_number(json, name, value);
}

static void json_features(struct json *json, const struct superblock *sb)
{
	if (sb->version < SUPERBLOCK_CACHE_WITH_FEATURES)
		return;
	json_number(json, "feature_compat", sb->feature_compatible);
	json_number(json, "feature_incompat", sb->feature_incompatible);
	json_number(json, "feature_ro_compat", sb->feature_read_only_compatible);
}

/*
 * The keys are those of the lines, without "sb.".  Checksums are strings: a number of 64 bits may
 * lose digits in a reader of JSON.
 */
static void json_sb(struct json *json, const struct view *view)
{
	const struct superblock *sb = &view->sb;
	bool has_magic = member_has_magic(view->disk);
	char checksum[20];

	json_open_object(json, "sb");
	json_string(json, "magic", has_magic ? "ok" : "bad magic");
	if (has_magic) {
		json_number(json, "first_sector", le64_get(view->disk->sector));
		snprintf(checksum, sizeof(checksum), "%" PRIX64, sb->checksum);
		json_string(json, "csum", checksum);
		snprintf(checksum, sizeof(checksum), "%" PRIX64, view->wanted_checksum);
		json_string(json, "csum_expected", checksum);
		json_number(json, "version", sb->version);
		json_string(json, "kind", !is_known(sb) ? "unknown"
			    : superblock_is_backing(sb) ? "backing device" : "cache device");
		json_number(json, "seq", sb->sequence);
		json_features(json, sb);
	}
	json_close_object(json);
}

/* With the whole bucket size: here nothing depends on the old tool. */
static void json_cache(struct json *json, const struct superblock *sb)
{
	json_open_object(json, "cache");
	json_number(json, "first_sector", (uint64_t)sb->bucket_sectors * sb->first_bucket);
	json_number(json, "cache_sectors", sb->bucket_sectors * (sb->buckets - sb->first_bucket));
	json_number(json, "total_sectors", sb->bucket_sectors * sb->buckets);
	json_number(json, "buckets", sb->buckets);
	json_number(json, "first_bucket", sb->first_bucket);
	json_number(json, "journal_buckets", sb->journal_buckets);
	json_bool(json, "ordered", superblock_is_sync(sb));
	json_bool(json, "discard", superblock_wants_discard(sb));
	json_number(json, "pos", sb->member);
	json_number(json, "nr_in_set", sb->members);
	json_choice(json, "replacement",
		    name_of(replacement_names, ARRAY_SIZE(replacement_names),
			    superblock_replacement(sb)),
		    superblock_replacement(sb));
	json_close_object(json);
}

static void json_backing(struct json *json, const struct superblock *sb)
{
	json_open_object(json, "data");
	json_number(json, "first_sector", sb->data_offset);
	json_choice(json, "cache_mode",
		    name_of(mode_names, ARRAY_SIZE(mode_names), superblock_mode(sb)),
		    superblock_mode(sb));
	/* Two bits, so there is a name for each value. */
	json_string(json, "cache_state", state_names[superblock_state(sb)]);
	json_close_object(json);
}

static void json_dev(struct json *json, const struct view *view)
{
	const struct superblock *sb = &view->sb;
	char uuid[40];

	json_open_object(json, "dev");
	json_string(json, "label", sb->label);
	json_string(json, "uuid", units_print_uuid(uuid, sb->uuid));
	json_number(json, "sectors_per_block", sb->block_sectors);
	json_number(json, "last_mount", sb->last_mount);
	if (superblock_is_backing(sb)) {
		json_number(json, "sectors_per_bucket", le16_get(view->disk->bucket_sectors));
		json_backing(json, sb);
	} else {
		json_number(json, "sectors_per_bucket", sb->bucket_sectors);
		json_cache(json, sb);
	}
	json_close_object(json);
	json_open_object(json, "cset");
	json_string(json, "uuid", units_print_uuid(uuid, sb->set_uuid));
	json_close_object(json);
}

static void json_view(struct json *json, const struct view *view)
{
	json_open_object(json, NULL);
	json_string(json, "device", view->path);
	json_sb(json, view);
	if (!view->fault && is_known(&view->sb))
		json_dev(json, view);
	if (view->fault)
		json_string(json, "error", view->fault);
	json_close_object(json);
}

/* The command line, and the output in progress. */
struct show {
	bool force;
	bool as_json;
	bool with_names;	/* several devices: print the name before each */
	struct json json;
};

/* In JSON each device has its object, also those that cannot be read. */
static int show_unreadable(struct show *show, const char *path, int error)
{
	char reason[ERROR_TEXT_BYTES + 40];
	struct error why;

	if (error == -ENOTCONN && mounted_say_dead(path, &why))
		snprintf(reason, sizeof(reason), "Can't open dev %s", why.text);
	else if (error == -ENODATA)
		snprintf(reason, sizeof(reason), "Couldn't read");
	else
		snprintf(reason, sizeof(reason), "Can't open dev %s: %s", path, strerror(-error));
	print_fault(path, show->with_names, reason);
	if (show->as_json) {
		json_open_object(&show->json, NULL);
		json_string(&show->json, "device", path);
		json_string(&show->json, "error", reason);
		json_close_object(&show->json);
	}
	return SHOW_BAD;
}

/* Errors go to standard error in both formats; with --json they are in the object, too. */
static int show_one(struct show *show, const char *path)
{
	struct superblock_disk disk;
	struct view view;
	int error = member_read(path, &disk);

	if (show->with_names && !show->as_json)
		tool_say(stdout, "%s:", path);
	if (error)
		return show_unreadable(show, path, error);
	view_init(&view, path, &disk, show->force);
	if (show->as_json)
		json_view(&show->json, &view);
	else
		print_lines(&view);
	if (view.fault)
		print_fault(path, show->with_names, view.fault);
	return view.code;
}

/* The exit code is the worst of all devices. */
static int show_all(struct show *show, char **paths, int count)
{
	int worst = SHOW_DONE;

	show->with_names = count > 1;
	if (show->as_json) {
		json_start(&show->json, stdout);
		json_open_object(&show->json, NULL);
		json_command(&show->json, "show");
		json_open_array(&show->json, "devices");
	}
	for (int i = 0; i < count; i++) {
		int code;

		if (i && !show->as_json)
			putchar('\n');
		code = show_one(show, paths[i]);
		if (code > worst)
			worst = code;
	}
	if (show->as_json) {
		json_close_array(&show->json);
		json_close_object(&show->json);
		json_end(&show->json);
	}
	return worst;
}

int tool_show(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "force", no_argument, NULL, 'f' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct show show = { 0 };
	int option;

	while ((option = getopt_long(argc, argv, "fh", long_options, NULL)) != -1)
		switch (option) {
		case 'f':
			show.force = true;
			break;
		case 'j':
			show.as_json = true;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return SHOW_DONE;
		default:
			fputs(usage_text, stderr);
			return SHOW_USAGE;
		}
	if (optind == argc) {
		tool_complain("show", "name a device or a file");
		return SHOW_USAGE;
	}
	return show_all(&show, argv + optind, argc - optind);
}
