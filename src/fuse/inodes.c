/*
 * Operations on names, and those on volumes that data_file.c leaves to libfuse: seek, statfs.
 *
 * The names follow from the sets and volumes, so all requests to change one are refused.
 */
#include "fuse/inodes.h"

#include <errno.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/numbers.h"

enum { DIRECTORY_BLOCK_BYTES = 4096 };

/*
 * entry_timeout stays 0, so that the kernel asks again each time: names come and go with sets and
 * volumes, without a request of its own.
 */
static void inodes_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct inodes *inodes = inodes_of(request);
	struct fuse_entry_param entry = { 0 };
	struct tree_node node;
	uint64_t number;
	int error = tree_lookup(inodes->tree, parent, name, &number);

	if (!error)
		error = tree_resolve(inodes->tree, number, &node);
	if (error) {
		fuse_reply_err(request, -error);
		return;
	}
	entry.ino = number;
	entry.attr_timeout = inode_attribute_seconds(&node);
	inode_fill_attributes(inodes, number, &node, &entry.attr);
	fuse_reply_entry(request, &entry);
}

static void inodes_readlink(fuse_req_t request, fuse_ino_t number)
{
	struct text target = { 0 };
	int error = tree_link(inodes_of(request)->tree, number, &target);

	if (error)
		fuse_reply_err(request, -error);
	else
		fuse_reply_readlink(request, target.bytes);
	text_done(&target);
}

/* Files cannot be created, renamed or removed. */
static void refuse_name(fuse_req_t request, const char *name)
{
	struct control_subject subject = { .daemon = inodes_of(request)->tree->daemon };

	fuse_reply_err(request, -control_refuse(&subject, name, -EPERM,
						"nothing can be made, renamed or removed here"));
}

static void refuse_mknod(fuse_req_t request, fuse_ino_t parent UNUSED, const char *name,
			 mode_t mode UNUSED, dev_t device UNUSED)
{
	refuse_name(request, name);
}

static void refuse_create(fuse_req_t request, fuse_ino_t parent UNUSED, const char *name,
			  mode_t mode UNUSED, struct fuse_file_info *file UNUSED)
{
	refuse_name(request, name);
}

static void refuse_mkdir(fuse_req_t request, fuse_ino_t parent UNUSED, const char *name,
			 mode_t mode UNUSED)
{
	refuse_name(request, name);
}

static void refuse_removal(fuse_req_t request, fuse_ino_t parent UNUSED, const char *name)
{
	refuse_name(request, name);
}

static void refuse_symlink(fuse_req_t request, const char *target UNUSED,
			   fuse_ino_t parent UNUSED, const char *name)
{
	refuse_name(request, name);
}

static void refuse_rename(fuse_req_t request, fuse_ino_t parent UNUSED, const char *name,
			  fuse_ino_t new_parent UNUSED, const char *new_name UNUSED,
			  unsigned flags UNUSED)
{
	refuse_name(request, name);
}

static void refuse_link(fuse_req_t request, fuse_ino_t number UNUSED, fuse_ino_t parent UNUSED,
			const char *name)
{
	refuse_name(request, name);
}

/* ---- operations on volumes that data_file.c does not handle ---- */

/*
 * Loop devices take f_bsize of the volume's file as their discard granularity.
 * For directories, 0 blocks are reported, so that df ignores the mount, as it does sysfs,
 * and monitoring does not report a full disk.
 */
static void inodes_statfs(fuse_req_t request, fuse_ino_t number)
{
	const struct inodes *inodes = inodes_of(request);
	struct statvfs info = { .f_bsize = DIRECTORY_BLOCK_BYTES, .f_namemax = TREE_NAME_MAX };
	struct tree_node node;
	int error = tree_resolve(inodes->tree, number, &node);

	if (error) {
		fuse_reply_err(request, -error);
		return;
	}
	if (node.type == TREE_VOLUME) {
		info.f_bsize = node.block_bytes;
		info.f_blocks = divide_up(node.bytes, info.f_bsize);
	}
	info.f_frsize = info.f_bsize;
	fuse_reply_statfs(request, &info);
}

/* SEEK_DATA, SEEK_HOLE: the whole volume is data; the only hole is at its end. */
static void inodes_lseek(fuse_req_t request, fuse_ino_t number, off_t offset, int whence,
			 struct fuse_file_info *file UNUSED)
{
	struct tree_node node;
	int error = tree_resolve(inodes_of(request)->tree, number, &node);

	if (!error && (node.type != TREE_VOLUME || (whence != SEEK_DATA && whence != SEEK_HOLE)))
		error = -EINVAL;
	if (!error && (offset < 0 || (uint64_t)offset >= node.bytes))
		error = -ENXIO;
	if (error)
		fuse_reply_err(request, -error);
	else
		fuse_reply_lseek(request, whence == SEEK_DATA ? offset : (off_t)node.bytes);
}

/* Operations without a function here are refused by libfuse with ENOSYS. */
void inodes_operations(struct fuse_lowlevel_ops *operations)
{
	inode_attribute_operations(operations);
	directory_operations(operations);
	operations->lookup = inodes_lookup;
	operations->readlink = inodes_readlink;
	operations->mknod = refuse_mknod;
	operations->create = refuse_create;
	operations->mkdir = refuse_mkdir;
	operations->unlink = refuse_removal;
	operations->rmdir = refuse_removal;
	operations->symlink = refuse_symlink;
	operations->rename = refuse_rename;
	operations->link = refuse_link;
	operations->statfs = inodes_statfs;
	operations->lseek = inodes_lseek;
}
