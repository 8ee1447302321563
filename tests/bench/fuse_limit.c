/*
 * The bare FUSE limit: shows FILE as DIR/f by the fastest way through /dev/fuse
 * that is known, and does nothing else.
 *
 * usage: fuse_limit [-m] [-K READS] [-v] FILE DIR
 *   -m   serve from a memory map, so that the cost of FUSE alone is left
 *   -K   reads of /dev/fuse that are outstanding, 4 at first
 *   -v   say at the end how many requests came for one system call
 *
 * One thread with one io_uring: some reads of /dev/fuse are always outstanding;
 * what they bring becomes O_DIRECT transfers of FILE, whose ends become replies;
 * all that is submitted by one system call.
 *
 *	READ --message--> handle() --transfer--> DEVICE --> REPLY --> free
 *	                     `------answer at once-----------^
 *
 * The protocol is spoken raw: libfuse 3.14 cannot set FOPEN_PARALLEL_DIRECT_WRITES.  The
 * mount is made by mount(2), so this is for root.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef FOPEN_PARALLEL_DIRECT_WRITES
#define FOPEN_PARALLEL_DIRECT_WRITES (1 << 6)
#endif
#ifndef FOPEN_NOFLUSH
#define FOPEN_NOFLUSH (1 << 5)
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum {
	SLOTS = 64,
	DATA_BYTES = 1 << 20,
	PAGE = 4096,
	SLOT_BYTES = DATA_BYTES + 2 * PAGE,	/* a page for the head, one to spare */
	HEAD_BYTES = sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in),
	SUBMISSIONS = 512,
	COMPLETIONS = 2048,
	FOR_LONG = 3600,			/* seconds that the kernel may believe us */
	ROOT = 1,
	THE_FILE = 2,
};

/* What has completed: the low byte of user_data, the slot above it. */
enum what { WHAT_READ = 1, WHAT_REPLY, WHAT_DEVICE };
/* Places in the ring's table of files. */
enum { FILE_FUSE, FILE_DEVICE, FILES };

struct slot {
	char *data;		/* page-aligned */
	char *in;		/* a message; the payload of a WRITE begins at `data` */
	uint64_t unique;
	uint32_t opcode;
	struct fuse_out_header out;	/* of a reply whose data lies elsewhere */
	struct iovec pieces[2];
};

struct limit {
	struct io_uring ring;
	struct slot slots[SLOTS];
	int free[SLOTS];
	int free_count;
	int reading, reads_wanted;
	int fuse_fd, file_fd;
	uint64_t file_bytes;
	char *map;		/* -m; else NULL */
	bool verbose;
	uint64_t requests, enters;
};

static void leave(const struct limit *limit)
{
	if (limit->verbose)
		fprintf(stderr, "%llu requests, %llu enters, %.2f requests an enter\n",
			(unsigned long long)limit->requests, (unsigned long long)limit->enters,
			(double)limit->requests / limit->enters);
	exit(0);
}

static void slot_free(struct limit *limit, int i)
{
	limit->free[limit->free_count++] = i;
}

/* ---- the ring ---- */

static struct io_uring_sqe *next_sqe(struct limit *limit)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&limit->ring);

	if (sqe)
		return sqe;
	io_uring_submit(&limit->ring);
	return io_uring_get_sqe(&limit->ring);
}

/* Behind the io_uring_prep_ function, which sets all of the entry. */
static void mark(struct io_uring_sqe *sqe, enum what what, int i)
{
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = (uint64_t)i << 8 | what;
}

static void read_more(struct limit *limit)
{
	while (limit->reading < limit->reads_wanted && limit->free_count) {
		int i = limit->free[--limit->free_count];
		struct io_uring_sqe *sqe = next_sqe(limit);

		limit->reading++;
		io_uring_prep_read(sqe, FILE_FUSE, limit->slots[i].in, HEAD_BYTES + DATA_BYTES, 0);
		mark(sqe, WHAT_READ, i);
	}
}

/* ---- replies ---- */

/* The head stands right in front of the data, which begin on a page: one piece. */
static void reply_own(struct limit *limit, int i, int error, uint32_t bytes)
{
	struct slot *slot = &limit->slots[i];
	struct fuse_out_header *out = (void *)(slot->data - sizeof(*out));
	struct io_uring_sqe *sqe = next_sqe(limit);

	*out = (struct fuse_out_header){ sizeof(*out) + bytes, error, slot->unique };
	io_uring_prep_write(sqe, FILE_FUSE, out, out->len, 0);
	mark(sqe, WHAT_REPLY, i);
}

