/*
 * Aimed power cuts: at the n-th write of a kind, right after it, between two kinds, or
 * where a write completes before one that it relies on is durable.
 *
 * If cuts were drawn uniformly over all writes, they would hardly ever hit the write of
 * the table of volumes, or the time between a priority table and the entry that names it.
 * The kind of a write is recognized by its bytes: every metadata write has a magic number,
 * except the table of volumes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sim.h"

enum sim_write {
	SIM_BACKING_DATA,
	SIM_BACKING_SUPERBLOCK,
	SIM_BACKING_FLUSH,
	SIM_BACKING_DISCARD,
	SIM_CACHE_DATA,
	SIM_CACHE_SUPERBLOCK,
	SIM_CACHE_FLUSH,
	SIM_JOURNAL_ENTRY,
	SIM_JOURNAL_BUCKET,	/* an entry that enters a bucket of the ring */
	SIM_NODE,		/* the first bset of a new one */
	SIM_LEAF_APPENDED,
	SIM_PARENT_APPENDED,
	SIM_PRIO_TABLE,
	SIM_UUID_TABLE,
	SIM_WRITES
};

enum sim_transfer { SIM_TRANSFER_WRITE, SIM_TRANSFER_FLUSH, SIM_TRANSFER_DISCARD };

/* `data` of a WRITE. */
enum sim_write sim_write_kind(struct sim_disk *disk, enum sim_transfer transfer,
			      const unsigned char *data, uint64_t sector, uint64_t sectors);
/* Such a write was started. */
void world_write_starts(enum sim_write kind);
/* One completes: does the power go now, so that it stays in flight for ever? */
bool world_write_cuts(enum sim_write kind);
