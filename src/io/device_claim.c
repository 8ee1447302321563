/*
 * One user for a device.
 *
 * (DEVICE-1) A device has one user.  A block device is opened with O_EXCL if it is to be
 *     written.  A file is locked twice (an open file description lock, and flock), and
 *     refused if a loop device uses it; so is a loop device on a locked file.  Opening a
 *     block device read-only does not exclude others.  What has an overlay is only read, but
 *     may have no writer beside it: a block device is opened with O_EXCL, too.
 */
#include "io/device_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sysmacros.h>

#include "io/path.h"

int device_busy(const struct device *device, struct error *error, const char *who)
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
	bool write = device_is_written(device);
	struct flock whole = { .l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };
	int failed = 0;

	if (fcntl(device->fd, F_OFD_SETLK, &whole))
		failed = device_lock_failed(device, error);
	if (!failed && flock(device->fd, (write ? LOCK_EX : LOCK_SH) | LOCK_NB))
		failed = device_lock_failed(device, error);
	return failed;
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

int device_claim(const struct device *device, struct error *error)
{
	bool write = device->mode == DEVICE_READ_WRITE;
	int failed;

	if (device_is_block_device(device))
		return write ? device_refuse_locked_below(device, error) : 0;
	failed = device_lock_file(device, error);
	if (!failed && write)
		failed = device_refuse_loop(device, error);
	return failed;
}
