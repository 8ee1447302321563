/*
 * Devices on Linux: block devices and files.
 *
 * (DEVICE-1) A device has one user.  A block device is opened with O_EXCL if it is to be
 *     written.  A file is locked twice (an open file description lock, and flock), and
 *     refused if a loop device uses it; so is a loop device on a locked file.  Opening a
 *     block device read-only does not exclude others.
 * (DEVICE-2) With O_DIRECT, the *_now functions copy misaligned data through a buffer of
 *     whole blocks.  Transfers of ops are aligned as device_set_block() was told.
 * (DEVICE-3) With the page cache, a failed flush may have dropped the data, while the next
 *     flush would succeed.  So the first failure of a flush is kept, and all later flushes
 *     report it.
 */
#include "io/device.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "base/numbers.h"
#include "io/buffer.h"
#include "io/path.h"
#include "io/transfer.h"

enum {
	SECTOR_BYTES = 512,
	BLOCK_SECTORS_DEFAULT = 8,
	BACKING_FILE_BYTES = 4096 + 1,	/* a path, and its end */
	/* A daemon that was just unmounted may take a moment to close the device. */
	BUSY_TRIES = 40,
	BUSY_PAUSE_NS = 50000000,
};

struct device {
	char *path;
	int fd;
	enum device_mode mode;
	struct stat stat;
	uint64_t sectors;
	unsigned logical_block_bytes;
	struct device_disk disk;	/* partition 0: not a partition */
	bool can_discard;		/* false once a discard failed with EOPNOTSUPP */
	bool is_in_memory;		/* on tmpfs */
	bool direct;
	unsigned direct_bytes;		/* alignment that O_DIRECT requires */
	_Atomic int flush_error;	/* DEVICE-3 */
};

/* ---- O_DIRECT or the page cache ---- */

static bool device_ask_alignment(const struct device *device, unsigned *memory, unsigned *offset)
{
#ifdef STATX_DIOALIGN
	struct statx answer;

	if (!statx(device->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &answer) &&
	    answer.stx_mask & STATX_DIOALIGN) {
		*memory = answer.stx_dio_mem_align;
		*offset = answer.stx_dio_offset_align;
		return true;
	}
#endif
	*memory = SECTOR_BYTES;
	*offset = device->logical_block_bytes;
	return device_is_block_device(device);
}

static bool device_turn_direct(struct device *device, bool on)
{
	int flags = fcntl(device->fd, F_GETFL);

	if (flags < 0)
		return false;
	flags = on ? flags | O_DIRECT : flags & ~O_DIRECT;
	device->direct = !fcntl(device->fd, F_SETFL, flags) && on;
	return device->direct == on;
}

/* Final test: read one block into memory aligned to 512 bytes, the worst case we submit. */
static bool device_try_direct(struct device *device, unsigned block_bytes)
{
	uint64_t offset = device->sectors * SECTOR_BYTES >= 2 * block_bytes ? block_bytes : 0;
	char *memory = buffer_new(block_bytes + SECTOR_BYTES);
	ssize_t got = pread(device->fd, memory + SECTOR_BYTES, block_bytes, offset);

	buffer_free(memory);
	return got >= 0;
}

void device_set_block(struct device *device, unsigned block_sectors)
{
	unsigned block_bytes = block_sectors * SECTOR_BYTES;
	unsigned memory, offset;
	bool known = device_ask_alignment(device, &memory, &offset);

	assert(is_power_of_two(block_sectors));
	device->direct_bytes = block_bytes;
	if (known && offset)
		device->direct_bytes = max_u64(offset, SECTOR_BYTES);
	if ((known && (!offset || offset > block_bytes || memory > SECTOR_BYTES)) ||
	    device->sectors * SECTOR_BYTES % device->direct_bytes ||
	    !device_turn_direct(device, true) || !device_try_direct(device, block_bytes))
		device_turn_direct(device, false);
}

/* ---- one user (DEVICE-1) ---- */

static int device_busy(const struct device *device, struct error *error, const char *who)
{
	return error_set(error, EBUSY, "%s is in use by %s", device->path, who);
}

/* The process that holds an flock of the file, from /proc/locks; 0: not listed. */
static int device_locker(const struct device *device)
{
	FILE *locks = fopen("/proc/locks", "re");
	unsigned major, minor;
	unsigned long long inode;
	char line[256];
	int pid, found = 0;

	while (locks && !found && fgets(line, sizeof(line), locks))
		if (sscanf(line, "%*s FLOCK %*s %*s %d %x:%x:%llu", &pid, &major, &minor,
			   &inode) == 4 &&
		    inode == device->stat.st_ino &&
		    makedev(major, minor) == device->stat.st_dev)
			found = pid;
	if (locks)
		fclose(locks);
	return found;
}

