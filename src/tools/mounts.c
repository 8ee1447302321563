/*
 * Paths below a directory, and the loop devices.
 *
 * Loop devices are read from sysfs, not by ioctl(): that needs no rights, and opens no device.
 */
#include "tools/mounts.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "io/path.h"

/* By text: both come from the kernel, which prints paths without links and without "..". */
bool path_is_below(const char *path, const char *directory)
{
	size_t length = strlen(directory);

	return !strncmp(path, directory, length) && path[length] == '/';
}

/* The first line of a small file; false if it cannot be read. */
static bool read_line(const char *path, char *text, size_t bytes)
{
	FILE *file = fopen(path, "re");
	bool is_read = file && fgets(text, bytes, file);

	if (is_read)
		text[strcspn(text, "\n")] = 0;
	if (file)
		fclose(file);
	return is_read;
}

static bool is_loop_name(const char *name)
{
	return !strncmp(name, "loop", 4) && isdigit((unsigned char)name[4]);
}

/* The file is missing where no file is attached. */
static bool read_backing(const char *name, char backing[LOOP_PATH_BYTES])
{
	char path[400];

	snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", name);
	return read_line(path, backing, LOOP_PATH_BYTES);
}

void loops_below(struct loop_list *list, const char *directory)
{
	DIR *devices = opendir("/sys/block");
	struct dirent *entry;

	list->count = 0;
	while (devices && list->count < LOOPS_MAX && (entry = readdir(devices))) {
		struct loop *loop = &list->loops[list->count];

		if (!is_loop_name(entry->d_name) || !read_backing(entry->d_name, loop->backing) ||
		    !path_is_below(loop->backing, directory))
			continue;
		snprintf(loop->device, sizeof(loop->device), "/dev/%.50s", entry->d_name);
		list->count++;
	}
	if (devices)
		closedir(devices);
}

/* By number, and by name for file systems with a number of their own (btrfs). */
bool loop_is_under_mount(const struct loop *loop, const struct mount_line *mount)
{
	const char *name = loop->device + strlen("/dev/");
	size_t length = strlen(loop->device);
	char path[200], number[40], wanted[40];

	if (!strncmp(mount->source, loop->device, length) &&
	    (!mount->source[length] || mount->source[length] == 'p'))
		return true;
	snprintf(wanted, sizeof(wanted), "%u:%u", mount->major, mount->minor);
	snprintf(path, sizeof(path), "/sys/block/%s/dev", name);
	if (read_line(path, number, sizeof(number)) && !strcmp(number, wanted))
		return true;
	/* The partitions of a loop device, as many as a partition table usually has. */
	for (int i = 1; i < 16; i++) {
		snprintf(path, sizeof(path), "/sys/block/%s/%sp%d/dev", name, name, i);
		if (read_line(path, number, sizeof(number)) && !strcmp(number, wanted))
			return true;
	}
	return false;
}

/*
 * Checks again: it may have been detached, and have another file by now.  If the device is
 * open elsewhere, the kernel detaches the file at the last close.
 */
int loop_clear(const struct loop *loop)
{
	struct stat found;
	autoclose int fd = path_open(loop->device, O_RDONLY, &found);
	char backing[LOOP_PATH_BYTES];

	if (fd < 0)
		return fd;
	if (!read_backing(loop->device + strlen("/dev/"), backing) ||
	    strcmp(backing, loop->backing))
		return -ENXIO;
	return ioctl(fd, LOOP_CLR_FD, 0) ? -errno : 0;
}
