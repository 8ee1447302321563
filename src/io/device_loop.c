/*
 * Loop devices above and below a member: they are other names for its data, and the kernel does
 * not tell the user of one name about the user of another.
 *
 *	/dev/loop1	above the member		/dev/loop0	the member
 *	/dev/sdb	the member			file, /dev/sdb	below it
 *
 * (LOOP-1) A file that a loop device uses is no member, wherever in the file that begins.  Of a
 *     block device, the loop devices count whose part of the disk overlaps the member: so two
 *     partitions of a disk, or two parts of it, may be used at once.
 * (LOOP-2) If the member is written, nobody has a lock on a file below it; if it has an overlay,
 *     nobody has a lock for writing.  A block device below must be free to be opened with O_EXCL.
 *     It is kept open like this as long as the member, if the loop device covers all of it, and
 *     closed again otherwise, since its other parts may have other users.
 */
#include "io/device_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/numbers.h"
#include "io/path.h"

enum { LOOPS_DEEP = 8 };	/* of a longer chain, the rest is not looked at */

/* ---- sysfs ---- */

/* Of a block device; "../" before the name leads from a partition to its disk. */
static FILE *open_sysfs(dev_t number, const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(number), minor(number), name);
	return fopen(path, "re");
}

static bool read_line(FILE *file, char line[BACKING_FILE_BYTES])
{
	bool is_read = file && fscanf(file, "%4096[^\n]", line) == 1;

	if (file)
		fclose(file);
	return is_read;
}

/* `missing` without the file. */
static uint64_t read_count(dev_t number, const char *name, uint64_t missing)
{
	FILE *file = open_sysfs(number, name);
	uint64_t count;

	if (!file || fscanf(file, "%" SCNu64, &count) != 1)
		count = missing;
	if (file)
		fclose(file);
	return count;
}

static dev_t read_number(dev_t of, const char *name)
{
	FILE *file = open_sysfs(of, name);
	unsigned major, minor;
	dev_t number = of;

	if (file && fscanf(file, "%u:%u", &major, &minor) == 2)
		number = makedev(major, minor);
	if (file)
		fclose(file);
	return number;
}

/* ---- parts of disks ---- */

/* Only partitions have a start. */
static struct disk_part part_of_device(dev_t number)
{
	uint64_t start = read_count(number, "start", UINT64_MAX);
	uint64_t sectors = read_count(number, "size", UINT64_MAX);

	if (start == UINT64_MAX)
		return (struct disk_part){ .disk = number, .end = sectors };
	return (struct disk_part){ .disk = read_number(number, "../dev"), .start = start,
				   .end = start + min_u64(sectors, UINT64_MAX - start) };
}

struct disk_part disk_part_of_loop(const struct disk_part *below, uint64_t offset_bytes,
				   uint64_t sectors)
{
	struct disk_part part = *below;
	uint64_t end;

	part.start += offset_bytes / SECTOR_BYTES;
	end = part.start + sectors + (offset_bytes % SECTOR_BYTES != 0);
	if (sectors)
		part.end = min_u64(part.end, end);
	return part;
}

bool disk_parts_overlap(const struct disk_part *a, const struct disk_part *b)
{
	return a->disk == b->disk && a->start < b->end && b->start < a->end;
}

/* ---- above ---- */

static bool loop_overlaps(const struct device *device, dev_t loop, dev_t below)
{
	struct disk_part mine = part_of_device(device->stat.st_rdev);
	struct disk_part disk = part_of_device(below);
	struct disk_part part = disk_part_of_loop(&disk, read_count(loop, "loop/offset", 0),
						  read_count(loop, "size", 0));

	return disk_parts_overlap(&mine, &part);
}

/* The loop device is that of the directory /sys/block/`name`. */
static bool loop_is_above(const struct device *device, const char *name)
{
	char path[80], file[BACKING_FILE_BYTES];
	unsigned major, minor;
	struct stat below;
	FILE *number;
	bool is_known;

	snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", name);
	if (!read_line(fopen(path, "re"), file) || stat(file, &below))
		return false;
	if (!device_is_block_device(device) || !S_ISBLK(below.st_mode))
		return below.st_dev == device->stat.st_dev && below.st_ino == device->stat.st_ino;
	snprintf(path, sizeof(path), "/sys/block/%s/dev", name);
	number = fopen(path, "re");
	is_known = number && fscanf(number, "%u:%u", &major, &minor) == 2;
	if (number)
		fclose(number);
	return is_known && loop_overlaps(device, makedev(major, minor), below.st_rdev);
}

int device_refuse_loop_above(const struct device *device, struct error *error)
{
	glob_t loops = { .gl_pathc = 0 };
	char name[32], who[64] = "";

	if (!glob("/sys/block/loop*/loop/backing_file", GLOB_NOSORT, NULL, &loops))
		for (size_t i = 0; i < loops.gl_pathc; i++)
			if (sscanf(loops.gl_pathv[i], "/sys/block/%31[^/]", name) == 1 &&
			    loop_is_above(device, name))
				snprintf(who, sizeof(who), "/dev/%s", name);
	globfree(&loops);
	return *who ? device_busy(device, error, who) : 0;
}

/* ---- below ---- */

bool device_read_below(dev_t number, char path[BACKING_FILE_BYTES])
{
	return read_line(open_sysfs(number, "loop/backing_file"), path) ||
	       (read_count(number, "partition", 0) &&
		read_line(open_sysfs(number, "../loop/backing_file"), path));
}

static bool loop_covers_all(dev_t number)
{
	return !read_count(number, "loop/offset", 1) && !read_count(number, "loop/sizelimit", 1);
}

/* The owner of a lock writes to the file, or reads it and wants it to stay as it is. */
static int refuse_lock(const struct device *device, int fd, const char *file, struct error *error)
{
	struct flock whole = {
		.l_type = device_is_written(device) ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET
	};
	char who[BACKING_FILE_BYTES + 64];

	if (fcntl(fd, F_OFD_GETLK, &whole) || whole.l_type == F_UNLCK)
		return 0;
	snprintf(who, sizeof(who), "the program that has locked %s below it", file);
	return device_busy(device, error, who);
}

/* *found gets the facts of `file`; no kind (st_mode 0) if it cannot be opened. */
static int refuse_use_of(struct device *device, dev_t loop, const char *file, struct stat *found,
			 struct error *error)
{
	bool is_block = !stat(file, found) && S_ISBLK(found->st_mode);
	int fd = path_open(file, is_block ? O_RDONLY | O_EXCL : O_RDONLY, found);
	char who[BACKING_FILE_BYTES + 64];
	int failed = 0;

	if (fd == -EBUSY && is_block) {
		snprintf(who, sizeof(who), "the program or mount that uses %s below it", file);
		return device_busy(device, error, who);
	}
	if (fd < 0) {
		found->st_mode = 0;
		return 0;
	}
	if (!is_block)
		failed = refuse_lock(device, fd, file, error);
	if (is_block && loop == device->stat.st_rdev && loop_covers_all(loop))
		device->below_fd = fd;
	else
		close(fd);
	return failed;
}

int device_refuse_use_below(struct device *device, struct error *error)
{
	struct stat found = device->stat;
	char file[BACKING_FILE_BYTES];
	int failed = 0;

	for (int deep = 0; deep < LOOPS_DEEP && !failed && S_ISBLK(found.st_mode) &&
	     device_read_below(found.st_rdev, file); deep++)
		failed = refuse_use_of(device, found.st_rdev, file, &found, error);
	return failed;
}
