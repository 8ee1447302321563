/*
 * The transfers of devices on a reactor; private to io.
 *
 * (TRANSFER-1) A transfer belongs to one op, which awaits it, and runs on the op's home
 *     reactor.
 * (TRANSFER-2) It ends once: when everything is transferred, or with the first error.  If
 *     the kernel transfers only a part, the transfer continues with the rest.
 *
 * The pool allocates some transfers in advance, more when they run out, and keeps them.
 * At most DEVICE_TRANSFERS_MAX are in flight.
 */
#pragma once

#include "io/device.h"
#include "io/uring.h"

enum { TRANSFER_PIECE_BYTES = 1 << 20, TRANSFER_RETRIES = 64 };

struct transfer {
	struct completion completion;
	enum transfer_kind kind;
	bool fua;
	bool syncs_after, is_syncing;	/* FUA is a sync of its own (DEVICE-3), which has begun */
	bool is_metadata, is_again;	/* a write that may wait for room, or has */
	bool at_once;			/* the file is in memory: do not use a worker thread */
	int fd;
	struct shadow_member *shadow;	/* carries it out instead; NULL: no overlay */
	unsigned retries;
	char *data;
	uint64_t offset;		/* in bytes, of the rest */
	uint64_t left;			/* bytes left to transfer */
	uint64_t bytes;			/* of a write: all of it */
	/* Maps the error at the end to that of the op; may be NULL. */
	int (*ended)(struct transfer *transfer, int error);
	struct device *device;
	uint64_t started_ns;		/* by the reactor's clock */
	struct op *op;
	struct list_link link;		/* in one of the pool's lists */
};

struct transfer_pool {
	struct list idle;
	struct list in_flight;		/* the newest first */
	unsigned busy;			/* in flight: so many */
	struct transfer_slab *slabs;
};

void transfer_pool_init(struct transfer_pool *pool);
void transfer_pool_done(struct transfer_pool *pool);	/* none may be in flight */

/* Is one in flight that may end any moment?  Not so if all were started a while ago. */
bool transfers_end_soon(const struct transfer_pool *pool, uint64_t now_ns);

/* A transfer that `op` awaits from now on; the caller fills in the rest. */
struct transfer *transfer_new(struct device *device, struct op *op, enum transfer_kind kind);
void transfer_start(struct transfer *transfer);
/* Ends it with an error instead of starting it, in a later turn. */
void transfer_refuse(struct transfer *transfer, int error);
