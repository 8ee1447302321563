/*
 * Opens members for commands that only look; see inspect.h.
 */
#include "tools/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/member.h"
#include "tools/mounts.h"

static bool is_block_device(const char *path)
{
	struct stat info;

	return !stat(path, &info) && S_ISBLK(info.st_mode);
}

/* Names the daemon of ours that has it: readers of a file may be two, writers have it alone. */
static int refuse_mounted(const char *path, struct error *error)
{
	int failed = mounted_check(path, is_block_device(path), error);

	if (failed)
		error_set(error, -failed, "%s; \"bcachefuse status\" says how its set is",
			  strdupa(error->text));
	return failed;
}

/* O_EXCL refuses a block device that is mounted, or that the kernel's bcache has. */
static int claim(const char *path, int *fd, struct error *error)
{
	*fd = -1;
	if (!is_block_device(path))
		return 0;		/* device_open() locks a file */
	*fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (*fd >= 0 || errno != EBUSY)
		return 0;		/* device_open() will say why it cannot be opened */
	return error_set(error, EBUSY, "%s is in use by something else (is it mounted, or does the "
			 "kernel's bcache have it?)", path);
}

static int may_look(const char *const *paths, unsigned number, struct error *error)
{
	int failed = 0;

	for (unsigned i = 0; i < number && !failed; i++)
		failed = member_check_distinct(paths[i], paths[number], error);
	return failed ? failed : refuse_mounted(paths[number], error);
}

static int inspect_open_as(struct inspect *inspect, enum device_mode mode,
			   const char *const *paths, unsigned count, struct error *error)
{
	*inspect = (struct inspect){
		.member = calloc(count, sizeof(*inspect->member)),
		.claim = calloc(count, sizeof(*inspect->claim)),
	};
	if (!inspect->member || !inspect->claim)
		return error_set(error, ENOMEM, "no memory for %u members", count);
	for (unsigned i = 0; i < count; i++) {
		struct check_member *member = &inspect->member[i];
		int failed = may_look(paths, i, error);

		inspect->claim[i] = -1;
		if (!failed && mode == DEVICE_READ_ONLY)
			failed = claim(paths[i], &inspect->claim[i], error);
		if (failed)
			return failed;
		inspect->count++;
		member->path = paths[i];
		failed = device_open(&member->device, paths[i], mode, &member->error);
		if (failed)
			member->device = NULL;
		if (failed == -EBUSY) {
			*error = member->error;
			return failed;
		}
	}
	return 0;
}

int inspect_open(struct inspect *inspect, const char *const *paths, unsigned count,
		 struct error *error)
{
	return inspect_open_as(inspect, DEVICE_READ_ONLY, paths, count, error);
}

int inspect_open_alone(struct inspect *inspect, const char *const *paths, unsigned count,
		       struct error *error)
{
	return inspect_open_as(inspect, DEVICE_READ_WRITE, paths, count, error);
}

void inspect_close(struct inspect *inspect)
{
	for (unsigned i = 0; i < inspect->count; i++) {
		device_close(inspect->member[i].device);
		if (inspect->claim[i] >= 0)
			close(inspect->claim[i]);
	}
	free(inspect->member);
	free(inspect->claim);
}
