/*
 * Volume files: reads, writes, holes and flushes become requests of the engine.
 *
 *	transport --> data_read, data_write, ... --> request_start
 *	                                               |
 *	             reply <-- data_done <-------------+
 *	                          |   ^                |
 *	                          `---+--- next step --'  (of long zeros, or of a long hole)
 */
#include "fuse/data_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "cache/request.h"

#ifndef FALLOC_FL_KEEP_SIZE
#include <linux/falloc.h>
#endif

enum { SECTOR_BYTES = 512 };

_Static_assert((int)REQUEST_SLACK_BYTES <= (int)TRANSPORT_SLACK_BYTES, "a payload has the room");

/*
 * An open volume file.  Its address is the `fh` that the kernel was given at OPEN, and sends back
 * with each request to that handle; no user can choose it.
 */
struct data_handle {
	struct list_link link;
	struct volume *volume;
	bool is_durable;	/* O_SYNC, which includes the bit of O_DSYNC, or O_DSYNC */
	bool can_write;
};

/*
 * A request of the kernel under way.  There is one for each place of the transport, so that none
 * has to be allocated; only the reactor's thread uses it.
 */
struct data_request {
	struct request request;
	struct data_files *files;
	struct transport_request *from;	/* NULL: unused */
	uint64_t began_ns;
	enum traffic_kind traffic;
	uint64_t bytes;			/* the result, if it succeeds: a write may be cut short */
	uint64_t end;			/* of all steps */
	bool is_ioctl;
};

void data_files_init(struct data_files *files, struct tree *tree, unsigned count)
{
	*files = (struct data_files){
		.tree = tree, .reactor = tree->daemon->reactor, .count = count
	};
	list_init(&files->handles);
	files->requests = calloc(count, sizeof(*files->requests));
	assert(files->requests);
	for (unsigned i = 0; i < count; i++)
		files->requests[i].files = files;
}

void data_files_done(struct data_files *files)
{
	assert(!files->under_way && list_empty(&files->handles));	/* DATAFILE-1, DATAFILE-2 */
	free(files->requests);
	files->requests = NULL;
}

bool data_files_busy(const struct data_files *files)
{
	return !list_empty(&files->handles);
}

/* ---- replies ---- */

/*
 * The reply to a READ begins where the device put the first byte that was asked for: a whole block
 * may have been read, of which `skew` bytes come before.
 */
static void data_reply(struct data_request *data, int error)
{
	struct transport_request *from = data->from;
	struct fuse_write_out written = { .size = data->bytes };
	struct fuse_ioctl_out done = { .result = 0 };

	assert(from);	/* DATAFILE-1 */
	data->from = NULL;
	data->files->under_way--;
	if (error)
		transport_reply_error(from, error);
	else if (data->traffic == TRAFFIC_READ)
		transport_reply_data(from, (char *)from->payload + data->request.skew, data->bytes);
	else if (data->traffic == TRAFFIC_WRITE)
		transport_reply(from, &written, sizeof(written));
	else if (data->is_ioctl)
		transport_reply(from, &done, sizeof(done));
	else
		transport_reply_error(from, 0);
}

/* ---- requests ---- */

/* Failed requests count, too, but without bytes. */
static void data_end(struct data_request *data, int error)
{
	struct traffic *traffic = &data->request.volume->traffic;
	uint64_t now_ns = clock_ns(data->files->reactor);

	traffic_end(traffic, data->traffic, error ? 0 : data->bytes, data->began_ns, now_ns);
	if (!error)
		traffic_succeeded(traffic, data->request.way, data->began_ns, now_ns);
	data_reply(data, error);
}

/* A step ends at a multiple of what it may have, so that no block is in two of them. */
static void data_start_step(struct data_request *data)
{
	struct request *request = &data->request;
	uint64_t step = request_step_bytes(request->volume, request->kind);
	uint64_t most = step == UINT64_MAX ? step : step - request->offset % step;

	request->bytes = min_u64(data->end - request->offset, most);
	request_start(request);
}

static void data_done(struct request *request, int error)
{
	struct data_request *data = request->context;

	request->offset += request->bytes;
	if (error || request->offset == data->end)
		data_end(data, error);
	else
		data_start_step(data);
}

/* Fills in a request of the engine for [offset, offset + bytes). */
static struct data_request *data_begin(struct data_files *files, struct transport_request *from,
				       struct volume *volume, enum request_kind kind,
				       uint64_t offset, uint64_t bytes)
{
	static const enum traffic_kind traffic[] = {
		[REQUEST_READ] = TRAFFIC_READ, [REQUEST_WRITE] = TRAFFIC_WRITE,
		[REQUEST_FLUSH] = TRAFFIC_FLUSH, [REQUEST_DISCARD] = TRAFFIC_DISCARD,
		[REQUEST_ZERO] = TRAFFIC_DISCARD,
	};
	struct data_request *data = &files->requests[from->index];

	assert(from->index < files->count && !data->from);	/* DATAFILE-1 */
	files->under_way++;
	data->from = from;
	data->began_ns = clock_ns(files->reactor);
	data->traffic = traffic[kind];
	data->bytes = bytes;
	data->end = offset + bytes;
	data->is_ioctl = false;
	data->request.kind = kind;
	data->request.offset = offset;
	data->request.volume = volume;
	data->request.data = from->payload;
	data->request.fua = false;
	data->request.sync = true;
	data->request.task = from->header->pid;
	data->request.skew = 0;
	data->request.done = data_done;
	data->request.context = data;
	return data;
}

