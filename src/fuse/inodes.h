/*
 * Names, attributes and directories: the operations of libfuse, answered from the tree.
 *
 * Inode numbers are the tree's node numbers, so there is no state for inodes that the
 * kernel knows, and FORGET does nothing.
 *
 * (INODE-1) -o uid=, gid= and umask= apply to the volumes only.  All other files belong to
 *     the daemon's owner: they act on the daemon, which opens paths with its own rights.
 * (INODE-2) A chmod or chown lasts as long as the file's set or volume exists.  The kernel
 *     checks who may change and open a file (default_permissions).  It may keep what stat() of
 *     a volume shows for an hour, and is told to drop it after each command about the volume,
 *     since that may have changed the size.
 * (INODE-3) A file that may be longer than a page reports its true size, since sendfile()
 *     and many copying programs stop there.  The text that stat() measured is kept, and
 *     the next read returns it, so that size and content agree.
 */
#pragma once

#include <sys/types.h>

#include "base/list.h"
#include "control/tree.h"
#include "fuse/library.h"

/* The mode and the owner of a node that chmod and chown changed (INODE-2). */
struct inode_change {
	uint64_t number;
	uint64_t birth;		/* of the set or volume it belongs to; 0: none */
	bool has_mode, has_uid, has_gid;
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

enum { LONG_FILES_MAX = 4 };	/* metrics, diskstats, and inflight of two sets */

/* The content of a long file, kept since stat() reported its size (INODE-3). */
struct told_text {
	uint64_t number;	/* of the node; 0: none is kept */
	struct text text;
	uint64_t told_ns;
};

/* The user data of all libfuse operations. */
struct inodes {
	struct tree *tree;
	struct fuse_session *fuse;	/* NULL: not mounted yet */
	uid_t owner_uid;	/* of the daemon, and of all files but the volumes */
	gid_t owner_gid;
	uid_t uid;		/* of the volumes */
	gid_t gid;
	mode_t umask;
	struct reactor *reactor;
	struct told_text told[LONG_FILES_MAX];
	struct inode_change *changes;	/* sorted by number */
	unsigned change_count, change_room;
	time_t since;		/* reported as every time of every file */
	unsigned stores;	/* writes to control files, reads of internal/keys: in progress */
	struct list handles;	/* of struct handle: open directories and control files */
};

/* An open file or directory, to be freed even if the kernel does not close it. */
struct handle {
	struct list_link link;
	void (*free)(struct handle *handle);
};

void handle_open(struct inodes *inodes, struct handle *handle, void (*free)(struct handle *handle));
void handle_close(struct handle *handle);
void inodes_close_all(struct inodes *inodes);

/* The permission bits of a node. */
mode_t inodes_mode(const struct inodes *inodes, uint64_t number, const struct tree_node *node);
/* Moves the kept text of a long file to `text`, which is empty; false: none is kept. */
bool inodes_take_told(struct inodes *inodes, uint64_t number, struct text *text);
void inodes_done(struct inodes *inodes);

/* The type of a node in a mode: S_IFDIR, ... */
mode_t inode_type_bits(enum tree_type type);
/* Fills in what stat() shows; how long the kernel may keep that. */
void inode_fill_attributes(struct inodes *inodes, uint64_t number, const struct tree_node *node,
			   struct stat *attributes);
double inode_attribute_seconds(const struct tree_node *node);

static inline struct inodes *inodes_of(fuse_req_t request)
{
	return fuse_req_userdata(request);
}

/* Set the operations of one file each; inodes_operations() also those of the next two. */
void inodes_operations(struct fuse_lowlevel_ops *operations);
void inode_attribute_operations(struct fuse_lowlevel_ops *operations);
void directory_operations(struct fuse_lowlevel_ops *operations);
void control_file_operations(struct fuse_lowlevel_ops *operations);
