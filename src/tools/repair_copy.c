/*
 * Copies members, as the plan of a repair leaves them: reads see its writes (io/patches.h).
 *
 * A copy is sparse.  One that could not be completed is removed again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/numbers.h"
#include "io/buffer.h"
#include "tools/repair.h"

enum { PIECE_SECTORS = 2048, UNIT_SECTORS = 8 };

struct copy {
	struct repair_run *run;
	char *path;
	int fd;
	unsigned char *piece;
	uint64_t done_bytes, unreadable;
};

static bool is_zero(const unsigned char *bytes, size_t count)
{
	return !*bytes && !memcmp(bytes, bytes + 1, count - 1);
}

/* Units that cannot be read are zeros. */
static void read_units(struct copy *copy, struct device *device, uint64_t at, unsigned sectors)
{
	if (!device_read_now(device, copy->piece, at, sectors))
		return;
	for (unsigned i = 0; i < sectors; i += UNIT_SECTORS) {
		unsigned unit = min_u64(UNIT_SECTORS, sectors - i);

		if (!device_read_now(device, copy->piece + i * 512, at + i, unit))
			continue;
		memset(copy->piece + i * 512, 0, unit * 512);
		copy->unreadable += unit;
	}
}

static int write_units(struct copy *copy, uint64_t at, unsigned sectors)
{
	for (unsigned i = 0; i < sectors; i += UNIT_SECTORS) {
		size_t bytes = min_u64(UNIT_SECTORS, sectors - i) * 512;

		if (!is_zero(copy->piece + i * 512, bytes) &&
		    pwrite(copy->fd, copy->piece + i * 512, bytes, (at + i) * 512) !=
			    (ssize_t)bytes)
			return errno ? -errno : -ENOSPC;
	}
	return 0;
}

static int copy_all(struct copy *copy, struct device *device)
{
	uint64_t sectors = device_sectors(device);

	if (ftruncate(copy->fd, sectors * 512))
		return -errno;
	for (uint64_t at = 0; at < sectors; at += PIECE_SECTORS) {
		unsigned piece = min_u64(PIECE_SECTORS, sectors - at);
		int failed;

		if (!repair_goes_on(copy->run, copy->done_bytes))
			return -EINTR;
		read_units(copy, device, at, piece);
		errno = 0;
		failed = write_units(copy, at, piece);
		if (failed)
			return failed;
		copy->done_bytes += piece * 512;
	}
	return fsync(copy->fd) ? -errno : 0;
}

/* Into a directory under its own name, or as the file itself. */
static int copy_path(struct repair_run *run, const struct check_member *member, char **path)
{
	struct stat info;
	bool is_directory = !stat(run->copy_path, &info) && S_ISDIR(info.st_mode);

	if (!is_directory && run->repair.members > 1)
		return -ENOTDIR;
	if (!is_directory) {
		*path = strdup(run->copy_path);
		return *path ? 0 : -ENOMEM;
	}
	return asprintf(path, "%s/%s", run->copy_path, basename(member->path)) < 0 ? -ENOMEM : 0;
}

static int copy_member(struct copy *copy, const struct check_member *member, struct error *error)
{
	int failed = copy_path(copy->run, member, &copy->path);

	if (failed == -ENOTDIR)
		return error_set(error, ENOTDIR, "%s: give a directory for the copies of %u "
				 "members", copy->run->copy_path, copy->run->repair.members);
	if (failed)
		return error_set(error, ENOMEM, "no memory for a path");
	copy->fd = open(copy->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (copy->fd < 0)
		return error_set(error, errno, "%s: %s", copy->path, strerror(errno));
	failed = copy_all(copy, member->device);
	if (close(copy->fd) && !failed)
		failed = -errno;
	if (!failed)
		return 0;
	unlink(copy->path);
	if (failed == -EINTR)
		return error_set(error, EINTR, "NOT FINISHED: stopped; the copy was removed again");
	return error_set(error, -failed, "%s: %s; the copy was removed again", copy->path,
			 strerror(-failed));
}

int repair_copy(struct repair_run *run, uint64_t *unreadable, struct error *error)
{
	struct copy copy = { .run = run, .piece = buffer_new(PIECE_SECTORS * 512) };
	uint64_t total = 0;
	int failed = 0;

	for (unsigned i = 0; i < run->repair.members; i++)
		total += device_sectors(run->repair.member[i].device) * 512;
	progress_phase(&run->progress, "copying", total, repair_now_ns());
	for (unsigned i = 0; i < run->repair.members && !failed; i++) {
		failed = copy_member(&copy, &run->repair.member[i], error);
		free(copy.path);
		copy.path = NULL;
	}
	buffer_free(copy.piece);
	*unreadable = copy.unreadable;
	return failed;
}
