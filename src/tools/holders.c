/*
 * Lists the users of a mount: loop devices on its files, mounts on these and inside it, and
 * processes that have files or directories of it open.
 *
 * It is a help for people, so an error means only that something is missing in the list: users
 * other than root see only their own processes in /proc.  Nothing here opens a file of the mount,
 * which might wait for the daemon.
 */
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tools/mounts.h"

enum { HOLDERS_PRINTED_MAX = 6 };

/* The list so far.  It ends after some entries, as it is part of an error message. */
struct holders {
	FILE *stream;
	const char *directory;
	unsigned count;
};

/* Begins another entry of the list; false: the list is long enough. */
static bool begin_holder(struct holders *holders)
{
	if (holders->count == HOLDERS_PRINTED_MAX)
		fputs(", and more", holders->stream);
	if (++holders->count > HOLDERS_PRINTED_MAX)
		return false;
	if (holders->count > 1)
		fputs(", ", holders->stream);
	return true;
}

/* The name of a file as seen from the directory. */
static const char *name_below(const struct holders *holders, const char *path)
{
	return path_is_below(path, holders->directory) ? path + strlen(holders->directory) + 1
						       : path;
}

/* The kernel holds the file of a loop device; no process has it open. */
static void add_loops(struct holders *holders, const struct mount_table *table)
{
	struct loop_list *list = calloc(1, sizeof(*list));

	if (!list)
		return;
	loops_below(list, holders->directory);
	for (unsigned i = 0; i < list->count; i++) {
		const struct loop *loop = &list->loops[i];

		if (!begin_holder(holders))
			break;
		fprintf(holders->stream, "loop device %s with %s", loop->device,
			name_below(holders, loop->backing));
		for (unsigned j = 0; j < table->count; j++)
			if (loop_is_under_mount(loop, &table->lines[j]))
				fprintf(holders->stream, " (mounted on %s)", table->lines[j].point);
	}
	free(list);
}

/* A mount inside the directory keeps it busy, too. */
static void add_mounts(struct holders *holders, const struct mount_table *table)
{
	for (unsigned i = 0; i < table->count; i++)
		if (path_is_below(table->lines[i].point, holders->directory) &&
		    begin_holder(holders))
			fprintf(holders->stream, "a mount on %s", table->lines[i].point);
}

/* Does a link in /proc lead to the directory, or into it? */
static bool link_is_inside(const struct holders *holders, const char *link, char *target)
{
	ssize_t length = readlink(link, target, PATH_MAX - 1);

	if (length < 0)
		return false;
	target[length] = 0;
	return path_is_below(target, holders->directory) || !strcmp(target, holders->directory);
}

/* A map keeps the file busy after its descriptor is closed. */
static bool find_map(const struct holders *holders, const char *process, char *target)
{
	char path[300];
	autofree char *line = NULL;
	size_t room = 0;
	bool found = false;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%.200s/maps", process);
	maps = fopen(path, "re");
	while (maps && !found && getline(&line, &room, maps) > 0) {
		char *file = strchr(line, '/');

		line[strcspn(line, "\n")] = 0;
		found = file && path_is_below(file, holders->directory);
		if (found)
			snprintf(target, PATH_MAX, "%s", file);
	}
	if (maps)
		fclose(maps);
	return found;
}

/* The links in fd/ name open files by path, which costs no access to the files. */
static bool find_descriptor(const struct holders *holders, const char *process, char *target)
{
	char path[600];
	struct dirent *entry;
	bool found = false;
	DIR *descriptors;

	snprintf(path, sizeof(path), "/proc/%.200s/fd", process);
	descriptors = opendir(path);
	while (descriptors && !found && (entry = readdir(descriptors))) {
		snprintf(path, sizeof(path), "/proc/%.200s/fd/%s", process, entry->d_name);
		found = link_is_inside(holders, path, target);
	}
	if (descriptors)
		closedir(descriptors);
	return found;
}

struct link_use {
	const char *link;	/* in /proc/N */
	const char *use;
};

/* How a process uses the directory; NULL if it does not. */
static const char *find_use(const struct holders *holders, const char *process, char *target)
{
	static const struct link_use links[] = {
		{ "cwd", "works in" }, { "root", "has as its root" }, { "exe", "runs" },
	};
	char path[300];

	if (find_descriptor(holders, process, target))
		return "has open";
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		snprintf(path, sizeof(path), "/proc/%.200s/%s", process, links[i].link);
		if (link_is_inside(holders, path, target))
			return links[i].use;
	}
	return find_map(holders, process, target) ? "has mapped" : NULL;
}

/* comm may hold any bytes; they are escaped when the message is printed. */
static void add_process(struct holders *holders, const char *process)
{
	char path[300], name[64] = "?", target[PATH_MAX];
	const char *use = find_use(holders, process, target);
	FILE *file;

	if (!use || !begin_holder(holders))
		return;
	snprintf(path, sizeof(path), "/proc/%.200s/comm", process);
	file = fopen(path, "re");
	if (file) {
		if (fgets(name, sizeof(name), file))
			name[strcspn(name, "\n")] = 0;
		fclose(file);
	}
	fprintf(holders->stream, "process %s (%s) %s %s", process, name, use,
		name_below(holders, target));
}

/* Processes may end during the walk: then their files cannot be opened, and they are left out. */
static void add_processes(struct holders *holders)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;

	while (processes && (entry = readdir(processes)))
		if (isdigit((unsigned char)entry->d_name[0]))
			add_process(holders, entry->d_name);
	if (processes)
		closedir(processes);
}

void holders_print(FILE *stream, const char *directory)
{
	struct holders holders = { .stream = stream, .directory = directory };
	struct mount_table table;

	if (!mount_table_read(&table, NULL)) {
		add_loops(&holders, &table);
		add_mounts(&holders, &table);
		mount_table_done(&table);
	}
	add_processes(&holders);
	if (!holders.count)
		fputs("something that /proc and /sys do not show", stream);
}
