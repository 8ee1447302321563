/*
 * Moving gc: empties buckets that hold few live data, so that they can be filled anew.
 *
 *	SWEEP ------> COLLECT ------> READ ------> WRITE ------> INSERT --more--> COLLECT ...
 *	which are     keys that       their        to spare      compare-
 *	nearly empty  point to them   data         buckets       and-swap
 *	                                                         |  ^
 *	                                            leaf is full +--+ LEAF: it is rewritten
 *
 * It runs when a gc has ended, as part of its op, so that no gc and no other move runs
 * meanwhile.  copy_gc_enabled says whether all data are moved.  If not, only dirty ones are,
 * and only when little room is left for such: they can't be evicted, and what is live of
 * them may be spread so thinly that a cache is full for ever.
 *
 * (MOVE-1) A key is replaced only if it still is what was read (compare-and-swap).  The bucket
 *     that it pointed to is pinned until then: what it holds can't change.
 * (MOVE-2) Replaced keys are not journaled: after a power cut an old key may be back, and finds
 *     its old bucket as it was, for that is reused after the next gc only (ORDER-14).
 * (MOVE-3) Moving waits for no bucket, for no room in the journal, and for no plan of an insert:
 *     these may wait for a gc, which waits for the end of the move.  A full leaf is rewritten
 *     by gc's own plan; what finds no bucket stays where it is.
 */
#pragma once

#include <stdbool.h>

#include "index/index.h"

struct gc;

enum { MOVE_SECTORS_MAX = 2048 };	/* of the keys that are moved at a time */
enum move_state { MOVE_SWEEP, MOVE_COLLECT, MOVE_READ, MOVE_WRITE, MOVE_INSERT, MOVE_LEAF };

struct gc_move {
	enum move_state state;
	bool is_enabled;		/* copy_gc_enabled */
	bool is_complete;		/* the last leaf was passed, or no bucket can be spared */
	bool has_moved;
	struct position at;
	/* Keys that are moved, and those that replace them; the buckets of both are pinned. */
	struct bkey from[INSERT_KEYS_MAX], to[INSERT_KEYS_MAX];
	unsigned count, sectors;
	unsigned done;			/* so many were inserted, or have changed meanwhile */
	unsigned rewrites;		/* of leaves that were full, for these keys */
	unsigned char *buffer;		/* their data; NULL between two moves */
	struct insert insert;
	uint64_t moved_sectors, collisions;	/* counters, from the start of the set */
};

/* After a gc has ended.  True: gc_move_step() is to be called whenever gc->op is. */
bool gc_move_begin(struct gc *gc) LOCKED;
/* True: there is more to do, and gc->op is queued or awaits something. */
bool gc_move_step(struct gc *gc, int error) LOCKED;
