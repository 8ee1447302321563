/*
 * Checks and seals journal entries as they are on disk.
 */
#pragma once

#include "base/error.h"
#include "bcachefuse/journal_entry.h"
#include "format/bkey.h"

#define JOURNAL_SEQUENCE_MAX UINT64_C(0x7fffffffffffffff)	/* no set writes so many */

static inline unsigned journal_entry_bytes(unsigned words)
{
	return sizeof(struct journal_entry_disk) + words * 8;
}

/* Is there a complete, undamaged entry in `room_bytes`?  Checks magic, size and checksum. */
bool journal_entry_is_valid(const struct journal_entry_disk *entry, unsigned room_bytes,
			    uint64_t set_magic);
/* Every key decodes and the words add up; the header's keys too. -EINVAL and which is wrong. */
int journal_entry_check(const struct journal_entry_disk *entry, struct error *error) MUST_CHECK;
/* Fills in magic, version and checksum, after all other fields and the keys. */
void journal_entry_seal(struct journal_entry_disk *entry, unsigned words, uint64_t set_magic);

/* Makes an undamaged entry one of another set. */
void journal_entry_set_magic(struct journal_entry_disk *entry, uint64_t set_magic);

void bkey_slot_encode(struct bkey_slot_disk *slot, const struct bkey *k);
/* False: it does not fit, or has several pointers, which metadata never had. */
bool bkey_slot_decode(struct bkey *k, const struct bkey_slot_disk *slot);
