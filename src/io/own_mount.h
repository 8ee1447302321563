/*
 * The daemon's own mount: found when it was made, known by the number of its
 * file system, left by nobody's path.
 *
 * (OWNMOUNT-1) As long as the kernel holds the connection, the number is ours alone.
 * (OWNMOUNT-2) Only mounts of our file system are unmounted, and none on which another
 *     file system stands: that would go with it.
 */
#pragma once

#include <stdint.h>

#include "io/mount_table.h"

struct own_mount {
	int connection;			/* of /dev/fuse; the caller's */
	bool is_found;
	unsigned major, minor;		/* of the file system */
};

/* Looks for it at `directory`, among what was not in the table `before` it was made. */
void own_mount_find(struct own_mount *own, int connection, const char *directory,
		    const struct mount_table *before);
/* st_dev of all its files; 0: it was not found. */
uint64_t own_mount_number(const struct own_mount *own);

/*
 * Detaches the mount lazily, wherever it is mounted in our mount namespace by now: processes that
 * use it keep it.  0 also if it was unmounted already.  -EBUSY: another file system is mounted on
 * top of it (OWNMOUNT-2); other -errno: the reason is in *error.  May block.
 */
int own_mount_leave(const struct own_mount *own, struct error *error) MUST_CHECK;

/*
 * Ends the connection: who is still inside gets errors.  The descriptor stays, and tells from now
 * on that its mount is gone: libfuse would unmount by path while it does not.
 */
void own_mount_sever(const struct own_mount *own);
