/*
 * A path may lead to another file at each system call, so only the open descriptor is
 * examined.  O_NONBLOCK prevents blocking (on a FIFO without a writer, on a file with a
 * lease), and is cleared once the file is accepted.
 */
#include "io/path.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int check_kind(int fd, struct stat *found)
{
	int flags;

	if (fstat(fd, found))
		return -errno;
	if (!S_ISBLK(found->st_mode) && !S_ISREG(found->st_mode))
		return -ENOTBLK;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK))
		return -errno;
	return 0;
}

int path_open(const char *path, int flags, struct stat *found)
{
	int fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int failed;

	if (fd < 0)
		return errno == ENXIO ? -ENOTBLK : -errno;	/* a socket; a FIFO to be written */
	failed = check_kind(fd, found);
	if (failed)
		close(fd);
	return failed ? failed : fd;
}
