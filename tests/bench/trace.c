/*
 * A trace of requests in a file, replayed against a volume, and what an ideal cache makes of it.
 *
 * usage: trace zipf TRACE BLOCKS COUNT SEED   blocks of 4 KiB, rank r with the weight 1/r^1.1
 *        trace even TRACE BLOCKS COUNT SEED   sectors, 8 a block, all alike
 *        trace ideal TRACE CAPACITY WARM      hits of an LRU cache of CAPACITY blocks, and reads,
 *                                             without the first WARM
 *        trace read|write FILE TRACE BYTES FROM END SYNC
 *
 * The last one makes the requests from FROM, before END, of BYTES each, one at a time, O_DIRECT,
 * with an fsync after each SYNC writes (0: never).
 *
 * A trace is an array of 32-bit numbers: the place of each request in units of its size.  Hot
 * blocks lie apart: the rank is scattered over the volume by a multiplication.
 */
#include <err.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const double exponent = 1.1;

struct trace {
	uint32_t *places;
	size_t count;
};

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static void *allocate(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (!memory)
		err(1, "memory");
	return memory;
}

static struct trace trace_read(const char *path)
{
	struct trace trace = { 0 };
	struct stat stat;
	FILE *file = fopen(path, "rb");

	if (!file || fstat(fileno(file), &stat) < 0)
		err(1, "%s", path);
	trace.count = stat.st_size / sizeof(*trace.places);
	trace.places = allocate(trace.count, sizeof(*trace.places));
	if (fread(trace.places, sizeof(*trace.places), trace.count, file) != trace.count)
		err(1, "%s", path);
	fclose(file);
	return trace;
}

static void trace_write(const char *path, const struct trace *trace)
{
	FILE *file = fopen(path, "wb");

	if (!file || fwrite(trace->places, sizeof(*trace->places), trace->count, file) !=
		    trace->count || fclose(file) != 0)
		err(1, "%s", path);
}

/* The sums of the weights of ranks 0..n, scaled so that the last one is 1. */
static double *cumulated_weights(uint32_t blocks)
{
	double *sums = allocate(blocks, sizeof(*sums)), sum = 0;

	for (uint32_t rank = 0; rank < blocks; rank++)
		sums[rank] = sum += pow(rank + 1, -exponent);
	for (uint32_t rank = 0; rank < blocks; rank++)
		sums[rank] /= sum;
	return sums;
}

static uint32_t rank_of(const double *sums, uint32_t blocks, double share)
{
	uint32_t low = 0, high = blocks - 1;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (sums[middle] < share)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* An odd factor permutes the numbers below a power of two; those beyond the volume go on. */
static uint32_t scattered(uint32_t rank, uint32_t blocks)
{
	uint32_t mask = 1;

	while (mask < blocks)
		mask <<= 1;
	mask--;
	do
		rank = (rank * UINT32_C(0x9e3779b1) + 12345) & mask;
	while (rank >= blocks);
	return rank;
}

static void make_zipf(struct trace *trace, uint32_t blocks, uint64_t seed)
{
	double *sums = cumulated_weights(blocks);

	for (size_t i = 0; i < trace->count; i++) {
		double share = (next_random(&seed) >> 11) * 0x1p-53;

		trace->places[i] = scattered(rank_of(sums, blocks, share), blocks);
	}
	free(sums);
}

static void make_even(struct trace *trace, uint32_t blocks, uint64_t seed)
{
	for (size_t i = 0; i < trace->count; i++)
		trace->places[i] = next_random(&seed) % (UINT64_C(8) * blocks);
}

/* Blocks by their last use: a list through arrays, with the end of the list as block `blocks`. */
struct lru {
	uint32_t *newer, *older;
	unsigned char *is_in;
	uint32_t end, size, capacity;
};

static void lru_unlink(struct lru *lru, uint32_t block)
{
	lru->older[lru->newer[block]] = lru->older[block];
	lru->newer[lru->older[block]] = lru->newer[block];
}

static void lru_use(struct lru *lru, uint32_t block)
{
	if (lru->is_in[block]) {
		lru_unlink(lru, block);
	} else if (lru->size < lru->capacity) {
		lru->size++;
	} else {
		uint32_t oldest = lru->newer[lru->end];

		lru_unlink(lru, oldest);
		lru->is_in[oldest] = 0;
	}
	lru->is_in[block] = 1;
	lru->newer[block] = lru->end;
	lru->older[block] = lru->older[lru->end];
	lru->newer[lru->older[block]] = block;
	lru->older[lru->end] = block;
}

static void ideal(const struct trace *trace, uint32_t capacity, size_t warm)
{
	struct lru lru = { .capacity = capacity };
	size_t hits = 0;

	for (size_t i = 0; i < trace->count; i++)
		if (trace->places[i] >= lru.end)
			lru.end = trace->places[i] + 1;
	lru.newer = allocate(lru.end + 1, sizeof(*lru.newer));
	lru.older = allocate(lru.end + 1, sizeof(*lru.older));
	lru.is_in = allocate(lru.end + 1, 1);
	lru.newer[lru.end] = lru.older[lru.end] = lru.end;
	for (size_t i = 0; i < trace->count; i++) {
		hits += i >= warm && lru.is_in[trace->places[i]];
		lru_use(&lru, trace->places[i]);
	}
	printf("%zu %zu\n", hits, trace->count - warm);
}

static void replay(const char *path, const struct trace *trace, int is_write, size_t bytes,
		   size_t from, size_t to, size_t sync)
{
	int fd = open(path, (is_write ? O_WRONLY : O_RDONLY) | O_DIRECT);
	char *buffer = aligned_alloc(4096, 4096);

	if (fd < 0)
		err(1, "%s", path);
	if (!buffer || bytes > 4096)
		errx(1, "no buffer of %zu bytes", bytes);
	for (size_t i = from; i < to && i < trace->count; i++) {
		off_t at = (off_t)trace->places[i] * bytes;
		ssize_t done;

		if (is_write)
			memset(buffer, (int)(i % 251), bytes);
		done = is_write ? pwrite(fd, buffer, bytes, at) : pread(fd, buffer, bytes, at);
		if (done != (ssize_t)bytes)
			err(1, "%s at %lld", path, (long long)at);
		if (is_write && sync && i % sync == sync - 1 && fdatasync(fd) < 0)
			err(1, "%s", path);
	}
	close(fd);
}

static size_t number(const char *text)
{
	char *end;
	size_t value = strtoull(text, &end, 10);

	if (!*text || *end)
		errx(2, "%s: no number", text);
	return value;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (argc == 6 && (!strcmp(command, "zipf") || !strcmp(command, "even"))) {
		struct trace trace = { .count = number(argv[4]) };

		trace.places = allocate(trace.count, sizeof(*trace.places));
		(*command == 'z' ? make_zipf : make_even)(&trace, number(argv[3]), number(argv[5]));
		trace_write(argv[2], &trace);
	} else if (argc == 5 && !strcmp(command, "ideal")) {
		struct trace trace = trace_read(argv[2]);

		ideal(&trace, number(argv[3]), number(argv[4]));
	} else if (argc == 8 && (!strcmp(command, "read") || !strcmp(command, "write"))) {
		struct trace trace = trace_read(argv[3]);

		replay(argv[2], &trace, *command == 'w', number(argv[4]), number(argv[5]),
		       number(argv[6]), number(argv[7]));
	} else {
		errx(2, "usage: trace zipf|even|ideal|read|write ARGUMENT...");
	}
	return 0;
}
