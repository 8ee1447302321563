/*
 * The daemon's own mount, identified by the device number of its file system, not by its
 * path, which may have changed.
 *
 * (OWNMOUNT-1) As long as the kernel has the FUSE connection, no other file system gets its
 *     device number.
 * (OWNMOUNT-2) Only mounts of our file system are unmounted, and only if no other file
 *     system is mounted on top, which would be unmounted, too.
 */
#pragma once

#include <stdint.h>

#include "io/mount_table.h"

struct own_mount {
	int connection;			/* descriptor of /dev/fuse; owned by the caller */
	bool is_found;
	unsigned major, minor;		/* of the file system */
};

/* Finds the mount at `directory` that is not in the table `before` mounting. */
void own_mount_find(struct own_mount *own, int connection, const char *directory,
		    const struct mount_table *before);
/* st_dev of its files; 0: it was not found. */
uint64_t own_mount_number(const struct own_mount *own);

/*
 * Detaches the mount lazily, wherever it is mounted in our mount namespace by now: processes that
 * use it keep it.  0 also if it was unmounted already.  -EBUSY: another file system is mounted on
 * top of it (OWNMOUNT-2); other -errno: the reason is in *error.  May block.
 */
int own_mount_leave(const struct own_mount *own, struct error *error) MUST_CHECK;

/*
 * Aborts the connection: processes that still use the mount get errors.  The descriptor stays open
 * and reports that the mount is gone, since otherwise libfuse would unmount by path.
 */
void own_mount_sever(const struct own_mount *own);
