/*
 * Shared by the two parts of a move: its order (convert_move.c), and the start of the device
 * (convert_start.c).
 */
#pragma once

#include "tools/convert.h"

enum {
	BLOCK_BYTES = 4096,
	HEAD_BYTES = 128 << 10,
	SUPERBLOCK_OFFSET = SUPERBLOCK_SECTOR * 512,
};

enum { MOVE_MOVING = 1, MOVE_HEAD, MOVE_LAST };

/* Reads or writes at once; the reason of a failure is in the move. */
int move_io(struct move *move, struct device *device, bool write, void *data, uint64_t at,
	    uint64_t bytes) MUST_CHECK;

/* The sector that made the device valid before the move, and the one that does so after it. */
uint64_t start_first_sector(const struct move *move);
uint64_t start_last_sector(const struct move *move);
/* Fills BLOCK_BYTES. */
void start_fill_note(const struct move *move, char *start);
/*
 * Fills up to HEAD_BYTES of zeros with the device as it begins when all is done; how many.  Is the
 * last sector spoiled, nobody takes it for a superblock.
 */
uint64_t start_fill(const struct move *move, char *start, bool is_spoiled);
/* Has the device the note in the sector that made it valid? */
bool start_has_note(const struct move *move);
/* Is the device valid, since its last sector was written?  It may be in use, then. */
int start_is_valid(struct move *move, bool *is_valid) MUST_CHECK;
/* Refuses a device that is not the one that the record in the journal is of. */
int start_check(struct move *move) MUST_CHECK;
