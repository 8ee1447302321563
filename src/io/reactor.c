/*
 * The reactor on io_uring.
 *
 *	      +--> completions: done() ------+
 *	      |                              v
 *	submit and wait              op_arrive, op_queue --> ready, in order
 *	      ^                              ^                 |
 *	      |    timers that are due ------+                 v
 *	      +------------------------------------------ steps, at most STEPS_PER_TURN
 *
 * (REACTOR-1) Only the thread that created the reactor touches it, except the inbox, which
 *     has a mutex, and an eventfd that the ring always reads.
 * (REACTOR-2) Taking entries off the completion queue calls no function: they are put into
 *     a list first.  So it can be done at any time, even in the middle of a step.
 * (REACTOR-3) A post writes the eventfd only if the inbox was empty: otherwise the thread is
 *     being woken already.
 * (REACTOR-4) The ring has one timeout, the alarm, due no later than the first timer.  It is
 *     set when a timer is started that is due before it, not at each turn, since setting
 *     it reprograms the timer of the processor.
 * (REACTOR-5) After TURN_NS of steps the ring is served, even if ops are still ready: a long
 *     sweep that queues itself again and again delays no request by more.
 *
 * Waiting begins awake while that pays: see poll_window.h.
 */
#include "io/reactor.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/log.h"
#include "base/numbers.h"
#include "io/reactor_internal.h"

enum {
	SUBMISSIONS = 512,
	COMPLETIONS = 4096,
	STEPS_PER_TURN = 256,	/* then the ring is served, even if ops are still ready */
	TURN_NS = 300000,	/* REACTOR-5 */
	ROUNDS_PER_TURN = 8,	/* of completions without the ring, and their steps */
};

bool reactor_is_here(const struct reactor *reactor)
{
	return pthread_equal(reactor->thread, pthread_self());
}

void reactor_assert_home(const struct reactor *reactor)
{
	assert(reactor_is_here(reactor));	/* OP-2 */
}

struct transfer_pool *reactor_transfers(struct reactor *reactor)
{
	return &reactor->transfers;
}

/* ---- the ring ---- */

void reactor_reap(struct reactor *reactor)
{
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;

	io_uring_for_each_cqe(&reactor->ring, head, cqe) {
		struct completion *completion = io_uring_cqe_get_data(cqe);

		count++;
		if (!completion || cqe->user_data == LIBURING_UDATA_TIMEOUT)
			continue;
		assert(reactor->in_flight > 0);
		reactor->in_flight--;
		reactor_complete(reactor, completion, cqe->res);
	}
	io_uring_cq_advance(&reactor->ring, count);
}

void reactor_check_enter(int result)
{
	if (result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY ||
	    result == -ETIME)
		return;
	log_error("io_uring failed: %s", strerror(-result));
	abort();
}

struct io_uring_sqe *reactor_sqe(struct reactor *reactor, struct completion *completion)
{
	struct io_uring_sqe *sqe;

	reactor_assert_home(reactor);
	while (!(sqe = io_uring_get_sqe(&reactor->ring))) {	/* URING-2 */
		reactor_check_enter(io_uring_submit_and_get_events(&reactor->ring));
		reactor_reap(reactor);
	}
	io_uring_sqe_set_data(sqe, completion);
	if (completion)
		reactor->in_flight++;
	return sqe;
}

void reactor_complete(struct reactor *reactor, struct completion *completion, int result)
{
	completion->result = result;
	list_add_last(&reactor->completed, &completion->link);	/* URING-1: it is in no list yet */
}

void reactor_cancel_now(struct reactor *reactor, struct completion *completion)
{
	io_uring_prep_cancel(reactor_sqe(reactor, NULL), completion, 0);
	while (!list_linked(&completion->link)) {
		reactor_check_enter(io_uring_submit_and_wait(&reactor->ring, 1));
		reactor_reap(reactor);
	}
	list_remove(&completion->link);
}

/* ---- the times of steps ---- */

static uint64_t reactor_check_cpu(struct reactor *reactor, uint64_t now_ns)
{
	if (!step_times_check_is_due(&reactor->steps, now_ns))
		return UINT64_MAX;
	return step_times_check(&reactor->steps, now_ns, clock_read_ns(CLOCK_THREAD_CPUTIME_ID));
}

/* Steps begin, with the time as of now. */
static void reactor_begin_steps(struct reactor *reactor)
{
	reactor->now_ns = clock_read_ns(CLOCK_MONOTONIC);
	reactor->steps.began_ns = reactor->now_ns;
	reactor_check_cpu(reactor, reactor->now_ns);
}

static void reactor_end_step(struct reactor *reactor)
{
	uint64_t now_ns = clock_read_ns(CLOCK_MONOTONIC);

	step_times_add(&reactor->steps, now_ns, reactor_check_cpu(reactor, now_ns));
}

const struct step_times *reactor_step_times(const struct reactor *reactor)
{
	return &reactor->steps;
}

void reactor_forget_longest_step(struct reactor *reactor)
{
	reactor->steps.is_forgetting = true;
}

static void reactor_run_completed(struct reactor *reactor)
{
	struct list_link *link;
	struct list completed;

	list_init(&completed);
	list_take_all(&completed, &reactor->completed);
	while ((link = list_take_first(&completed))) {
		struct completion *completion = container_of(link, struct completion, link);

		completion->done(completion, completion->result);
		reactor_end_step(reactor);
	}
}

/* ---- steps and turns ---- */

