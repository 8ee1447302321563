/*
 * An op: one unit of asynchronous work; and waitlists, in which ops wait.
 *
 * An op has a step function, a pending count (`awaited`), and the first error among the
 * completions.  Whatever the op starts (a transfer, a timer, another op, a place in a
 * waitlist) raises its pending count by op_await().  When that ends, op_arrive() lowers the
 * count and keeps the first error: one completion has arrived.  At zero the op is queued on
 * its home reactor, which calls the step.  A step runs to its end without interruption, and
 * waits by returning.
 *
 * (OP-1) A step runs only when the pending count is zero, and never inside another step.
 * (OP-2) Only the thread of the home reactor runs an op, counts what it awaits and lets it
 *     arrive.  Other threads hand it over: a waker by op_wake(), all others by reactor_post().
 * (OP-3) An op is in one list at a time.  A waitlist is woken in the order of arrival.  That
 *     does not reserve the resource: an op that runs before the woken one may take it, and
 *     the woken one waits again, at the end of the list.
 * (OP-4) A woken op calls the function again that has answered -EAGAIN.  That function has
 *     taken nothing for it meanwhile; what the op had taken before (places, pins, transfers
 *     in flight) it keeps.  Exceptions, which hand the resource over: range_take(), and the
 *     turns of jobs.
 *
 * One protocol for waiting: a function that may make an op wait answers
 *
 *	0	done, or begun; the answer is there
 *	-EAGAIN	the op is in a waitlist, and its owner will ask again when it is woken
 *	-errno	it failed, and waits for nothing
 *
 * Names that begin with is_, has_, may_ or can_ only look: they put no op into a list, and start
 * nothing.  The two parts of a change are called prepare (may wait, changes nothing) and
 * commit (can neither wait nor fail).
 */
#pragma once

#include <stdbool.h>

#include "base/compiler.h"
#include "base/list.h"

struct reactor;
struct waitlist;

struct op {
	void (*step)(struct op *op);
	struct reactor *home;
	unsigned awaited;	/* pending count: completions until the next step */
	int error;		/* the first error among them, as -errno; the step clears it */
	struct list_link link;	/* in the reactor's ready queue, or in one waitlist */
	struct waitlist *when_idle;	/* woken when a step leaves the op idle; may be NULL */
};

struct waitlist {
	struct list ops;
};

static inline void op_init(struct op *op, struct reactor *home, void (*step)(struct op *op))
{
	*op = (struct op){ .step = step, .home = home };
}

/* Queues the op, whose pending count is zero.  Called on the home reactor. */
void op_queue(struct op *op);

static inline void op_await(struct op *op)
{
	op->awaited++;
}

/* The pending count drops by one.  Called on the home reactor. */
static inline void op_arrive(struct op *op, int error)
{
	assert(op->awaited > 0);	/* OP-1 */
	if (error && !op->error)
		op->error = error;
	if (--op->awaited == 0)
		op_queue(op);
}

/* Is this the thread of the reactor? */
bool reactor_is_here(const struct reactor *reactor);
/* Called from any thread: calls op_arrive() on the op's home reactor. */
void reactor_post(struct op *op, int error);

/*
 * Lowers the pending count of an op that waited in a list, or for what another op has done.  It may
 * live on another reactor than its waker; the waker may hold the set lock.
 */
static inline void op_wake(struct op *op, int error)
{
	if (reactor_is_here(op->home))
		op_arrive(op, error);
	else
		reactor_post(op, error);
}

/* Returns and clears the error, so that the next state starts without one. */
static inline int op_take_error(struct op *op)
{
	int error = op->error;

	op->error = 0;
	return error;
}

/* Pending count zero, and in no list. */
static inline bool op_is_idle(const struct op *op)
{
	return !op->awaited && !list_linked(&op->link);
}

static inline void waitlist_init(struct waitlist *list)
{
	list_init(&list->ops);
}

static inline bool waitlist_empty(const struct waitlist *list)
{
	return list_empty(&list->ops);
}

/* Appends the op to `list`; it awaits being woken. */
static inline void waitlist_join(struct waitlist *list, struct op *op)
{
	op_await(op);
	list_add_last(&list->ops, &op->link);
}

/* Wakes the op that has waited for longest; false if there is none. */
static inline bool waitlist_wake_first(struct waitlist *list, int error)
{
	struct list_link *link = list_take_first(&list->ops);

	if (!link)
		return false;
	op_wake(container_of(link, struct op, link), error);
	return true;
}

/* Wakes all ops that wait now, in order. */
static inline void waitlist_wake_all(struct waitlist *list, int error)
{
	struct list all;

	list_init(&all);
	list_take_all(&all, &list->ops);
	for (struct list_link *link; (link = list_take_first(&all));)
		op_wake(container_of(link, struct op, link), error);
}

/*
 * Calls the step; for reactors only.  The step may free the op, but not one with `when_idle`:
 * that is part of something larger, whose end awaits that it is idle.
 */
static inline void op_run(struct op *op)
{
	struct waitlist *when_idle = op->when_idle;

	assert(op->awaited == 0);	/* OP-1 */
	op->step(op);
	if (when_idle && op_is_idle(op))
		waitlist_wake_all(when_idle, 0);
}
