/*
 * Metrics of the daemon itself: bcachefuse_daemon_NAME, a single sample each, and how long the
 * steps of its event loop take.
 */
#include "control/metrics.h"

#include "io/step_times.h"
#include "lifecycle/daemon.h"

#define NS_PER_SECOND 1e9

struct daemon_metric {
	const char *name, *help;
	enum metric_kind kind;
	double (*value)(const struct daemon *daemon);
};

/* Beside polls_paid_total it tells how often polling is worth it. */
static double daemon_polls(const struct daemon *daemon)
{
	return reactor_poll_window(daemon->reactor)->polls;
}

static double daemon_polls_paid(const struct daemon *daemon)
{
	return reactor_poll_window(daemon->reactor)->polls_paid;
}

static double daemon_polls_preempted(const struct daemon *daemon)
{
	return reactor_poll_window(daemon->reactor)->polls_preempted;
}

static double daemon_polled_seconds(const struct daemon *daemon)
{
	return reactor_poll_window(daemon->reactor)->polled_ns / NS_PER_SECOND;
}

static double daemon_poll_window(const struct daemon *daemon)
{
	return reactor_poll_window(daemon->reactor)->window_ns / NS_PER_SECOND;
}

static const struct daemon_metric daemon_metrics[] = {
	{ "polls_total", "Times that the daemon waited awake (-o poll_us).", METRIC_COUNTER,
	  daemon_polls },
	{ "polls_paid_total", "Of these, times that a request came meanwhile.", METRIC_COUNTER,
	  daemon_polls_paid },
	{ "polls_preempted_total", "Of these, times that something else needed the CPU.",
	  METRIC_COUNTER, daemon_polls_preempted },
	{ "poll_seconds_total", "Time spent waiting awake.", METRIC_COUNTER,
	  daemon_polled_seconds },
	{ "poll_window_seconds", "Longest wait awake for a request at present.", METRIC_GAUGE,
	  daemon_poll_window },
};

static void print_daemon_metric(const struct daemon *daemon, const struct daemon_metric *metric,
				struct text *text)
{
	metrics_head("daemon", metric->name, metric->help, metric->kind, text);
	text_print(text, "bcachefuse_daemon_%s %.17g\n", metric->name, metric->value(daemon));
}

static void print_steps(const struct step_times *times, struct text *text)
{
	text_print(text, "# HELP bcachefuse_step_seconds Steps of the event loop, during each of "
			 "which no request makes progress.\n"
			 "# TYPE bcachefuse_step_seconds histogram\n");
	metrics_histogram("bcachefuse_step_seconds", "", times->counts, STEP_CLASSES, STEP_CLASS_NS,
			  times->sum_ns, text);
	text_print(text, "# HELP bcachefuse_step_seconds_max The longest step since a set was "
			 "started.\n# TYPE bcachefuse_step_seconds_max gauge\n"
			 "bcachefuse_step_seconds_max %.17g\n",
		   times->longest_ns / NS_PER_SECOND);
}

void daemon_metrics_print(const struct daemon *daemon, struct text *text)
{
	for (unsigned i = 0; i < ARRAY_SIZE(daemon_metrics); i++)
		print_daemon_metric(daemon, &daemon_metrics[i], text);
	print_steps(reactor_step_times(daemon->reactor), text);
}
