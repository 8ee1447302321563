/*
 * Where the metadata of a set lie that the next start needs, so that some of it can
 * be damaged, and which buckets nothing points to, so that they can grow old.
 *
 * Only what a checksum covers is named, and only where damage can be told from a
 * write that was torn: not the newest bucket of the journal's ring (without its
 * last entries it would be an older one), not the fields that say whether another
 * run of a node follows.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/superblock.h"
#include "sim.h"

struct layout_piece {
	const char *what;
	uint64_t sector;
	unsigned from, bytes;	/* counted from the start of `sector` */
};

struct layout {
	struct sim_disk *cache;
	struct superblock superblock;
	struct layout_piece *pieces;
	unsigned count, room;
	bool *referenced;	/* by bucket */
	uint8_t *generation;	/* by bucket */
	uint64_t prio_bucket;	/* the first part of the table */
	uint64_t root, uuids;	/* their buckets */
	uint64_t child;		/* that of any node below the root; 0: there is none */
	unsigned children;
};

/* False: the set was never started, and has none.  Else layout_done() is to follow. */
bool layout_read(struct layout *layout, struct sim_disk *cache);
void layout_done(struct layout *layout);

/*
 * A bit of needed metadata flips, or the priority table says that a bucket of metadata was reused;
 * the start must fail, and nothing is written.  Then it is as before.
 */
struct plan;
struct life;
void damage_a_set(struct life *life, struct plan *plan);
/* Buckets that nothing points to get generations near their wrap. */
void age_generations(struct plan *plan);
