/*
 * What `mount` was asked for: its command line and its -o lists, parsed.
 *
 * The words are mount(8)'s, since it calls us as its helper: -f is "fake",
 * -s is "sloppy" (unknown options are passed over).  In a list, "\," is a comma
 * that belongs to the value, "\\" a backslash.  Of repeated options the last counts, but
 * each device= adds a member.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* A control file to be written before the mount is ready: cache_mode=writeback. */
struct mount_tunable {
	char *name;
	char *value;
};

struct mount_options {
	char *spec;			/* path of a member, or "none" */
	char *directory;
	char **devices;			/* the other members */
	unsigned device_count;
	bool read_only;
	bool allow_other;
	bool default_permissions;
	bool fake, foreground, verbose, sloppy;
	bool no_fail;			/* a member that is not there is no failure */
	bool help, version;		/* then `spec` and `directory` may be missing */
	bool has_uid, has_gid, has_umask;
	uid_t uid;
	gid_t gid;
	mode_t umask;
	uint64_t node_memory_bytes;	/* for the index in memory; 0: the default */
	unsigned requests;		/* at the same time; 0: the default */
	char *kernel_flags;		/* "nosuid,nodev": for the mount itself; NULL if none */
	struct mount_tunable *tunables;
	unsigned tunable_count;

	/* To be called once every volume can be used: lets the caller of `mount` go on. */
	void (*ready)(const struct mount_options *options);
	void *ready_context;
};

/*
 * -EINVAL and the reason: an unknown option, a bad value, a missing argument.
 * `is_tunable` knows the control files that may be set.  To be released with
 * mount_options_done() in any case.
 */
int mount_options_parse(struct mount_options *options, int argc, char **argv,
			bool (*is_tunable)(const char *name), struct error *error) MUST_CHECK;
void mount_options_done(struct mount_options *options);

/*
 * The daemon: opens the members, mounts, calls `ready`, serves until the end.
 * Returns what could not be done before it was ready; 0 after a clean end.
 */
int mount_run(const struct mount_options *options, struct error *error) MUST_CHECK;
/* Is there a control file of this name that may be given as a mount option? */
bool mount_knows_tunable(const char *name);
