/*
 * Open directories, and the list of all handles that libfuse's requests have opened.
 *
 * opendir() takes a snapshot of the names, and readdir() walks in it: sets and volumes may come
 * and go between two calls, and a position must not mean another entry then.
 */
#include "fuse/inodes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- handles ---- */

/* In a list, since the kernel sends no RELEASE for those that are open when the mount ends. */
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

/* ---- directories ---- */

/* An entry of the snapshot.  Only its type is known of its mode, as readdir() returns no more. */
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
	directory_add(context, name, number, inode_type_bits(type));
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
	/* The kernel resolves ".." itself; this number is only printed. */
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

	/* lseek() lets users choose the offset. */
	for (off_t i = from; i >= 0 && i < directory->count; i++) {
		const struct directory_entry *entry = &directory->entries[i];
		struct stat attributes = { .st_ino = entry->number, .st_mode = entry->type };
		size_t bytes = fuse_add_direntry(request, reply + used, room - used, entry->name,
						 &attributes, i + 1);

		/* It returns the size of the entry also if there was no room for it. */
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

void directory_operations(struct fuse_lowlevel_ops *operations)
{
	operations->opendir = inodes_opendir;
	operations->readdir = inodes_readdir;
	operations->releasedir = inodes_releasedir;
}
