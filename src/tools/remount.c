/*
 * mount -o remount: changes settings of what is mounted, by writing to its control files.
 *
 * Each setting of the list is written to the file of that name of all volumes and sets, as the
 * daemon does it at the first mount.  mount(8) also passes what fstab and the mount table say
 * of the mount: all other options are ignored, except that ro and rw must be as they are.
 */
#include "tools/tools.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "options.h"
#include "tools/mounts.h"

/* Below the mounted directory: files of volumes, of sets, and of their cache devices. */
static const char *const places[] = {
	"sys/block/bcache[0-9]*/bcache",
	"sys/fs/bcache/*-*",
	"sys/fs/bcache/*-*/internal",
	"sys/fs/bcache/*-*/cache[0-9]*",
};

/* Only what is ours, and as it is mounted. */
static int check_mount(const struct mount_options *options, struct error *error)
{
	struct mount_table table;
	const struct mount_line *line;
	struct statvfs info;
	int result = mount_table_read(&table, error);

	if (result)
		return result;
	line = mount_table_find(&table, options->directory);
	if (!line || strcmp(line->type, "fuse.bcachefuse"))
		result = error_set(error, EINVAL, "%s: is no mount of bcachefuse",
				   options->directory);
	mount_table_done(&table);
	if (result)
		return result;
	if (!statvfs(options->directory, &info) &&
	    options->read_only != !!(info.f_flag & ST_RDONLY) && options->has_read_only)
		return error_set(error, EINVAL,
				 "%s: is mounted %s, which remount cannot change: unmount it first",
				 options->directory, options->read_only ? "rw" : "ro");
	return 0;
}

/* The reason is in last_error, which only root can read. */
static int say_refused(const struct mount_options *options, const char *path, int code,
		       struct error *error)
{
	char name[PATH_MAX + 40], text[ERROR_TEXT_BYTES] = "";
	FILE *file;

	snprintf(name, sizeof(name), "%s/sys/fs/bcache/last_error", options->directory);
	file = fopen(name, "re");
	if (file) {
		if (!fgets(text, sizeof(text), file))
			text[0] = '\0';
		fclose(file);
	}
	text[strcspn(text, "\n")] = '\0';
	return error_set(error, code, "%s: %s", path, *text ? text : strerror(code));
}

static int write_setting(const struct mount_options *options, const char *path,
			 const char *value, struct error *error)
{
	int file = open(path, O_WRONLY | O_CLOEXEC), code = 0;

	if (file < 0)
		return say_refused(options, path, errno, error);
	if (write(file, value, strlen(value)) < 0)
		code = errno;
	close(file);
	return code ? say_refused(options, path, code, error) : 0;
}

/* In all directories of one kind; a flash-only volume has fewer files than others. */
static int change_in(const struct mount_options *options, const char *place,
		     const struct mount_tunable *tunable, struct error *error)
{
	autofree char *pattern = NULL;
	glob_t found;
	int result = 0;

	if (asprintf(&pattern, "%s/%s/%s", options->directory, place, tunable->name) < 0)
		return error_set(error, ENOMEM, "no memory for a path");
	if (glob(pattern, GLOB_NOESCAPE, NULL, &found))
		return 0;
	for (size_t i = 0; i < found.gl_pathc && !result; i++)
		result = write_setting(options, found.gl_pathv[i], tunable->value, error);
	globfree(&found);
	return result;
}

int remount(const struct mount_options *options, struct error *error)
{
	int result = check_mount(options, error);

	for (unsigned i = 0; i < options->tunable_count && !result; i++)
		for (size_t k = 0; k < ARRAY_SIZE(places) && !result; k++)
			result = change_in(options, places[k], &options->tunables[i], error);
	return result;
}
