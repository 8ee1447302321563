/*
 * How long a reactor looks at its completion queue before it sleeps.
 *
 * When the next request is only microseconds away, most of its time goes into putting a
 * CPU to sleep and waking it.  Then it pays to wait awake.  When it is far away, that only
 * takes a CPU from others.  So the window follows what happened:
 *
 *	            8 short waits           half of them paid
 *	CLOSED (0) --------------> TRIAL ----------------------> OPEN (window_ns)
 *	  ^  ^                       |                           |  paid: doubles
 *	  |  +----- they did not ----+                           |  failed: halved
 *	  +------------------------ too small -------------------+
 *
 * A trial is sixteen polls for max_ns.  After one that failed, twice as many short waits must
 * come before the next.  Short is a wait of no more than max_ns and what waking up takes.
 *
 * (POLL-1) It is only for requests: while a transfer is in flight that was started within the
 *     last half millisecond, the reactor sleeps at once.  Polling for a device takes the CPU that
 *     its interrupt needs.  Older transfers are those of a slow disk, as when dirty data are
 *     written back: requests come in between, and the window follows them.
 * (POLL-2) No window is open where the thread has one CPU only, or while it is preempted
 *     often: the CPU is needed by the very work that it would wait for.  A poll during which
 *     the CPU was taken away has failed, even if a request came meanwhile.
 *
 * Pure bookkeeping: the caller reads clocks and counters.  All times in ns.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum poll_state { POLL_CLOSED, POLL_TRIAL, POLL_OPEN };

struct poll_window {
	uint64_t max_ns;			/* 0: never polls */
	enum poll_state state;
	uint64_t window_ns;			/* OPEN */
	unsigned short_waits;			/* CLOSED: in a row */
	unsigned patience;			/* so many before the next trial */
	unsigned trial_polls, trial_paid;	/* TRIAL */
	uint64_t paused_until_ns;		/* POLL-2 */
	uint64_t checked_ns;			/* when poll_window_check() was called last */
	unsigned polls_since, preempted_since;	/* and the polls since then */
	/* counters */
	uint64_t polls, polls_paid, polls_preempted, polled_ns;
};

void poll_window_init(struct poll_window *window, uint64_t max_ns);

/* How long to poll now; 0: sleep at once. */
uint64_t poll_window_ns(const struct poll_window *window, uint64_t now_ns);

enum poll_end { POLL_PAID, POLL_IN_VAIN, POLL_PREEMPTED };

/* A poll has ended after `polled_ns`. */
void poll_window_polled(struct poll_window *window, uint64_t polled_ns, enum poll_end end);

/* A wait of `waited_ns`, all of it asleep, has ended. */
void poll_window_slept(struct poll_window *window, uint64_t waited_ns);

/* Is it time to look whether polling is in somebody's way?  `cpus`: how many the thread may use. */
bool poll_window_check_is_due(const struct poll_window *window, uint64_t now_ns);
void poll_window_check(struct poll_window *window, unsigned cpus, uint64_t now_ns);
