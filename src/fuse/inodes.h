/*
 * Names and attributes: what libfuse asks of the tree.
 *
 * Inode numbers are the tree's node numbers, so nothing is remembered for the
 * kernel, and nothing has to be forgotten.
 */
#pragma once

#include <sys/types.h>

#include "control/tree.h"
#include "fuse/library.h"

/* What all calls of libfuse are given as their user data. */
struct inodes {
	struct tree *tree;
	uid_t uid;
	gid_t gid;
	mode_t umask;
	time_t since;		/* all times of all files */
	unsigned stores;	/* writes to control files whose answer is owed */
};

/* Fills in the calls on names, attributes and directories; those on control files. */
void inodes_operations(struct fuse_lowlevel_ops *operations);
void control_file_operations(struct fuse_lowlevel_ops *operations);
