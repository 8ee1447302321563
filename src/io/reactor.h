/*
 * A reactor: one thread with a ring, timers and an inbox, that runs the steps
 * of ops.
 *
 * One turn: take what completed, run the steps that became ready (and those
 * which these make ready), and one io_uring_submit_and_wait for all that was
 * started.  Never a system call per request.
 *
 * The simulator replaces this file's .c, device.c, lock.c and blocking.c.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "io/op.h"

struct reactor;

/* Makes a reactor for the calling thread; NULL and the reason if it can't be. */
struct reactor *reactor_new(struct error *error);
void reactor_free(struct reactor *reactor);

/* Runs steps until reactor_stop() was called and nothing is ready. */
void reactor_run(struct reactor *reactor);
void reactor_stop(struct reactor *reactor);

/* From any thread: the op arrives (op_arrive) on its home reactor. */
void reactor_post(struct op *op, int error);

/*
 * Memory that transfers will use; registered with the ring where that helps.
 * It must stay in place until reactor_free().
 */
void reactor_register_memory(struct reactor *reactor, void *memory, size_t bytes);

/* Nanoseconds since some start, constant during a step; seconds since the epoch. */
uint64_t clock_ns(const struct reactor *reactor);
uint32_t clock_epoch_seconds(const struct reactor *reactor);
/* Random numbers that need not be secret: uuids, node sequence numbers, placeholders. */
uint64_t reactor_random(struct reactor *reactor);

/*
 * A timer: an op awaits it.  It arrives once, after `delay_ns` or at
 * timer_cancel(), which makes it arrive at once.
 */
struct timer {
	uint64_t due_ns;
	struct op *op;		/* NULL: not running */
	struct list_link link;
};

void timer_start(struct timer *timer, uint64_t delay_ns, struct op *op);
void timer_cancel(struct timer *timer);		/* harmless when not running */
static inline bool timer_running(const struct timer *timer)
{
	return timer->op != NULL;
}
