/*
 * One user for a device.
 *
 * (DEVICE-1) A device has one user.  A block device is opened with O_EXCL if it is to be
 *     written.  A file is locked twice (an open file description lock, and flock).  Either is
 *     refused if a loop device uses it, and so is a loop device if what is below it has another
 *     user (LOOP-1, LOOP-2).  Opening a block device read-only does not exclude others.  What has
 *     an overlay is only read, but may have no writer beside it: a block device is opened with
 *     O_EXCL, too.
 */
#include "io/device_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sysmacros.h>

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

int device_claim(struct device *device, struct error *error)
{
	bool is_block = device_is_block_device(device);
	int failed = is_block ? 0 : device_lock_file(device, error);

	if (failed || device->mode == DEVICE_READ_ONLY)
		return failed;
	failed = device_refuse_loop_above(device, error);
	if (!failed && is_block)
		failed = device_refuse_use_below(device, error);
	return failed;
}
