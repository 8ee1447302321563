/*
 * Loads base sets and copies them to the simulator's disks.
 */
#include "base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CHUNK_BYTES = 65536, SECTOR = 512 };

/* The first folder is that of tests/compat, the other our own. */
static const struct base_source {
	const char *name, *folder;
	unsigned backings;
} sources[BASES] = {
	{ "fresh", "fuzz/bases", 1 },
	{ "leaf", "fuzz/bases", 1 },
	{ "writeback", "fuzz/bases", 1 },
	{ "crashed", "fuzz/bases", 1 },
	{ "small-nodes", "fuzz/bases", 1 },
	{ "small-nodes-crashed", "fuzz/bases", 1 },
	{ "two-and-flash", "fuzz/bases", 2 },
	{ "full", "fuzz/bases", 1 },
	{ "half-blocks", "fuzz/bases", 1 },
	{ "flash", "compat/images", 0 },
	{ "features", "compat/images", 1 },
	{ "wb-crash", "compat/images", 1 },
	{ "deep-btree", "compat/images", 1 },
	{ "stale", "compat/images", 1 },
	{ "two-backing", "compat/images", 2 },
	{ "detached", "compat/images", 1 },
};

static const char *tests_folder(void)
{
	static char folder[1024];
	const char *srcdir = getenv("srcdir");

	snprintf(folder, sizeof(folder), "%s/tests", srcdir ? srcdir : "..");
	return folder;
}

static bool is_zero(const uint8_t *data, size_t bytes)
{
	return !data[0] && !memcmp(data, data + 1, bytes - 1);
}

/* Where nothing was written the file has holes. */
static void load_disk(struct base_disk *disk, const struct base_source *source, const char *name)
{
	char command[2048];
	uint8_t data[CHUNK_BYTES];
	FILE *pipe;
	size_t got;

	snprintf(disk->name, sizeof(disk->name), "%s", name);
	snprintf(command, sizeof(command), "zstd -dqc '%s/%s/%s/%s.img.zst'", tests_folder(),
		 source->folder, source->name, name);
	disk->file = memfd_create(name, MFD_CLOEXEC);
	pipe = popen(command, "r");
	while (pipe && disk->file >= 0 && (got = fread(data, 1, CHUNK_BYTES, pipe))) {
		if (!is_zero(data, got) &&
		    pwrite(disk->file, data, got, disk->bytes) != (ssize_t)got)
			break;
		disk->bytes += got;
	}
	if (!pipe || pclose(pipe) || !disk->bytes || ftruncate(disk->file, disk->bytes)) {
		fprintf(stderr, "cannot load a base set: %s\n", command);
		exit(2);
	}
}

static void load(struct base *base, const struct base_source *source)
{
	uint8_t *cache;
	char name[24];

	base->name = source->name;
	base->backings = source->backings;
	load_disk(&base->cache, source, "cache");
	for (unsigned i = 0; i < source->backings; i++) {
		snprintf(name, sizeof(name), source->backings > 1 ? "backing%u" : "backing", i);
		load_disk(&base->backing[i], source, name);
	}
	cache = sim_map_copy(base->cache.bytes, base->cache.file);
	base->layout = layout_find(cache, base->cache.bytes);
	sim_unmap(cache, base->cache.bytes);
}

const struct base *base_get(unsigned number)
{
	static struct base bases[BASES];

	if (!bases[number].name)
		load(&bases[number], &sources[number]);
	return &bases[number];
}

struct sim_disk *base_make_disk(const struct base_disk *base)
{
	return sim_disk_new_copy(base->name, base->bytes / SECTOR, SECTOR, base->file);
}
