/*
 * A slow disk: shows FILE as DIR/f with one head that has to seek.
 *
 * usage: slowfile [-s SEEK_US] [-r ROTATION_US] [-b MB/s] [-S GAP_BYTES] [-c] [-f NAME] FILE DIR
 *   -s   average seek, 8000 at first          -r   half a rotation, 4170
 *   -b   what passes below the head, 150      -S   a gap that is still sequential, 1 MiB
 *   -c   a volatile write cache: a write costs its transfer alone, a flush a seek
 *   -f   while NAME.read exists, reads fail with EIO; NAME.write: writes and flushes.  If NAME.read
 *        has lines, "OFFSET BYTES", only reads of these ranges fail
 *
 * One thread is the one head: requests are served one after the other, in their order.
 * The time of each is that of its transfer, and, unless it begins at or a
 * little behind the end of the last one, that of a seek:
 *
 *	seek * (0.25 + 1.26 * sqrt(distance / size)) + rotation
 *
 * so that the average over random places is about what -s says.  There is no chance in it:
 * the same requests take the same time.  As it stands: 85 random reads in a second.
 */
#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	DATA_BYTES = 1 << 20,
	ALIGN = 4096,
	FOR_LONG = 3600,	/* seconds that the kernel may believe us */
	ROOT = 1,
	THE_FILE = 2,
};

struct disk {
	int fd;
	uint64_t bytes;
	uint64_t head;		/* where the last transfer ended */
	uint64_t gap_bytes;
	double seek_us, rotation_us, bytes_per_us;
	bool has_write_cache;
	const char *failing;	/* see -f; NULL: it never fails */
	char *buffer;
	uint64_t seeks, requests;
};

/* ---- time ---- */

static void wait_us(double us)
{
	const uint64_t second = 1000000000;
	struct timespec until;
	uint64_t until_ns;

	if (us <= 1)
		return;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until_ns = until.tv_sec * second + until.tv_nsec + (uint64_t)(us * 1000);
	until.tv_sec = until_ns / second;
	until.tv_nsec = until_ns % second;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* Moves the head; how long that takes. */
static double seek_us(struct disk *disk, uint64_t to)
{
	double distance;

	if (to >= disk->head && to - disk->head <= disk->gap_bytes)
		return 0;
	distance = to > disk->head ? to - disk->head : disk->head - to;
	disk->seeks++;
	return disk->seek_us * (0.25 + 1.26 * sqrt(distance / disk->bytes)) + disk->rotation_us;
}

static void serve(struct disk *disk, uint64_t offset, uint64_t bytes, bool is_write)
{
	double us = bytes / disk->bytes_per_us;

	if (!is_write || !disk->has_write_cache) {
		us += seek_us(disk, offset);
		disk->head = offset + bytes;
	}
	disk->requests++;
	wait_us(us);
}

/* ---- requests ---- */

static struct disk *disk_of(fuse_req_t request)
{
	return fuse_req_userdata(request);
}

static struct stat attributes(const struct disk *disk, fuse_ino_t inode)
{
	if (inode == ROOT)
		return (struct stat){ .st_ino = inode, .st_mode = S_IFDIR | 0755, .st_nlink = 2 };
	return (struct stat){
		.st_ino = inode, .st_mode = S_IFREG | 0644, .st_nlink = 1,
		.st_size = disk->bytes, .st_blocks = disk->bytes / 512, .st_blksize = ALIGN
	};
}

static void disk_init(void *context, struct fuse_conn_info *connection)
{
	(void)context;
	connection->max_write = DATA_BYTES;
	connection->max_background = 256;
	connection->congestion_threshold = 200;
	connection->want &= ~(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE);
	connection->want |= connection->capable & FUSE_CAP_ASYNC_DIO;
}

static void disk_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {
		.ino = THE_FILE, .attr_timeout = FOR_LONG, .entry_timeout = FOR_LONG
	};

	if (parent != ROOT || strcmp(name, "f")) {
		fuse_reply_err(request, ENOENT);
		return;
	}
	entry.attr = attributes(disk_of(request), THE_FILE);
	fuse_reply_entry(request, &entry);
}

static void disk_getattr(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *file)
{
	struct stat info = attributes(disk_of(request), inode);

	(void)file;
	fuse_reply_attr(request, &info, FOR_LONG);
}

static void disk_setattr(fuse_req_t request, fuse_ino_t inode, struct stat *wanted, int which,
			 struct fuse_file_info *file)
{
	(void)wanted;
	(void)which;
	disk_getattr(request, inode, file);
}

static void disk_open(fuse_req_t request, fuse_ino_t inode, struct fuse_file_info *file)
{
	(void)inode;
	file->direct_io = 1;
	fuse_reply_open(request, file);
}

static bool fails(const struct disk *disk, const char *kind)
{
	char path[4096];

	if (!disk->failing)
		return false;
	snprintf(path, sizeof(path), "%s.%s", disk->failing, kind);
	return !access(path, F_OK);
}

