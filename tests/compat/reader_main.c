/*
 * The independent reader as a program: checks a set, writes a volume's content.
 *
 *	reader CACHE [BACKING...]		what is there
 *	reader -v N CACHE [BACKING...]		the content of volume N
 *
 * Volumes are counted from 0: the backing devices as given, then the flash-only
 * volumes by their slots.  "-" for CACHE: there is none.
 */
#include "reader.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECTOR = 512, CHUNK_SECTORS = 1024, WHY_BYTES = 200 };

struct volume {
	const char *name;
	int slot;		/* -1: the backing device alone */
	int fd;			/* of the backing device */
	struct reader_device backing;	/* no `read`: a flash-only volume */
	uint64_t start, sectors;	/* of the keys */
};

__attribute__((noreturn))
static void die(const char *name, const char *why)
{
	fprintf(stderr, "reader: %s: %s\n", name, why);
	exit(1);
}

static int file_read(void *context, uint64_t sector, unsigned sectors, void *data)
{
	const int *fd = context;
	ssize_t bytes = (ssize_t)sectors * SECTOR;

	return pread(*fd, data, bytes, sector * SECTOR) != bytes;
}

static struct reader_device device_open(const char *name, int *fd)
{
	off_t end;

	*fd = open(name, O_RDONLY);
	end = *fd < 0 ? -1 : lseek(*fd, 0, SEEK_END);
	if (end < 0)
		die(name, "cannot be opened");
	return (struct reader_device){ .read = file_read, .context = fd, .sectors = end / SECTOR };
}

static struct reader *set_open(const char *name, int *fd)
{
	char why[WHY_BYTES];
	struct reader_device device;
	struct reader *reader;

	if (!strcmp(name, "-"))
		return NULL;
	device = device_open(name, fd);
	if (reader_load(&reader, &device, why, sizeof(why)))
		die(name, why);
	return reader;
}

static void backing_open(const struct reader *reader, const char *name, struct volume *volume)
{
	struct reader_backing backing;
	char why[WHY_BYTES];

	volume->name = name;
	volume->backing = device_open(name, &volume->fd);
	if (reader_load_backing(&backing, &volume->backing, why, sizeof(why)))
		die(name, why);
	volume->start = backing.data_offset;
	volume->sectors = volume->backing.sectors - backing.data_offset;
	volume->slot = reader_slot_of(reader, &backing);
	if (volume->slot == -2)
		die(name, "is dirty, and its set is not here");
	if (volume->slot >= 0 && reader_dirty_sectors(reader, volume->slot) && backing.state != 2)
		die(name, "has dirty data in the cache, but does not say so");
}

static void volume_read(const struct reader *reader, const struct volume *volume, uint64_t sector,
			unsigned sectors, uint8_t *data)
{
	static uint8_t cached[CHUNK_SECTORS * SECTOR], from[CHUNK_SECTORS];

	memset(data, 0, (size_t)sectors * SECTOR);
	if (volume->backing.read &&
	    volume->backing.read(volume->backing.context, sector, sectors, data))
		die(volume->name, "cannot be read");
	if (volume->slot < 0)
		return;
	if (reader_read(reader, volume->slot, sector, sectors, cached, from))
		die(volume->name, "its part in the cache cannot be read");
	for (unsigned i = 0; i < sectors; i++)
		if (from[i] != READER_HOLE)
			memcpy(data + i * SECTOR, cached + i * SECTOR, SECTOR);
}

static void volume_write(const struct reader *reader, const struct volume *volume)
{
	static uint8_t data[CHUNK_SECTORS * SECTOR];
	uint64_t end = volume->start + volume->sectors;
	unsigned sectors;

	for (uint64_t sector = volume->start; sector < end; sector += sectors) {
		sectors = end - sector < CHUNK_SECTORS ? end - sector : CHUNK_SECTORS;
		volume_read(reader, volume, sector, sectors, data);
		if (fwrite(data, SECTOR, sectors, stdout) != sectors)
			die("standard output", "cannot be written");
	}
}

static void volume_show(const struct reader *reader, const struct volume *volume, int number)
{
	printf("volume %d: %s, slot %d, %llu sectors, %llu dirty\n", number, volume->name,
	       volume->slot, (unsigned long long)volume->sectors,
	       volume->slot < 0 ? 0ULL
				: (unsigned long long)reader_dirty_sectors(reader, volume->slot));
}

/* Fills in one volume for each backing device and each flash-only volume; returns how many. */
static int volumes_find(const struct reader *reader, char **names, int count,
			struct volume **volumes)
{
	unsigned slots = reader ? reader_slots(reader) : 0;
	int found = 0;

	*volumes = calloc(count + slots + 1, sizeof(**volumes));
	if (!*volumes)
		die("memory", "there is none");
	for (; found < count; found++)
		backing_open(reader, names[found], &(*volumes)[found]);
	for (unsigned slot = 0; slot < slots; slot++)
		if (reader_flash_sectors(reader, slot))
			(*volumes)[found++] = (struct volume){
				.name = "flash-only", .slot = slot,
				.sectors = reader_flash_sectors(reader, slot),
			};
	return found;
}

int main(int argc, char **argv)
{
	int chosen = -1, first = 1, count, fd;
	struct reader *reader;
	struct volume *volumes;

	if (argc > 3 && !strcmp(argv[1], "-v")) {
		chosen = atoi(argv[2]);
		first = 3;
	}
	if (first >= argc)
		die("usage", "reader [-v N] CACHE|- [BACKING...]");
	reader = set_open(argv[first], &fd);
	count = volumes_find(reader, argv + first + 1, argc - first - 1, &volumes);
	if (chosen >= count)
		die(argv[2], "there is no such volume");
	if (chosen >= 0)
		volume_write(reader, &volumes[chosen]);
	for (int i = 0; chosen < 0 && i < count; i++)
		volume_show(reader, &volumes[i], i);
	if (fflush(stdout))
		die("standard output", "cannot be written");
	free(volumes);
	reader_free(reader);
	return 0;
}
