/*
 * bcachefuse import: writes a patch of `export --only-dirty` to its backing device.
 *
 *	CHECK the whole patch and the device --> WRITE --> flush --> superblock: detached
 *
 * The superblock is written last.  Until then the device says that it is dirty and belongs to its
 * set, which is still true: nobody serves it alone, and with its cache it shows the same data as
 * before.  So an import that was stopped is run again.  Afterwards the device has all that its set
 * had, and must never be served with the data of that cache again, which get old from now on: it
 * says that it is detached, as after `detach`, and sets drop what they have of such a device.
 *
 * (IMPORT-1) A device that is not dirty in the patch's set is not written, since it may have newer
 *     data.  If it has all data of the patch, nothing is to be done: this is a second run.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/numbers.h"
#include "base/units.h"
#include "format/superblock.h"
#include "io/buffer.h"
#include "io/device.h"
#include "tools/member.h"
#include "tools/offline.h"
#include "tools/patch.h"
#include "tools/progress.h"
#include "tools/tools.h"

static const char usage_text[] =
	"Usage: bcachefuse import [OPTION]... PATCH BACKING-DEVICE\n"
	"Writes the dirty data that \"bcachefuse export --only-dirty\" took out of a cache to\n"
	"the backing device of which they are, and detaches it: it has all data then.\n"
	"Interrupted, the same command begins again.\n"
	"\n"
	"  -n, --dry-run        check the patch and the device, and write nothing\n"
	"  -f, --force          also a patch that lacks some data\n"
	"  -q, --quiet          no progress\n"
	"      --progress=json  progress as JSON, an object a line\n"
	"  -h, --help           print this help\n"
	"\n"
	"Examples:\n"
	"  bcachefuse import dirty.patch /dev/sdb\n"
	"  bcachefuse import -n dirty.patch backing.img\n"
	"  bcachefuse export --only-dirty UUID /dev/nvme0n1p3 | ssh host 'cat >dirty.patch'\n"
	"\n"
	"Exit codes: 0 done, 1 refused or failed, 2 usage error, 3 done, but the patch lacks\n"
	"data, 4 interrupted.\n";

struct import {
	/* from the command line */
	const char *patch_path, *device_path;
	bool dry_run, force;
	enum progress_style style;
	/* the run */
	struct patch patch;
	struct device *device;
	struct superblock sb;
	struct progress progress;
	unsigned char *data, *found;	/* of a record; what the device has there */
	unsigned lost_ranges;
	uint64_t written;		/* sectors */
	bool is_old;			/* the device is not dirty in this set: IMPORT-1 */
	struct error error;
};

/* ---- signals and time ---- */

/* Both are blocked, and looked at between two records. */
static void block_signals(void)
{
	sigset_t stop;

	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGHUP);
	sigprocmask(SIG_BLOCK, &stop, NULL);
}

