/*
 * One call on a file, for tests in shell: prints what it returned, or the
 * name of the error.
 *
 * usage: file_calls FILE CALL OFFSET [BYTES [FLAG...]]
 *	data, hole: lseek; read, write: one pread, pwrite; truncate: ftruncate;
 *	punch, zero, zero-keep, allocate, collapse: fallocate; blocks: st_blksize and f_bsize;
 *	flags of open: direct, sync, dsync, trunc, ro
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static const struct flag_name {
	const char *name;
	int flag;
} flag_names[] = {
	{ "direct", O_DIRECT }, { "sync", O_SYNC }, { "dsync", O_DSYNC }, { "trunc", O_TRUNC },
};

static const struct mode_name {
	const char *name;
	int mode;
} mode_names[] = {
	{ "punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE },
	{ "zero", FALLOC_FL_ZERO_RANGE },
	{ "zero-keep", FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE },
	{ "allocate", 0 },
	{ "collapse", FALLOC_FL_COLLAPSE_RANGE },
};

static int open_flags(int argc, char **argv)
{
	int flags = O_RDWR;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "ro"))
			flags = (flags & ~O_ACCMODE) | O_RDONLY;
		for (size_t j = 0; j < sizeof(flag_names) / sizeof(*flag_names); j++)
			if (!strcmp(argv[i], flag_names[j].name))
				flags |= flag_names[j].flag;
	}
	return flags;
}

static int print_blocks(int fd)
{
	struct stat info;
	struct statfs system;

	if (fstat(fd, &info) || fstatfs(fd, &system))
		return 1;
	printf("%ld %ld\n", (long)info.st_blksize, (long)system.f_bsize);
	return 0;
}

static long long transfer(int fd, int is_write, off_t offset, size_t bytes)
{
	ssize_t result;
	void *data;

	if (posix_memalign(&data, 4096, bytes + 1))
		return -1;
	memset(data, 'w', bytes);
	result = is_write ? pwrite(fd, data, bytes, offset) : pread(fd, data, bytes, offset);
	free(data);
	return result;
}

static long long call(int fd, const char *name, off_t offset, size_t bytes)
{
	for (size_t i = 0; i < sizeof(mode_names) / sizeof(*mode_names); i++)
		if (!strcmp(name, mode_names[i].name))
			return fallocate(fd, mode_names[i].mode, offset, bytes);
	if (!strcmp(name, "data"))
		return lseek(fd, offset, SEEK_DATA);
	if (!strcmp(name, "hole"))
		return lseek(fd, offset, SEEK_HOLE);
	if (!strcmp(name, "truncate"))
		return ftruncate(fd, offset);
	if (!strcmp(name, "read") || !strcmp(name, "write"))
		return transfer(fd, *name == 'w', offset, bytes);
	errno = EINVAL;
	return -1;
}

int main(int argc, char **argv)
{
	off_t offset = argc > 3 ? strtoll(argv[3], NULL, 0) : 0;
	size_t bytes = argc > 4 ? strtoull(argv[4], NULL, 0) : 0;
	long long result;
	int fd;

	if (argc < 3)
		return 2;
	fd = open(argv[1], open_flags(argc > 5 ? argc - 5 : 0, argv + 5));
	if (fd >= 0 && !strcmp(argv[2], "blocks"))
		return print_blocks(fd);
	result = fd < 0 ? -1 : call(fd, argv[2], offset, bytes);
	if (result < 0)
		printf("%s\n", strerrorname_np(errno));
	else
		printf("%lld\n", result);
	return 0;
}
