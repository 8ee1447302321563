/*
 * How a reactor waits for a completion: asleep in the kernel, or at first awake, looking at the
 * completion queue.  poll_window.h decides which; here are the looks, the clock and the sleep.
 *
 * Everything is submitted before the first look, so polling delays no transfer.
 */
#include <sched.h>

#include "io/reactor_internal.h"

enum {
	SPINS = 16,		/* pauses of the processor between two looks at the queue */
	PREEMPTED_NS = 10000,	/* more between two looks: something else ran meanwhile */
};

void reactor_set_poll(struct reactor *reactor, uint64_t max_ns)
{
	poll_window_init(&reactor->poll, max_ns);
}

const struct poll_window *reactor_poll_window(const struct reactor *reactor)
{
	return &reactor->poll;
}

/* POLL-2 */
static void reactor_check_poll(struct reactor *reactor, uint64_t now_ns)
{
	cpu_set_t cpus;
	int count = 1;		/* unknown, or more than fit: better not to poll */

	if (!sched_getaffinity(0, sizeof(cpus), &cpus))
		count = CPU_COUNT(&cpus);
	poll_window_check(&reactor->poll, count, now_ns);
}

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

/* Where the kernel defers its part of a completion to us, it sets this flag. */
static bool ring_has_task_work(const struct io_uring *ring)
{
	return __atomic_load_n(ring->sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN;
}

/*
 * Looks at the completion queue for at most `window_ns`; true: there is a completion.  Two looks
 * are a microsecond apart, unless the CPU was taken away in between.
 */
static bool reactor_poll(struct reactor *reactor, uint64_t began_ns, uint64_t window_ns)
{
	struct io_uring *ring = &reactor->ring;
	uint64_t looked_ns, now_ns = began_ns;
	bool paid, preempted;

	do {
		looked_ns = now_ns;
		for (unsigned i = 0; i < SPINS; i++)
			cpu_relax();
		if (ring_has_task_work(ring))
			reactor_check_enter(io_uring_get_events(ring));
		paid = io_uring_cq_ready(ring);
		now_ns = clock_read_ns(CLOCK_MONOTONIC);
		preempted = now_ns - looked_ns > PREEMPTED_NS;
	} while (!paid && !preempted && now_ns - began_ns < window_ns);
	poll_window_polled(&reactor->poll, now_ns - began_ns,
			   preempted ? POLL_PREEMPTED : paid ? POLL_PAID : POLL_IN_VAIN);
	return paid;
}

/* Everything is submitted, and nothing has completed: waits, awake at first if that pays. */
static int reactor_await(struct reactor *reactor)
{
	struct poll_window *poll = &reactor->poll;
	uint64_t began_ns = clock_read_ns(CLOCK_MONOTONIC), window_ns;
	int result;

	if (poll_window_check_is_due(poll, began_ns))
		reactor_check_poll(reactor, began_ns);
	window_ns = poll_window_ns(poll, began_ns);
	if (window_ns && reactor_poll(reactor, began_ns, window_ns))
		return 0;
	result = io_uring_submit_and_wait(&reactor->ring, 1);
	if (!window_ns)
		poll_window_slept(poll, clock_read_ns(CLOCK_MONOTONIC) - began_ns);
	return result;
}

/* POLL-1 */
static bool reactor_may_poll(const struct reactor *reactor)
{
	return reactor->poll.max_ns &&
	       !transfers_end_soon(&reactor->transfers, clock_ns(reactor));
}

int reactor_wait(struct reactor *reactor)
{
	int result;

	if (!reactor_may_poll(reactor))
		return io_uring_submit_and_wait(&reactor->ring, 1);
	result = io_uring_submit_and_get_events(&reactor->ring);
	if (result < 0 || io_uring_cq_ready(&reactor->ring))
		return result;
	return reactor_await(reactor);
}
