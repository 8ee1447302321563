/*
 * Settles what a power cut left open on a volume that patio wrote.
 *
 * What had been written but not flushed may be read in its older generation from
 * the cache, or in its newer one from the backing device, and may change from one
 * to the other when the cache drops a bucket.  A reader cannot tell which sectors
 * these are, but whoever has the members can: the backing device is newer.
 *
 * usage: settle VOLUME EXPECTED BACKING DATA_OFFSET
 *
 * VOLUME must read as EXPECTED, or as BACKING where that is newer; there it is
 * written anew with what it reads as.  Prints how many sectors these are.
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECTOR_BYTES = 512, GENERATION = 4 };

static uint32_t generation_of(const unsigned char *sector)
{
	uint32_t generation;

	memcpy(&generation, sector + GENERATION, sizeof(generation));
	return generation;
}

static int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static void read_sector(int fd, unsigned char *sector, off_t at)
{
	if (pread(fd, sector, SECTOR_BYTES, at) != SECTOR_BYTES)
		err(1, "read at %lld", (long long)at);
}

int main(int argc, char **argv)
{
	unsigned char found[SECTOR_BYTES], wanted[SECTOR_BYTES], old[SECTOR_BYTES];
	int volume, expected, backing;
	off_t offset, bytes;
	unsigned settled = 0;

	if (argc != 5)
		return 2;
	volume = open_or_die(argv[1], O_RDWR);
	expected = open_or_die(argv[2], O_RDONLY);
	backing = open_or_die(argv[3], O_RDONLY);
	offset = atoll(argv[4]);
	bytes = lseek(volume, 0, SEEK_END);
	if (bytes != lseek(expected, 0, SEEK_END))
		errx(1, "%s and %s differ in size", argv[1], argv[2]);
	for (off_t at = 0; at < bytes; at += SECTOR_BYTES) {
		read_sector(volume, found, at);
		read_sector(expected, wanted, at);
		read_sector(backing, old, offset + at);
		if (generation_of(old) > generation_of(wanted)) {
			if (memcmp(found, wanted, SECTOR_BYTES) && memcmp(found, old, SECTOR_BYTES))
				errx(1, "sector %lld is neither the old nor the new one",
				     (long long)(at / SECTOR_BYTES));
			if (pwrite(volume, found, SECTOR_BYTES, at) != SECTOR_BYTES)
				err(1, "write at %lld", (long long)at);
			settled++;
		} else if (memcmp(found, wanted, SECTOR_BYTES)) {
			errx(1, "sector %lld is not as expected", (long long)(at / SECTOR_BYTES));
		}
	}
	if (fsync(volume))
		err(1, "fsync");
	printf("%u\n", settled);
	return 0;
}
