/*
 * One journal write.  The kernel calls this struct jset.
 *
 * The newest one is the commit point of all metadata: it names the btree root,
 * the uuid table and the priority table, and says from which entry on keys may
 * be missing from the btree.
 */
#pragma once

#include "bkey.h"

#define JOURNAL_MAGIC UINT64_C(0x245235c1a3625032)	/* ^ set magic */
enum {
	JOURNAL_VERSION = 1, /* 0: the uuid table has 64-byte entries */
	JOURNAL_ENTRY_BYTES_MAX = 32768, /* that we write; kernels with larger pages write more */
};

struct journal_entry_disk {
	le64 checksum;
	le64 magic;
	le64 sequence;
	le32 version;
	le32 words;		/* of keys that follow */
	le64 last_sequence;	/* older entries are not needed */
	struct bkey_slot_disk uuid_bucket;
	struct bkey_slot_disk btree_root;
	le16 btree_level;
	uint8_t unused[6];
	le64 prio_bucket[8];	/* bucket number of the first part, per cache device */
	le64 keys[];
};
_Static_assert(sizeof(struct journal_entry_disk) == 0xf0, "disk format");
