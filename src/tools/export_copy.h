/*
 * Reads a volume from its begin to its end, and hands it on in that order.
 *
 *	      copied            given out
 *	--------|===|===|...|===|--------->
 *	         pieces, read ahead
 *
 * A piece that cannot be read as a whole is read in smaller steps, down to a block of the volume,
 * so no more is given up than is really lost.
 *
 * (COPY-1) Only copy_step() starts reads.  So after the last call those in flight end by
 *     themselves, and the volume can be stopped.
 */
#pragma once

#include "cache/request.h"
#include "tools/export_output.h"
#include "tools/rescue_map.h"

enum { COPY_PIECES = 16 };

struct copy_piece {
	struct request request;
	struct export_copy *copy;
	unsigned char *data;
	uint64_t offset, bytes;		/* of the volume; 0 bytes: nothing is left to read */
	uint64_t at;			/* so many bytes were tried */
	uint64_t step_bytes;		/* of the read in flight, or of the next one */
	bool is_reading;
	bool *is_bad;			/* by block */
};

struct export_copy {
	struct volume *volume;
	struct export_output *output;
	struct rescue_map *map;
	uint64_t bytes, block_bytes;
	uint64_t given;			/* pieces were made of so many bytes */
	unsigned oldest;		/* the piece to be copied next */
	uint64_t failures;		/* reads of a block that failed */
	int last_error;			/* of these, as -errno */
	struct waitlist ended;		/* the step waits for any read */
	struct timer timer;		/* ... or for the reader of a stream */
	struct copy_piece pieces[COPY_PIECES];
};

/* The volume, output and map must stay in place until copy_done().  -ENOMEM and the reason. */
int copy_begin(struct export_copy *copy, struct volume *volume, struct export_output *output,
	       struct rescue_map *map, struct error *error) MUST_CHECK;
/* 0: all is copied.  -EAGAIN: `op` waits; ask again.  Other -errno: the output failed. */
int copy_step(struct export_copy *copy, struct op *op, struct error *error) MUST_CHECK;
/* After the reactor has ended. */
void copy_done(struct export_copy *copy);