static int device_is_locked(const struct device *device, struct error *error)
{
	char path[64], name[32] = "", who[128] = "another program (it is locked)";
	int pid = device_locker(device);
	FILE *comm;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	comm = pid > 0 ? fopen(path, "re") : NULL;
	if (comm && fscanf(comm, "%31[^\n]", name) == 1)
		snprintf(who, sizeof(who), "process %d (%s), which has locked it", pid, name);
	if (comm)
		fclose(comm);
	return device_busy(device, error, who);
}

static int device_lock_failed(const struct device *device, struct error *error)
{
	if (errno == EAGAIN || errno == EACCES || errno == EWOULDBLOCK)
		return device_is_locked(device, error);
	if (device->mode == DEVICE_READ_ONLY)
		return 0;		/* a file system without locks: nobody can have one */
	return error_set(error, errno, "%s cannot be locked: %s", device->path, strerror(errno));
}

static int device_lock_file(const struct device *device, struct error *error)
{
	bool write = device->mode == DEVICE_READ_WRITE;
	struct flock whole = { .l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };
	int failed = 0;

	if (fcntl(device->fd, F_OFD_SETLK, &whole))
		failed = device_lock_failed(device, error);
	if (!failed && flock(device->fd, (write ? LOCK_EX : LOCK_SH) | LOCK_NB))
		failed = device_lock_failed(device, error);
	return failed;
}

/* The sysfs file that names the backing file of a loop device. */
static void device_backing_file_name(const struct device *device, char *sysfs, size_t bytes)
{
	snprintf(sysfs, bytes, "/sys/dev/block/%u:%u/loop/backing_file",
		 major(device->stat.st_rdev), minor(device->stat.st_rdev));
}

/* Reads the path of a loop device's backing file from `sysfs`. */
static bool device_read_backing_file(const char *sysfs, char path[BACKING_FILE_BYTES])
{
	FILE *file = fopen(sysfs, "re");
	bool is_read = file && fscanf(file, "%4096[^\n]", path) == 1;

	if (file)
		fclose(file);
	return is_read;
}

/* Is this device the file that is named in `backing_file`? */
static bool device_is_named_in(const struct device *device, const char *backing_file)
{
	char path[BACKING_FILE_BYTES];
	struct stat other;

	return device_read_backing_file(backing_file, path) && !stat(path, &other) &&
	       other.st_dev == device->stat.st_dev && other.st_ino == device->stat.st_ino;
}

static int device_refuse_loop(const struct device *device, struct error *error)
{
	glob_t loops = { .gl_pathc = 0 };
	char name[32], who[64] = "";

	if (!glob("/sys/block/loop*/loop/backing_file", GLOB_NOSORT, NULL, &loops))
		for (size_t i = 0; i < loops.gl_pathc; i++)
			if (device_is_named_in(device, loops.gl_pathv[i]) &&
			    sscanf(loops.gl_pathv[i], "/sys/block/%31[^/]", name) == 1)
				snprintf(who, sizeof(who), "/dev/%s", name);
	globfree(&loops);
	return *who ? device_busy(device, error, who) : 0;
}

/* Refuses a loop device on a locked file: the owner of the lock writes to the same data. */
static int device_refuse_locked_below(const struct device *device, struct error *error)
{
	char path[64], file[BACKING_FILE_BYTES], who[BACKING_FILE_BYTES + 64];
	struct flock whole = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	struct stat found;
	int fd;

	device_backing_file_name(device, path, sizeof(path));
	fd = device_read_backing_file(path, file) ? path_open(file, O_RDONLY, &found) : -1;
	if (fd < 0)
		return 0;
	if (fcntl(fd, F_OFD_GETLK, &whole))
		whole.l_type = F_UNLCK;
	close(fd);
	snprintf(who, sizeof(who), "the program that has locked %s below it", file);
	return whole.l_type == F_UNLCK ? 0 : device_busy(device, error, who);
}

/* ---- size, kind and capabilities ---- */

static bool device_read_sysfs(const struct device *device, const char *name, char text[32])
{
	char path[80];
	FILE *file;
	bool is_read;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(device->stat.st_rdev),
		 minor(device->stat.st_rdev), name);
	file = fopen(path, "re");
	is_read = file && fscanf(file, "%31s", text) == 1;
	if (file)
		fclose(file);
	return is_read;
}

