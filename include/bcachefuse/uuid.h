/*
 * The table of volumes in a set: slot n describes the volume whose keys carry
 * the number n.  One meta bucket, no checksum; journal entries name it.
 */
#pragma once

#include "le.h"

struct uuid_entry_disk {
	uint8_t uuid[16];	/* of the backing device; all zero: never used */
	uint8_t label[32];
	le32 first_registered;	/* seconds since the epoch */
	le32 last_registered;
	le32 invalidated;
	le32 flags;
	le64 sectors;		/* of a flash-only volume */
	uint8_t unused[56];
};
_Static_assert(sizeof(struct uuid_entry_disk) == 128, "disk format");

enum { UUID_FLASH_ONLY = 1 };	/* in flags */

/* A retired slot; the kernel never reuses one. */
#define UUID_RETIRED_BYTES { 0xa0, 0x3e, 0xf8, 0xed, 0x3e, 0xe1, 0xb8, 0x78, \
			     0xc8, 0x50, 0xfc, 0x5e, 0xcb, 0x16, 0xcd, 0x99 }

/* As it was while journal entries had version 0. */
struct uuid_entry_v0_disk {
	uint8_t uuid[16];
	uint8_t label[32];
	le32 first_registered;
	le32 last_registered;
	le32 invalidated;
	le32 unused;
};
_Static_assert(sizeof(struct uuid_entry_v0_disk) == 64, "disk format");
