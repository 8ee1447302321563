/*
 * Does things to a volume's file at random, through several kinds of handles,
 * and keeps what it should read as in memory, or in a file that others read.
 *
 * usage: file_model FILE SEED STEPS             mixed operations, all handles
 *        file_model FILE SEED STEPS model=PATH  the same, with the model in that file
 *        file_model FILE SEED STEPS threads     overlapping writers, each of one letter
 *
 * A model that is there already is what the file should read as before the first step.
 * The whole file is compared at the end by every handle.  0: all as it should be.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BYTES_MAX = 1200 << 10, ALIGN = 4096, WRITERS = 4, BLOCK = 8192 };

enum handle_kind { PLAIN, DIRECT, SYNCED, HANDLES };
static const char *const names[HANDLES] = { "plain", "O_DIRECT", "O_SYNC" };
static const int flags[HANDLES] = { 0, O_DIRECT, O_SYNC };

struct world {
	int fd[HANDLES];
	uint64_t bytes;
	unsigned char *model, *map, *buffer;
	uint64_t random;
	unsigned long step;
};

static uint64_t next_random(struct world *world)
{
	uint64_t z = world->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t below(struct world *world, uint64_t limit)
{
	return next_random(world) % limit;
}

static void die(const struct world *world, const char *what, uint64_t at, uint64_t bytes)
{
	fprintf(stderr, "step %lu: %s at %llu, %llu bytes: %s\n", world->step, what,
		(unsigned long long)at, (unsigned long long)bytes, strerror(errno));
	exit(1);
}

static void check(const struct world *world, const char *what, const unsigned char *found,
		  uint64_t at, uint64_t bytes)
{
	if (!memcmp(found, world->model + at, bytes))
		return;
	for (uint64_t i = 0; i < bytes; i++) {
		if (found[i] == world->model[at + i])
			continue;
		fprintf(stderr, "step %lu: %s reads %02x at %llu, it should be %02x\n", world->step,
			what, found[i], (unsigned long long)(at + i), world->model[at + i]);
		exit(1);
	}
}

/* Mostly small, of any alignment, sometimes whole blocks or as large as can be. */
static void draw_range(struct world *world, enum handle_kind kind, uint64_t *at, uint64_t *bytes)
{
	static const uint64_t aligns[] = { 1, 1, 512, 4096 };
	static const uint64_t sizes[] = { 100, 5000, 70000, BYTES_MAX };
	/* An O_DIRECT handle takes any alignment of FUSE, but loop devices ask for sectors. */
	uint64_t align = aligns[below(world, 4)];

	(void)kind;
	*at = below(world, world->bytes) / align * align;
	*bytes = below(world, sizes[below(world, 4)]) + 1;
	*bytes = (*bytes + align - 1) / align * align;
	if (*bytes > world->bytes - *at)
		*bytes = world->bytes - *at;
}

static void do_write(struct world *world, enum handle_kind kind, uint64_t at, uint64_t bytes)
{
	uint64_t seed = next_random(world);

	for (uint64_t i = 0; i < bytes; i++)
		world->buffer[i] = (seed + i * 131) >> (i & 7);
	if (pwrite(world->fd[kind], world->buffer, bytes, at) != (ssize_t)bytes)
		die(world, "write", at, bytes);
	memcpy(world->model + at, world->buffer, bytes);
}

static void do_read(struct world *world, enum handle_kind kind, uint64_t at, uint64_t bytes)
{
	if (pread(world->fd[kind], world->buffer, bytes, at) != (ssize_t)bytes)
		die(world, "read", at, bytes);
	check(world, names[kind], world->buffer, at, bytes);
}

static void do_zero(struct world *world, int mode, uint64_t at, uint64_t bytes)
{
	if (fallocate(world->fd[PLAIN], mode, at, bytes))
		die(world, "fallocate", at, bytes);
	memset(world->model + at, 0, bytes);
}

static void do_map_write(struct world *world, uint64_t at, uint64_t bytes)
{
	uint64_t page = at / ALIGN * ALIGN;

	memset(world->map + at, (int)world->step, bytes);
	memset(world->model + at, (int)world->step, bytes);
	if (msync(world->map + page, at + bytes - page, MS_SYNC))
		die(world, "msync", at, bytes);
}

static void one_step(struct world *world)
{
	enum handle_kind kind = below(world, HANDLES);
	uint64_t at, bytes;

	draw_range(world, kind, &at, &bytes);
	switch (below(world, 12)) {
	case 0: case 1: case 2: case 3:
		do_write(world, kind, at, bytes);
		break;
	case 4: case 5: case 6: case 7:
		do_read(world, kind, at, bytes);
		break;
	case 8:
		do_zero(world, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, bytes);
		break;
	case 9:
		do_zero(world, FALLOC_FL_ZERO_RANGE, at, bytes);
		break;
	case 10:
		do_map_write(world, at, bytes);
		break;
	case 11:
		check(world, "map", world->map + at, at, bytes);
		if (fsync(world->fd[kind]))
			die(world, "fsync", 0, 0);
		break;
	}
}

