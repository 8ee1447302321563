/*
 * A sorted run of keys: a btree node is a log of them, each at a block start,
 * all with the same `sequence`.  The kernel calls this struct bset.
 */
#pragma once

#include "bkey.h"

#define BSET_MAGIC UINT64_C(0x90135c78b99e07f5)	/* ^ set magic */
enum { BSET_VERSION = 1 };

struct bset_disk {
	le64 checksum;	/* seeded with pointer 0 of the node's key when version is 1 */
	le64 magic;
	le64 sequence;	/* random, not 0, the same in all bsets of the node */
	le32 version;
	le32 words;	/* of keys that follow */
	le64 keys[];
};
_Static_assert(sizeof(struct bset_disk) == 0x20, "disk format");
