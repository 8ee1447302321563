/* The reactor on io_uring: steps in order, timers, posts from other threads. */
#include <errno.h>
#include <pthread.h>

#include "awaiter.h"

enum { OPS = 3, POSTS = 20000 };

struct numbered {
	struct op op;
	unsigned number;
	unsigned *order;	/* OPS places */
	unsigned *count;
};

static void numbered_step(struct op *op)
{
	struct numbered *numbered = container_of(op, struct numbered, op);

	numbered->order[(*numbered->count)++] = numbered->number;
	if (*numbered->count == OPS)
		reactor_stop(op->home);
}

static void numbered_init(struct numbered ops[OPS], unsigned order[OPS], unsigned *count,
			  struct reactor *reactor)
{
	for (unsigned i = 0; i < OPS; i++) {
		ops[i] = (struct numbered){ .number = i, .order = order, .count = count };
		op_init(&ops[i].op, reactor, numbered_step);
	}
}

Test(reactor, runs_steps_in_the_order_they_were_queued)
{
	struct reactor *reactor = test_reactor();
	unsigned order[OPS], count = 0;
	struct numbered ops[OPS];

	numbered_init(ops, order, &count, reactor);
	op_queue(&ops[2].op);
	op_queue(&ops[0].op);
	op_queue(&ops[1].op);
	reactor_run(reactor);
	cr_expect(eq(u32, order[0], 2));
	cr_expect(eq(u32, order[1], 0));
	cr_expect(eq(u32, order[2], 1));
	reactor_free(reactor);
}

Test(reactor, steps_once_when_all_has_arrived_and_keeps_the_first_error)
{
	struct reactor *reactor = test_reactor();
	struct awaiter awaiter;

	awaiter_init(&awaiter, reactor);
	for (unsigned i = 0; i < 3; i++)
		op_await(&awaiter.op);
	reactor_post(&awaiter.op, 0);
	reactor_post(&awaiter.op, -EIO);
	reactor_post(&awaiter.op, -ENOSPC);
	cr_expect(eq(int, awaiter_wait(&awaiter), -EIO));
	cr_expect(eq(u32, awaiter.steps, 1));
	reactor_free(reactor);
}

Test(reactor, fires_timers_in_the_order_they_are_due)
{
	struct timer timers[OPS] = { { .due_ns = 0 } };
	struct reactor *reactor = test_reactor();
	unsigned order[OPS], count = 0;
	struct numbered ops[OPS];
	uint64_t begin;

	numbered_init(ops, order, &count, reactor);
	begin = clock_ns(reactor);
	timer_start(&timers[0], 20 * 1000000, &ops[0].op);
	timer_start(&timers[1], 5 * 1000000, &ops[1].op);
	timer_start(&timers[2], 10 * 1000000, &ops[2].op);
	reactor_run(reactor);
	cr_expect(eq(u32, order[0], 1));
	cr_expect(eq(u32, order[1], 2));
	cr_expect(eq(u32, order[2], 0));
	cr_expect(ge(u64, clock_ns(reactor) - begin, 20 * 1000000));
	reactor_free(reactor);
}

Test(reactor, a_cancelled_timer_arrives_at_once, .timeout = 60)
{
	struct reactor *reactor = test_reactor();
	struct timer timer = { .due_ns = 0 };
	struct awaiter awaiter;

	awaiter_init(&awaiter, reactor);
	timer_start(&timer, UINT64_C(3600) * 1000000000, &awaiter.op);
	cr_expect(timer_running(&timer));
	timer_cancel(&timer);
	timer_cancel(&timer);
	cr_expect(not(timer_running(&timer)));
	cr_expect(eq(int, awaiter_wait(&awaiter), 0));
	reactor_free(reactor);
}

/* Always ready, until the timer's op has run. */
struct restless {
	struct op op;
	const struct awaiter *until;
};

static void restless_step(struct op *op)
{
	if (!container_of(op, struct restless, op)->until->steps)
		op_queue(op);
}

Test(reactor, an_op_that_is_always_ready_does_not_stop_timers, .timeout = 60)
{
	struct reactor *reactor = test_reactor();
	struct timer timer = { .due_ns = 0 };
	struct restless restless;
	struct awaiter awaiter;

	awaiter_init(&awaiter, reactor);
	restless.until = &awaiter;
	op_init(&restless.op, reactor, restless_step);
	op_queue(&restless.op);
	timer_start(&timer, 1000000, &awaiter.op);
	cr_expect(eq(int, awaiter_wait(&awaiter), 0));
	reactor_free(reactor);
}

static void *post_many(void *argument)
{
	struct op *op = argument;

	for (unsigned i = 0; i < POSTS; i++)
		reactor_post(op, 0);
	return NULL;
}

Test(reactor, loses_no_post_of_other_threads, .timeout = 60)
{
	struct reactor *reactor = test_reactor();
	pthread_t threads[2];
	struct awaiter awaiter;

	awaiter_init(&awaiter, reactor);
	for (unsigned i = 0; i < 2 * POSTS; i++)
		op_await(&awaiter.op);
	for (unsigned i = 0; i < 2; i++)
		cr_assert(zero(int, pthread_create(&threads[i], NULL, post_many, &awaiter.op)));
	cr_expect(eq(int, awaiter_wait(&awaiter), 0));
	cr_expect(eq(u32, awaiter.steps, 1));
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	reactor_free(reactor);
}

Test(reactor, draws_different_random_numbers)
{
	struct reactor *a = test_reactor(), *b = test_reactor();

	cr_expect(ne(u64, reactor_random(a), reactor_random(a)));
	cr_expect(ne(u64, reactor_random(a), reactor_random(b)));
	reactor_free(a);
	reactor_free(b);
}
