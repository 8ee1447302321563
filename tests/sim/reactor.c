/*
 * The reactor in the simulator: queues of ops and timers in the world's hands.
 */
#include "io/reactor.h"
#include "io/step_times.h"
#include "world.h"

struct reactor {
	struct list_link link;
	bool is_stopped;
	struct poll_window poll;	/* time passes by itself here: nobody polls */
};

struct posted {
	struct event event;
	struct op *op;
	int error;
};

struct reactor *reactor_new(struct error *error UNUSED)
{
	struct reactor *reactor = sim_alloc(sizeof(*reactor));

	list_add_last(&world.reactors, &reactor->link);
	return reactor;
}

void reactor_free(struct reactor *reactor)
{
	if (!reactor)
		return;
	list_remove(&reactor->link);
	sim_free(reactor);
}

void reactors_drop(void)
{
	for (struct list_link *link; (link = list_first(&world.reactors));)
		reactor_free(container_of(link, struct reactor, link));
}

static bool reactor_is_done(void *context)
{
	struct reactor *reactor = context;

	return reactor->is_stopped && list_empty(&world.ready);
}

void reactor_run(struct reactor *reactor)
{
	sim_run_until(reactor_is_done, reactor, UINT64_C(3600000000000));
}

void reactor_stop(struct reactor *reactor)
{
	reactor->is_stopped = true;
}

/* No time passes in a step. */
const struct step_times *reactor_step_times(const struct reactor *reactor UNUSED)
{
	static const struct step_times none;

	return &none;
}

void reactor_forget_longest_step(struct reactor *reactor UNUSED)
{
}

const struct poll_window *reactor_poll_window(const struct reactor *reactor)
{
	return &reactor->poll;
}

void op_queue(struct op *op)
{
	if (op->awaited)
		sim_fail("an op is queued while it awaits %u things", op->awaited);	/* OP-1 */
	if (!op->home)
		sim_fail("an op without a home is queued");
	list_add_last(&world.ready, &op->link);
}

bool reactor_is_here(const struct reactor *reactor UNUSED)
{
	return true;	/* there is one thread */
}

static void posted_drop(struct event *event)
{
	sim_free(container_of(event, struct posted, event));
}

static void posted_fire(struct event *event)
{
	struct posted *posted = container_of(event, struct posted, event);
	struct op *op = posted->op;
	int error = posted->error;

	sim_free(posted);
	op_arrive(op, error);
}

void reactor_post(struct op *op, int error)
{
	struct posted *posted = sim_alloc(sizeof(*posted));

	posted->event.fire = posted_fire;
	posted->event.drop = posted_drop;
	posted->op = op;
	posted->error = error;
	world_add_event(&posted->event, sim_random(20000));
}

void reactor_register_memory(struct reactor *reactor UNUSED, void *memory UNUSED,
			     size_t bytes UNUSED)
{
}

uint64_t clock_ns(const struct reactor *reactor UNUSED)
{
	return world.now;
}

uint32_t clock_epoch_seconds(const struct reactor *reactor UNUSED)
{
	return 1800000000 + world.now / 1000000000;
}

uint64_t reactor_random(struct reactor *reactor UNUSED)
{
	return random_next(&world.engine_random);
}

void timer_start(struct timer *timer, uint64_t delay_ns, struct op *op)
{
	if (timer_running(timer))
		sim_fail("a timer that runs is started");
	op_await(op);
	timer->op = op;
	timer->due_ns = world.now + delay_ns + sim_random(100000);
	timer->link = (struct list_link){ NULL, NULL };
	list_add_last(&world.timers, &timer->link);
}

void timer_cancel(struct timer *timer)
{
	struct op *op = timer->op;

	if (!op)
		return;
	list_remove(&timer->link);
	timer->op = NULL;
	op_arrive(op, 0);
}
