/*
 * Pattern I/O: writes data that tells where and when it was written.
 *
 * Every sector holds its number (32 bits), the generation of the write (32
 * bits, one more with each write), and bytes that follow from the generation.
 * All I/O is O_DIRECT and synchronous; sizes and places are in sectors.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR_BYTES = 512, SECTORS_MAX = 8192 };

static const char usage[] =
	"usage: patio [options] write|read|discard|zero FILE\n"
	"  -n COUNT   operations (1)\n"
	"  -b SIZE    sectors per operation, MIN or MIN,MAX (8)\n"
	"  -a ALIGN   places are multiples of it, as are sizes unless MIN is less (8)\n"
	"  -o START   first sector of the range used (0)\n"
	"  -l LENGTH  sectors in the range used (up to the end)\n"
	"  -g GEN     generation of the first write (1)\n"
	"  -s SEED    seed of the random places and sizes (1)\n"
	"  -S         sequential: fill the range from its start, -n is not used\n"
	"  -f EVERY   fdatasync after EVERY operations (0: never)\n";

static uint64_t random64(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static void fill(unsigned char *buf, uint64_t sector, uint64_t count, uint32_t gen)
{
	for (uint64_t i = 0; i < count; i++, buf += SECTOR_BYTES) {
		uint32_t head[2] = { sector + i, gen };

		memset(buf, gen % 251, SECTOR_BYTES);
		memcpy(buf, head, sizeof(head));
	}
}

/* What to do, as the command line says. */
struct work {
	const char *what;
	const char *name;
	uint64_t count, min, max, align, start, length, flush_every;
	uint64_t seed;
	uint32_t generation;
	bool is_sequential;
};

static int parse(struct work *work, int argc, char **argv)
{
	char *end;
	int option;

	while ((option = getopt(argc, argv, "n:b:a:o:l:g:s:f:S")) != -1) {
		switch (option) {
		case 'n': work->count = strtoull(optarg, NULL, 0); break;
		case 'b':
			work->min = work->max = strtoull(optarg, &end, 0);
			if (*end == ',')
				work->max = strtoull(end + 1, NULL, 0);
			break;
		case 'a': work->align = strtoull(optarg, NULL, 0); break;
		case 'o': work->start = strtoull(optarg, NULL, 0); break;
		case 'l': work->length = strtoull(optarg, NULL, 0); break;
		case 'g': work->generation = strtoul(optarg, NULL, 0); break;
		case 's': work->seed = strtoull(optarg, NULL, 0); break;
		case 'f': work->flush_every = strtoull(optarg, NULL, 0); break;
		case 'S': work->is_sequential = true; break;
		default: return -1;
		}
	}
	if (argc - optind != 2 || !work->align || !work->min || work->max < work->min ||
	    work->max > SECTORS_MAX)
		return -1;
	work->what = argv[optind];
	work->name = argv[optind + 1];
	return 0;
}

/* One operation of `size` sectors at sector `at`. */
static void operate(struct work *work, int fd, unsigned char *buffer, uint64_t at, uint64_t size)
{
	ssize_t done = size * SECTOR_BYTES;
	uint64_t range[2] = { at * SECTOR_BYTES, size * SECTOR_BYTES };

	switch (work->what[0]) {
	case 'w':
		fill(buffer, at, size, work->generation++);
		done = pwrite(fd, buffer, range[1], range[0]);
		break;
	case 'r':
		done = pread(fd, buffer, range[1], range[0]);
		break;
	default:
		if (ioctl(fd, work->what[0] == 'd' ? BLKDISCARD : BLKZEROOUT, range))
			err(1, "%s: %s", work->name, work->what);
	}
	if (done != (ssize_t)range[1])
		err(1, "%s: %s at sector %llu", work->name, work->what, (unsigned long long)at);
}

static void run(struct work *work, int fd, unsigned char *buffer)
{
	uint64_t end = work->start + work->length;
	uint64_t unit = work->min < work->align ? work->min : work->align;
	uint64_t at = work->start;

	for (uint64_t i = 0; work->is_sequential ? at < end : i < work->count; i++) {
		uint64_t size = work->min + random64(&work->seed) % (work->max - work->min + 1);

		size = size / unit * unit;
		if (!work->is_sequential)
			at = work->start + random64(&work->seed) %
			     ((work->length - size) / work->align + 1) * work->align;
		else if (size > end - at)
			size = end - at;
		operate(work, fd, buffer, at, size);
		if (work->flush_every && (i + 1) % work->flush_every == 0 && fdatasync(fd))
			err(1, "%s: fdatasync", work->name);
		if (work->is_sequential)
			at += size;
	}
}

int main(int argc, char **argv)
{
	struct work work = {
		.count = 1, .min = 8, .max = 8, .align = 8, .seed = 1, .generation = 1,
	};
	void *buffer;
	uint64_t total;
	int fd;

	if (parse(&work, argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	fd = open(work.name, O_RDWR | O_DIRECT);
	if (fd < 0)
		err(1, "%s", work.name);
	total = lseek(fd, 0, SEEK_END) / SECTOR_BYTES;
	if (work.start >= total)
		errx(1, "%s: the range starts behind the end", work.name);
	if (!work.length || work.length > total - work.start)
		work.length = total - work.start;
	if (posix_memalign(&buffer, 4096, SECTORS_MAX * SECTOR_BYTES))
		errx(1, "no memory");
	run(&work, fd, buffer);
	printf("%u\n", work.generation);
	return 0;
}
