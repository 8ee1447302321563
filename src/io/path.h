/*
 * Opens a path that a user named, which must be a file or a block device, although it may
 * be replaced by something else at any moment.
 */
#pragma once

#include <sys/stat.h>

#include "base/compiler.h"

/*
 * Opens the file or block device at `path`, and returns the descriptor and its stat.  Does not
 * block, as opening a FIFO would.  -ENOTBLK: it is neither; -errno.
 */
int path_open(const char *path, int flags, struct stat *found) MUST_CHECK;
