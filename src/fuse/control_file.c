/*
 * Operations on control files: a snapshot for each handle, one command for each write.
 *
 * A read at offset 0 takes a new snapshot; reads at other offsets continue in it.  A write
 * is answered when its command has succeeded or failed.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "control/key_dump.h"
#include "fuse/inodes.h"

/* An open control file.  The content is made at the first read, so opening costs nothing. */
struct control_handle {
	struct handle handle;
	struct text snapshot;
	bool is_shown;
	bool has_dump;			/* internal/keys, buckets: instead of the snapshot */
	struct key_dump dump;
	struct inodes *inodes;
	fuse_req_t request;		/* the read that the dump works for; NULL: none */
	size_t bytes;
};

/*
 * As in sysfs, root cannot read or write a file either, if its mode has no bit for that.  A failed
 * open for reading does not change last_error: a program that reads all files would overwrite it.
 */
static int check_mode(const struct tree_node *node, mode_t mode, int flags)
{
	bool reads = (flags & O_ACCMODE) != O_WRONLY;
	bool writes = (flags & O_ACCMODE) != O_RDONLY;

	if (node->type != TREE_FILE)
		return -EIO;
	if (writes && node->subject.daemon->options.read_only)
		return control_refuse(&node->subject, node->file->name, -EROFS,
				      "mounted read-only");
	if (writes && !node->file->store)
		return control_refuse(&node->subject, node->file->name, -EACCES,
				      "cannot be written: it can only be read");
	if (writes && !(mode & 0222))
		return control_refuse(&node->subject, node->file->name, -EACCES,
				      "cannot be written: its mode was changed so");
	return reads && (!node->file->show || !(mode & 0444)) ? -EACCES : 0;
}

static void control_handle_free(struct handle *handle)
{
	struct control_handle *control = container_of(handle, struct control_handle, handle);

	text_done(&control->snapshot);
	if (control->has_dump)
		key_dump_done(&control->dump);
	free(control);
}

/* Some bytes of the dump are made: the read is answered. */
static void dump_ready(struct key_dump *dump, int error)
{
	struct control_handle *handle = container_of(dump, struct control_handle, dump);
	fuse_req_t request = handle->request;

	assert(request && handle->inodes->stores > 0);
	handle->request = NULL;
	handle->inodes->stores--;
	if (error)
		fuse_reply_err(request, -error);
	else
		fuse_reply_buf(request, dump->text.bytes, min_u64(handle->bytes, dump->text.used));
}

static void dump_read(struct control_handle *handle, fuse_req_t request, size_t size,
		      uint64_t offset)
{
	int error = key_dump_read(&handle->dump, offset, size);

	if (error) {
		fuse_reply_err(request, -error);
		return;
	}
	handle->request = request;
	handle->bytes = size;
	handle->inodes->stores++;
}

static void control_file_open(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *file)
{
	struct control_handle *handle;
	struct tree_node node;
	int error = tree_resolve(inodes_of(request)->tree, number, &node);

	if (!error)
		error = check_mode(&node, inodes_mode(inodes_of(request), number, &node),
				   file->flags);
	if (error) {
		fuse_reply_err(request, -error);
		return;
	}
	handle = calloc(1, sizeof(*handle));
	assert(handle);
	handle_open(inodes_of(request), &handle->handle, control_handle_free);
	handle->inodes = inodes_of(request);
	handle->has_dump = node.file->mode & (CONTROL_OF_KEYS | CONTROL_OF_BUCKETS);
	if (handle->has_dump)
		key_dump_init(&handle->dump, node.file->mode & CONTROL_OF_KEYS ? DUMP_KEYS :
										 DUMP_BUCKETS,
			      node.subject.set, dump_ready);
	file->fh = (uintptr_t)handle;
	/*
	 * No page cache, which would keep an old text, and end it at the size that stat() reported.
	 */
	file->direct_io = 1;
	fuse_reply_open(request, file);
}

