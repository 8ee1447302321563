/*
 * Mounts and their users: the mount table, loop devices, processes.
 *
 * All is read from /proc and /sys during the call, and may have changed since.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "io/mount_table.h"

/* Is `path` something below `directory`? */
bool path_is_below(const char *path, const char *directory);

enum { LOOPS_MAX = 64, LOOP_PATH_BYTES = 512 };

struct loop {
	char device[64];			/* "/dev/loop0" */
	char backing[LOOP_PATH_BYTES];		/* the file */
};

struct loop_list {
	struct loop loops[LOOPS_MAX];
	unsigned count;
};

/* The loop devices whose file is below `directory`. */
void loops_below(struct loop_list *list, const char *directory);
/* Is the mount's file system on the loop device, or on one of its partitions? */
bool loop_is_under_mount(const struct loop *loop, const struct mount_line *mount);
/* Detaches the file from the loop device.  -errno; -ENXIO: it has none any more. */
int loop_clear(const struct loop *loop);

/*
 * -EBUSY and the directory, if a mounted daemon of ours has the member open, such that it cannot be
 * opened.  0 also if that cannot be found out.
 */
int mounted_check(const char *path, bool for_writing, struct error *error) MUST_CHECK;
/* After ENOTCONN for `path`: reports whose daemon died, and how to clean up.  -ENOTCONN. */
int mounted_say_dead(const char *path, struct error *error);

/* Prints the users of `directory`: "loop device /dev/loop0 with bcache0, process 7 (cat) ...". */
void holders_print(FILE *stream, const char *directory);