static void reply_other(struct limit *limit, int i, void *data, uint32_t bytes)
{
	struct slot *slot = &limit->slots[i];
	struct io_uring_sqe *sqe = next_sqe(limit);

	slot->out = (struct fuse_out_header){ sizeof(slot->out) + bytes, 0, slot->unique };
	slot->pieces[0] = (struct iovec){ &slot->out, sizeof(slot->out) };
	slot->pieces[1] = (struct iovec){ data, bytes };
	io_uring_prep_writev(sqe, FILE_FUSE, slot->pieces, 2, 0);
	mark(sqe, WHAT_REPLY, i);
}

static void reply_error(struct limit *limit, int i, int error)
{
	reply_own(limit, i, error, 0);
}

static void reply_with(struct limit *limit, int i, const void *out, size_t bytes)
{
	memcpy(limit->slots[i].data, out, bytes);
	reply_own(limit, i, 0, bytes);
}

static void reply_written(struct limit *limit, int i, uint32_t bytes)
{
	struct fuse_write_out out = { .size = bytes };

	reply_with(limit, i, &out, sizeof(out));
}

/* ---- the hot requests ---- */

static void handle_read(struct limit *limit, int i, const struct fuse_read_in *in)
{
	struct slot *slot = &limit->slots[i];
	uint64_t offset = in->offset;
	uint32_t bytes = in->size;
	struct io_uring_sqe *sqe;

	if (offset >= limit->file_bytes)
		bytes = 0;
	else if (offset + bytes > limit->file_bytes)
		bytes = limit->file_bytes - offset;
	if (!bytes) {
		reply_error(limit, i, 0);
	} else if (limit->map) {
		reply_other(limit, i, limit->map + offset, bytes);
	} else {
		sqe = next_sqe(limit);
		io_uring_prep_read_fixed(sqe, FILE_DEVICE, slot->data, bytes, offset, i);
		mark(sqe, WHAT_DEVICE, i);
	}
}

static void handle_write(struct limit *limit, int i, const struct fuse_write_in *in)
{
	struct slot *slot = &limit->slots[i];
	uint64_t offset = in->offset;
	uint32_t bytes = in->size;
	struct io_uring_sqe *sqe;

	if (offset + bytes > limit->file_bytes) {
		reply_error(limit, i, -ENOSPC);
	} else if (limit->map) {
		memcpy(limit->map + offset, slot->data, bytes);
		reply_written(limit, i, bytes);
	} else {
		sqe = next_sqe(limit);
		io_uring_prep_write_fixed(sqe, FILE_DEVICE, slot->data, bytes, offset, i);
		mark(sqe, WHAT_DEVICE, i);
	}
}

static void handle_fsync(struct limit *limit, int i)
{
	struct io_uring_sqe *sqe;

	if (limit->map) {
		reply_error(limit, i, 0);
		return;
	}
	sqe = next_sqe(limit);
	io_uring_prep_fsync(sqe, FILE_DEVICE, IORING_FSYNC_DATASYNC);
	mark(sqe, WHAT_DEVICE, i);
}

static void handle_fallocate(struct limit *limit, int i, const struct fuse_fallocate_in *in)
{
	struct io_uring_sqe *sqe;

	if (limit->map) {
		reply_error(limit, i, -EOPNOTSUPP);
		return;
	}
	sqe = next_sqe(limit);
	io_uring_prep_fallocate(sqe, FILE_DEVICE, in->mode, in->offset, in->length);
	mark(sqe, WHAT_DEVICE, i);
}

/* ---- the others ---- */

static struct fuse_attr attributes(const struct limit *limit, uint64_t inode)
{
	if (inode == ROOT)
		return (struct fuse_attr){
			.ino = inode, .mode = S_IFDIR | 0755, .nlink = 2, .blksize = PAGE
		};
	return (struct fuse_attr){
		.ino = inode, .mode = S_IFREG | 0600, .nlink = 1, .blksize = PAGE,
		.size = limit->file_bytes, .blocks = limit->file_bytes / 512
	};
}