static void data_start(struct data_request *data)
{
	traffic_begin(&data->request.volume->traffic, data->began_ns);
	data_start_step(data);
}

/* May change while the file is open: the engine refuses what is behind the end by then. */
static uint64_t volume_bytes(const struct volume *volume)
{
	return volume->sectors * SECTOR_BYTES;
}

/* The number of bytes of [offset, offset + bytes) inside the volume. */
static uint64_t bytes_within(const struct volume *volume, uint64_t offset, uint64_t bytes)
{
	uint64_t end = volume_bytes(volume);

	return offset >= end ? 0 : min_u64(bytes, end - offset);
}

/* ---- from the kernel ---- */

/* The kernel returns `fh` as it got it, so it is valid until RELEASE (DATAFILE-2). */
static struct data_handle *handle_of(uint64_t fh)
{
	return (struct data_handle *)(uintptr_t)fh;
}

/* A volume that is about to stop takes no new handles, or it would never stop (DATAFILE-2). */
static int check_open(const struct data_files *files, const struct volume *volume, uint32_t flags)
{
	if (volume->is_stopping || files->tree->daemon->is_stopping)
		return -ENXIO;
	return volume_is_read_only(volume) && (flags & O_ACCMODE) != O_RDONLY ? -EROFS : 0;
}

static struct data_handle *handle_new(struct data_files *files, struct volume *volume,
				      uint32_t flags)
{
	struct data_handle *handle = calloc(1, sizeof(*handle));

	assert(handle);
	handle->volume = volume;
	handle->is_durable = flags & O_DSYNC;
	handle->can_write = (flags & O_ACCMODE) != O_RDONLY;
	volume->opens++;	/* DATAFILE-2 */
	list_add_last(&files->handles, &handle->link);
	return handle;
}

static void handle_free(struct data_handle *handle)
{
	struct volume *volume = handle->volume;

	list_remove(&handle->link);
	free(handle);
	assert(volume->opens);	/* DATAFILE-2 */
	if (!--volume->opens)
		volume_closed(volume);
}

static void data_open(struct data_files *files, struct transport_request *from)
{
	const struct fuse_open_in *in = transport_arguments(from, sizeof(*in));
	struct fuse_open_out out = { 0 };
	struct tree_node node;
	int error = in ? tree_resolve(files->tree, from->header->nodeid, &node) : -EIO;

	if (!error)
		error = check_open(files, node.subject.volume, in->flags);
	if (error) {
		transport_reply_error(from, error);
		return;
	}
	/*
	 * Without the page cache the kernel need not serialize writes of one file; the engine
	 * orders those that overlap.
	 */
	if ((in->flags & O_DIRECT) && files->direct)
		out.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
	out.fh = (uintptr_t)handle_new(files, node.subject.volume, in->flags);
	transport_reply(from, &out, sizeof(out));
}

/* RELEASE comes once for each OPEN, after the last copy of the descriptor is closed. */
static void data_release(struct data_files *files, struct transport_request *from)
{
	const struct fuse_release_in *in = transport_arguments(from, sizeof(*in));

	if (!in) {
		transport_reply_error(from, -EIO);
		return;
	}
	handle_free(handle_of(in->fh));
	transport_reply_error(from, 0);
	if (list_empty(&files->handles) && files->idle)
		files->idle(files->context);
}

/* A read at or beyond the end is answered with no bytes: end of file. */
static void data_read(struct data_files *files, struct transport_request *from)
{
	const struct fuse_read_in *in = transport_arguments(from, sizeof(*in));
	struct volume *volume;
	uint64_t bytes;

	if (!in) {
		transport_reply_error(from, -EIO);
		return;
	}
	volume = handle_of(in->fh)->volume;
	bytes = bytes_within(volume, in->offset, min_u64(in->size, REQUEST_BYTES_MAX));
	if (!bytes) {
		transport_reply_error(from, 0);
		return;
	}
	data_start(data_begin(files, from, volume, REQUEST_READ, in->offset, bytes));
}

/* 0: `bytes` bytes can be written; -errno. */
static int check_write(const struct transport_request *from, const struct fuse_write_in *in,
		       uint64_t *bytes)
{
	const struct data_handle *handle;

	if (!in || in->size > REQUEST_BYTES_MAX || in->size > from->payload_bytes)
		return -EIO;
	handle = handle_of(in->fh);
	if (!handle->can_write)
		return -EBADF;
	*bytes = bytes_within(handle->volume, in->offset, in->size);
	return *bytes || !in->size ? 0 : -ENOSPC;
}

