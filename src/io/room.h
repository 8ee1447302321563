/*
 * Writes of metadata that find no space wait for room, and are tried again.
 *
 *	device_write_metadata() --ENOSPC--> waits --RETRY_NS--> tried again --> its op arrives
 *	                                    |    ^                 |
 *	                                    |    `-----ENOSPC------'
 *	                                    `--patience is over--> its op arrives with ENOSPC
 *
 * A member may be a sparse file on a file system that is full.  A set cannot go on without its
 * metadata, but it loses nothing by waiting: what is not durable is not answered meanwhile.
 *
 * (ROOM-1) The memory of a write stays as it is until its op arrives (device.h), so it is written
 *     again from there, and as a whole: nobody knows how much of it was written.
 * (ROOM-2) Only the first failure of a write is counted as an error of the device.
 * (ROOM-3) A shortage that lasts longer than half a minute ends the set, since a process in fsync()
 *     must not hang for ever.  What is not durable by then was never answered as durable.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/op.h"
#include "io/reactor.h"

struct device;

/* A write, as it was asked for. */
struct write_order {
	const void *data;
	uint64_t sector;
	unsigned sectors;
	bool fua;
	bool is_metadata;	/* it may wait for room */
	bool is_again;		/* it has waited */
	struct op *op;
};

struct room {
	struct list waiting;
	struct op op;		/* awaits the timer while there are any */
	struct timer timer;
	uint64_t until_ns;	/* they wait until then; 0: not at all */
	uint64_t short_since_ns;	/* the first of `writes` has come then */
	unsigned writes;	/* that wait, or are being tried again */
	uint64_t shortages;	/* how often the first of them has come */
};

void room_init(struct room *room);
/* A write of metadata has ended: true if it waits for room now, and its op must not arrive. */
bool room_takes(struct device *device, const struct write_order *order, int error);
