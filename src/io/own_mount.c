/* The daemon's own mount: finds it and unmounts it. */
#include "io/own_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const char type_of_ours[] = "fuse.bcachefuse";

void own_mount_find(struct own_mount *own, int connection, const char *directory,
		    const struct mount_table *before)
{
	struct mount_table table;
	const struct mount_line *line;

	*own = (struct own_mount){ .connection = connection };
	if (mount_table_read(&table, NULL))
		return;
	line = mount_table_find(&table, directory);
	if (line && !strcmp(line->type, type_of_ours) && !mount_table_find_id(before, line->id)) {
		own->is_found = true;
		own->major = line->major;
		own->minor = line->minor;
	}
	mount_table_done(&table);
}

uint64_t own_mount_number(const struct own_mount *own)
{
	return own->is_found ? makedev(own->major, own->minor) : 0;
}

/*
 * OWNMOUNT-1: without the connection, a later file system may have the same number.  From then
 * on /dev/fuse polls as an error.
 */
static bool is_gone(const struct own_mount *own)
{
	struct pollfd connection = { .fd = own->connection };

	return poll(&connection, 1, 0) == 1 && connection.revents & (POLLERR | POLLNVAL);
}

static bool is_ours(const struct own_mount *own, const struct mount_line *line)
{
	return line->major == own->major && line->minor == own->minor;
}

/* OWNMOUNT-2 */
static int check_foreign(const struct own_mount *own, const struct mount_table *table,
			 struct error *error)
{
	for (unsigned i = 0; i < table->count; i++) {
		const struct mount_line *foreign =
			is_ours(own, &table->lines[i])
				? mount_table_find_foreign(table, &table->lines[i])
				: NULL;

		if (foreign)
			return error_set(error, EBUSY, "%s (%s) is mounted on it, at %s",
					 foreign->source, foreign->type, foreign->point);
	}
	return 0;
}

/* Newest first: a second mount of ours may be on top of the first. */
static int leave_all(const struct own_mount *own, const struct mount_table *table,
		     struct error *error)
{
	for (unsigned i = table->count; i--;) {
		const struct mount_line *line = &table->lines[i];
		int result = is_ours(own, line) ? mount_line_unmount(line, MNT_DETACH) : 0;

		if (result)
			return error_set(error, -result, "%s cannot be unmounted: %s", line->point,
					 strerror(-result));
	}
	return 0;
}

int own_mount_leave(const struct own_mount *own, struct error *error)
{
	struct mount_table table;
	int result;

	if (is_gone(own))
		return 0;
	if (!own->is_found)
		return error_set(error, ENOENT,
				 "the mount table does not tell which mount is ours");
	result = mount_table_read(&table, error);
	if (result)
		return result;
	result = check_foreign(own, &table, error);
	if (!result)
		result = leave_all(own, &table, error);
	mount_table_done(&table);
	return result;
}

void own_mount_sever(const struct own_mount *own)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return;
	/* A pipe without a reader polls as an error, as does a connection without a mount. */
	close(ends[0]);
	dup3(ends[1], own->connection, O_CLOEXEC);
	close(ends[1]);
}