/* ".../block/sda/sda3": the disk's directory holds that of the partition. */
static bool device_find_disk_name(const struct device *device, char name[32])
{
	char path[64], target[PATH_MAX];
	ssize_t length;
	char *slash;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(device->stat.st_rdev),
		 minor(device->stat.st_rdev));
	length = readlink(path, target, sizeof(target) - 1);
	target[length > 0 ? length : 0] = 0;
	slash = strrchr(target, '/');
	if (!slash)
		return false;
	*slash = 0;
	slash = strrchr(target, '/');
	return slash && (size_t)snprintf(name, 32, "%s", slash + 1) < 32;
}

static void device_look_at_disk(struct device *device)
{
	struct device_disk disk = { .partition = 0 };
	char partition[32], number[32], sectors[32];
	unsigned major, minor;

	if (!device_read_sysfs(device, "partition", partition) ||
	    !device_read_sysfs(device, "../dev", number) ||
	    !device_read_sysfs(device, "../size", sectors) ||
	    sscanf(partition, "%u", &disk.partition) != 1 ||
	    sscanf(number, "%u:%u", &major, &minor) != 2 ||
	    sscanf(sectors, "%" SCNu64, &disk.sectors) != 1 ||
	    !device_find_disk_name(device, disk.name))
		return;
	disk.number = makedev(major, minor);
	device->disk = disk;
}

static int device_look_at_block_device(struct device *device, struct error *error)
{
	uint64_t bytes;
	int block, is_read_only;

	if (ioctl(device->fd, BLKGETSIZE64, &bytes) || ioctl(device->fd, BLKSSZGET, &block) ||
	    ioctl(device->fd, BLKROGET, &is_read_only))
		return error_set(error, errno, "%s does not tell its size: %s", device->path,
				 strerror(errno));
	/* A read-only block device can be opened for writing; only the writes fail. */
	if (is_read_only && device->mode == DEVICE_READ_WRITE)
		return error_set(error, EROFS, "%s is a read-only device, wanted one to write to",
				 device->path);
	device->sectors = bytes / SECTOR_BYTES;
	device->logical_block_bytes = block;
	device_look_at_disk(device);
	device->can_discard = device->mode == DEVICE_READ_WRITE;
	return 0;
}

static bool device_is_on_tmpfs(const struct device *device)
{
	struct statfs info;

	return !fstatfs(device->fd, &info) && info.f_type == TMPFS_MAGIC;
}

static int device_look_at_file(struct device *device, struct error *error)
{
	int failed = device_lock_file(device, error);

	if (!failed && device->mode == DEVICE_READ_WRITE)
		failed = device_refuse_loop(device, error);
	if (failed)
		return failed;
	device->is_in_memory = device_is_on_tmpfs(device);
	device->sectors = device->stat.st_size / SECTOR_BYTES;
	device->logical_block_bytes = SECTOR_BYTES;
	device->can_discard = device->mode == DEVICE_READ_WRITE;
	return 0;
}

static int device_look(struct device *device, struct error *error)
{
	if (!device_is_block_device(device))
		return device_look_at_file(device, error);
	if (device->mode == DEVICE_READ_WRITE && device_refuse_locked_below(device, error))
		return -EBUSY;
	return device_look_at_block_device(device, error);
}

/* ---- opening and closing ---- */

static int device_cannot_open(const struct device *device, struct error *error)
{
	if (errno == EBUSY)
		return device_busy(device, error, "something else (is it mounted?)");
	return error_set(error, errno, "%s cannot be opened: %s", device->path, strerror(errno));
}

static int device_is_no_device(const struct device *device, struct error *error)
{
	return error_set(error, ENOTBLK, "%s is neither a block device nor a file", device->path);
}

/*
 * Looks at the path before opening it: to know how to open it, and not to open files that act when
 * they are opened, like tape devices.  It may be replaced in between, so the open file counts.
 */
static int device_open_path(struct device *device, struct error *error)
{
	bool write = device->mode == DEVICE_READ_WRITE;
	int flags = write ? O_RDWR : O_RDONLY;
	mode_t expected;
	int fd;

	if (stat(device->path, &device->stat))
		return device_cannot_open(device, error);
	expected = device->stat.st_mode;
	if (!S_ISBLK(expected) && !S_ISREG(expected))
		return device_is_no_device(device, error);
	if (S_ISBLK(expected) && write)
		flags |= O_EXCL;
	fd = path_open(device->path, flags, &device->stat);
	if (fd == -ENOTBLK)
		return device_is_no_device(device, error);
	errno = fd == -EWOULDBLOCK ? EBUSY : -fd;	/* another process has a lease on it */
	if (fd < 0)
		return device_cannot_open(device, error);
	device->fd = fd;
	if (S_ISBLK(device->stat.st_mode) != S_ISBLK(expected))
		return error_set(error, EBUSY, "%s was exchanged while it was opened",
				 device->path);
	return 0;
}

