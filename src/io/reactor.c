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
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>

#include "base/log.h"
#include "base/numbers.h"
#include "base/random.h"
#include "io/step_times.h"
#include "io/transfer.h"
#include "io/uring.h"

enum {
	SUBMISSIONS = 512,
	COMPLETIONS = 4096,
	STEPS_PER_TURN = 256,	/* then the ring is served, even if ops are still ready */
	TURN_NS = 300000,	/* REACTOR-5 */
	ROUNDS_PER_TURN = 8,	/* of completions without the ring, and their steps */
	POSTS_ROOM = 256,	/* initial size; doubled when full */
	SPINS = 16,		/* pauses of the processor between two looks at the queue */
	PREEMPTED_NS = 10000,	/* more between two looks: something else ran meanwhile */
	PIECES_MAX = 64,	/* pieces of registered memory */
	PIECE_BYTES_MAX = 1 << 30,
};

static const uint64_t ns_per_second = 1000000000;

struct post {
	struct op *op;
	int error;
};

struct post_box {
	struct post *posts;
	unsigned count;
	unsigned room;
};

struct piece {
	char *begin;
	size_t bytes;		/* 0: unused */
};

struct reactor {
	struct io_uring ring;
	pthread_t thread;
	bool stopping;
	unsigned in_flight;	/* submissions without a completion yet */
	uint64_t now_ns;
	struct list ready;	/* ops */
	struct list completed;	/* completions */
	struct list timers;	/* sorted, the next one first */
	struct transfer_pool transfers;
	struct random random;
	struct step_times steps;
	struct poll_window poll;

	struct post_box local;	/* posts of the own thread */
	pthread_mutex_t mutex;	/* guards `inbox` */
	struct post_box inbox;	/* posts of other threads */
	struct post_box taken;	/* swapped with `inbox`, to be emptied without the mutex */
	int wake_fd;
	uint64_t wakes;		/* buffer for reading it */
	struct completion wake;

	struct completion alarm;	/* REACTOR-4 */
	bool alarm_is_set;
	uint64_t alarm_due_ns;
	struct __kernel_timespec alarm_time;

	unsigned piece_count;	/* of entries that may be in use */
	bool can_register;
	struct piece pieces[PIECES_MAX];
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

/* ---- posts ---- */

static void post_box_add(struct post_box *box, struct op *op, int error)
{
	if (box->count == box->room) {
		box->room = box->room ? box->room * 2 : POSTS_ROOM;
		box->posts = reallocarray(box->posts, box->room, sizeof(*box->posts));
		if (!box->posts) {
			log_error("no memory for %u posts", box->room);
			abort();
		}
	}
	box->posts[box->count++] = (struct post){ .op = op, .error = error };
}

static void post_box_deliver(struct post_box *box)
{
	for (unsigned i = 0; i < box->count; i++)
		op_arrive(box->posts[i].op, box->posts[i].error);
	box->count = 0;
}

static void inbox_post(struct reactor *reactor, struct op *op, int error)
{
	const uint64_t one = 1;
	ssize_t written = sizeof(one);

	pthread_mutex_lock(&reactor->mutex);
	post_box_add(&reactor->inbox, op, error);
	if (reactor->inbox.count == 1)		/* REACTOR-3 */
		written = write(reactor->wake_fd, &one, sizeof(one));
	pthread_mutex_unlock(&reactor->mutex);
	assert(written == sizeof(one));
}

void reactor_post(struct op *op, int error)
{
	struct reactor *home = op->home;

	if (reactor_is_here(home))
		post_box_add(&home->local, op, error);
	else
		inbox_post(home, op, error);
}

static void inbox_read(struct reactor *reactor)
{
	struct io_uring_sqe *sqe = reactor_sqe(reactor, &reactor->wake);

	io_uring_prep_read(sqe, reactor->wake_fd, &reactor->wakes, sizeof(reactor->wakes), 0);
}

static void inbox_woken(struct completion *completion, int result)
{
	struct reactor *reactor = container_of(completion, struct reactor, wake);
	struct post_box taken;

	assert(result == sizeof(reactor->wakes) || result == -EINTR || result == -EAGAIN);
	pthread_mutex_lock(&reactor->mutex);
	taken = reactor->inbox;
	reactor->inbox = reactor->taken;
	pthread_mutex_unlock(&reactor->mutex);
	reactor->taken = taken;
	post_box_deliver(&reactor->taken);
	inbox_read(reactor);
}

/* ---- the ring ---- */

/* Moves completions from the queue into the list; calls no function (REACTOR-2). */
static void reactor_reap(struct reactor *reactor)
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

/* Any other result of io_uring_enter() is a bug in the use of the ring. */
static void reactor_check_enter(int result)
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

/* ---- time and random numbers ---- */

static uint64_t clock_read_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * ns_per_second + now.tv_nsec;
}

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

