/*
 * Finds mounts of running daemons, and reads and writes their control files.
 */
#include "tools/live.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/mount_table.h"
#include "tools/mounts.h"

static bool is_ours(const struct mount_line *line)
{
	return !strcmp(line->type, "fuse.bcachefuse");
}

static void add_mount(struct live_mounts *mounts, const char *point)
{
	for (unsigned i = 0; i < mounts->count; i++)
		if (!strcmp(mounts->points[i], point))
			return;
	if (mounts->count == LIVE_MOUNTS_MAX)
		return;
	mounts->points[mounts->count] = strdup(point);
	assert(mounts->points[mounts->count]);
	mounts->count++;
}

static int find_one(const struct mount_table *table, const char *directory,
		    struct live_mounts *mounts, struct error *error)
{
	autofree char *path = realpath(directory, NULL);
	const struct mount_line *line;

	if (!path && live_is_dead(errno))
		return mounted_say_dead(directory, error);
	if (!path)
		return error_set(error, errno, "%s: %s", directory, strerror(errno));
	line = mount_table_find(table, path);
	if (!line || !is_ours(line))
		return error_set(error, EINVAL, "%s: is no mount of bcachefuse", directory);
	add_mount(mounts, path);
	return 0;
}

static int find_all(const struct mount_table *table, struct live_mounts *mounts,
		    struct error *error)
{
	for (unsigned i = 0; i < table->count; i++)
		if (is_ours(&table->lines[i]))
			add_mount(mounts, table->lines[i].point);
	return mounts->count ? 0 : error_set(error, ENOENT, "no set is mounted by bcachefuse here");
}

int live_find(const char *directory, struct live_mounts *mounts, struct error *error)
{
	struct mount_table table;
	int result = mount_table_read(&table, error);

	mounts->count = 0;
	if (result)
		return result;
	result = directory ? find_one(&table, directory, mounts, error) :
			     find_all(&table, mounts, error);
	mount_table_done(&table);
	return result;
}

int live_find_only(const char *directory, struct live_mounts *mounts, struct error *error)
{
	int result = live_find(directory, mounts, error);

	if (!result && mounts->count > 1) {
		result = error_set(error, EINVAL, "%u directories are mounted, %s and others: name "
				   "one", mounts->count, mounts->points[0]);
		live_done(mounts);
	}
	return result;
}

void live_done(struct live_mounts *mounts)
{
	for (unsigned i = 0; i < mounts->count; i++)
		free(mounts->points[i]);
	mounts->count = 0;
}

bool live_is_dead(int code)
{
	return code == ENOTCONN || code == ECONNABORTED;
}

static int say_unreadable(const char *path, struct error *error)
{
	if (live_is_dead(errno))
		return mounted_say_dead(path, error);
	return error_set(error, errno, "%s: %s", path, strerror(errno));
}

/* The daemon fixes the content at the first read, so all parts are of one moment. */
char *live_read_all(const char *path, struct error *error)
{
	size_t room = LIVE_TEXT_BYTES, length = 0;
	autoclose int file = open(path, O_RDONLY | O_CLOEXEC);
	char *text;
	ssize_t got = 1;

	if (file < 0) {
		say_unreadable(path, error);
		return NULL;
	}
	text = malloc(room);
	assert(text);
	while (got > 0) {
		if (room - length < LIVE_TEXT_BYTES) {
			room *= 2;
			text = realloc(text, room);
			assert(text);
		}
		got = read(file, text + length, room - length - 1);
		length += got > 0 ? got : 0;
	}
	text[length] = '\0';
	if (!got)
		return text;
	say_unreadable(path, error);
	free(text);
	return NULL;
}

const char *live_read(char text[LIVE_TEXT_BYTES], const char *point, const char *directory,
		      const char *name)
{
	autofree char *path = NULL;
	FILE *file;

	if (asprintf(&path, "%s/%s/%s", point, directory, name) < 0)
		abort();
	text[0] = '\0';
	file = fopen(path, "re");
	if (file) {
		if (!fgets(text, LIVE_TEXT_BYTES, file))
			text[0] = '\0';
		fclose(file);
	}
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/*
 * After open() has succeeded, each failure but that of a dead daemon is an answer of the daemon,
 * which has put its reason into last_error.
 */
int live_write(const char *point, const char *path, const char *value, struct error *error)
{
	char reason[LIVE_TEXT_BYTES];
	autoclose int file = open(path, O_WRONLY | O_CLOEXEC);
	int code;

	if (file < 0)
		return say_unreadable(path, error);
	if (write(file, value, strlen(value)) >= 0)
		return 0;
	code = errno;
	live_read(reason, point, "sys/fs/bcache", "last_error");
	if (*reason && !live_is_dead(code))
		return error_set(error, code, "%s", reason);
	errno = code;
	return say_unreadable(path, error);
}

bool live_is_name(const char *text)
{
	return *text && *text != '/' && *text != '.' && !strstr(text, "/.");
}

char *live_object(const char *point, const char *object, struct error *error)
{
	static const char *const places[] = { "sys/block/%s/bcache", "sys/fs/bcache/%s" };
	const char *slash = strrchr(object, '/'), *name = slash ? slash + 1 : object;
	bool is_dead = false;
	char below[300], *path;

	if (!strcmp(object, "all")) {
		if (asprintf(&path, "%s/sys/fs/bcache", point) < 0)
			abort();
		return path;
	}
	for (size_t i = 0; live_is_name(name) && i < ARRAY_SIZE(places); i++) {
		snprintf(below, sizeof(below), places[i], name);
		if (asprintf(&path, "%s/%s", point, below) < 0)
			abort();
		if (!access(path, F_OK))
			return path;
		is_dead = live_is_dead(errno);
		free(path);
	}
	if (is_dead)
		mounted_say_dead(point, error);
	else
		error_set(error, ENOENT, "%s: there is no volume and no set \"%s\"", point,
			  object);
	return NULL;
}
