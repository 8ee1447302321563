/*
 * Bucket priorities and generations.
 *
 * One part of the table fills a (meta) bucket; the parts form a chain through
 * `next`, whose first link is in the journal entry.  Readers stop by count: the
 * last part's `next` is stale.  The kernel calls this struct prio_set.
 */
#pragma once

#include "le.h"

#define PRIO_MAGIC UINT64_C(0x6750e15f87337f91)	/* ^ set magic */
enum {
	PRIO_NEVER_USED = 0,
	PRIO_INITIAL = 32768,	/* fresh or hit data */
	PRIO_METADATA = 65535,
};

struct bucket_prio_disk {
	le16 prio;		/* sinks with time; the lowest is reused first */
	uint8_t generation;	/* pointers of another generation are stale */
} __attribute__((packed));
_Static_assert(sizeof(struct bucket_prio_disk) == 3, "disk format");

struct prio_part_disk {
	le64 checksum;		/* of all that follows in the meta bucket, the unused tail too */
	le64 magic;
	le64 sequence;		/* informational: one more with each table */
	le32 version;		/* 0 */
	le32 unused;
	le64 next;		/* bucket of the next part; in the last part anything */
	struct bucket_prio_disk buckets[];
};
_Static_assert(sizeof(struct prio_part_disk) == 0x28, "disk format");