/* Does the file with bad ranges name one that the read touches, or is it empty? */
static bool read_fails(const struct disk *disk, uint64_t offset, uint64_t bytes)
{
	unsigned long long from, length;
	bool is_empty = true, is_bad = false;
	char path[4096];
	FILE *ranges;

	if (!disk->failing)
		return false;
	snprintf(path, sizeof(path), "%s.read", disk->failing);
	ranges = fopen(path, "re");
	if (!ranges)
		return false;
	while (!is_bad && fscanf(ranges, "%llu %llu", &from, &length) == 2) {
		is_empty = false;
		is_bad = from < offset + bytes && offset < from + length;
	}
	fclose(ranges);
	return is_bad || is_empty;
}

static void disk_read(fuse_req_t request, fuse_ino_t inode, size_t bytes, off_t at,
		      struct fuse_file_info *file)
{
	struct disk *disk = disk_of(request);
	uint64_t offset = at;
	ssize_t got;

	(void)inode;
	(void)file;
	if (offset >= disk->bytes)
		bytes = 0;
	else if (offset + bytes > disk->bytes)
		bytes = disk->bytes - offset;
	if (bytes)
		serve(disk, offset, bytes, false);
	got = pread(disk->fd, disk->buffer, bytes, offset);
	if (read_fails(disk, offset, bytes))
		fuse_reply_err(request, EIO);
	else if (got < 0)
		fuse_reply_err(request, errno);
	else
		fuse_reply_buf(request, disk->buffer, got);
}

static void disk_write(fuse_req_t request, fuse_ino_t inode, const char *data, size_t bytes,
		       off_t at, struct fuse_file_info *file)
{
	struct disk *disk = disk_of(request);
	ssize_t written;

	(void)inode;
	(void)file;
	if (at + bytes > disk->bytes) {
		fuse_reply_err(request, ENOSPC);
		return;
	}
	if (fails(disk, "write")) {
		fuse_reply_err(request, EIO);
		return;
	}
	serve(disk, at, bytes, true);
	written = pwrite(disk->fd, data, bytes, at);
	if (written < 0)
		fuse_reply_err(request, errno);
	else
		fuse_reply_write(request, written);
}

static void disk_fsync(fuse_req_t request, fuse_ino_t inode, int datasync,
		       struct fuse_file_info *file)
{
	(void)inode;
	(void)datasync;
	(void)file;
	if (disk_of(request)->has_write_cache)
		serve(disk_of(request), 0, ALIGN, false);
	fuse_reply_err(request, fails(disk_of(request), "write") ? EIO : 0);
}

static void disk_fallocate(fuse_req_t request, fuse_ino_t inode, int mode, off_t offset,
			   off_t bytes, struct fuse_file_info *file)
{
	(void)inode;
	(void)file;
	fuse_reply_err(request, fallocate(disk_of(request)->fd, mode, offset, bytes) ? errno : 0);
}

static const struct fuse_lowlevel_ops operations = {
	.init = disk_init,
	.lookup = disk_lookup,
	.getattr = disk_getattr,
	.setattr = disk_setattr,
	.open = disk_open,
	.read = disk_read,
	.write = disk_write,
	.fsync = disk_fsync,
	.fallocate = disk_fallocate,
};

/* ---- the whole ---- */

static bool parse(struct disk *disk, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "s:r:b:cS:f:")) != -1) {
		switch (c) {
		case 's':
			disk->seek_us = atof(optarg);
			break;
		case 'r':
			disk->rotation_us = atof(optarg);
			break;
		case 'b':
			disk->bytes_per_us = atof(optarg);
			break;
		case 'c':
			disk->has_write_cache = true;
			break;
		case 'f':
			disk->failing = optarg;
			break;
		case 'S':
			disk->gap_bytes = strtoull(optarg, NULL, 10);
			break;
		default:
			return false;
		}
	}
	return argc - optind == 2;
}

int main(int argc, char **argv)
{
	struct disk disk = {
		.gap_bytes = 1 << 20, .seek_us = 8000, .rotation_us = 4170, .bytes_per_us = 150
	};
	char *words[] = { "slowfile", "-o", "allow_other,default_permissions,fsname=slowfile",
			  NULL };
	struct fuse_args arguments = FUSE_ARGS_INIT(3, words);
	struct fuse_session *session;

	if (!parse(&disk, argc, argv))
		return 2;
	prctl(PR_SET_TIMERSLACK, 1);	/* ns: sleep as long as was asked for */
	disk.buffer = aligned_alloc(ALIGN, DATA_BYTES);
	disk.fd = open(argv[optind], O_RDWR);
	if (!disk.buffer || disk.fd < 0)
		err(1, "%s", argv[optind]);
	disk.bytes = lseek(disk.fd, 0, SEEK_END);
	session = fuse_session_new(&arguments, &operations, sizeof(operations), &disk);
	if (!session || fuse_session_mount(session, argv[optind + 1]))
		return 1;
	fuse_set_signal_handlers(session);
	fuse_session_loop(session);
	fuse_session_unmount(session);
	fprintf(stderr, "%llu requests, %llu seeks\n", (unsigned long long)disk.requests,
		(unsigned long long)disk.seeks);
	return 0;
}
