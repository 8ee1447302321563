/*
 * Opening what a user named: a file or a block device, whatever else may take its
 * place meanwhile.
 */
#pragma once

#include <sys/stat.h>

#include "base/compiler.h"

/*
 * A descriptor for the file or block device at `path`, and what it is; never waits, as for the
 * other end of a FIFO.  -ENOTBLK: it is something else; -errno.
 */
int path_open(const char *path, int flags, struct stat *found) MUST_CHECK;
