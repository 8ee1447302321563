/*
 * Checks and seals bsets (runs of keys) as they are on disk.
 */
#pragma once

#include "base/error.h"
#include "bcachefuse/bset.h"
#include "format/bkey.h"

static inline unsigned bset_bytes(unsigned words)
{
	return sizeof(struct bset_disk) + words * 8;
}

/*
 * Checks the bset at `set`, with `room_bytes` left in the node.  0, or -EINVAL with the kernel's
 * words ("bad btree header", "unsupported bset version", "bad magic",
 * "bad checksum", "empty set").  `first`: at the start of the node.
 * `seed` is pointer 0 of the node's key.
 */
int bset_check(const struct bset_disk *set, unsigned room_bytes, bool first, uint64_t set_magic,
	       uint64_t seed, struct error *error) MUST_CHECK;

/* Fills header and checksum of a set whose keys[] are in place. */
void bset_seal(struct bset_disk *set, unsigned words, uint64_t sequence, uint64_t set_magic,
	       uint64_t seed);
/* Makes an undamaged bset one of another set. */
void bset_set_magic(struct bset_disk *set, uint64_t set_magic, uint64_t seed);
