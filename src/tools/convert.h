/*
 * The parts of the command `convert`: file systems and their sizes (convert_fs.c), and moving them
 * by a few sectors in place (convert_move.c, convert_start.c).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "bcachefuse/superblock.h"
#include "io/device.h"

struct file_system {
	char type[16];			/* "ext4", "xfs" */
	uint64_t bytes;
	unsigned magic_offset;		/* its superblock's first sector, in bytes */
	uint32_t unknown_features;	/* then its size is not known either */
	bool can_shrink;
};

/*
 * Finds the file system that begins `offset` bytes into the device.  -ENODATA: there is none, or
 * one whose size is not known.  -ENOTSUP: it has features that are not known.
 */
int file_system_find(struct device *device, uint64_t offset, struct file_system *fs,
		     struct error *error) MUST_CHECK;

enum { MOVE_INTERRUPTED = 4 };		/* exit code */

/* A move in progress; the head of convert_move.c describes it. */
struct move {
	struct device *device;		/* whose data move */
	struct device *journal;		/* the same one, or a file */
	bool is_back;
	bool quiet;
	uint64_t offset, length;	/* of the data: by how much, how much; bytes */
	unsigned magic_offset;		/* of the file system */
	struct superblock_disk superblock;	/* forward: the new one */
	/* Private: */
	uint64_t sequence, area, piece, position, bytes, checksum, head_checksum;
	unsigned state, slot;
	uint8_t id[16];
	char *head, *buffer;
	struct error *error;
};

/* The bytes that the journal takes with the largest pieces that fit into `room`; 0: none do. */
uint64_t move_journal_bytes(uint64_t room, uint64_t *piece);
/*
 * Is there a record of a move on `journal`, that has changed the device?  Then it is read, to go on
 * with move_run().
 */
bool move_find(struct move *move);
/* Begins a move, whose journal is at the end of `journal`; nothing is changed before that. */
int move_begin(struct move *move, uint64_t piece, struct error *error) MUST_CHECK;
/* Goes on to the end.  -EINTR: a signal came; call it again in another process. */
int move_run(struct move *move, struct error *error) MUST_CHECK;
void move_done(struct move *move);
/* Does the device begin with the note of a move whose journal is elsewhere? */
bool move_is_half_way(struct device *device);
