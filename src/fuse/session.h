/*
 * The session: mounts a set of members on a directory, serves it, and ends it.
 *
 *	LOOK --> MEMBERS --> TUNE --> MOUNT --> SERVE --unmounted, signal--> DRAIN --> STOP --> end
 *	   `---------`---------`---------------- failed ---------------------^
 *
 * It owns the reactor, the blocking thread and the daemon, and gets requests from the transport on
 * the reactor's thread: data_file.c handles those about data of volumes, libfuse all others.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/error.h"

struct shadow;

struct session_tunable {
	const char *name, *value;
};

struct session_setup {
	const char *directory;		/* absolute */
	const char *source;		/* shown in the mount table as the source */
	const char *const *members;	/* paths */
	unsigned member_count;
	const struct session_tunable *tunables;
	unsigned tunable_count;
	bool read_only, allow_other;
	uid_t uid;			/* of the volumes (INODE-1) */
	gid_t gid;
	mode_t umask;
	uint64_t node_memory_bytes;	/* of each set; 0: the default */
	unsigned requests;		/* maximum in flight; 0: the default */
	unsigned poll_us;		/* longest wait awake for the next completion; 0: none */
	const char *kernel_flags;	/* "nosuid,nodev", or NULL */
	struct shadow *overlay;		/* takes all writes (io/shadow.h); may be NULL */

	/* Called when every volume is ready. */
	void (*ready)(void *context);
	/* Prints who uses the directory.  Called on the blocking thread. */
	void (*print_holders)(FILE *stream, const char *directory);
	void *context;
};

/*
 * Serves until the mount ends.  0: it ended cleanly.  -errno and the reason: it could not be
 * mounted, or not everything could be made durable at the end.
 */
int session_run(const struct session_setup *setup, struct error *error) MUST_CHECK;
