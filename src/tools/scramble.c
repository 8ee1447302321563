/*
 * Replaces UUIDs and labels; see scramble.h.
 *
 * The new UUIDs count those that were seen, so that equal dumps stay equal.
 */
#include "tools/scramble.h"

#include <stdlib.h>
#include <string.h>

static unsigned number_of(struct scramble *scramble, const uint8_t uuid[16])
{
	for (unsigned i = 0; i < scramble->count; i++)
		if (uuid_is_equal(scramble->seen[i], uuid))
			return i;
	if (scramble->count == scramble->room) {
		scramble->room = scramble->room * 2 + 16;
		scramble->seen = realloc(scramble->seen, scramble->room * sizeof(*scramble->seen));
		if (!scramble->seen)
			abort();
	}
	memcpy(scramble->seen[scramble->count], uuid, 16);
	return scramble->count++;
}

void scramble_uuid(struct scramble *scramble, uint8_t uuid[16])
{
	unsigned number;

	if (!scramble->is_on || uuid_is_zero(uuid) || uuid_is_retired(uuid))
		return;
	number = number_of(scramble, uuid) + 1;
	memset(uuid, 0x5c, 16);
	for (unsigned i = 0; i < 4; i++)
		uuid[7 - i] = uuid[15 - i] = number >> 8 * i;
}

void scramble_label(const struct scramble *scramble, uint8_t *label, unsigned bytes)
{
	static const char text[] = "scrambled";
	bool is_empty = true;

	for (unsigned i = 0; i < bytes; i++)
		is_empty = is_empty && !label[i];
	if (!scramble->is_on || is_empty)
		return;
	memset(label, 0, bytes);
	memcpy(label, text, sizeof(text));
}

void scramble_superblock(struct scramble *scramble, struct superblock_disk *disk)
{
	uint64_t wrong = le64_get(disk->checksum) ^ superblock_checksum(disk);

	if (!scramble->is_on)
		return;
	scramble_uuid(scramble, disk->uuid);
	scramble_uuid(scramble, disk->set_uuid);
	scramble_label(scramble, disk->label, sizeof(disk->label));
	disk->checksum = le64_of(superblock_checksum(disk) ^ wrong);
}

uint64_t scramble_magic(struct scramble *scramble, const struct superblock *sb)
{
	struct superblock copy = *sb;

	scramble_uuid(scramble, copy.set_uuid);
	return superblock_set_magic(&copy);
}

void scramble_done(struct scramble *scramble)
{
	free(scramble->seen);
}