/* A handle outlives its set or volume: then the file has no content any more. */
static int take_snapshot(struct inodes *inodes, uint64_t number, struct control_handle *handle)
{
	struct tree_node node;

	if (tree_resolve(inodes->tree, number, &node))
		return -ENODEV;
	text_done(&handle->snapshot);
	if (!inodes_take_told(inodes, number, &handle->snapshot))
		node.file->show(&node.subject, &handle->snapshot);
	handle->is_shown = true;
	return 0;
}

static void control_file_read(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset,
			      struct fuse_file_info *file)
{
	struct control_handle *handle = (struct control_handle *)(uintptr_t)file->fh;
	const struct text *text = &handle->snapshot;
	int error = 0;

	if (handle->has_dump && offset >= 0) {
		dump_read(handle, request, size, offset);
		return;
	}
	if (!offset || !handle->is_shown)
		error = take_snapshot(inodes_of(request), number, handle);
	if (error)
		fuse_reply_err(request, -error);
	else if (offset < 0 || (size_t)offset >= text->used)
		fuse_reply_buf(request, NULL, 0);
	else
		fuse_reply_buf(request, text->bytes + offset, min_u64(size, text->used - offset));
}

/* A write under way: libfuse lets us reply to its request at any later time. */
struct control_write {
	struct control_store store;
	struct inodes *inodes;
	fuse_req_t request;
	size_t bytes;
	uint64_t volume_number;		/* of the file of the subject; 0: it is no volume */
};

static void control_write_done(struct control_store *store, int error)
{
	struct control_write *write = container_of(store, struct control_write, store);

	assert(write->inodes->stores > 0);
	write->inodes->stores--;
	/* Before the reply: the writer's next stat() is to show a new size. */
	if (!error && write->volume_number)
		fuse_lowlevel_notify_inval_inode(write->inodes->fuse, write->volume_number, -1, 0);
	if (error)
		fuse_reply_err(write->request, -error);
	else
		fuse_reply_write(write->request, write->bytes);
	free(write);
}

static void control_write_start(fuse_req_t request, const struct tree_node *node, const char *text,
				size_t bytes)
{
	struct control_write *write = calloc(1, sizeof(*write));

	assert(write);
	write->inodes = inodes_of(request);
	write->request = request;
	write->bytes = bytes;
	write->store.subject = node->subject;
	write->store.file = node->file;
	write->store.done = control_write_done;
	if (node->subject.volume)
		write->volume_number = tree_volume_number(write->inodes->tree,
							  node->subject.volume);
	/* A copy, since `text` is in the memory of the request, which ends when we return. */
	memcpy(write->store.text, text, bytes);
	write->inodes->stores++;
	control_store_start(&write->store);
}

/* Each write is a whole command, at whatever offset. */
static void control_file_write(fuse_req_t request, fuse_ino_t number, const char *text,
			       size_t bytes, off_t offset UNUSED,
			       struct fuse_file_info *file UNUSED)
{
	struct tree_node node;

	if (tree_resolve(inodes_of(request)->tree, number, &node))
		fuse_reply_err(request, ENODEV);
	else if (node.type != TREE_FILE || !node.file->store)
		fuse_reply_err(request, EIO);
	else if (bytes > CONTROL_TEXT_MAX)
		fuse_reply_err(request, -control_refuse(&node.subject, node.file->name, -EINVAL,
							"more than 4095 bytes in one write"));
	else
		control_write_start(request, &node, text, bytes);
}

static void control_file_release(fuse_req_t request, fuse_ino_t number UNUSED,
				 struct fuse_file_info *file)
{
	handle_close(&((struct control_handle *)(uintptr_t)file->fh)->handle);
	fuse_reply_err(request, 0);
}

/* fsync() has nothing to do: a command was complete when its write returned. */
static void control_file_fsync(fuse_req_t request, fuse_ino_t number UNUSED, int datasync UNUSED,
			       struct fuse_file_info *file UNUSED)
{
	fuse_reply_err(request, 0);
}

void control_file_operations(struct fuse_lowlevel_ops *operations)
{
	operations->open = control_file_open;
	operations->read = control_file_read;
	operations->write = control_file_write;
	operations->release = control_file_release;
	operations->fsync = control_file_fsync;
}