uint64_t clock_ns(const struct reactor *reactor)
{
	return reactor->now_ns;
}

uint32_t clock_epoch_seconds(const struct reactor *reactor UNUSED)
{
	return clock_read_ns(CLOCK_REALTIME) / ns_per_second;
}

uint64_t reactor_random(struct reactor *reactor)
{
	return random_next(&reactor->random);
}

static uint64_t random_seed(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = clock_read_ns(CLOCK_REALTIME) ^ (uint64_t)getpid() << 48;
	return seed;
}

static struct timer *timer_of(struct list_link *link)
{
	return link ? container_of(link, struct timer, link) : NULL;
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

static void reactor_run_timers(struct reactor *reactor)
{
	struct timer *timer;

	while ((timer = timer_of(list_first(&reactor->timers))) &&
	       timer->due_ns <= reactor->now_ns)
		timer_cancel(timer);		/* due: lets its op arrive */
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

static void alarm_rings(struct completion *completion, int result)
{
	struct reactor *reactor = container_of(completion, struct reactor, alarm);

	assert(result == -ETIME || result == -ECANCELED || result == 0);
	reactor->alarm_is_set = false;	/* each turn looks at the timers anyway */
}

static void alarm_set(struct reactor *reactor, uint64_t due_ns)
{
	reactor->alarm_due_ns = due_ns;
	reactor->alarm_time = (struct __kernel_timespec){
		.tv_sec = due_ns / ns_per_second,
		.tv_nsec = due_ns % ns_per_second,
	};
	if (reactor->alarm_is_set)
		io_uring_prep_timeout_update(reactor_sqe(reactor, NULL), &reactor->alarm_time,
					     (uintptr_t)&reactor->alarm, IORING_TIMEOUT_ABS);
	else
		io_uring_prep_timeout(reactor_sqe(reactor, &reactor->alarm),
				      &reactor->alarm_time, 0, IORING_TIMEOUT_ABS);
	reactor->alarm_is_set = true;
}

/* ---- waiting ---- */

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

/* Submits everything, and waits for a completion. */
static int reactor_wait(struct reactor *reactor)
{
	int result;

	if (!reactor->poll.max_ns || reactor->transfers.busy)	/* POLL-1 */
		return io_uring_submit_and_wait(&reactor->ring, 1);
	result = io_uring_submit_and_get_events(&reactor->ring);
	if (result < 0 || io_uring_cq_ready(&reactor->ring))
		return result;
	return reactor_await(reactor);
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

/* ---- registered memory ---- */

static int piece_update(struct reactor *reactor, unsigned index, char *begin, size_t bytes)
{
	struct iovec memory = { .iov_base = begin, .iov_len = bytes };
	uint64_t tag = 0;
	int result = io_uring_register_buffers_update_tag(&reactor->ring, index, &memory,
							  (const __u64 *)&tag, 1);

	return result == 1 ? 0 : result < 0 ? result : -EINVAL;
}

static int piece_register(struct reactor *reactor, char *begin, size_t bytes)
{
	unsigned index = 0;
	int error;

	while (index < PIECES_MAX && reactor->pieces[index].bytes)
		index++;
	if (index == PIECES_MAX)
		return -ENOSPC;
	error = piece_update(reactor, index, begin, bytes);
	if (error)
		return error;
	reactor->pieces[index] = (struct piece){ .begin = begin, .bytes = bytes };
	reactor->piece_count = max_u64(reactor->piece_count, index + 1);
	return 0;
}

void reactor_register_memory(struct reactor *reactor, void *memory, size_t bytes)
{
	for (size_t done = 0; done < bytes && reactor->can_register;) {
		size_t part = min_u64(bytes - done, PIECE_BYTES_MAX);
		int error = piece_register(reactor, (char *)memory + done, part);

		if (error) {
			log_debug("%zu bytes of buffers stay unregistered: %s", bytes - done,
				  strerror(-error));
			return;
		}
		done += part;
	}
}

void reactor_forget_memory(struct reactor *reactor, const void *memory, size_t bytes)
{
	for (unsigned i = 0; i < reactor->piece_count; i++) {
		struct piece *piece = &reactor->pieces[i];

		if (!piece->bytes || piece->begin < (const char *)memory ||
		    piece->begin >= (const char *)memory + bytes)
			continue;
		piece_update(reactor, i, NULL, 0);
		*piece = (struct piece){ .begin = NULL };
	}
}

int reactor_memory_index(const struct reactor *reactor, const void *memory, size_t bytes)
{
	for (unsigned i = 0; i < reactor->piece_count; i++) {
		const struct piece *piece = &reactor->pieces[i];
		size_t offset = (const char *)memory - piece->begin;

		if (offset < piece->bytes && bytes <= piece->bytes - offset)
			return i;
	}
	return -1;
}

/* ---- start and end ---- */

/* Newer kernels interrupt the thread less; tries their flags first, then a plain ring. */
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
