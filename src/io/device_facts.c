/*
 * The facts of a device: its size, its kind, and what it can do.
 *
 * All is read once, when the device is opened: from ioctls of the open descriptor, and from sysfs
 * by device number, since the path may be any link.  A device that has grown is seen so at the next
 * start.
 */
#include "io/device_internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

enum { STRIPE_UNIT_BYTES = 4096, STRIPE_SECTORS_MOST = 1 << 22 };

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

/*
 * The directory of a partition lies in that of its disk, so ../ leads there.  Without sysfs, as in
 * some containers, the device counts as no partition.
 */
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

/* Of a partition, the disk's: its stripes are seen only if it begins with one. */
static void device_look_at_stripes(struct device *device)
{
	bool is_partition = device->disk.partition;
	char text[32];
	uint64_t bytes;

	if (device_read_sysfs(device, is_partition ? "../queue/optimal_io_size" :
			      "queue/optimal_io_size", text) &&
	    sscanf(text, "%" SCNu64, &bytes) == 1 && bytes % STRIPE_UNIT_BYTES == 0 &&
	    bytes / SECTOR_BYTES <= STRIPE_SECTORS_MOST)
		device->stripe_sectors = bytes / SECTOR_BYTES;
	device->has_parity = device_read_sysfs(device, is_partition ? "../md/level" : "md/level",
					       text) &&
			     (!strcmp(text, "raid4") || !strcmp(text, "raid5") ||
			      !strcmp(text, "raid6"));
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
	if (is_read_only && device_is_written(device))
		return error_set(error, EROFS, "%s is a read-only device, wanted one to write to",
				 device->path);
	device->sectors = bytes / SECTOR_BYTES;
	device->logical_block_bytes = block;
	device_look_at_disk(device);
	device_look_at_stripes(device);
	device->can_discard = device->mode == DEVICE_READ_WRITE;
	return 0;
}

static bool device_is_on_tmpfs(const struct device *device)
{
	struct statfs info;

	return !fstatfs(device->fd, &info) && info.f_type == TMPFS_MAGIC;
}

/*
 * A part of a sector at the end of a file is not used.  Whether a hole can be punched shows the
 * first attempt.
 */
static void device_look_at_file(struct device *device)
{
	device->is_in_memory = device_is_on_tmpfs(device);
	device->sectors = device->stat.st_size / SECTOR_BYTES;
	device->logical_block_bytes = SECTOR_BYTES;
	device->can_discard = device->mode == DEVICE_READ_WRITE;
}

int device_look(struct device *device, struct error *error)
{
	if (device_is_block_device(device))
		return device_look_at_block_device(device, error);
	device_look_at_file(device);
	return 0;
}

int device_measure(const struct device *device, uint64_t *sectors, struct error *error)
{
	unsigned unit = device->direct_bytes ? device->direct_bytes : SECTOR_BYTES;
	struct stat info;
	uint64_t bytes;

	if (device->shadow) {		/* an overlay is for the size that it was made for */
		*sectors = device->sectors;
		return 0;
	}
	if (device_is_block_device(device) ? ioctl(device->fd, BLKGETSIZE64, &bytes) :
					     fstat(device->fd, &info))
		return error_set(error, errno, "%s does not tell its size: %s", device->path,
				 strerror(errno));
	if (!device_is_block_device(device))
		bytes = info.st_size;
	*sectors = bytes / unit * (unit / SECTOR_BYTES);	/* O_DIRECT reaches no further */
	return 0;
}

void device_grow(struct device *device, uint64_t sectors)
{
	assert(sectors >= device->sectors);
	device->sectors = sectors;
}

uint64_t device_sectors(const struct device *device)
{
	return device->sectors;
}

uint64_t device_stripe_sectors(const struct device *device)
{
	return device->stripe_sectors;
}

bool device_has_parity(const struct device *device)
{
	return device->has_parity;
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

bool device_is_at(const struct device *device, const char *path)
{
	struct stat other;

	if (stat(path, &other))
		return false;
	if (device_is_block_device(device) || S_ISBLK(other.st_mode))
		return S_ISBLK(other.st_mode) && device_number(device) == other.st_rdev;
	return device->stat.st_dev == other.st_dev && device->stat.st_ino == other.st_ino;
}

/* Of a loop device its file counts. */
bool device_is_on(const struct device *device, uint64_t file_system)
{
	char file[BACKING_FILE_BYTES];
	struct stat below = device->stat;

	if (device_is_block_device(device) &&
	    (!device_read_below(device->stat.st_rdev, file) || stat(file, &below)))
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
