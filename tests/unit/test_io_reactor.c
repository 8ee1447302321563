/* The reactor on io_uring: steps in order, timers, posts from other threads. */
#include <errno.h>
#include <pthread.h>

#include "awaiter.h"
#include "io/step_times.h"

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

struct busy {
	struct op op;
	struct timer timer;
	unsigned steps;
	struct awaiter *awaiter;
};

/* Idle after the second step only: the first one starts a timer. */
static void busy_step(struct op *op)
{
	struct busy *busy = container_of(op, struct busy, op);

	cr_expect(zero(u32, busy->awaiter->steps));
	if (!busy->steps++)
		timer_start(&busy->timer, 1000, op);
}

Test(reactor, wakes_those_who_wait_for_an_op_to_be_idle)
{
	struct reactor *reactor = test_reactor();
	struct awaiter awaiter;
	struct busy busy = { .awaiter = &awaiter };
	struct waitlist idle;

	waitlist_init(&idle);
	op_init(&busy.op, reactor, busy_step);
	busy.op.when_idle = &idle;
	awaiter_init(&awaiter, reactor);
	waitlist_join(&idle, &awaiter.op);
	op_queue(&busy.op);
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	cr_expect(eq(u32, busy.steps, 2));
	cr_expect(op_is_idle(&busy.op));
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

Test(reactor, counts_its_steps)
{
	struct reactor *reactor = test_reactor();
	const struct step_times *times = reactor_step_times(reactor);
	uint64_t count = 0;
	struct awaiter awaiter;

	awaiter_init(&awaiter, reactor);
	op_await(&awaiter.op);
	reactor_post(&awaiter.op, 0);
	cr_expect(eq(int, awaiter_wait(&awaiter), 0));
	for (unsigned i = 0; i < STEP_CLASSES; i++)
		count += times->counts[i];
	cr_expect(ge(u64, count, 1));
	cr_expect(lt(u64, 0, times->longest_ns));
	cr_expect(ge(u64, times->sum_ns, times->longest_ns));
	reactor_free(reactor);
}

/* A sweep, which queues itself again and again. */
struct sweep {
	struct op op;
	struct timer *timer;	/* of an op that should not wait for the sweep's end */
	unsigned steps;
};

enum { SWEEP_STEPS = 100, SWEEP_STEP_NS = 400000 };	/* each longer than TURN_NS */

static void sweep_step(struct op *op)
{
	struct sweep *sweep = container_of(op, struct sweep, op);
	struct timespec now;
	uint64_t began_ns = 0, now_ns;

	do {
		clock_gettime(CLOCK_MONOTONIC, &now);
		now_ns = now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
		began_ns = began_ns ? began_ns : now_ns;
	} while (now_ns - began_ns < SWEEP_STEP_NS);
	sweep->steps++;
	if (sweep->steps < SWEEP_STEPS && timer_running(sweep->timer))
		op_queue(op);
}

Test(reactor, serves_the_ring_while_a_sweep_goes_on)		/* REACTOR-5 */
{
	struct reactor *reactor = test_reactor();
	struct timer timer = { .op = NULL };
	struct sweep sweep = { .timer = &timer };
	struct awaiter awaiter;

	awaiter_init(&awaiter, reactor);
	op_init(&sweep.op, reactor, sweep_step);
	op_queue(&sweep.op);
	timer_start(&timer, 1, &awaiter.op);
	cr_expect(eq(int, awaiter_wait(&awaiter), 0));
	cr_expect(lt(u32, sweep.steps, SWEEP_STEPS));
	reactor_free(reactor);
}

Test(reactor, takes_the_lesser_time_for_that_of_a_step)		/* STEP-1 */
{
	struct step_times times = { .began_ns = 1000, .checked_ns = 1000, .checked_cpu_ns = 70 };

	cr_expect(not(step_times_check_is_due(&times, 1000 + CPU_CHECK_NS - 1)));
	cr_expect(step_times_check_is_due(&times, 1000 + CPU_CHECK_NS));
	step_times_add(&times, 1000 + 1953, UINT64_MAX);
	cr_expect(eq(u64, times.counts[1], 1));
	cr_expect(eq(u64, times.longest_ns, 1953));
	/* It lost its processor for most of a second. */
	cr_expect(eq(u64, step_times_check(&times, 1000000000, 1000070), 1000000));
	step_times_add(&times, 1000000000, 1000000);
	cr_expect(eq(u64, times.counts[10], 1));
	cr_expect(eq(u64, times.longest_ns, 1000000));
	cr_expect(eq(u64, times.sum_ns, 1001953));
	times.is_forgetting = true;
	step_times_add(&times, 1000000500, UINT64_MAX);
	cr_expect(zero(u64, times.longest_ns));
	step_times_add(&times, 1000000900, UINT64_MAX);
	cr_expect(eq(u64, times.longest_ns, 400));
	step_times_add(&times, UINT64_MAX, UINT64_MAX);		/* longer than all classes */
	cr_expect(eq(u64, times.counts[STEP_CLASSES - 1], 1));
}
