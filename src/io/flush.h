/*
 * The flushes of one device, shared by all who need one.
 *
 *	flush 4     |-------|
 *	flush 5                |--------|
 *	a write  --|      --|
 *	         ticket 3  ticket 4: flush 4 began too early for this one
 *
 * A flush makes durable what had arrived on the device before it began.  So who
 * waits for a write and will want it durable takes a ticket when it has arrived,
 * and later asks for a flush that began after that.
 *
 * (FLUSH-1) Flushes are numbered from 1 in the order in which they begin; one runs at a
 *     time.
 * (FLUSH-2) A ticket is the number of flushes begun when it was taken: each
 *     flush with a greater number covers what had arrived before.
 * (FLUSH-3) Who comes while one runs that is too early for him shares the next one with
 *     all who come until it begins.
 * (FLUSH-4) A failed flush covers nothing; its error goes to all who waited for it, and
 *     the next who asks starts another.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "io/device.h"
#include "io/op.h"

struct flush {
	struct device *device;
	uint64_t started;		/* flushes begun: the number of the latest */
	uint64_t completed;		/* the number of the latest that succeeded */
	bool running;			/* `started` is under way */
	struct waitlist waiting_now;	/* for the one that runs */
	struct waitlist waiting_next;	/* for the one after it */
	struct op op;
};

/* All ops that will wait have `reactor` as their home. */
void flush_init(struct flush *flush, struct device *device, struct reactor *reactor);

/* A ticket: what arrived on the device before this call is covered by later flushes only. */
static inline uint64_t flush_now(const struct flush *flush)
{
	return flush->started;
}

/* Whether a flush that began after the ticket was taken has completed. */
static inline bool flush_covers(const struct flush *flush, uint64_t ticket)
{
	return flush->completed > ticket;
}

/* Whether one is under way; until then `flush` must stay in place. */
static inline bool flush_running(const struct flush *flush)
{
	return flush->running;
}

/*
 * The op awaits the end of a flush that began after the ticket was taken, and
 * its error; starts one if none is under way.  Never arrives within this call.
 */
void flush_wait(struct flush *flush, uint64_t ticket, struct op *op);
