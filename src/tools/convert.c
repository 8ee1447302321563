/*
 * bcachefuse convert: makes a backing device of a plain one, whose file system stays, and back.
 *
 * The data move up by 8 KiB, where a backing device has its superblock (convert_move.c).  So there
 * must be room behind the file system: for that, and for the journal of the move, unless that is in
 * a file.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "base/numbers.h"
#include "base/units.h"
#include "format/superblock.h"
#include "tools/convert.h"
#include "tools/member.h"
#include "tools/tools.h"

typedef unsigned long long ull;

enum {
	OFFSET_BYTES = DATA_START_DEFAULT * 512,
	BUCKET_SECTORS = 1024,		/* a backing device has none; as make-bcache writes it */
	LENGTH_MIN_BYTES = 1 << 20,
	JOURNAL_WANTED_BYTES = 1 << 20,	/* with less it is slow */
	JOURNAL_FILE_BYTES = 34 << 20,
};

static const char usage_text[] =
	"Usage: bcachefuse convert [--back] [--journal FILE] [-q] DEVICE\n"
	"Makes a bcache backing device of a plain one, whose ext2, ext3, ext4 or xfs stays as it\n"
	"is; with --back, a plain one of a detached backing device.  Nobody may be using it.\n"
	"\n"
	"      --back          make a plain device\n"
	"      --journal=FILE  keep the journal in FILE, on another device, not behind the data\n"
	"  -q, --quiet         no progress\n"
	"  -h, --help          print this help\n"
	"\n"
	"Examples:\n"
	"  resize2fs /dev/sdb1 3800M && bcachefuse convert /dev/sdb1\n"
	"  bcachefuse convert --journal /var/tmp/journal /dev/sdb1\n"
	"  bcachefuse convert --back /dev/sdb1\n"
	"\n"
	"Exit codes: 0 done, 1 refused or failed, 2 usage, 4 interrupted: the same command\n"
	"goes on.\n";

struct convert {
	const char *path, *journal_path;
	struct move move;
	bool is_back, quiet;
	struct error error;
};

/* ---- room ---- */

static uint64_t end_of(struct device *device)
{
	return round_down(device_sectors(device) * 512, 4096);
}

/* How to get so many bytes behind the file system. */
static int say_no_room(struct convert *c, const struct file_system *fs, uint64_t wanted)
{
	uint64_t end = end_of(c->move.device), free = end > fs->bytes ? end - fs->bytes : 0;

	if (fs->can_shrink)
		return error_set(&c->error, ENOSPC, "%s: found %llu bytes behind its %s, wanted "
				 "%llu; shrink it by %llu bytes: resize2fs %s %lluK", c->path,
				 (ull)free, fs->type, (ull)wanted, (ull)(wanted - free), c->path,
				 (ull)(end - wanted) / 4096 * 4);
	return error_set(&c->error, ENOSPC, "%s: found %llu bytes behind its %s, wanted %llu; %s "
			 "cannot shrink: enlarge the device (partition, logical volume) by %llu "
			 "bytes", c->path, (ull)free, fs->type, (ull)wanted, fs->type,
			 (ull)(wanted - free));
}

/* Chooses the size of the pieces; the journal is behind the data, or in the file. */
static int plan_journal(struct convert *c, const struct file_system *fs, uint64_t *piece)
{
	struct move *move = &c->move;
	uint64_t end = end_of(move->device), data_end = move->offset + move->length;

	if (move->length < LENGTH_MIN_BYTES)
		return error_set(&c->error, EINVAL, "%s: found a file system of %llu bytes, wanted "
				 "%d at least", c->path, (ull)move->length, LENGTH_MIN_BYTES);
	if (data_end > end)
		return say_no_room(c, fs, OFFSET_BYTES +
				   (c->journal_path ? 0 : JOURNAL_WANTED_BYTES));
	if (c->journal_path) {
		bool fits = move_journal_bytes(end_of(move->journal), piece);

		assert(fits);
		return 0;
	}
	if (move_journal_bytes(end - data_end, piece))
		return 0;
	if (move->is_back)
		return error_set(&c->error, ENOSPC, "%s: found %llu bytes behind its %s, too few "
				 "for a journal; give one with --journal FILE", c->path,
				 (ull)(end - data_end), fs->type);
	return say_no_room(c, fs, OFFSET_BYTES + JOURNAL_WANTED_BYTES);
}

