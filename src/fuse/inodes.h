/*
 * Names and attributes: what libfuse asks of the tree.
 *
 * Inode numbers are the tree's node numbers, so nothing is remembered for the
 * kernel, and nothing has to be forgotten.
 */
#pragma once

#include <sys/types.h>

#include "base/list.h"
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
	struct list handles;	/* of struct handle: open directories and control files */
};

/* What is open: the kernel may go away without closing it. */
struct handle {
	struct list_link link;
	void (*free)(struct handle *handle);
};

void handle_open(struct inodes *inodes, struct handle *handle, void (*free)(struct handle *handle));
void handle_close(struct handle *handle);
void inodes_close_all(struct inodes *inodes);

/* Fills in the calls on names, attributes and directories; those on control files. */
void inodes_operations(struct fuse_lowlevel_ops *operations);
void control_file_operations(struct fuse_lowlevel_ops *operations);
