/*
 * Where an exported volume goes; see export_output.h.
 */
#include "tools/export_output.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/numbers.h"
#include "base/units.h"
#include "tools/member.h"
#include "tools/mounts.h"

enum { HOLE_BYTES = 4096, ZERO_BYTES = 1 << 16 };

static const unsigned char zeros[ZERO_BYTES];

/* ---- opening ---- */

static int say(const struct export_output *output, int code, struct error *error)
{
	return error_set(error, code, "%s: %s", output->path, strerror(code));
}

/* OUTPUT-1 of what exists: `info` is its status. */
static int check_existing(const struct export_output *output, const struct stat *info, bool force,
			  const char *const *members, unsigned count, struct error *error)
{
	int result = member_check_output(output->path, members, count, error);

	if (!result)
		result = mounted_check(output->path, true, error);
	if (result)
		return result;
	if (S_ISDIR(info->st_mode))
		return say(output, EISDIR, error);
	if ((S_ISREG(info->st_mode) || S_ISBLK(info->st_mode)) && !force)
		return error_set(error, EEXIST, "%s: exists already; --force overwrites it",
				 output->path);
	return 0;
}

static int find_kind(struct export_output *output, struct error *error)
{
	struct stat info;

	if (fstat(output->fd, &info))
		return say(output, errno, error);
	output->kind = S_ISBLK(info.st_mode) ? OUTPUT_DEVICE :
		       S_ISREG(info.st_mode) && strcmp(output->path, "-") ? OUTPUT_FILE :
		       OUTPUT_STREAM;
	return 0;
}

static int open_standard_output(struct export_output *output, const char *const *members,
				unsigned count, struct error *error)
{
	int result = member_check_output("/dev/stdout", members, count, error);

	if (result)
		return result;
	if (isatty(STDOUT_FILENO))
		return error_set(error, EINVAL, "standard output is a terminal: name a file with "
				 "-o, or give it to a pipe");
	output->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	return output->fd < 0 ? say(output, errno, error) : find_kind(output, error);
}

/* O_EXCL: a new file is new, and a block device is not in use. */
int export_output_open(struct export_output *output, const char *path, bool force,
		       const char *const *members, unsigned count, struct error *error)
{
	struct stat info;
	int flags = O_WRONLY | O_CLOEXEC | O_NOCTTY, result;

	*output = (struct export_output){ .path = path, .fd = -1 };
	if (!strcmp(path, "-"))
		return open_standard_output(output, members, count, error);
	output->is_ours = stat(path, &info) && errno == ENOENT;
	if (output->is_ours) {
		flags |= O_CREAT | O_EXCL;
	} else {
		result = check_existing(output, &info, force, members, count, error);
		if (result)
			return result;
		flags |= S_ISBLK(info.st_mode) ? O_EXCL : 0;
	}
	output->fd = open(path, flags, 0600);
	if (output->fd < 0) {
		output->is_ours = false;
		return say(output, errno, error);
	}
	return find_kind(output, error);
}

static int check_device_size(const struct export_output *output, struct error *error)
{
	char found[UNITS_TEXT_BYTES], wanted[UNITS_TEXT_BYTES];
	uint64_t bytes;

	if (ioctl(output->fd, BLKGETSIZE64, &bytes))
		return say(output, errno, error);
	if (bytes >= output->size)
		return 0;
	return error_set(error, ENOSPC, "%s: is too small: found %s, wanted %s", output->path,
			 units_print_size(found, bytes), units_print_size(wanted, output->size));
}

int export_output_begin(struct export_output *output, uint64_t size, struct error *error)
{
	output->size = size;
	if (output->kind == OUTPUT_DEVICE)
		return check_device_size(output, error);
	if (output->kind == OUTPUT_FILE && ftruncate(output->fd, 0))
		return say(output, errno, error);
	return 0;
}

/* ---- writing ---- */

static int write_at(struct export_output *output, const unsigned char *data, uint64_t bytes,
		    struct error *error)
{
	while (bytes) {
		ssize_t n = pwrite(output->fd, data, bytes, output->at);

		if (n < 0 && errno != EINTR)
			return say(output, errno, error);
		if (n < 0)
			continue;
		data += n;
		bytes -= n;
		output->at += n;
	}
	return 0;
}

/* Length of the run of pieces at the begin that are all zero, or that all are not. */
static uint64_t zero_run_bytes(const unsigned char *data, uint64_t bytes, bool is_zero)
{
	uint64_t at = 0;

	while (at < bytes) {
		uint64_t piece = min_u64(bytes - at, HOLE_BYTES);

		if (!memcmp(data + at, zeros, piece) != is_zero)
			break;
		at += piece;
	}
	return at;
}

static int write_sparse(struct export_output *output, const unsigned char *data, uint64_t bytes,
			struct error *error)
{
	int result = 0;

	while (bytes && !result) {
		uint64_t hole = zero_run_bytes(data, bytes, true), rest;

		output->at += hole;
		rest = zero_run_bytes(data + hole, bytes - hole, false);
		result = write_at(output, data + hole, rest, error);
		data += hole + rest;
		bytes -= hole + rest;
	}
	return result;
}

/* In pieces that fit a pipe which can be written to: no signal has to wait for its reader. */
static int write_stream(struct export_output *output, const unsigned char *data, uint64_t bytes,
			struct error *error)
{
	struct pollfd ready = { .fd = output->fd, .events = POLLOUT };

	while (bytes) {
		ssize_t n;

		if (poll(&ready, 1, 0) <= 0)
			return -EAGAIN;
		n = write(output->fd, data, min_u64(bytes, PIPE_BUF));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return say(output, errno, error);
		data += n;
		bytes -= n;
		output->at += n;
	}
	return 0;
}

int export_output_write(struct export_output *output, const unsigned char *data, uint64_t bytes,
			struct error *error)
{
	assert(output->at + bytes <= output->size);
	switch (output->kind) {
	case OUTPUT_FILE:
		return write_sparse(output, data, bytes, error);
	case OUTPUT_DEVICE:
		return write_at(output, data, bytes, error);
	case OUTPUT_STREAM:
		return write_stream(output, data, bytes, error);
	}
	return -EINVAL;
}

int export_output_skip(struct export_output *output, uint64_t bytes, struct error *error)
{
	int result = 0;

	if (output->kind != OUTPUT_STREAM) {	/* OUTPUT-3 */
		output->at += bytes;
		return 0;
	}
	while (bytes && !result) {
		uint64_t from = output->at;

		result = write_stream(output, zeros, min_u64(bytes, ZERO_BYTES), error);
		bytes -= output->at - from;
	}
	return result;
}

/* fsync() fails with EINVAL on what has nothing to flush. */
int export_output_end(struct export_output *output, struct error *error)
{
	if (output->kind == OUTPUT_FILE && ftruncate(output->fd, output->at))
		return say(output, errno, error);
	if (fsync(output->fd) && errno != EINVAL && errno != EROFS)
		return say(output, errno, error);
	return 0;
}

void export_output_close(struct export_output *output, bool failed)
{
	if (output->fd < 0)
		return;
	close(output->fd);
	output->fd = -1;
	if (failed && output->is_ours)
		unlink(output->path);
}