static void data_write(struct data_files *files, struct transport_request *from)
{
	const struct fuse_write_in *in = transport_arguments(from, sizeof(*in));
	struct data_request *data;
	uint64_t bytes;
	int error = check_write(from, in, &bytes);

	if (error) {
		transport_reply_error(from, error);
		return;
	}
	data = data_begin(files, from, handle_of(in->fh)->volume, REQUEST_WRITE, in->offset,
			  bytes);
	/* RWF_DSYNC of pwritev2() asks for one write only, and comes in `flags`. */
	data->request.fua = handle_of(in->fh)->is_durable || (in->flags & O_DSYNC);
	/* From the page cache (of mmap): no process waits for it. */
	data->request.sync = !(in->write_flags & FUSE_WRITE_CACHE);
	if (bytes)
		data_start(data);
	else
		data_reply(data, 0);
}

/* fsync() and fdatasync() are the same here: no metadata of the file change. */
static void data_fsync(struct data_files *files, struct transport_request *from)
{
	const struct fuse_fsync_in *in = transport_arguments(from, sizeof(*in));

	if (!in) {
		transport_reply_error(from, -EIO);
		return;
	}
	data_start(data_begin(files, from, handle_of(in->fh)->volume, REQUEST_FLUSH, 0, 0));
}

static int check_fallocate(const struct fuse_fallocate_in *in, uint64_t *bytes)
{
	const struct data_handle *handle;

	if (!in)
		return -EIO;
	handle = handle_of(in->fh);
	if (in->mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) &&
	    (in->mode & ~FALLOC_FL_KEEP_SIZE) != FALLOC_FL_ZERO_RANGE)
		return -EOPNOTSUPP;
	if (!handle->can_write)
		return -EBADF;
	*bytes = bytes_within(handle->volume, in->offset, in->length);
	/* Without KEEP_SIZE the file would have to grow. */
	return *bytes < in->length && !(in->mode & FALLOC_FL_KEEP_SIZE) ? -ENOSPC : 0;
}

static void data_fallocate(struct data_files *files, struct transport_request *from)
{
	const struct fuse_fallocate_in *in = transport_arguments(from, sizeof(*in));
	enum request_kind kind;
	uint64_t bytes;
	int error = check_fallocate(in, &bytes);

	if (error || !bytes) {
		transport_reply_error(from, error);
		return;
	}
	kind = in->mode & FALLOC_FL_PUNCH_HOLE ? REQUEST_DISCARD : REQUEST_ZERO;
	data_start(data_begin(files, from, handle_of(in->fh)->volume, kind, in->offset, bytes));
}

/*
 * FUSE lets through the commands whose number tells the size of their data, and those without any:
 * not BLKROGET, BLKGETSIZE or BLKSSZGET, which return it through a pointer.
 */
static void data_ioctl(struct data_files *files, struct transport_request *from)
{
	const struct fuse_ioctl_in *in = transport_arguments(from, sizeof(*in));
	struct {
		struct fuse_ioctl_out out;
		uint64_t bytes;
	} size = { .out = { .result = 0 } };
	struct data_request *data;

	if (in && in->cmd == BLKGETSIZE64 && in->out_size == sizeof(size.bytes)) {
		size.bytes = volume_bytes(handle_of(in->fh)->volume);
		transport_reply(from, &size, sizeof(size));
	} else if (in && in->cmd == BLKFLSBUF) {
		data = data_begin(files, from, handle_of(in->fh)->volume, REQUEST_FLUSH, 0, 0);
		data->is_ioctl = true;
		data_start(data);
	} else {
		transport_reply_error(from, in ? -ENOTTY : -EIO);
	}
}

/* All other operations on volumes, GETATTR for instance, are rare and go to libfuse. */
bool data_files_take(struct data_files *files, struct transport_request *from)
{
	if (!tree_is_volume(from->header->nodeid))
		return false;
	switch (from->header->opcode) {
	case FUSE_READ:
		data_read(files, from);
		return true;
	case FUSE_WRITE:
		data_write(files, from);
		return true;
	case FUSE_FSYNC:
		data_fsync(files, from);
		return true;
	case FUSE_FALLOCATE:
		data_fallocate(files, from);
		return true;
	case FUSE_IOCTL:
		data_ioctl(files, from);
		return true;
	case FUSE_OPEN:
		data_open(files, from);
		return true;
	case FUSE_RELEASE:
		data_release(files, from);
		return true;
	default:
		return false;
	}
}

/* The kernel sends no RELEASE once the connection has ended. */
void data_files_close_all(struct data_files *files)
{
	struct list_link *link;

	while ((link = list_first(&files->handles)))
		handle_free(container_of(link, struct data_handle, link));
}
