/*
 * What a device has under way on a reactor; io only.
 *
 * (TRANSFER-1) A transfer belongs to one op, which awaits it, and is at home on that
 *     op's reactor.
 * (TRANSFER-2) It ends once: all of it was done, or with the first error.  What the
 *     kernel did only in part is continued where it stopped.
 *
 * The pool makes transfers in advance and more when they run out, and keeps
 * them: in flight are never more than DEVICE_TRANSFERS_MAX.
 */
#pragma once

#include "io/device.h"
#include "io/uring.h"

enum { TRANSFER_PIECE_BYTES = 1 << 20, TRANSFER_RETRIES = 64 };

enum transfer_kind { TRANSFER_READ, TRANSFER_WRITE, TRANSFER_FLUSH, TRANSFER_PUNCH };

struct transfer {
	struct completion completion;
	enum transfer_kind kind;
	bool fua;
	bool at_once;			/* the file is in memory: no thread need wait for it */
	int fd;
	unsigned retries;
	char *data;
	uint64_t offset;		/* bytes; of what is left */
	uint64_t left;
	/* Turns the end's error into what the op is told; may be NULL. */
	int (*ended)(struct transfer *transfer, int error);
	struct device *device;
	struct op *op;
	struct list_link link;		/* in the pool */
};

struct transfer_pool {
	struct list idle;
	unsigned busy;			/* taken, not yet put back */
	struct transfer_slab *slabs;
};

void transfer_pool_init(struct transfer_pool *pool);
void transfer_pool_done(struct transfer_pool *pool);	/* none may be in flight */

/* A transfer for `op`, which awaits it from now on; the caller fills in the rest. */
struct transfer *transfer_new(struct op *op, enum transfer_kind kind);
void transfer_start(struct transfer *transfer);
/* Ends it without having started, in a later turn. */
void transfer_refuse(struct transfer *transfer, int error);