static void handle_lookup(struct limit *limit, int i, uint64_t directory, const char *name)
{
	struct fuse_entry_out out = {
		.nodeid = THE_FILE, .entry_valid = FOR_LONG, .attr_valid = FOR_LONG
	};

	if (directory != ROOT || strcmp(name, "f")) {
		reply_error(limit, i, -ENOENT);
		return;
	}
	out.attr = attributes(limit, THE_FILE);
	reply_with(limit, i, &out, sizeof(out));
}

static void handle_attributes(struct limit *limit, int i, uint64_t inode)
{
	struct fuse_attr_out out = { .attr_valid = FOR_LONG };

	out.attr = attributes(limit, inode);
	reply_with(limit, i, &out, sizeof(out));
}

static void handle_open(struct limit *limit, int i)
{
	struct fuse_open_out out = {
		.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES | FOPEN_NOFLUSH
	};

	reply_with(limit, i, &out, sizeof(out));
}

static void handle_statfs(struct limit *limit, int i)
{
	struct fuse_statfs_out out = { .st = { .bsize = PAGE, .frsize = PAGE, .namelen = 255 } };

	reply_with(limit, i, &out, sizeof(out));
}

static void handle_cold(struct limit *limit, int i, const struct fuse_in_header *head)
{
	switch (head->opcode) {
	case FUSE_LOOKUP:
		handle_lookup(limit, i, head->nodeid, (const char *)(head + 1));
		return;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		handle_attributes(limit, i, head->nodeid);
		return;
	case FUSE_OPEN:
		handle_open(limit, i);
		return;
	case FUSE_STATFS:
		handle_statfs(limit, i);
		return;
	case FUSE_RELEASE:
	case FUSE_FLUSH:
		reply_error(limit, i, 0);
		return;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:		/* these have no answer */
		slot_free(limit, i);
		return;
	case FUSE_DESTROY:
		leave(limit);
		return;
	default:
		reply_error(limit, i, -ENOSYS);
	}
}

static void handle(struct limit *limit, int i)
{
	struct slot *slot = &limit->slots[i];
	const struct fuse_in_header *head = (void *)slot->in;
	const void *body = head + 1;

	slot->unique = head->unique;
	slot->opcode = head->opcode;
	limit->requests++;
	switch (head->opcode) {
	case FUSE_READ:
		handle_read(limit, i, body);
		return;
	case FUSE_WRITE:
		handle_write(limit, i, body);
		return;
	case FUSE_FSYNC:
		handle_fsync(limit, i);
		return;
	case FUSE_FALLOCATE:
		handle_fallocate(limit, i, body);
		return;
	default:
		handle_cold(limit, i, head);
	}
}

/* ---- what has completed ---- */

static void read_done(struct limit *limit, int i, int result)
{
	limit->reading--;
	if (result >= 0) {
		handle(limit, i);
		return;
	}
	slot_free(limit, i);
	if (result == -ENODEV)
		leave(limit);
}

static void device_done(struct limit *limit, int i, int result)
{
	const struct slot *slot = &limit->slots[i];

	if (result < 0)
		reply_error(limit, i, result);
	else if (slot->opcode == FUSE_READ)
		reply_own(limit, i, 0, result);
	else if (slot->opcode == FUSE_WRITE)
		reply_written(limit, i, result);
	else
		reply_error(limit, i, 0);
}

static void turn(struct limit *limit)
{
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;
	int result;

	read_more(limit);
	limit->enters++;
	result = io_uring_submit_and_wait(&limit->ring, 1);
	if (result < 0 && result != -EINTR && result != -EBUSY && result != -EAGAIN)
		errx(1, "io_uring: %s", strerror(-result));
	io_uring_for_each_cqe(&limit->ring, head, cqe) {
		int i = cqe->user_data >> 8;

		count++;
		switch ((enum what)(cqe->user_data & 255)) {
		case WHAT_READ:
			read_done(limit, i, cqe->res);
			break;
		case WHAT_DEVICE:
			device_done(limit, i, cqe->res);
			break;
		case WHAT_REPLY:
			slot_free(limit, i);
			break;
		}
	}
	io_uring_cq_advance(&limit->ring, count);
}

/* ---- the beginning ---- */

static void open_file(struct limit *limit, const char *path, bool from_map)
{
	limit->file_fd = open(path, O_RDWR | (from_map ? 0 : O_DIRECT));
	if (limit->file_fd < 0)
		err(1, "%s", path);
	limit->file_bytes = lseek(limit->file_fd, 0, SEEK_END);
	if (!from_map)
		return;
	limit->map = mmap(NULL, limit->file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			  limit->file_fd, 0);
	if (limit->map == MAP_FAILED)
		err(1, "%s: mmap", path);
	madvise(limit->map, limit->file_bytes, MADV_POPULATE_WRITE);
}

