/*
 * Names and attributes: what libfuse asks of the tree.
 *
 * Inode numbers are the tree's node numbers, so nothing is remembered for the
 * kernel, and nothing has to be forgotten.
 *
 * (INODE-1) -o uid=, gid= and umask= are for the volumes.  All else acts on the
 *     daemon, opens paths with its rights or tells of them: it is its owner's.
 * (INODE-2) chmod and chown hold as long as the file lives: as long as its set
 *     or its volume is the one that it was.  The kernel lets only those change
 *     and open a file who may (default_permissions).
 * (INODE-3) A file that may be longer than a page has its true size, by which
 *     the kernel ends sendfile() and others end their copies: what was counted
 *     for stat() is kept, and is what the next read begins with.
 */
#pragma once

#include <sys/types.h>

#include "base/list.h"
#include "control/tree.h"
#include "fuse/library.h"

/* The mode and the owner of a node that chmod and chown changed (INODE-2). */
struct inode_change {
	uint64_t number;
	uint64_t birth;		/* of the set or volume that it belongs to; 0: of none */
	bool has_mode, has_uid, has_gid;
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

enum { LONG_FILES_MAX = 2 };	/* metrics, diskstats */

/* The content of a long file at the moment its size was told (INODE-3). */
struct told_text {
	uint64_t number;	/* of the node; 0: nothing was told, or it was read */
	struct text text;
	uint64_t told_ns;
};

/* What all calls of libfuse are given as their user data. */
struct inodes {
	struct tree *tree;
	uid_t owner_uid;	/* of the daemon and of all but the volumes */
	gid_t owner_gid;
	uid_t uid;		/* of the volumes */
	gid_t gid;
	mode_t umask;
	struct reactor *reactor;
	struct told_text told[LONG_FILES_MAX];
	struct inode_change *changes;	/* sorted by number */
	unsigned change_count, change_room;
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

/* The node's mode bits, without its type. */
mode_t inodes_mode(const struct inodes *inodes, uint64_t number, const struct tree_node *node);
/* Moves what was told of a long file just now to `text`, which is empty. */
bool inodes_take_told(struct inodes *inodes, uint64_t number, struct text *text);
void inodes_done(struct inodes *inodes);

/* Fills in the calls on names, attributes and directories; those on control files. */
void inodes_operations(struct fuse_lowlevel_ops *operations);
void control_file_operations(struct fuse_lowlevel_ops *operations);