static bool is_interrupted(void)
{
	sigset_t pending;

	return !sigpending(&pending) && (sigismember(&pending, SIGINT) == 1 ||
					 sigismember(&pending, SIGTERM) == 1 ||
					 sigismember(&pending, SIGHUP) == 1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

static int say_stopped(struct import *import)
{
	return error_set(&import->error, EINTR, "interrupted");
}

/* ---- the records ---- */

/*
 * Calls `use` for each data record, with progress as `phase`; the patch is checked on the way.
 * -EINTR: a signal.  Other -errno: of the patch, or what `use` says.
 */
static int each_record(struct import *import, const char *phase,
		       int (*use)(struct import *import, const struct patch_record *record))
{
	struct patch *patch = &import->patch;
	struct patch_record record;
	int result = patch_rewind(patch, &import->error);

	import->lost_ranges = 0;
	progress_phase(&import->progress, phase, patch->head.data_sectors * 512, now_ns());
	while (!result && !patch->is_at_end) {
		if (is_interrupted())
			return say_stopped(import);
		result = patch_next(patch, &record, import->data, &import->error);
		if (!result && record.kind == PATCH_DATA && use)
			result = use(import, &record);
		import->lost_ranges += !result && record.kind == PATCH_LOST;
		progress_update(&import->progress, patch->data_sectors * 512, now_ns());
	}
	return result;
}

/* ---- CHECK ---- */

static int check_superblock(struct import *import)
{
	const struct patch_head *head = &import->patch.head;
	const struct superblock *sb = &import->sb;
	char wanted[40], found[40];

	if (!superblock_is_backing(sb))
		return error_set(&import->error, EINVAL, "%s: found a cache device, wanted a "
				 "backing device", import->device_path);
	if (memcmp(sb->uuid, head->uuid, sizeof(sb->uuid)))
		return error_set(&import->error, EINVAL, "%s: the patch is for another backing "
				 "device: found UUID %s, wanted %s", import->device_path,
				 units_print_uuid(found, sb->uuid),
				 units_print_uuid(wanted, head->uuid));
	import->is_old = superblock_state(sb) != STATE_DIRTY ||
			 memcmp(sb->set_uuid, head->set_uuid, sizeof(sb->set_uuid));
	return 0;
}

static int check_size(struct import *import)
{
	const struct patch_head *head = &import->patch.head;
	uint64_t wanted = max_u64(head->end_sectors, head->device_sectors);
	uint64_t sectors = device_sectors(import->device);

	if (sectors >= wanted)
		return 0;
	return error_set(&import->error, EINVAL, "%s: is too short for the patch: found %" PRIu64
			 " sectors, wanted %" PRIu64, import->device_path, sectors, wanted);
}

static int check_device(struct import *import)
{
	struct superblock_disk disk;
	int failed = device_read_now(import->device, &disk, SUPERBLOCK_SECTOR,
				     SUPERBLOCK_BYTES / 512);

	if (failed)
		return error_set(&import->error, -failed, "%s: the superblock cannot be read: %s",
				 import->device_path, strerror(-failed));
	failed = superblock_decode(&import->sb, &disk, device_sectors(import->device),
				   device_logical_block_bytes(import->device), &import->error);
	if (failed)
		return error_prefix(&import->error, "%s", import->device_path);
	return check_superblock(import) ?: check_size(import);
}

/* None may hit what is before the data: the superblock. */
static int check_record(struct import *import, const struct patch_record *record)
{
	if (record->sector >= import->sb.data_offset)
		return 0;
	return error_set(&import->error, EINVAL, "%s: a record at sector %" PRIu64 ", before the "
			 "data of %s, which begin at %" PRIu64, import->patch_path, record->sector,
			 import->device_path, import->sb.data_offset);
}

static int check_lost(struct import *import)
{
	char size[UNITS_TEXT_BYTES];

	if (!import->lost_ranges || import->force)
		return 0;
	return error_set(&import->error, EINVAL, "%s: lacks %u range%s of %s, which could not be "
			 "read: there %s would have older data; --force writes the others",
			 import->patch_path, import->lost_ranges,
			 import->lost_ranges > 1 ? "s" : "",
			 units_print_size(size, import->patch.lost_sectors * 512),
			 import->device_path);
}

/* ---- IMPORT-1 ---- */

static int say_old(struct import *import)
{
	static const char *const states[] = { "not attached", "clean", "dirty", "inconsistent" };
	char found[40], wanted[40];

	return error_set(&import->error, EBUSY, "%s: is %s (set %s), and not dirty in set %s: it "
			 "may have newer data than the patch, and is left as it is",
			 import->device_path, states[superblock_state(&import->sb)],
			 units_print_uuid(found, import->sb.set_uuid),
			 units_print_uuid(wanted, import->patch.head.set_uuid));
}

static int compare_record(struct import *import, const struct patch_record *record)
{
	int failed = device_read_now(import->device, import->found, record->sector,
				     record->sectors);

	if (failed)
		return error_set(&import->error, -failed, "%s: sector %" PRIu64 ": %s",
				 import->device_path, record->sector, strerror(-failed));
	return memcmp(import->found, import->data, record->sectors * 512) ? say_old(import) : 0;
}

/* ---- WRITE ---- */

static int write_record(struct import *import, const struct patch_record *record)
{
	int failed = device_write_now(import->device, import->data, record->sector,
				      record->sectors);

	if (failed)
		return error_set(&import->error, -failed, "%s: writing sector %" PRIu64 ": %s",
				 import->device_path, record->sector, strerror(-failed));
	import->written += record->sectors;
	return 0;
}

static int flush(struct import *import)
{
	int failed = device_flush_now(import->device);

	return failed ? error_set(&import->error, -failed, "%s: flushing: %s",
				  import->device_path, strerror(-failed)) : 0;
}

/* All data are durable by now. */
static int detach(struct import *import)
{
	struct superblock *sb = &import->sb;
	int failed = flush(import);

	if (failed)
		return failed;
	superblock_set_state(sb, STATE_NONE);
	memset(sb->set_uuid, 0, sizeof(sb->set_uuid));
	superblock_encode(sb);
	failed = device_write_now(import->device, &sb->disk, SUPERBLOCK_SECTOR,
				  SUPERBLOCK_BYTES / 512);
	if (failed)
		return error_set(&import->error, -failed, "%s: writing the superblock: %s",
				 import->device_path, strerror(-failed));
	return flush(import);
}

/* ---- the command ---- */

static int import_work(struct import *import)
{
	int failed = check_device(import) ?: each_record(import, "checking", check_record) ?:
		     check_lost(import);

	if (failed)
		return failed;
	if (import->is_old)
		return each_record(import, "comparing", compare_record);
	if (import->dry_run)
		return 0;
	return each_record(import, "writing", write_record) ?: detach(import);
}

static int import_open(struct import *import)
{
	struct error *error = &import->error;
	int failed = offline_check_members(&import->device_path, 1, true, error);

	if (!failed)
		failed = member_check_distinct(import->patch_path, import->device_path, error);
	if (!failed)
		failed = patch_open(&import->patch, import->patch_path, error);
	if (!failed)
		failed = device_open(&import->device, import->device_path,
				     import->dry_run ? DEVICE_READ_ONLY : DEVICE_READ_WRITE, error);
	if (failed)
		return failed;
	import->data = buffer_new(PATCH_RECORD_SECTORS_MAX * 512);
	import->found = buffer_new(PATCH_RECORD_SECTORS_MAX * 512);
	return 0;
}

static void say_done(const struct import *import)
{
	char size[UNITS_TEXT_BYTES], set[40];

	units_print_size(size, import->patch.data_sectors * 512);
	units_print_uuid(set, import->patch.head.set_uuid);
	if (import->is_old)
		tool_say(stdout, "%s: has the %s of the patch already; nothing was written",
			 import->device_path, size);
	else if (import->dry_run)
		tool_say(stdout, "%s: would get %s, and be detached from set %s",
			 import->device_path, size, set);
	else
		tool_say(stdout, "%s: %s written; it has all data%s now, and is detached from set "
			 "%s", import->device_path, size,
			 import->lost_ranges ? " but what the patch lacks" : "", set);
}

static int import_report(const struct import *import, int failed)
{
	char done[UNITS_TEXT_BYTES], total[UNITS_TEXT_BYTES];

	if (failed == -EINTR) {
		tool_say(stderr, "NOT FINISHED: %s of %s were written; the same command begins "
			 "again", units_print_size(done, import->written * 512),
			 units_print_size(total, import->patch.head.data_sectors * 512));
		return TOOL_UNFINISHED;
	}
	if (failed) {
		tool_complain("import", "%s", import->error.text);
		return TOOL_REFUSED;
	}
	say_done(import);
	if (!import->lost_ranges)
		return TOOL_DONE;
	tool_complain("import", "the patch lacks %u range(s) of %s: there %s has older data",
		      import->lost_ranges,
		      units_print_size(total, import->patch.lost_sectors * 512),
		      import->device_path);
	return TOOL_TROUBLE;
}

static int import_run(struct import *import)
{
	int failed;

	block_signals();
	import->patch.fd = -1;
	progress_begin(&import->progress, "import", import->style, stderr, now_ns());
	failed = import_open(import) ?: import_work(import);
	progress_end(&import->progress);
	patch_close(&import->patch);
	device_close(import->device);
	buffer_free(import->data);
	buffer_free(import->found);
	return import_report(import, failed);
}

static int import_parse(struct import *import, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "dry-run", no_argument, NULL, 'n' },
		{ "force", no_argument, NULL, 'f' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "progress", required_argument, NULL, 'P' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "nfqh", long_options, NULL)) != -1)
		switch (option) {
		case 'n':
			import->dry_run = true;
			break;
		case 'f':
			import->force = true;
			break;
		case 'q':
			import->style = PROGRESS_NONE;
			break;
		case 'P':
			if (!tool_progress_is_json("import", optarg))
				return TOOL_USAGE;
			import->style = PROGRESS_JSON;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return -1;
		default:
			fputs(usage_text, stderr);
			return TOOL_USAGE;
		}
	if (argc - optind != 2) {
		tool_complain("import", "name the patch and the backing device");
		return TOOL_USAGE;
	}
	import->patch_path = argv[optind];
	import->device_path = argv[optind + 1];
	return TOOL_DONE;
}

int tool_import(int argc, char **argv)
{
	struct import import = { .style = progress_style_of_stream(stderr) };
	int code = import_parse(&import, argc, argv);

	if (code)
		return code < 0 ? TOOL_DONE : code;
	return import_run(&import);
}
