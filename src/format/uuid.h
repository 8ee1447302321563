/*
 * Entries of the uuid table.
 */
#pragma once

#include <stdbool.h>

#include "bcachefuse/uuid.h"

struct uuid_entry {
	uint8_t uuid[16];
	char label[33];
	uint32_t first_registered, last_registered, invalidated;
	uint32_t flags;
	uint64_t sectors;
};

void uuid_entry_decode(struct uuid_entry *entry, const struct uuid_entry_disk *disk);
void uuid_entry_decode_v0(struct uuid_entry *entry, const struct uuid_entry_v0_disk *disk);
void uuid_entry_encode(struct uuid_entry_disk *disk, const struct uuid_entry *entry);
bool uuid_is_zero(const uint8_t uuid[16]);
bool uuid_is_retired(const uint8_t uuid[16]);
bool uuid_is_equal(const uint8_t a[16], const uint8_t b[16]);
void uuid_retire(struct uuid_entry *entry, uint32_t now);