static void mount_on(struct limit *limit, const char *directory)
{
	char options[128];

	limit->fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (limit->fuse_fd < 0)
		err(1, "/dev/fuse");
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", limit->fuse_fd);
	if (mount("fuse_limit", directory, "fuse", MS_NOSUID | MS_NODEV, options))
		err(1, "%s: mount", directory);
}

static void make_slots(struct limit *limit)
{
	char *memory = mmap(NULL, (size_t)SLOTS * SLOT_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "no memory for slots");
	for (int i = 0; i < SLOTS; i++) {
		limit->slots[i].data = memory + (size_t)i * SLOT_BYTES + PAGE;
		limit->slots[i].in = limit->slots[i].data - HEAD_BYTES;
		slot_free(limit, i);
	}
}

static void negotiate(struct limit *limit)
{
	const struct fuse_in_header *head = (void *)limit->slots[0].in;
	const struct fuse_init_in *in = (const void *)(head + 1);
	struct {
		struct fuse_out_header head;
		struct fuse_init_out body;
	} out = { .head.len = sizeof(out) };

	if (read(limit->fuse_fd, limit->slots[0].in, HEAD_BYTES + DATA_BYTES) < 0)
		err(1, "the first message");
	if (head->opcode != FUSE_INIT)
		errx(1, "the first message: found opcode %u, wanted INIT", head->opcode);
	out.head.unique = head->unique;
	out.body = (struct fuse_init_out){
		.major = 7,
		.minor = in->minor < 31 ? in->minor : 31,
		.max_readahead = DATA_BYTES,
		.flags = in->flags & (FUSE_ASYNC_READ | FUSE_ASYNC_DIO | FUSE_BIG_WRITES |
				      FUSE_MAX_PAGES | FUSE_PARALLEL_DIROPS),
		.max_background = 256,
		.congestion_threshold = 192,
		.max_write = DATA_BYTES,
		.time_gran = 1,
		.max_pages = DATA_BYTES / PAGE,
	};
	if (write(limit->fuse_fd, &out, sizeof(out)) < 0)
		err(1, "the answer to INIT");
}

/*
 * O_NONBLOCK comes before the file is registered: then a read waits inside of the kernel, and
 * can't block us.  Buffers are for the device; /dev/fuse refuses registered ones.
 */
static void make_ring(struct limit *limit)
{
	struct io_uring_params wish = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_CQSIZE,
		.cq_entries = COMPLETIONS,
	};
	const int files[FILES] = { [FILE_FUSE] = limit->fuse_fd, [FILE_DEVICE] = limit->file_fd };
	struct iovec buffers[SLOTS];
	int result;

	fcntl(limit->fuse_fd, F_SETFL, fcntl(limit->fuse_fd, F_GETFL) | O_NONBLOCK);
	result = io_uring_queue_init_params(SUBMISSIONS, &limit->ring, &wish);
	if (result < 0)
		errx(1, "io_uring: %s", strerror(-result));
	for (int i = 0; i < SLOTS; i++)
		buffers[i] = (struct iovec){ limit->slots[i].data, DATA_BYTES };
	result = io_uring_register_buffers(&limit->ring, buffers, SLOTS);
	if (result < 0)
		errx(1, "registering buffers: %s", strerror(-result));
	result = io_uring_register_files(&limit->ring, files, FILES);
	if (result < 0)
		errx(1, "registering files: %s", strerror(-result));
}

int main(int argc, char **argv)
{
	static struct limit limit = { .reads_wanted = 4 };
	bool from_map = false;
	int c;

	while ((c = getopt(argc, argv, "mK:v")) != -1) {
		switch (c) {
		case 'm':
			from_map = true;
			break;
		case 'K':
			limit.reads_wanted = atoi(optarg);
			break;
		case 'v':
			limit.verbose = true;
			break;
		default:
			return 2;
		}
	}
	if (argc - optind != 2)
		return 2;
	open_file(&limit, argv[optind], from_map);
	mount_on(&limit, argv[optind + 1]);
	make_slots(&limit);
	negotiate(&limit);
	make_ring(&limit);
	for (;;)
		turn(&limit);
}
