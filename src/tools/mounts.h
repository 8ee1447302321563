/*
 * What is mounted where, and what uses it: mount table, loop devices, processes.
 *
 * Read from /proc and /sys at the moment of the call; it may have changed since.
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
/* Takes the file away from the loop device. -errno; -ENXIO: it has none any more. */
int loop_clear(const struct loop *loop);

/*
 * -EBUSY and the directory, where a mounted daemon of ours has the member open so that we
 * cannot; 0 also where this cannot be known.
 */
int mounted_check(const char *path, bool for_writing, struct error *error) MUST_CHECK;
/* Opening `path` failed with ENOTCONN: says whose daemon died, and what helps.  -ENOTCONN. */
int mounted_say_dead(const char *path, struct error *error);

/* Writes who keeps `directory` busy: "loop device /dev/loop0 with bcache0, process 7 (cat) ...". */
void holders_print(FILE *stream, const char *directory);
