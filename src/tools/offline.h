/*
 * The engine without a mount, for commands that change a set which nobody has mounted.
 *
 *	LOOK --> MEMBERS --> WORK --done, or a signal--> STOP --> end
 *	   `---------`---- failed, or a signal ------------^
 *
 * LOOK checks whether the members can be used together, before any of them is opened for writing;
 * MEMBERS registers them, in any order.  STOP makes everything durable, so a command that was
 * interrupted leaves a set that can be used, and goes on where it was when it is called again.
 *
 * (OFFLINE-1) Members are opened exclusively, as by a daemon: while one of them is mounted, or used
 *     by another command, the run is refused before it has changed anything.
 */
#pragma once

#include "lifecycle/daemon.h"

struct offline_work {
	/*
	 * On the reactor, again and again.  0: done.  -EAGAIN: `op` was made to wait for
	 * something.  Other -errno and the reason: it fails.
	 */
	int (*step)(struct offline_work *work, struct daemon *daemon, struct op *op,
		    struct error *error);
	/* On SIGUSR1; may be NULL. */
	void (*print_now)(struct offline_work *work);
};

enum offline_way {
	OFFLINE_WRITE,
	OFFLINE_READ,			/* as with -o ro: nothing is written */
	OFFLINE_RESCUE,			/* likewise, without index nodes that are lost (INDEX-6) */
};

/*
 * 0: done, and all is durable.  -EINTR: a signal ended it early, all is durable.  Other -errno and
 * the reason: it failed, or something could not be made durable.
 */
int offline_run(const char *const *members, unsigned count, enum offline_way way,
		struct offline_work *work, struct error *error) MUST_CHECK;

/* For commands that take members: each exists, none is named twice or mounted by us. */
int offline_check_members(const char *const *members, unsigned count, bool for_writing,
			  struct error *error) MUST_CHECK;
