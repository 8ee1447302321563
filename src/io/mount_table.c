/*
 * The mount table, and umount2() by mount id.
 *
 * The kernel has no such call.  So the parent directory is opened, the id of the mount at the name
 * in it is compared, and umount2() gets the name below the same open directory: however paths
 * change meanwhile, only another mount at exactly this place could be hit.
 */
#include "io/mount_table.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* Decodes octal escapes: the table has "\040" for a blank. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (text[0] == '\\' && isdigit((unsigned char)text[1]) &&
		    isdigit((unsigned char)text[2]) && isdigit((unsigned char)text[3])) {
			*to++ = (text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0');
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = 0;
}

static char *take(const char *text)
{
	char *result = strdup(text);

	assert(result);
	unescape(result);
	return result;
}

/* "36 35 98:0 /root /point options [optional]... - type source options" */
static bool parse_line(char *text, struct mount_line *line)
{
	char *behind = strstr(text, " - "), *words[5], *type, *source;

	if (!behind)
		return false;
	*behind = 0;
	for (int i = 0; i < 5; i++) {
		words[i] = strsep(&text, " ");
		if (!words[i])
			return false;
	}
	behind += 3;
	type = strsep(&behind, " ");
	source = strsep(&behind, " ");
	if (!source || sscanf(words[0], "%u", &line->id) != 1 ||
	    sscanf(words[1], "%u", &line->parent) != 1 ||
	    sscanf(words[2], "%u:%u", &line->major, &line->minor) != 2)
		return false;
	line->point = take(words[4]);
	line->type = take(type);
	line->source = take(source);
	return true;
}

/* A snapshot: others may mount and unmount at any time. */
int mount_table_read(struct mount_table *table, struct error *error)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	struct mount_line line;
	autofree char *text = NULL;
	size_t room = 0;

	*table = (struct mount_table){ 0 };
	if (!file)
		return error_set(error, errno, "/proc/self/mountinfo: %s", strerror(errno));
	while (getline(&text, &room, file) > 0) {
		text[strcspn(text, "\n")] = 0;
		if (!parse_line(text, &line))
			continue;
		table->lines = reallocarray(table->lines, table->count + 1, sizeof(line));
		assert(table->lines);
		table->lines[table->count++] = line;
	}
	fclose(file);
	return 0;
}

void mount_table_done(struct mount_table *table)
{
	for (unsigned i = 0; i < table->count; i++) {
		free(table->lines[i].point);
		free(table->lines[i].type);
		free(table->lines[i].source);
	}
	free(table->lines);
	*table = (struct mount_table){ 0 };
}

const struct mount_line *mount_table_find_id(const struct mount_table *table, unsigned id)
{
	for (unsigned i = 0; i < table->count; i++)
		if (table->lines[i].id == id)
			return &table->lines[i];
	return NULL;
}

/*
 * Is another mount on top of this one, at the same point?  Goes by the parent, not by the order of
 * lines, which moved mounts keep.
 */
static bool is_covered(const struct mount_table *table, const struct mount_line *line)
{
	for (unsigned i = 0; i < table->count; i++)
		if (table->lines[i].parent == line->id && table->lines[i].id != line->id &&
		    !strcmp(table->lines[i].point, line->point))
			return true;
	return false;
}

const struct mount_line *mount_table_find(const struct mount_table *table, const char *point)
{
	for (unsigned i = table->count; i--;)
		if (!strcmp(table->lines[i].point, point) && !is_covered(table, &table->lines[i]))
			return &table->lines[i];
	return NULL;
}

const struct mount_line *mount_table_find_foreign(const struct mount_table *table,
						  const struct mount_line *line)
{
	for (unsigned i = 0; i < table->count; i++) {
		const struct mount_line *other = &table->lines[i];

		if (other->parent == line->id &&
		    (other->major != line->major || other->minor != line->minor))
			return other;
	}
	return NULL;
}

/* The mount id of a descriptor. */
static int mount_id(int fd, unsigned *id)
{
	char path[64], line[128];
	int result = -ENOENT;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (result && fgets(line, sizeof(line), file))
		if (sscanf(line, "mnt_id: %u", id) == 1)
			result = 0;
	fclose(file);
	return result;
}

/* Opens the parent directory of the mount point. */
static int open_parent(const struct mount_line *line, const char **name)
{
	autofree char *path = strdup(line->point);
	char *slash;
	int fd;

	assert(path);
	slash = strrchr(path, '/');
	if (!slash || !slash[1])
		return -EBUSY;		/* our root directory */
	*name = line->point + (slash - path) + 1;
	slash[slash == path] = 0;
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Compares the id; closes the file again, since an open file keeps the mount busy. */
static int check_place(int parent, const char *name, const struct mount_line *line)
{
	autoclose int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	unsigned id;
	int result = fd < 0 ? -errno : mount_id(fd, &id);

	return result ? result : id == line->id ? 0 : -ESTALE;
}

/* fusermount3 exits with 1 for any reason; only its message tells which. */
static bool says_busy(int output)
{
	char text[4096] = "";
	size_t used = 0;
	ssize_t got;

	while ((got = read(output, text + used, sizeof(text) - 1 - used)) > 0)
		used += got;
	return strstr(text, strerrordesc_np(EBUSY));
}

static int spawn_fusermount(const struct mount_line *line, int flags, int output, pid_t *child)
{
	char program[] = "fusermount3", unmount[] = "-u", lazy[] = "-z", plain[] = "-u";
	char end[] = "--";
	char *arguments[] = { program, unmount, flags & MNT_DETACH ? lazy : plain, end,
			      line->point, NULL };
	posix_spawn_file_actions_t actions;
	int error;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
	error = posix_spawnp(child, program, &actions, NULL, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -error;
}

/* Users other than root may unmount their own FUSE mounts, by fusermount3. */
static int unmount_by_fusermount(const struct mount_line *line, int flags)
{
	int pipes[2], status, error;
	bool is_busy;
	pid_t child;

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	error = spawn_fusermount(line, flags, pipes[1], &child);
	close(pipes[1]);
	is_busy = !error && says_busy(pipes[0]);
	close(pipes[0]);
	if (error)
		return -EPERM;
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -EIO;
	return !WEXITSTATUS(status) ? 0 : is_busy ? -EBUSY : -EPERM;
}

int mount_line_unmount(const struct mount_line *line, int flags)
{
	const char *name;
	autoclose int parent = open_parent(line, &name);
	char path[PATH_MAX];
	int result = parent < 0 ? parent : check_place(parent, name, line);

	if (result)
		return result;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", parent, name);
	if (!umount2(path, flags | UMOUNT_NOFOLLOW))
		return 0;
	return errno == EPERM ? unmount_by_fusermount(line, flags) : -errno;
}
