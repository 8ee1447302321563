/*
 * Finds out whether a member is mounted already, and where; and mounts whose daemon has died.
 *
 * The claim on the member makes sure that it has one daemon (device_claim.c).  This here is for the
 * message: who has it, and on which directory.  It reads /proc, so users other than root find only
 * their own daemons, and nobody finds one in another PID namespace.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/mounts.h"

static const char type_of_ours[] = "fuse.bcachefuse";

/* A member, and how it is to be opened. */
struct wanted {
	struct stat info;
	bool for_writing;
};

/* Reads the word after `key` at the beginning of a line of a file in /proc/PROCESS. */
static bool scan_process(const char *process, const char *file, const char *key, char word[32])
{
	char path[600], line[200];
	size_t length = strlen(key);
	bool found = false;
	FILE *stream;

	snprintf(path, sizeof(path), "/proc/%.200s/%.300s", process, file);
	stream = fopen(path, "re");
	while (stream && !found && fgets(line, sizeof(line), stream))
		found = !strncmp(line, key, length) && sscanf(line + length, "%31s", word) == 1;
	if (stream)
		fclose(stream);
	return found;
}

/* Also under the names by which mount(8) calls it, cut off at 15 characters. */
static bool is_daemon(const char *process)
{
	char name[32];

	return isdigit((unsigned char)*process) && scan_process(process, "comm", "", name) &&
	       strstr(name, "bcachefus");
}

static bool is_same_file(const struct stat *one, const struct stat *other)
{
	if (S_ISBLK(one->st_mode))
		return S_ISBLK(other->st_mode) && one->st_rdev == other->st_rdev;
	return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

/* Would device_open() fail?  A file has one writer or readers, a block device one writer. */
static bool descriptor_excludes(const char *process, const char *descriptor,
				const struct wanted *wanted)
{
	char path[600], file[300], flags[32];
	struct stat info;
	bool it_writes;

	snprintf(path, sizeof(path), "/proc/%.200s/fd/%.200s", process, descriptor);
	if (stat(path, &info) || !is_same_file(&wanted->info, &info))
		return false;
	snprintf(file, sizeof(file), "fdinfo/%.200s", descriptor);
	/* The flags of open(2), in octal. */
	it_writes = scan_process(process, file, "flags:", flags) &&
		    (strtoul(flags, NULL, 8) & O_ACCMODE) != O_RDONLY;
	return S_ISBLK(info.st_mode) ? it_writes && wanted->for_writing :
				       it_writes || wanted->for_writing;
}

static bool process_excludes(const char *process, const struct wanted *wanted)
{
	char path[300];
	struct dirent *entry;
	bool found = false;
	DIR *descriptors;

	snprintf(path, sizeof(path), "/proc/%.200s/fd", process);
	descriptors = opendir(path);
	while (descriptors && !found && (entry = readdir(descriptors)))
		found = isdigit((unsigned char)entry->d_name[0]) &&
			descriptor_excludes(process, entry->d_name, wanted);
	if (descriptors)
		closedir(descriptors);
	return found;
}

/* The process ID of the daemon that has the member open; 0: none. */
static long find_daemon_of(const struct wanted *wanted)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	long found = 0;

	while (processes && !found && (entry = readdir(processes)))
		if (is_daemon(entry->d_name) && process_excludes(entry->d_name, wanted))
			found = strtol(entry->d_name, NULL, 10);
	if (processes)
		closedir(processes);
	return found;
}

/* Asks the daemon for its process ID through the mount, since the mount table has none. */
static bool is_served_by(const struct mount_line *line, long daemon)
{
	char path[PATH_MAX + 32];
	long found = 0;
	FILE *file;

	if (strcmp(line->type, type_of_ours))
		return false;
	snprintf(path, sizeof(path), "%s/sys/fs/bcache/pid", line->point);
	file = fopen(path, "re");
	if (file) {
		if (fscanf(file, "%ld", &found) != 1)
			found = 0;
		fclose(file);
	}
	return found == daemon;
}

/* A daemon that is not mounted any more will close its devices soon, so it does not count. */
int mounted_check(const char *path, bool for_writing, struct error *error)
{
	struct wanted wanted = { .for_writing = for_writing };
	struct mount_table table;
	long daemon;
	int result = 0;

	if (stat(path, &wanted.info))
		return 0;	/* opening it will report the reason */
	daemon = find_daemon_of(&wanted);
	if (!daemon || mount_table_read(&table, NULL))
		return 0;
	for (unsigned i = 0; i < table.count && !result; i++)
		if (is_served_by(&table.lines[i], daemon))
			result = error_set(error, EBUSY,
					   "%s: is mounted already, on %s (process %ld)", path,
					   table.lines[i].point, daemon);
	mount_table_done(&table);
	return result;
}

/* The innermost mount of ours on the path, by its text, since it cannot be resolved. */
static const char *find_mount_above(const struct mount_table *table, const char *path)
{
	const char *found = NULL;

	for (unsigned i = 0; i < table->count; i++) {
		const char *point = table->lines[i].point;

		if (!strcmp(table->lines[i].type, type_of_ours) &&
		    (!strcmp(path, point) || path_is_below(path, point)) &&
		    (!found || strlen(point) > strlen(found)))
			found = point;
	}
	return found;
}

/* Each access to the mount gives ENOTCONN, so the path is compared as text. */
int mounted_say_dead(const char *path, struct error *error)
{
	autofree char *here = *path == '/' ? NULL : getcwd(NULL, 0);
	char absolute[2 * PATH_MAX];
	struct mount_table table;
	const char *point;
	size_t length;

	snprintf(absolute, sizeof(absolute), "%s%s%s", here ? here : "", here ? "/" : "", path);
	for (length = strlen(absolute); length > 1 && absolute[length - 1] == '/';)
		absolute[--length] = 0;
	if (mount_table_read(&table, NULL))
		return error_set(error, ENOTCONN, "%s: %s", path, strerror(ENOTCONN));
	point = find_mount_above(&table, absolute);
	if (point)
		error_set(error, ENOTCONN,
			  "%s: the daemon that served %s has died; \"bcachefuse umount -R %s\" "
			  "takes down what it left", path, point, point);
	else
		error_set(error, ENOTCONN, "%s: %s", path, strerror(ENOTCONN));
	mount_table_done(&table);
	return -ENOTCONN;
}