void op_queue(struct op *op)
{
	assert(op->awaited == 0);		/* OP-1 */
	reactor_assert_home(op->home);
	list_add_last(&op->home->ready, &op->link);
}

static void reactor_run_steps(struct reactor *reactor)
{
	for (unsigned steps = 0; steps < STEPS_PER_TURN; steps++) {
		struct list_link *link;
		struct op *op;

		post_box_deliver(&reactor->local);
		link = list_take_first(&reactor->ready);
		if (!link)
			return;
		op = container_of(link, struct op, link);
		op_run(op);
		reactor_end_step(reactor);
		if (reactor->steps.began_ns - reactor->now_ns > TURN_NS)	/* REACTOR-5 */
			return;
	}
}

static bool reactor_has_work(const struct reactor *reactor)
{
	return !list_empty(&reactor->ready) || !list_empty(&reactor->completed) ||
	       reactor->local.count;
}

static void reactor_enter(struct reactor *reactor)
{
	struct timer *timer = timer_of(list_first(&reactor->timers));
	int result;

	if (timer && (!reactor->alarm_is_set || timer->due_ns < reactor->alarm_due_ns))
		alarm_set(reactor, timer->due_ns);
	if (reactor_has_work(reactor))
		result = io_uring_submit_and_get_events(&reactor->ring);
	else
		result = reactor_wait(reactor);
	reactor_check_enter(result);
	reactor_reap(reactor);
	reactor_begin_steps(reactor);
}

void reactor_run(struct reactor *reactor)
{
	reactor_assert_home(reactor);
	reactor_begin_steps(reactor);
	for (;;) {
		reactor_run_timers(reactor);
		for (unsigned round = 0; round < ROUNDS_PER_TURN; round++) {
			reactor_run_completed(reactor);
			reactor_run_steps(reactor);
			if (list_empty(&reactor->completed))
				break;
		}
		if (reactor->stopping && !reactor_has_work(reactor))
			break;
		reactor_enter(reactor);
	}
	reactor->stopping = false;
}

void reactor_stop(struct reactor *reactor)
{
	reactor_assert_home(reactor);
	reactor->stopping = true;
}

/* ---- start and end ---- */

/*
 * Newer kernels interrupt the thread less; tries their flags first, then a plain ring.
 *
 *	SINGLE_ISSUER, DEFER_TASKRUN	completions are worked on when we enter the kernel, and only
 *					then (6.1)
 *	COOP_TASKRUN			at the next system call, without an interrupt (5.19)
 *	TASKRUN_FLAG			tells us that there is such work (reactor_wait.c)
 *	SUBMIT_ALL			an invalid entry does not hold up those behind it
 */
static int ring_open(struct io_uring *ring)
{
	const unsigned wishes[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	int result = -EINVAL;

	for (unsigned i = 0; i < ARRAY_SIZE(wishes) && result == -EINVAL; i++) {
		struct io_uring_params wish = {
			.flags = wishes[i] | IORING_SETUP_CQSIZE,
			.cq_entries = COMPLETIONS,
		};

		result = io_uring_queue_init_params(SUBMISSIONS, ring, &wish);
	}
	if (!result)
		io_uring_register_ring_fd(ring);
	return result;
}

static struct reactor *reactor_fail(struct reactor *reactor, struct error *error, int code,
				    const char *what)
{
	error_set(error, code, "%s: %s%s", what, strerror(code),
		  code == ENOSYS || code == EPERM ? " (is io_uring switched off?)" : "");
	free(reactor);
	return NULL;
}

static void reactor_init(struct reactor *reactor)
{
	reactor->thread = pthread_self();
	list_init(&reactor->ready);
	list_init(&reactor->completed);
	list_init(&reactor->timers);
	reactor->random.state = random_seed();
	reactor->now_ns = clock_read_ns(CLOCK_MONOTONIC);
	pthread_mutex_init(&reactor->mutex, NULL);
	reactor->wake.done = inbox_woken;
	reactor->alarm.done = alarm_rings;
	transfer_pool_init(&reactor->transfers);
	reactor->can_register = !io_uring_register_buffers_sparse(&reactor->ring, PIECES_MAX);
}

struct reactor *reactor_new(struct error *error)
{
	struct reactor *reactor = calloc(1, sizeof(*reactor));
	int result;

	if (!reactor)
		return reactor_fail(NULL, error, ENOMEM, "cannot make a reactor");
	result = ring_open(&reactor->ring);
	if (result)
		return reactor_fail(reactor, error, -result, "cannot make an io_uring");
	reactor->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (reactor->wake_fd < 0) {
		result = errno;
		io_uring_queue_exit(&reactor->ring);
		return reactor_fail(reactor, error, result, "cannot make an eventfd");
	}
	reactor_init(reactor);
	inbox_read(reactor);
	return reactor;
}

void reactor_free(struct reactor *reactor)
{
	if (!reactor)
		return;
	reactor_cancel_now(reactor, &reactor->wake);
	if (reactor->alarm_is_set)
		reactor_cancel_now(reactor, &reactor->alarm);
	assert(!reactor->in_flight);
	pthread_mutex_lock(&reactor->mutex);	/* waits for the last post to leave */
	pthread_mutex_unlock(&reactor->mutex);
	io_uring_queue_exit(&reactor->ring);
	close(reactor->wake_fd);
	pthread_mutex_destroy(&reactor->mutex);
	transfer_pool_done(&reactor->transfers);
	free(reactor->local.posts);
	free(reactor->inbox.posts);
	free(reactor->taken.posts);
	free(reactor);
}
