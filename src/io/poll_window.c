/*
 * The window of polling; see poll_window.h.
 */
#include "io/poll_window.h"

#include "base/numbers.h"

enum {
	WINDOW_LEAST_NS = 2000,		/* less is nothing */
	WAKING_NS = 50000,		/* a wait asleep may be longer by so much */
	TRIAL_POLLS = 16,
	PATIENCE_MIN = 8,
	PATIENCE_MAX = 4096,
	CHECK_INTERVAL_NS = 100000000,
	/* Preempted in more than one of so many polls: others need the CPU. */
	POLLS_A_PREEMPTION = 16,
	PAUSE_NS = 1000000000,
};

void poll_window_init(struct poll_window *window, uint64_t max_ns)
{
	*window = (struct poll_window){ .max_ns = max_ns, .patience = PATIENCE_MIN };
}

uint64_t poll_window_ns(const struct poll_window *window, uint64_t now_ns)
{
	if (window->state == POLL_CLOSED || now_ns < window->paused_until_ns)
		return 0;
	return window->state == POLL_TRIAL ? window->max_ns : window->window_ns;
}

static void window_close(struct poll_window *window)
{
	window->state = POLL_CLOSED;
	window->window_ns = 0;
	window->short_waits = 0;
}

static void trial_poll(struct poll_window *window, bool paid)
{
	window->trial_polls++;
	window->trial_paid += paid;
	if (window->trial_polls < TRIAL_POLLS)
		return;
	if (window->trial_paid * 2 >= TRIAL_POLLS) {
		window->state = POLL_OPEN;
		window->window_ns = window->max_ns;
		window->patience = PATIENCE_MIN;
	} else {
		window_close(window);
		window->patience = min_u64(window->patience * 2, PATIENCE_MAX);
	}
}

static void open_poll(struct poll_window *window, bool paid)
{
	window->window_ns = paid ? min_u64(window->window_ns * 2, window->max_ns) :
				   window->window_ns / 2;
	if (window->window_ns < WINDOW_LEAST_NS)
		window_close(window);
}

void poll_window_polled(struct poll_window *window, uint64_t polled_ns, enum poll_end end)
{
	window->polls++;
	window->polls_since++;
	window->polls_paid += end == POLL_PAID;
	window->polls_preempted += end == POLL_PREEMPTED;
	window->preempted_since += end == POLL_PREEMPTED;
	window->polled_ns += polled_ns;
	if (window->state == POLL_TRIAL)
		trial_poll(window, end == POLL_PAID);
	else
		open_poll(window, end == POLL_PAID);
}

void poll_window_slept(struct poll_window *window, uint64_t waited_ns)
{
	if (window->state != POLL_CLOSED || !window->max_ns)
		return;
	window->short_waits = waited_ns > window->max_ns + WAKING_NS ? 0 :
			      window->short_waits + 1;
	if (window->short_waits < window->patience)
		return;
	window->state = POLL_TRIAL;
	window->trial_polls = window->trial_paid = 0;
}

bool poll_window_check_is_due(const struct poll_window *window, uint64_t now_ns)
{
	return now_ns >= window->checked_ns + CHECK_INTERVAL_NS;
}

void poll_window_check(struct poll_window *window, unsigned cpus, uint64_t now_ns)
{
	unsigned bearable = max_u64(window->polls_since / POLLS_A_PREEMPTION, 1);

	if (cpus < 2 || window->preempted_since > bearable)
		window->paused_until_ns = now_ns + PAUSE_NS;	/* POLL-2 */
	window->polls_since = window->preempted_since = 0;
	window->checked_ns = now_ns;
}
