/* Keeps planned writes, and reads through them. */
#include "io/patches.h"

#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"

bool patches_add(struct patches *patches, uint64_t sector, const void *bytes, unsigned sectors)
{
	unsigned char *copy = malloc((size_t)sectors * 512);

	if (copy && patches->count == patches->capacity) {
		unsigned capacity = patches->capacity * 2 + 8;
		struct patch *patch = realloc(patches->patch, capacity * sizeof(*patch));

		if (patch) {
			patches->patch = patch;
			patches->capacity = capacity;
		}
	}
	if (!copy || patches->count == patches->capacity) {
		free(copy);
		return false;
	}
	memcpy(copy, bytes, (size_t)sectors * 512);
	patches->patch[patches->count++] = (struct patch){ sector, sectors, copy };
	return true;
}

void patches_drop(struct patches *patches)
{
	free(patches->patch[--patches->count].bytes);
}

void patches_done(struct patches *patches)
{
	for (unsigned i = 0; i < patches->count; i++)
		free(patches->patch[i].bytes);
	free(patches->patch);
	*patches = (struct patches){ .patch = NULL };
}

struct patched_read {
	const struct patches *patches;
	int (*read)(struct device *device, void *data, uint64_t sector, unsigned sectors);
	struct device *device;
};

/* Reads through the oldest `count` of the patches: the newest that touches the range cuts it. */
static int read_through(const struct patched_read *all, unsigned count, unsigned char *data,
			uint64_t sector, unsigned sectors)
{
	uint64_t end = sector + sectors;

	while (sectors && count--) {
		const struct patch *patch = &all->patches->patch[count];
		uint64_t from = max_u64(patch->sector, sector);
		uint64_t to = min_u64(patch->sector + patch->sectors, end);
		int failed;

		if (from >= to)
			continue;
		memcpy(data + (from - sector) * 512, patch->bytes + (from - patch->sector) * 512,
		       (to - from) * 512);
		failed = read_through(all, count, data, sector, from - sector);
		return failed ? failed : read_through(all, count, data + (to - sector) * 512, to,
						      end - to);
	}
	return sectors ? all->read(all->device, data, sector, sectors) : 0;
}

int patches_read(const struct patches *patches, void *data, uint64_t sector, unsigned sectors,
		 int (*read)(struct device *device, void *data, uint64_t sector, unsigned sectors),
		 struct device *device)
{
	const struct patched_read all = { patches, read, device };

	return read_through(&all, patches->count, data, sector, sectors);
}
