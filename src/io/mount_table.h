/*
 * What is mounted where, as /proc/self/mountinfo has it; and how one mount, and
 * no other, is taken away.
 *
 * (MOUNT-1) A mount is known by its id.  Its path may lead elsewhere by now: somebody
 *     mounted on top of it, or put a symbolic link in its way.  So the id is compared
 *     at the place itself, in a directory that is held open, just before the kernel is
 *     asked to unmount what is there.
 *
 * The table is as of the moment of the call; it may have changed since.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct mount_line {
	unsigned id, parent;	/* of the mount; of the one that it stands on */
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
/* One of another file system that stands on this mount, on top of it or below; NULL: none. */
const struct mount_line *mount_table_find_foreign(const struct mount_table *table,
						  const struct mount_line *line);

/*
 * Unmounts this mount (MOUNT-1), with the flags of umount2(); for users who may not call that,
 * by fusermount3.
 * -ESTALE: it is not there any more, or another one is on top of it.  May block.
 */
int mount_line_unmount(const struct mount_line *line, int flags) MUST_CHECK;
