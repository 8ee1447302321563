/* Entries of the uuid table. */
#include "format/uuid.h"

#include <string.h>

static const uint8_t retired[16] = UUID_RETIRED_BYTES;

void uuid_entry_decode(struct uuid_entry *entry, const struct uuid_entry_disk *disk)
{
	*entry = (struct uuid_entry){
		.first_registered = le32_get(disk->first_registered),
		.last_registered = le32_get(disk->last_registered),
		.invalidated = le32_get(disk->invalidated),
		.flags = le32_get(disk->flags),
		.sectors = le64_get(disk->sectors),
	};
	memcpy(entry->uuid, disk->uuid, sizeof(disk->uuid));
	memcpy(entry->label, disk->label, sizeof(disk->label));
}

/* There were no flash-only volumes yet. */
void uuid_entry_decode_v0(struct uuid_entry *entry, const struct uuid_entry_v0_disk *disk)
{
	*entry = (struct uuid_entry){
		.first_registered = le32_get(disk->first_registered),
		.last_registered = le32_get(disk->last_registered),
		.invalidated = le32_get(disk->invalidated),
	};
	memcpy(entry->uuid, disk->uuid, sizeof(disk->uuid));
	memcpy(entry->label, disk->label, sizeof(disk->label));
}

void uuid_entry_encode(struct uuid_entry_disk *disk, const struct uuid_entry *entry)
{
	*disk = (struct uuid_entry_disk){
		.first_registered = le32_of(entry->first_registered),
		.last_registered = le32_of(entry->last_registered),
		.invalidated = le32_of(entry->invalidated),
		.flags = le32_of(entry->flags),
		.sectors = le64_of(entry->sectors),
	};
	memcpy(disk->uuid, entry->uuid, sizeof(disk->uuid));
	memcpy(disk->label, entry->label, strnlen(entry->label, sizeof(disk->label)));
}

bool uuid_is_zero(const uint8_t uuid[16])
{
	static const uint8_t zero[16];

	return uuid_is_equal(uuid, zero);
}

bool uuid_is_retired(const uint8_t uuid[16])
{
	return uuid_is_equal(uuid, retired);
}

bool uuid_is_equal(const uint8_t a[16], const uint8_t b[16])
{
	return !memcmp(a, b, 16);
}

void uuid_retire(struct uuid_entry *entry, uint32_t now)
{
	memcpy(entry->uuid, retired, sizeof(retired));
	entry->flags &= ~(uint32_t)UUID_FLASH_ONLY;
	entry->invalidated = now;
}
