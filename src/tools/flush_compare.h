/*
 * Compares the clean data of a set that nobody has mounted with its backing devices, and writes to
 * these what differs; a phase of the command `flush`.
 *
 * After a power cut clean data in the cache may be newer than the backing device, which had not
 * been flushed (GAP-1).  All reads are answered by the cache as long as they are there, so these
 * are the volume's content.
 *
 *	LEAF --a batch of clean extents--> READ (both devices) --some differ--> WRITE --> LEAF
 *	  `--the volume's end--> FLUSH --> the next volume
 *
 * A batch in which a transfer fails is done again, an extent at a time.
 *
 * (COMPARE-1) The keys stay as they are, clean: a power cut leaves no more to be repaired than
 *     there was.
 * (COMPARE-2) Buckets are pinned, and the volume counts as open, as long as a batch is under way.
 */
#pragma once

#include "base/error.h"
#include "lifecycle/daemon.h"

enum {
	COMPARE_EXTENTS_MAX = 32,
	COMPARE_EXTENT_SECTORS = 256,	/* longer ones are compared in pieces */
};

enum compare_state { COMPARE_LEAF, COMPARE_READ, COMPARE_WRITE, COMPARE_FLUSH };

struct flush_compare {
	struct daemon *daemon;
	struct op op;			/* of the transfers; its errors end no more than a batch */
	struct op *parent;		/* awaits the op */
	enum compare_state state;
	/* the volume */
	struct volume *volume;		/* NULL: the next one is to be taken */
	uint64_t birth;			/* those of lower birth are done */
	uint64_t written;		/* sectors that no flush has covered */
	/* the batch */
	uint64_t at, end;		/* key sectors */
	struct bkey key[COMPARE_EXTENTS_MAX];
	unsigned char *cached, *backing;	/* extent n is at n * the greatest size */
	unsigned count;
	uint64_t alone_until;		/* extents before this key sector come one at a time */
	/* results, in sectors */
	uint64_t compared, differed, failed;
	uint64_t passed;		/* of the volumes that are done, with their gaps */
};

void compare_begin(struct flush_compare *compare, struct daemon *daemon);
/*
 * 0: done.  -EAGAIN: `parent` waits; ask again.  Other -errno: a set failed.  Single extents that
 * fail are told, and counted.
 */
int compare_go_on(struct flush_compare *compare, struct op *parent) MUST_CHECK;
void compare_done(struct flush_compare *compare);
/* Sectors of all volumes, and those that were passed. */
uint64_t compare_total(const struct daemon *daemon);
uint64_t compare_passed(const struct flush_compare *compare);