/* ---- a new move ---- */

static void fill_superblock(struct move *move)
{
	static const uint8_t magic[] = SUPERBLOCK_MAGIC_BYTES;
	struct superblock_disk *disk = &move->superblock;
	struct superblock sb;
	int failed;

	memset(disk, 0, sizeof(*disk));
	disk->sector = le64_of(SUPERBLOCK_SECTOR);
	disk->version = le64_of(SUPERBLOCK_BACKING);
	memcpy(disk->magic, magic, sizeof(magic));
	uuid_generate(disk->uuid);
	disk->flags = le64_of(MODE_WRITETHROUGH);
	disk->block_sectors = le16_of(device_logical_block_bytes(move->device) / 512);
	disk->bucket_sectors = le16_of(BUCKET_SECTORS);
	disk->checksum = le64_of(superblock_checksum(disk));
	failed = superblock_decode(&sb, disk, device_sectors(move->device),
				   device_logical_block_bytes(move->device), NULL);
	assert(!failed);	/* we accept what we write */
}

static int prepare_forward(struct convert *c, struct file_system *fs)
{
	struct superblock_disk disk;
	struct move *move = &c->move;

	if (!device_read_now(move->device, &disk, SUPERBLOCK_SECTOR, SUPERBLOCK_BYTES / 512) &&
	    member_has_magic(&disk))
		return error_set(&c->error, EEXIST, "%s: is a bcache device already", c->path);
	move->offset = OFFSET_BYTES;
	fill_superblock(move);
	return file_system_find(move->device, 0, fs, &c->error);
}

/* A set may have newer data as long as its backing device is attached, also in state clean. */
static int check_detached(struct convert *c, const struct superblock *sb)
{
	char set[40];

	if (!superblock_is_backing(sb))
		return error_set(&c->error, EINVAL, "%s: found a cache device, wanted a backing "
				 "device", c->path);
	if (superblock_state(sb) == STATE_NONE)
		return 0;
	return error_set(&c->error, EBUSY, "%s: is attached to cache set %s, which may have newer "
			 "data; mount both and detach it first (echo 1 > "
			 "sys/block/bcache0/bcache/detach)", c->path,
			 units_print_uuid(set, sb->set_uuid));
}

static int prepare_back(struct convert *c, struct file_system *fs)
{
	struct move *move = &c->move;
	struct superblock sb;
	int failed = device_read_now(move->device, &move->superblock, SUPERBLOCK_SECTOR,
				     SUPERBLOCK_BYTES / 512);

	if (failed)
		return error_set(&c->error, -failed, "%s: the superblock cannot be read: %s",
				 c->path, strerror(-failed));
	failed = superblock_decode(&sb, &move->superblock, device_sectors(move->device),
				   device_logical_block_bytes(move->device), &c->error);
	if (failed)
		return error_prefix(&c->error, "%s", c->path);
	failed = check_detached(c, &sb);
	move->offset = sb.data_offset * 512;
	return failed ? failed : file_system_find(move->device, move->offset, fs, &c->error);
}

static int begin(struct convert *c)
{
	struct move *move = &c->move;
	struct file_system fs;
	uint64_t piece = 0;
	int failed;

	if (move_is_half_way(move->device))
		return error_set(&c->error, EINVAL, "%s: is half converted, and the journal is not "
				 "at its end; name it with --journal", c->path);
	move->is_back = c->is_back;
	failed = c->is_back ? prepare_back(c, &fs) : prepare_forward(c, &fs);
	if (failed)
		return failed;
	move->length = round_up(fs.bytes, 512);
	move->magic_offset = fs.magic_offset;
	failed = plan_journal(c, &fs, &piece);
	return failed ? failed : move_begin(move, piece, &c->error);
}

/* ---- the devices ---- */

static bool is_in_memory(int fd)
{
	struct statfs info;

	return !fstatfs(fd, &info) && (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC);
}

/* A journal that is lost with the power, while the device is not.  /dev is in memory, too. */
static bool is_lost_with_power(struct convert *c, int fd)
{
	autoclose int device = open(c->path, O_RDONLY | O_CLOEXEC);

	return is_in_memory(fd) && (device_is_block_device(c->move.device) || device < 0 ||
				    !is_in_memory(device));
}

