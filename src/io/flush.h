/*
 * The flushes of one device, shared by all ops that need one; private to io (device.h has the
 * functions for its users).
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
 * A device is opened in a blocking job, so each flush gets a home when it is asked for: the
 * reactor of the op that asks first.  Ops of any reactor share it, and are woken on theirs.
 * `mutex` guards all fields but the constant ones; it is held for a few instructions, also
 * under the set lock, and nothing is taken or called under it that could wait.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/op.h"

struct device;

struct flush {
	pthread_mutex_t mutex;
	uint64_t started;		/* flushes begun: the number of the latest */
	uint64_t completed;		/* the number of the latest that succeeded */
	bool running;			/* the flush `started` is in flight */
	struct waitlist waiting_now;	/* for the running one */
	struct waitlist waiting_next;	/* for the one after it */
	struct device *device;		/* const */
	struct op op;			/* its home is that of the op that asked first */
};

void flush_init(struct flush *flush, struct device *device);
void flush_done(struct flush *flush);
