/*
 * A reactor: an event loop, one thread with an io_uring, timers and an inbox, which runs
 * the steps of ops.
 *
 * One turn of the loop takes all completions, runs the steps that became ready (and those
 * that become ready by these), and submits everything that was started with one
 * io_uring_submit_and_wait().  So there is no system call per request.  It may look at the
 * completion queue for some microseconds before it sleeps (poll_window.h).
 *
 * The simulator has its own reactor.c, device.c, lock.c and blocking.c.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "io/op.h"
#include "io/poll_window.h"

struct reactor;
struct step_times;

/* Creates a reactor for the calling thread; NULL and the reason on failure. */
struct reactor *reactor_new(struct error *error);
void reactor_free(struct reactor *reactor);

/* Runs steps until reactor_stop() was called and nothing is ready. */
void reactor_run(struct reactor *reactor);
void reactor_stop(struct reactor *reactor);

/* How long its steps take (step_times.h). */
const struct step_times *reactor_step_times(const struct reactor *reactor);
/* The longest one is looked for anew, from the end of the current step. */
void reactor_forget_longest_step(struct reactor *reactor);

/* The longest time in ns for which it waits awake (poll_window.h); 0, as at first: none. */
void reactor_set_poll(struct reactor *reactor, uint64_t max_ns);
const struct poll_window *reactor_poll_window(const struct reactor *reactor);

/*
 * Registers memory of transfers with the ring, where that makes them faster.  It must stay in
 * place until reactor_free().
 */
void reactor_register_memory(struct reactor *reactor, void *memory, size_t bytes);

/* Monotonic nanoseconds, constant during a step; seconds since the epoch. */
uint64_t clock_ns(const struct reactor *reactor);
uint32_t clock_epoch_seconds(const struct reactor *reactor);
/* Random numbers that need not be secret: uuids, node sequence numbers, placeholders. */
uint64_t reactor_random(struct reactor *reactor);

/*
 * A timer, which an op awaits: it arrives once, after `delay_ns`, or by timer_cancel().
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