static int device_try_open(struct device *device, struct error *error)
{
	int failed;

	if (device->fd >= 0)
		close(device->fd);
	device->fd = -1;
	failed = device_open_path(device, error);
	return failed ? failed : device_look(device, error);
}

int device_open(struct device **opened, const char *path, enum device_mode mode,
		struct error *error)
{
	struct device *device = calloc(1, sizeof(*device));
	int failed;

	if (!device || !(device->path = strdup(path))) {
		free(device);
		return error_set(error, ENOMEM, "no memory for a device");
	}
	device->fd = -1;
	device->mode = mode;
	failed = device_try_open(device, error);
	for (int tries = 1; failed == -EBUSY && tries < BUSY_TRIES; tries++) {
		nanosleep(&(struct timespec){ .tv_nsec = BUSY_PAUSE_NS }, NULL);
		failed = device_try_open(device, error);
	}
	if (failed) {
		device_close(device);
		return failed;
	}
	device_set_block(device, BLOCK_SECTORS_DEFAULT);
	*opened = device;
	return 0;
}

void device_close(struct device *device)
{
	if (!device)
		return;
	if (device->fd >= 0)
		close(device->fd);
	free(device->path);
	free(device);
}

/* ---- properties ---- */

uint64_t device_sectors(const struct device *device)
{
	return device->sectors;
}

unsigned device_logical_block_bytes(const struct device *device)
{
	return device->logical_block_bytes;
}

bool device_is_block_device(const struct device *device)
{
	return S_ISBLK(device->stat.st_mode);
}

uint64_t device_number(const struct device *device)
{
	return device_is_block_device(device) ? device->stat.st_rdev : 0;
}

const struct device_disk *device_disk(const struct device *device)
{
	return device->disk.partition ? &device->disk : NULL;
}

bool device_is_same(const struct device *a, const struct device *b)
{
	if (device_is_block_device(a) || device_is_block_device(b))
		return device_number(a) == device_number(b);
	return a->stat.st_dev == b->stat.st_dev && a->stat.st_ino == b->stat.st_ino;
}

bool device_is_at(const struct device *device, const char *path)
{
	struct stat other;

	if (stat(path, &other))
		return false;
	if (device_is_block_device(device) || S_ISBLK(other.st_mode))
		return S_ISBLK(other.st_mode) && device_number(device) == other.st_rdev;
	return device->stat.st_dev == other.st_dev && device->stat.st_ino == other.st_ino;
}

bool device_is_on(const struct device *device, uint64_t file_system)
{
	char sysfs[64], file[BACKING_FILE_BYTES];
	struct stat below = device->stat;

	device_backing_file_name(device, sysfs, sizeof(sysfs));
	if (device_is_block_device(device) &&
	    (!device_read_backing_file(sysfs, file) || stat(file, &below)))
		return false;
	return below.st_dev == file_system;
}

const char *device_path(const struct device *device)
{
	return device->path;
}

const char *device_name(const struct device *device)
{
	const char *slash = strrchr(device->path, '/');

	return slash ? slash + 1 : device->path;
}

bool device_can_discard(const struct device *device)
{
	return device->can_discard;
}

/* ---- blocking transfers ---- */

static bool device_reaches(const struct device *device, uint64_t sector, uint64_t sectors)
{
	return sectors <= device->sectors && sector <= device->sectors - sectors;
}

static int device_move_all(struct device *device, bool write, char *data, uint64_t offset,
			   size_t bytes)
{
	while (bytes) {
		ssize_t moved = write ? pwrite(device->fd, data, bytes, offset)
				      : pread(device->fd, data, bytes, offset);

		if (moved < 0 && errno == EINTR)
			continue;
		if (moved <= 0)
			return moved ? -errno : -EIO;
		data += moved;
		offset += moved;
		bytes -= moved;
	}
	return 0;
}

/* Is the transfer aligned as O_DIRECT requires? */
static bool device_is_aligned(const struct device *device, const void *data, uint64_t offset,
			      size_t bytes)
{
	return !device->direct || ((uintptr_t)data % SECTOR_BYTES == 0 &&
				   offset % device->direct_bytes == 0 &&
				   bytes % device->direct_bytes == 0);
}