/* The directory too: a file whose name is lost is lost. */
static int sync_directory(const char *path)
{
	autofree char *copy = strdup(path);
	autoclose int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	return fd < 0 || fsync(fd) ? errno : 0;
}

/* A new file gets its room at once, so that it cannot be full half-way. */
static int make_journal(struct convert *c)
{
	autoclose int fd = open(c->journal_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int failed;

	if (fd < 0 && errno == EEXIST)
		return 0;
	if (fd < 0)
		return error_set(&c->error, errno, "%s: the journal cannot be made: %s",
				 c->journal_path, strerror(errno));
	if (is_lost_with_power(c, fd)) {
		unlink(c->journal_path);
		return error_set(&c->error, EINVAL, "%s: is in memory: a power cut would lose the "
				 "journal, and with it the file system; wanted a file on a disk",
				 c->journal_path);
	}
	failed = posix_fallocate(fd, 0, JOURNAL_FILE_BYTES);
	if (!failed && fsync(fd))
		failed = errno;
	if (!failed)
		failed = sync_directory(c->journal_path);
	if (failed)
		unlink(c->journal_path);
	return failed ? error_set(&c->error, failed, "%s: the journal cannot be made: %s",
				  c->journal_path, strerror(failed)) : 0;
}

static int open_devices(struct convert *c)
{
	struct move *move = &c->move;
	int failed = device_open(&move->device, c->path, DEVICE_READ_WRITE, &c->error);

	if (failed)
		return failed;
	move->journal = move->device;
	if (!c->journal_path)
		return 0;
	move->journal = NULL;
	failed = make_journal(c);
	if (!failed)
		failed = device_open(&move->journal, c->journal_path, DEVICE_READ_WRITE,
				     &c->error);
	if (!failed && (device_is_block_device(move->journal) ||
			device_sectors(move->journal) * 512 != JOURNAL_FILE_BYTES))
		failed = error_set(&c->error, EINVAL, "%s: is no journal of a conversion; wanted "
				   "one, or a name that does not exist yet", c->journal_path);
	return failed;
}

static void close_devices(struct convert *c)
{
	if (c->move.journal != c->move.device)
		device_close(c->move.journal);
	device_close(c->move.device);
}

static int convert_run(struct convert *c)
{
	int failed = 0;

	if (!move_find(&c->move))
		failed = begin(c);
	else if (c->move.is_back != c->is_back)
		failed = error_set(&c->error, EBUSY, "%s: is half converted the other way; finish "
				   "that first: bcachefuse convert%s", c->path,
				   c->is_back ? "" : " --back");
	if (!failed)
		failed = move_run(&c->move, &c->error);
	move_done(&c->move);
	return failed;
}

static void say_done(const struct convert *c)
{
	char uuid[40];

	if (c->is_back)
		tool_say(stdout, "%s: is a plain device now, with its file system", c->path);
	else
		tool_say(stdout, "%s: is a backing device now, with its file system; UUID %s",
			 c->path, units_print_uuid(uuid, c->move.superblock.uuid));
}

/* Signals are looked at between two pieces, so they stay pending until then. */
static int convert_it(struct convert *c)
{
	sigset_t stop;
	int failed;

	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	c->move.quiet = c->quiet;
	failed = open_devices(c);
	if (!failed)
		failed = convert_run(c);
	close_devices(c);
	if (failed) {
		tool_complain("convert", "%s", c->error.text);
		return failed == -EINTR ? MOVE_INTERRUPTED : TOOL_REFUSED;
	}
	if (c->journal_path)
		unlink(c->journal_path);
	say_done(c);
	return TOOL_DONE;
}

int tool_convert(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "back", no_argument, NULL, 'b' },
		{ "journal", required_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct convert convert = { .path = NULL };
	int option;

	while ((option = getopt_long(argc, argv, "qh", long_options, NULL)) != -1)
		switch (option) {
		case 'b':
			convert.is_back = true;
			break;
		case 'j':
			convert.journal_path = optarg;
			break;
		case 'q':
			convert.quiet = true;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return TOOL_DONE;
		default:
			fputs(usage_text, stderr);
			return TOOL_USAGE;
		}
	if (argc - optind != 1) {
		tool_complain("convert", "wanted one device; --help tells more");
		return TOOL_USAGE;
	}
	convert.path = argv[optind];
	return convert_it(&convert);
}
