/*
 * The flushes of one device, shared by all ops that need one.
 *
 *	flush 4     |-------|
 *	flush 5                |--------|
 *	a write  --|      --|
 *	         ticket 3  ticket 4: flush 4 began too early for this one
 *
 * A flush makes durable all writes that had completed before it began.  So code that wants
 * a write to be durable takes a ticket when the write has completed, and later waits for
 * a flush that began after that.
 *
 * (FLUSH-1) Flushes are numbered from 1, in the order in which they begin.  One runs at a
 *     time.
 * (FLUSH-2) A ticket is the number of flushes begun so far.  Every flush with a greater
 *     number covers the writes that had completed when the ticket was taken.
 * (FLUSH-3) An op whose ticket the running flush does not cover shares the next flush, with
 *     all that come until that begins.
 * (FLUSH-4) A failed flush covers nothing.  All ops that waited for it get its error, and
 *     the next one that asks starts another.
 *
 * Only the thread of the reactor uses a struct flush; it has no lock of its own.
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
	bool running;			/* the flush `started` is in flight */
	struct waitlist waiting_now;	/* for the running one */
	struct waitlist waiting_next;	/* for the one after it */
	struct op op;
};

/* All ops that wait must have `reactor` as their home. */
void flush_init(struct flush *flush, struct device *device, struct reactor *reactor);

/* A ticket for all writes that have completed by now: only later flushes cover them. */
static inline uint64_t flush_now(const struct flush *flush)
{
	return flush->started;
}

/* Has a flush completed that began after the ticket was taken? */
static inline bool flush_covers(const struct flush *flush, uint64_t ticket)
{
	return flush->completed > ticket;
}

/* Is one in flight?  Then `flush` must stay in place. */
static inline bool flush_running(const struct flush *flush)
{
	return flush->running;
}

/*
 * The op awaits a flush that begins after the ticket was taken, and gets its error; starts one
 * if none is running.  Never arrives within this call.
 */
void flush_wait(struct flush *flush, uint64_t ticket, struct op *op);
