/*
 * The mount table, from /proc/self/mountinfo; and unmounting exactly one mount of it.
 *
 * (MOUNT-1) A mount is identified by its id.  Its path may lead elsewhere by now: another
 *     file system may be mounted on top, or a symbolic link put into the path.  So, just
 *     before umount2(), the id is compared again, in a directory that is held open.
 *
 * The table is a snapshot: it may have changed since.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct mount_line {
	unsigned id, parent;	/* of the mount; of the one it is mounted on */
	unsigned major, minor;	/* of the file system */
	char *point;
	char *type;		/* "fuse.bcachefuse" */
	char *source;		/* "/dev/loop0" */
};

struct mount_table {
	struct mount_line *lines;
	unsigned count;
};

int mount_table_read(struct mount_table *table, struct error *error) MUST_CHECK;
void mount_table_done(struct mount_table *table);

const struct mount_line *mount_table_find_id(const struct mount_table *table, unsigned id);
/* The topmost mount at `point`; NULL: nothing is mounted there. */
const struct mount_line *mount_table_find(const struct mount_table *table, const char *point);
/* A mount of another file system on this mount or inside it; NULL: none. */
const struct mount_line *mount_table_find_foreign(const struct mount_table *table,
						  const struct mount_line *line);

/*
 * Unmounts this mount (MOUNT-1), with the flags of umount2(); for users who may not call that,
 * by fusermount3.
 * -ESTALE: it is gone, or another mount is on top of it.  May block.
 */
int mount_line_unmount(const struct mount_line *line, int flags) MUST_CHECK;
