/*
 * Attributes of files and directories: stat(), chmod(), chown().
 *
 * Nearly all is derived from the tree at each request.  Two things are kept: changes by chmod and
 * chown, and the text of a long file between the stat() that measured it and the read.
 */
#include "fuse/inodes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/numbers.h"

enum {
	SECTOR_BYTES = 512,
	VOLUME_ATTRIBUTE_SECONDS = 3600,	/* they change only by requests of the kernel */
	TOLD_NS_MAX = 1000000000,
};

mode_t inode_type_bits(enum tree_type type)
{
	switch (type) {
	case TREE_DIRECTORY:
		return S_IFDIR;
	case TREE_LINK:
		return S_IFLNK;
	case TREE_FILE:
	case TREE_VOLUME:
		break;
	}
	return S_IFREG;
}

/* ---- chmod and chown (INODE-2) ---- */

/*
 * A set or volume that was stopped and came back has the same inode numbers (TREE-1), but another
 * birth; so its old changes do not apply.
 */
static uint64_t birth_of(const struct tree_node *node)
{
	const struct control_subject *subject = &node->subject;

	return subject->volume ? subject->volume->birth : subject->set ? subject->set->birth : 0;
}

/* Index of the first change whose number is not less. */
static unsigned change_place(const struct inodes *inodes, uint64_t number)
{
	unsigned low = 0, high = inodes->change_count;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (inodes->changes[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The change of a node; NULL: none, or it was of an earlier set or volume. */
static const struct inode_change *change_of(const struct inodes *inodes, uint64_t number,
					    const struct tree_node *node)
{
	unsigned place = change_place(inodes, number);
	const struct inode_change *change = &inodes->changes[place];

	return place < inodes->change_count && change->number == number &&
		       change->birth == birth_of(node) ? change : NULL;
}

/* The place of a change of an earlier set or volume is reused. */
static struct inode_change *change_make(struct inodes *inodes, uint64_t number,
					const struct tree_node *node)
{
	unsigned place = change_place(inodes, number);
	struct inode_change *change;

	if (inodes->change_count == inodes->change_room) {
		inodes->change_room = inodes->change_room ? inodes->change_room * 2 : 16;
		inodes->changes = reallocarray(inodes->changes, inodes->change_room,
					       sizeof(*inodes->changes));
		assert(inodes->changes);
	}
	change = &inodes->changes[place];
	if (place == inodes->change_count || change->number != number) {
		memmove(change + 1, change,
			(inodes->change_count - place) * sizeof(*change));
		inodes->change_count++;
		*change = (struct inode_change){ 0 };
	}
	if (change->number != number || change->birth != birth_of(node))
		*change = (struct inode_change){ .number = number, .birth = birth_of(node) };
	return change;
}

static void change_attributes(struct inodes *inodes, uint64_t number, const struct tree_node *node,
			      const struct stat *wanted, int what)
{
	struct inode_change *change = change_make(inodes, number, node);

	if (what & FUSE_SET_ATTR_MODE) {
		change->has_mode = true;
		change->mode = wanted->st_mode & 0777;	/* no setuid bits */
	}
	if (what & FUSE_SET_ATTR_UID) {
		change->has_uid = true;
		change->uid = wanted->st_uid;
	}
	if (what & FUSE_SET_ATTR_GID) {
		change->has_gid = true;
		change->gid = wanted->st_gid;
	}
}

void inodes_done(struct inodes *inodes)
{
	for (unsigned i = 0; i < LONG_FILES_MAX; i++)
		text_done(&inodes->told[i].text);
	free(inodes->changes);
}

mode_t inodes_mode(const struct inodes *inodes, uint64_t number, const struct tree_node *node)
{
	const struct inode_change *change = change_of(inodes, number, node);

	if (change && change->has_mode)
		return change->mode;
	return node->type == TREE_VOLUME ? node->mode & ~inodes->umask : node->mode;
}

/* INODE-1 */
static void fill_owner(const struct inodes *inodes, uint64_t number, const struct tree_node *node,
		       struct stat *attributes)
{
	const struct inode_change *change = change_of(inodes, number, node);
	bool is_volume = node->type == TREE_VOLUME;

	attributes->st_uid = is_volume ? inodes->uid : inodes->owner_uid;
	attributes->st_gid = is_volume ? inodes->gid : inodes->owner_gid;
	if (change && change->has_uid)
		attributes->st_uid = change->uid;
	if (change && change->has_gid)
		attributes->st_gid = change->gid;
}

/* ---- long files (INODE-3) ---- */

/* The entry of this file, or one to reuse: the oldest. */
static struct told_text *told_place(struct inodes *inodes, uint64_t number)
{
	struct told_text *place = &inodes->told[0];

	for (unsigned i = 0; i < LONG_FILES_MAX; i++) {
		struct told_text *told = &inodes->told[i];

		if (told->number == number)
			return told;
		if (told->told_ns < place->told_ns)
			place = told;
	}
	return place;
}

/* The size of a text is known only when it is made. */
static uint64_t tell_size(struct inodes *inodes, uint64_t number, const struct tree_node *node)
{
	struct told_text *told = told_place(inodes, number);

	text_done(&told->text);
	node->file->show(&node->subject, &told->text);
	told->number = number;
	told->told_ns = clock_ns(inodes->reactor);
	return told->text.used;
}

/*
 * Once: a second read gets a new text.  Nor is an old text returned, after a stat() that no read
 * followed.
 */
bool inodes_take_told(struct inodes *inodes, uint64_t number, struct text *text)
{
	for (unsigned i = 0; i < LONG_FILES_MAX; i++) {
		struct told_text *told = &inodes->told[i];

		if (told->number != number)
			continue;
		told->number = 0;
		if (clock_ns(inodes->reactor) - told->told_ns > TOLD_NS_MAX)
			return false;
		*text = told->text;
		told->text = (struct text){ 0 };
		return true;
	}
	return false;
}

/* ---- attributes ---- */

void inode_fill_attributes(struct inodes *inodes, uint64_t number, const struct tree_node *node,
			   struct stat *attributes)
{
	*attributes = (struct stat){
		.st_ino = number,
		.st_mode = inode_type_bits(node->type) | inodes_mode(inodes, number, node),
		.st_nlink = node->type == TREE_DIRECTORY ? 2 : 1,
		.st_size = node->bytes,
		.st_blksize = node->block_bytes,
		.st_blocks = node->type == TREE_VOLUME ? node->bytes / SECTOR_BYTES : 0,
		.st_atime = inodes->since,
		.st_mtime = inodes->since,
		.st_ctime = inodes->since,
	};
	fill_owner(inodes, number, node, attributes);
	if (node->type == TREE_FILE && node->file->mode & CONTROL_LONG) {
		attributes->st_size = tell_size(inodes, number, node);
		attributes->st_blocks = divide_up(attributes->st_size, SECTOR_BYTES);
	}
}

/* A control file must be asked each time, since its size and its existence may change. */
double inode_attribute_seconds(const struct tree_node *node)
{
	return node->type == TREE_VOLUME ? VOLUME_ATTRIBUTE_SECONDS : 0;
}

static void reply_attributes(fuse_req_t request, uint64_t number, const struct tree_node *node)
{
	struct stat attributes;

	inode_fill_attributes(inodes_of(request), number, node, &attributes);
	fuse_reply_attr(request, &attributes, inode_attribute_seconds(node));
}

static void inodes_getattr(fuse_req_t request, fuse_ino_t number,
			   struct fuse_file_info *file UNUSED)
{
	struct tree_node node;
	int error = tree_resolve(inodes_of(request)->tree, number, &node);

	if (error)
		fuse_reply_err(request, -error);
	else
		reply_attributes(request, number, &node);
}

/* Truncating is accepted where it changes nothing, as for a disk; times are ignored. */
static int check_change(const struct tree_node *node, const struct stat *wanted, int what)
{
	if (!(what & FUSE_SET_ATTR_SIZE) || node->type == TREE_FILE || !wanted->st_size)
		return 0;
	return node->type == TREE_VOLUME && (uint64_t)wanted->st_size == node->bytes ? 0 : -EINVAL;
}

static void inodes_setattr(fuse_req_t request, fuse_ino_t number, struct stat *wanted, int what,
			   struct fuse_file_info *file UNUSED)
{
	struct tree_node node;
	int error = tree_resolve(inodes_of(request)->tree, number, &node);

	if (!error)
		error = check_change(&node, wanted, what);
	if (error) {
		fuse_reply_err(request, -error);
		return;
	}
	if (what & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		change_attributes(inodes_of(request), number, &node, wanted, what);
	reply_attributes(request, number, &node);
}

void inode_attribute_operations(struct fuse_lowlevel_ops *operations)
{
	operations->getattr = inodes_getattr;
	operations->setattr = inodes_setattr;
}
