/*
 * The parts of a reactor on io_uring, by job; private to reactor*.c.
 *
 *	reactor.c		its turns, the ring, start and end
 *	reactor_posts.c		completions from other threads
 *	reactor_time.c		clocks, timers, random numbers
 *	reactor_wait.c		waits for completions, awake or asleep
 *	reactor_memory.c	registers memory with the ring
 */
#pragma once

#include <pthread.h>
#include <time.h>

#include "base/random.h"
#include "io/step_times.h"
#include "io/transfer.h"
#include "io/uring.h"

#define NS_PER_SECOND UINT64_C(1000000000)

enum { PIECES_MAX = 64 };	/* pieces of registered memory */

/* An arrival that was reported from elsewhere, for op_arrive(). */
struct post {
	struct op *op;
	int error;
};

struct post_box {
	struct post *posts;
	unsigned count;
	unsigned room;
};

/* Registered memory; its index in `pieces` is that in the ring. */
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

static inline uint64_t clock_read_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static inline struct timer *timer_of(struct list_link *link)
{
	return link ? container_of(link, struct timer, link) : NULL;
}

/* ---- reactor.c ---- */

/* Moves completions from the queue into the list; calls no function (REACTOR-2). */
void reactor_reap(struct reactor *reactor);
/* Aborts at any other result of io_uring_enter() than those that a correct use may have. */
void reactor_check_enter(int result);

/* ---- reactor_posts.c ---- */

/* Calls op_arrive() for all posts in the box. */
void post_box_deliver(struct post_box *box);
/* Starts to read the eventfd; inbox_woken() is the end of that, and starts the next. */
void inbox_read(struct reactor *reactor);
void inbox_woken(struct completion *completion, int result);

/* ---- reactor_time.c ---- */

void reactor_run_timers(struct reactor *reactor);
/* The reactor wakes at `due_ns` (REACTOR-4). */
void alarm_set(struct reactor *reactor, uint64_t due_ns);
void alarm_rings(struct completion *completion, int result);
uint64_t random_seed(void);

/* ---- reactor_wait.c ---- */

/* Submits everything, and waits for a completion. */
int reactor_wait(struct reactor *reactor);
