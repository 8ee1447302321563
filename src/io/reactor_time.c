/*
 * The clocks of a reactor, its timers, the alarm that wakes it for the first of them, and its
 * random numbers.
 *
 * Timers are in a list, sorted by the time when they are due.  Each turn runs those that are due,
 * whatever woke the reactor; the alarm only makes sure that something does.  It may ring for a
 * timer that was cancelled meanwhile, which costs one turn without work.
 */
#include <assert.h>
#include <errno.h>
#include <sys/random.h>

#include "io/reactor_internal.h"

uint64_t clock_ns(const struct reactor *reactor)
{
	return reactor->now_ns;
}

uint32_t clock_epoch_seconds(const struct reactor *reactor UNUSED)
{
	return clock_read_ns(CLOCK_REALTIME) / NS_PER_SECOND;
}

uint64_t reactor_random(struct reactor *reactor)
{
	return random_next(&reactor->random);
}

uint64_t random_seed(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = clock_read_ns(CLOCK_REALTIME) ^ (uint64_t)getpid() << 48;
	return seed;
}

/* Searches from the end: the list is short, and a new timer mostly is the last. */
static void timer_insert(struct list *timers, struct timer *timer)
{
	struct list_link *before = timers->head.prev;

	while (before != &timers->head && timer_of(before)->due_ns > timer->due_ns)
		before = before->prev;
	list_insert_after(before, &timer->link);
}

void timer_start(struct timer *timer, uint64_t delay_ns, struct op *op)
{
	assert(!timer_running(timer));
	reactor_assert_home(op->home);
	op_await(op);
	timer->op = op;
	timer->due_ns = op->home->now_ns + delay_ns;
	timer_insert(&op->home->timers, timer);
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

void reactor_run_timers(struct reactor *reactor)
{
	struct timer *timer;

	while ((timer = timer_of(list_first(&reactor->timers))) &&
	       timer->due_ns <= reactor->now_ns)
		timer_cancel(timer);		/* due: lets its op arrive */
}

void alarm_rings(struct completion *completion, int result)
{
	struct reactor *reactor = container_of(completion, struct reactor, alarm);

	assert(result == -ETIME || result == -ECANCELED || result == 0);
	reactor->alarm_is_set = false;	/* each turn looks at the timers anyway */
}

void alarm_set(struct reactor *reactor, uint64_t due_ns)
{
	reactor->alarm_due_ns = due_ns;
	reactor->alarm_time = (struct __kernel_timespec){
		.tv_sec = due_ns / NS_PER_SECOND,
		.tv_nsec = due_ns % NS_PER_SECOND,
	};
	if (reactor->alarm_is_set)
		io_uring_prep_timeout_update(reactor_sqe(reactor, NULL), &reactor->alarm_time,
					     (uintptr_t)&reactor->alarm, IORING_TIMEOUT_ABS);
	else
		io_uring_prep_timeout(reactor_sqe(reactor, &reactor->alarm),
				      &reactor->alarm_time, 0, IORING_TIMEOUT_ABS);
	reactor->alarm_is_set = true;
}