static void compare_all(struct world *world)
{
	for (enum handle_kind kind = 0; kind < HANDLES; kind++)
		for (uint64_t at = 0; at < world->bytes; at += 1 << 20)
			do_read(world, kind, at,
				world->bytes - at < 1 << 20 ? world->bytes - at : 1 << 20);
	check(world, "map", world->map, 0, world->bytes);
}

/* A model in a file is shared with it, so nothing is to be saved. */
static void *open_model(struct world *world, const char *path, bool *is_there)
{
	struct stat info = { .st_size = 0 };
	void *model;
	int fd;

	*is_there = false;
	if (!path) {
		model = mmap(NULL, world->bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		return model == MAP_FAILED ? NULL : model;
	}
	fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || fstat(fd, &info) || ftruncate(fd, world->bytes))
		die(world, path, 0, world->bytes);
	*is_there = info.st_size;
	if (*is_there && (uint64_t)info.st_size != world->bytes) {
		fprintf(stderr, "%s has %llu bytes, its volume %llu\n", path,
			(unsigned long long)info.st_size, (unsigned long long)world->bytes);
		exit(1);
	}
	model = mmap(NULL, world->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return model == MAP_FAILED ? NULL : model;
}

static void open_world(struct world *world, const char *path, const char *model_path)
{
	struct stat info;
	bool is_there;

	for (enum handle_kind kind = 0; kind < HANDLES; kind++) {
		world->fd[kind] = open(path, O_RDWR | flags[kind]);
		if (world->fd[kind] < 0)
			die(world, path, 0, 0);
	}
	if (fstat(world->fd[PLAIN], &info))
		die(world, "fstat", 0, 0);
	world->bytes = info.st_size;
	world->model = open_model(world, model_path, &is_there);
	if (!world->model || posix_memalign((void **)&world->buffer, ALIGN, 2 << 20))
		die(world, "memory", 0, 0);
	world->map = mmap(NULL, world->bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			  world->fd[PLAIN], 0);
	if (world->map == MAP_FAILED)
		die(world, "mmap", 0, world->bytes);
	if (is_there) {
		compare_all(world);
		return;
	}
	for (uint64_t at = 0; at < world->bytes; at += 1 << 20) {
		uint64_t bytes = world->bytes - at < 1 << 20 ? world->bytes - at : 1 << 20;

		if (pread(world->fd[DIRECT], world->buffer, bytes, at) != (ssize_t)bytes)
			die(world, "first read", at, bytes);
		memcpy(world->model + at, world->buffer, bytes);
	}
}

/* ---- writers that overlap: every block ends as one of them left it ---- */

struct writer {
	pthread_t thread;
	const char *path;
	unsigned long steps;
	int letter;
};

static void *writer_run(void *context)
{
	struct writer *writer = context;
	struct world world = { .random = writer->letter };
	int fd = open(writer->path, O_RDWR | O_DIRECT);
	unsigned char *block;

	if (fd < 0 || posix_memalign((void **)&block, ALIGN, BLOCK))
		die(&world, writer->path, 0, 0);
	memset(block, writer->letter, BLOCK);
	for (unsigned long i = 0; i < writer->steps; i++) {
		uint64_t at = below(&world, 16) * (BLOCK / 2);

		if (pwrite(fd, block, BLOCK, at) != BLOCK)
			die(&world, "write", at, BLOCK);
	}
	free(block);
	close(fd);
	return NULL;
}

/* Every half block is of one letter, since each writer writes whole blocks at half blocks. */
static int check_halves(const char *path)
{
	unsigned char half[BLOCK / 2];
	int fd = open(path, O_RDONLY);

	for (unsigned i = 0; i < 17; i++) {
		if (pread(fd, half, sizeof(half), i * sizeof(half)) != sizeof(half))
			return 1;
		for (unsigned j = 0; j < sizeof(half); j++) {
			if (half[j] == half[0])
				continue;
			fprintf(stderr, "half block %u has %c and %c\n", i, half[0], half[j]);
			return 1;
		}
	}
	close(fd);
	return 0;
}

static int run_writers(const char *path, unsigned long steps)
{
	struct writer writers[WRITERS];

	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ .path = path, .steps = steps, .letter = 'a' + i };
		if (pthread_create(&writers[i].thread, NULL, writer_run, &writers[i]))
			return 1;
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	return check_halves(path);
}

int main(int argc, char **argv)
{
	struct world world = { .step = 0 };
	const char *model = NULL;
	unsigned long steps;

	if (argc < 4)
		return 2;
	steps = strtoul(argv[3], NULL, 10);
	if (argc > 4 && !strncmp(argv[4], "model=", 6))
		model = argv[4] + 6;
	else if (argc > 4)
		return run_writers(argv[1], steps);
	world.random = strtoul(argv[2], NULL, 10);
	open_world(&world, argv[1], model);
	for (; world.step < steps; world.step++)
		one_step(&world);
	compare_all(&world);
	free(world.buffer);
	return 0;
}
