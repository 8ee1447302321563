/*
 * An op: one unit of asynchronous work, and lists of such units that wait.
 *
 * An op has a step, a count of what it awaits, and the first error among what
 * has come.  Whatever it starts (a transfer, a timer, another op, a place in a
 * waitlist) adds one to the count; its completion takes one off; at zero the op
 * is queued on its home reactor, which calls the step.  So a step reads like
 * one moment: nothing else runs meanwhile, and waiting means to return.
 *
 * (OP-1) A step runs only when nothing is awaited; never nested in another
 *     step.
 * (OP-2) Only the home reactor touches an op.  Other threads hand it over with
 *     reactor_post().
 * (OP-3) An op waits in one list at a time; waitlists are first come, first served.
 * (OP-4) A woken op asks again from the start.  Nothing was changed meanwhile
 *     on its behalf, so asking again is always right.
 */
#pragma once

#include "base/compiler.h"
#include "base/list.h"

struct reactor;

struct op {
	void (*step)(struct op *op);
	struct reactor *home;
	unsigned awaited;	/* arrivals still owed before the next step */
	int error;		/* the first failure among them, as -errno; the step clears it */
	struct list_link link;	/* in the reactor's ready queue, or in one waitlist */
};

struct waitlist {
	struct list ops;
};

static inline void op_init(struct op *op, struct reactor *home, void (*step)(struct op *op))
{
	*op = (struct op){ .step = step, .home = home };
}

/* Makes the step run soon, with nothing awaited.  Called on the home reactor. */
void op_queue(struct op *op);

static inline void op_await(struct op *op)
{
	op->awaited++;
}

/* One thing that was awaited has come.  Called on the home reactor. */
static inline void op_arrive(struct op *op, int error)
{
	assert(op->awaited > 0);	/* OP-1 */
	if (error && !op->error)
		op->error = error;
	if (--op->awaited == 0)
		op_queue(op);
}

/* Takes the error that came, so that the next state starts without one. */
static inline int op_take_error(struct op *op)
{
	int error = op->error;

	op->error = 0;
	return error;
}

/* Awaits nothing, and is in no queue. */
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

/* The op awaits its turn in `list`. */
static inline void waitlist_join(struct waitlist *list, struct op *op)
{
	op_await(op);
	list_add_last(&list->ops, &op->link);
}

/* Wakes the op that has waited longest; false if there is none. */
static inline bool waitlist_wake_first(struct waitlist *list, int error)
{
	struct list_link *link = list_take_first(&list->ops);

	if (!link)
		return false;
	op_arrive(container_of(link, struct op, link), error);
	return true;
}

/* Wakes all that wait now, in their order. */
static inline void waitlist_wake_all(struct waitlist *list, int error)
{
	struct list all;

	list_init(&all);
	list_take_all(&all, &list->ops);
	for (struct list_link *link; (link = list_take_first(&all));)
		op_arrive(container_of(link, struct op, link), error);
}