/* Copies through a buffer of whole blocks (DEVICE-2). */
static int device_move_bounced(struct device *device, bool write, char *data, uint64_t offset,
			       size_t bytes)
{
	uint64_t first = round_down(offset, device->direct_bytes);
	uint64_t end = min_u64(round_up(offset + bytes, device->direct_bytes),
			       device->sectors * SECTOR_BYTES);
	char *blocks = buffer_new(end - first);
	int error = device_move_all(device, false, blocks, first, end - first);

	if (!error && write) {
		memcpy(blocks + (offset - first), data, bytes);
		error = device_move_all(device, true, blocks, first, end - first);
	} else if (!error) {
		memcpy(data, blocks + (offset - first), bytes);
	}
	buffer_free(blocks);
	return error;
}

static int device_move_now(struct device *device, bool write, char *data, uint64_t sector,
			   unsigned sectors)
{
	uint64_t offset = sector * SECTOR_BYTES;
	size_t bytes = (size_t)sectors * SECTOR_BYTES;

	if (!device_reaches(device, sector, sectors))
		return -EIO;
	if (device_is_aligned(device, data, offset, bytes))
		return device_move_all(device, write, data, offset, bytes);
	return device_move_bounced(device, write, data, offset, bytes);
}

int device_read_now(struct device *device, void *data, uint64_t sector, unsigned sectors)
{
	return device_move_now(device, false, data, sector, sectors);
}

int device_write_now(struct device *device, const void *data, uint64_t sector, unsigned sectors)
{
	assert(device->mode == DEVICE_READ_WRITE);
	return device_move_now(device, true, (char *)data, sector, sectors);
}

/* The result of a flush: its own error, or the earlier one that is kept (DEVICE-3). */
static int device_flush_result(struct device *device, int error)
{
	if (error && !device->direct)
		device->flush_error = error;
	return device->flush_error ? device->flush_error : error;
}

int device_flush_now(struct device *device)
{
	return device_flush_result(device, fdatasync(device->fd) ? -errno : 0);
}

/* ---- transfers of ops ---- */

static void device_transfer(struct device *device, struct transfer *transfer, uint64_t sector,
			    uint64_t sectors)
{
	transfer->device = device;
	transfer->at_once = device->is_in_memory;
	transfer->fd = device->fd;
	transfer->offset = sector * SECTOR_BYTES;
	transfer->left = sectors * SECTOR_BYTES;
	if (!sectors || !device_reaches(device, sector, sectors))
		transfer_refuse(transfer, -EIO);
	else
		transfer_start(transfer);
}

void device_read(struct device *device, void *data, uint64_t sector, unsigned sectors,
		 struct op *op)
{
	struct transfer *transfer = transfer_new(op, TRANSFER_READ);

	assert((uintptr_t)data % SECTOR_BYTES == 0);
	transfer->data = data;
	device_transfer(device, transfer, sector, sectors);
}

static int device_flush_ended(struct transfer *transfer, int error)
{
	return device_flush_result(transfer->device, error);
}

void device_write(struct device *device, const void *data, uint64_t sector, unsigned sectors,
		  bool fua, struct op *op)
{
	struct transfer *transfer = transfer_new(op, TRANSFER_WRITE);

	assert((uintptr_t)data % SECTOR_BYTES == 0);
	assert(device->mode == DEVICE_READ_WRITE);
	transfer->data = (char *)data;
	transfer->fua = fua;
	transfer->ended = fua ? device_flush_ended : NULL;
	device_transfer(device, transfer, sector, sectors);
}

void device_flush(struct device *device, struct op *op)
{
	struct transfer *transfer = transfer_new(op, TRANSFER_FLUSH);

	transfer->device = device;
	transfer->at_once = device->is_in_memory;
	transfer->fd = device->fd;
	transfer->ended = device_flush_ended;
	transfer_start(transfer);
}

static int device_punch_ended(struct transfer *transfer, int error)
{
	if (error == -ENOSYS)
		error = -EOPNOTSUPP;
	if (error == -EOPNOTSUPP)
		transfer->device->can_discard = false;
	return error;
}

/* Also for block devices: there the kernel unmaps or zeroes, or fails; it does not write zeros. */
void device_discard(struct device *device, uint64_t sector, uint64_t sectors, struct op *op)
{
	struct transfer *transfer = transfer_new(op, TRANSFER_PUNCH);

	if (!device->can_discard) {
		transfer_refuse(transfer, -EOPNOTSUPP);
		return;
	}
	transfer->ended = device_punch_ended;
	device_transfer(device, transfer, sector, sectors);
}
