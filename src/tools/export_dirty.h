/*
 * Reads the dirty data of one backing device out of its set, and hands them on as a patch
 * (tools/patch.h).  The backing device need not be there.
 *
 *	COLLECT (the index, leaf by leaf) --> HEAD --> READ --> WRITE --> END
 *	                                                ^---------'
 *
 * A piece that cannot be read as a whole is read block by block; blocks that are lost, and what an
 * index node that is lost may have covered, are lost records, and in the map.
 *
 * (DIRTY-1) The step awaits all reads that it has started, so none is in flight when the set stops.
 *     The set is only read: no bucket can be reused meanwhile.
 */
#pragma once

#include "cache/cache_set.h"
#include "tools/export_output.h"
#include "tools/patch.h"
#include "tools/rescue_map.h"

enum { DIRTY_PIECES = 16 };

struct dirty_extent {
	uint64_t start, sectors;	/* of the backing device */
	uint64_t ptr;
	bool is_lost;			/* of an index node: nothing can be read */
};

struct dirty_piece {
	struct op op;
	struct op *parent;
	struct dirty_extent extent;
	unsigned char *data;
	uint64_t tried;			/* sectors; all of them: it was read, or is lost */
	uint64_t step;			/* sectors of the read in flight */
	bool is_careful;		/* block by block */
	bool *is_bad;			/* by block */
	int error;			/* of the read in flight */
};

struct export_dirty {
	struct cache_set *set;
	unsigned slot;
	bool has_no_lost;		/* the backing device says clean: lost nodes cost nothing */
	struct patch_head head;
	uint64_t first_sector;		/* of the volume: the map counts from there */
	struct export_output *output;
	struct rescue_map *map;
	enum { DIRTY_COLLECT, DIRTY_READ, DIRTY_WRITE, DIRTY_END } state;
	struct index_walk walk;
	struct dirty_extent *extent;
	size_t extents, extents_room, next;
	uint64_t given;			/* sectors of extent[next] that pieces have */
	unsigned block_sectors;
	struct dirty_piece pieces[DIRTY_PIECES];
	unsigned used, emitted;		/* pieces of the batch; those that were written */
	uint64_t emitted_sectors;	/* of the piece that is being written */
	/* The record that is being written, with its data. */
	unsigned char *record;
	uint64_t record_bytes, record_at;
	uint64_t checksum;
	uint64_t data_sectors, lost_sectors;	/* written so far */
	int last_error;
	uint64_t failures;
	struct timer timer;
};

/*
 * `dirty` has set, slot, has_no_lost, first_sector, output, map and the head but for the two sums.
 * -ENOMEM and the reason.
 */
int dirty_begin(struct export_dirty *dirty, struct error *error) MUST_CHECK;
/* 0: all is written.  -EAGAIN: `op` waits; ask again.  Other -errno and the reason. */
int dirty_step(struct export_dirty *dirty, struct op *op, struct error *error) MUST_CHECK;
void dirty_done(struct export_dirty *dirty);
