/*
 * The session: from members and a directory to a mount, and to its end.
 *
 *	LOOK --> MEMBERS --> TUNE --> MOUNT --> SERVE --unmounted, signal--> DRAIN --> STOP --> end
 *	   `---------`---------`---------------- failed ---------------------^
 *
 * The only file that knows how requests come in: messages of /dev/fuse on the
 * reactor's ring; those of volumes go to data_file.c as they are, all others
 * through libfuse.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/error.h"

struct session_tunable {
	const char *name, *value;
};

struct session_setup {
	const char *directory;		/* absolute */
	const char *source;		/* what the mount table shows as mounted */
	const char *const *members;	/* paths */
	unsigned member_count;
	const struct session_tunable *tunables;
	unsigned tunable_count;
	bool read_only, allow_other;
	uid_t uid;			/* of the volumes; all else is the daemon's owner's */
	gid_t gid;
	mode_t umask;
	uint64_t node_memory_bytes;	/* of each set; 0: the default */
	unsigned requests;		/* under way at a time; 0: the default */
	const char *kernel_flags;	/* "nosuid,nodev", or NULL */

	/* Every volume can be used. */
	void (*ready)(void *context);
	/* Writes who keeps the directory busy.  Called from another thread. */
	void (*print_holders)(FILE *stream, const char *directory);
	void *context;
};

/*
 * Serves until the end.  0 after a clean one; -errno and the reason if it could
 * not begin, or if not all could be made durable at its end.
 */
int session_run(const struct session_setup *setup, struct error *error) MUST_CHECK;
