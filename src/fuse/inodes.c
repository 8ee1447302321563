/* Operations on names, attributes and directories, answered from the tree. */
#include "fuse/inodes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/numbers.h"

enum {
	SECTOR_BYTES = 512,
	DIRECTORY_BLOCK_BYTES = 4096,
	VOLUME_ATTRIBUTE_SECONDS = 3600,	/* they change only by requests of the kernel */
	TOLD_NS_MAX = 1000000000,
};

static struct inodes *inodes_of(fuse_req_t request)
{
	return fuse_req_userdata(request);
}

static mode_t type_bits(enum tree_type type)
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

static uint64_t tell_size(struct inodes *inodes, uint64_t number, const struct tree_node *node)
{
	struct told_text *told = told_place(inodes, number);

	text_done(&told->text);
	node->file->show(&node->subject, &told->text);
	told->number = number;
	told->told_ns = clock_ns(inodes->reactor);
	return told->text.used;
}

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

static void fill_attributes(struct inodes *inodes, uint64_t number,
			    const struct tree_node *node, struct stat *attributes)
{
	*attributes = (struct stat){
		.st_ino = number,
		.st_mode = type_bits(node->type) | inodes_mode(inodes, number, node),
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

static double attribute_seconds(const struct tree_node *node)
{
	return node->type == TREE_VOLUME ? VOLUME_ATTRIBUTE_SECONDS : 0;
}

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
	entry.attr_timeout = attribute_seconds(&node);
	fill_attributes(inodes, number, &node, &entry.attr);
	fuse_reply_entry(request, &entry);
}

static void reply_attributes(fuse_req_t request, uint64_t number, const struct tree_node *node)
{
	struct stat attributes;

	fill_attributes(inodes_of(request), number, node, &attributes);
	fuse_reply_attr(request, &attributes, attribute_seconds(node));
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

/* ---- open files and directories ---- */

void handle_open(struct inodes *inodes, struct handle *handle, void (*free)(struct handle *handle))
{
	handle->free = free;
	list_add_last(&inodes->handles, &handle->link);
}

void handle_close(struct handle *handle)
{
	list_remove(&handle->link);
	handle->free(handle);
}

void inodes_close_all(struct inodes *inodes)
{
	while (!list_empty(&inodes->handles))
		handle_close(container_of(list_first(&inodes->handles), struct handle, link));
}

/* ---- directories: a snapshot taken by opendir ---- */

struct directory_entry {
	char name[TREE_NAME_MAX + 1];
	uint64_t number;
	mode_t type;
};

struct directory {
	struct handle handle;
	struct directory_entry *entries;
	unsigned count, room;
};

static void directory_add(struct directory *directory, const char *name, uint64_t number,
			  mode_t type)
{
	struct directory_entry *entry;

	if (directory->count == directory->room) {
		directory->room = directory->room ? directory->room * 2 : 32;
		directory->entries = reallocarray(directory->entries, directory->room,
						  sizeof(*directory->entries));
		assert(directory->entries);
	}
	entry = &directory->entries[directory->count++];
	*entry = (struct directory_entry){ .number = number, .type = type };
	strncat(entry->name, name, TREE_NAME_MAX);
}

static bool visit_entry(void *context, const char *name, uint64_t number, enum tree_type type)
{
	directory_add(context, name, number, type_bits(type));
	return true;
}

static void directory_free(struct handle *handle)
{
	struct directory *directory = container_of(handle, struct directory, handle);

	free(directory->entries);
	free(directory);
}

static void inodes_opendir(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *file)
{
	struct directory *directory = calloc(1, sizeof(*directory));
	int error;

	assert(directory);
	directory_add(directory, ".", number, S_IFDIR);
	directory_add(directory, "..", TREE_ROOT, S_IFDIR);
	error = tree_list(inodes_of(request)->tree, number, visit_entry, directory);
	if (error) {
		directory_free(&directory->handle);
		fuse_reply_err(request, -error);
		return;
	}
	handle_open(inodes_of(request), &directory->handle, directory_free);
	file->fh = (uintptr_t)directory;
	fuse_reply_open(request, file);
}

/* The offset of an entry is its position in the snapshot, from 1 on. */
static size_t directory_fill(fuse_req_t request, const struct directory *directory, off_t from,
			     char *reply, size_t room)
{
	size_t used = 0;

	for (off_t i = from; i >= 0 && i < directory->count; i++) {
		const struct directory_entry *entry = &directory->entries[i];
		struct stat attributes = { .st_ino = entry->number, .st_mode = entry->type };
		size_t bytes = fuse_add_direntry(request, reply + used, room - used, entry->name,
						 &attributes, i + 1);

		if (bytes > room - used)
			break;
		used += bytes;
	}
	return used;
}

static void inodes_readdir(fuse_req_t request, fuse_ino_t number UNUSED, size_t size, off_t offset,
			   struct fuse_file_info *file)
{
	const struct directory *directory = (const void *)(uintptr_t)file->fh;
	autofree char *reply = malloc(size);

	assert(reply || !size);
	fuse_reply_buf(request, reply, directory_fill(request, directory, offset, reply, size));
}

static void inodes_releasedir(fuse_req_t request, fuse_ino_t number UNUSED,
			      struct fuse_file_info *file)
{
	handle_close(&((struct directory *)(uintptr_t)file->fh)->handle);
	fuse_reply_err(request, 0);
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

void inodes_operations(struct fuse_lowlevel_ops *operations)
{
	operations->lookup = inodes_lookup;
	operations->getattr = inodes_getattr;
	operations->setattr = inodes_setattr;
	operations->readlink = inodes_readlink;
	operations->mknod = refuse_mknod;
	operations->create = refuse_create;
	operations->mkdir = refuse_mkdir;
	operations->unlink = refuse_removal;
	operations->rmdir = refuse_removal;
	operations->symlink = refuse_symlink;
	operations->rename = refuse_rename;
	operations->link = refuse_link;
	operations->opendir = inodes_opendir;
	operations->readdir = inodes_readdir;
	operations->releasedir = inodes_releasedir;
	operations->statfs = inodes_statfs;
	operations->lseek = inodes_lseek;
}
