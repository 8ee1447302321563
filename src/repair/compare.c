/* Compares clean data in the cache with a backing device, to see whether they are its own. */
#include <string.h>

#include "base/numbers.h"
#include "io/buffer.h"
#include "repair/internal.h"

enum { COMPARED_SECTORS = 64 };		/* of each extent */

static void compare_extent(struct device *cache, struct device *device, const struct bkey *k,
			   unsigned char *room, struct repair_likeness *likeness)
{
	unsigned sectors = min_u64(bkey_sectors(k), COMPARED_SECTORS);
	unsigned char *other = room + COMPARED_SECTORS * 512;

	if (bkey_end(k) > device_sectors(device) ||
	    device_read_now(cache, room, pointer_sector(k->ptr), sectors) ||
	    device_read_now(device, other, bkey_start(k), sectors))
		return;
	for (unsigned i = 0; i < sectors; i++) {
		bool is_same = !memcmp(room + i * 512, other + i * 512, 512);

		likeness->same += is_same;
		likeness->differ += !is_same;
	}
}

void repair_compare(const struct repair *repair, unsigned member, unsigned volume,
		    struct repair_likeness *likeness)
{
	struct device *device = repair->member[member].device;
	unsigned char *room = buffer_new(2 * COMPARED_SECTORS * 512);

	*likeness = (struct repair_likeness){ .same = 0 };
	for (unsigned i = 0; repair->volume && i < repair->volume[volume].samples; i++)
		compare_extent(repair->check.cache->device, device,
			       &repair->volume[volume].sample[i], room, likeness);
	buffer_free(room);
}
