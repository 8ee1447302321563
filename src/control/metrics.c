/*
 * Metrics as tables, a file for each kind of object: name, help, kind, and the function that
 * returns the number.
 *
 * A value is a double, as it is for Prometheus: integers are exact up to 2^53, and 17 digits
 * give the same double again.  Names follow its conventions: base units (bytes, seconds), and
 * _total for counters, which only grow, until clear_stats or a restart sets them to 0.
 *
 * All is read on the reactor's thread, to which the counters of volumes and devices belong;
 * figures of a set come from facts.h, which takes them under the set lock.
 */
#include "control/metrics.h"

void metrics_head(const char *of, const char *name, const char *help, enum metric_kind kind,
		  struct text *text)
{
	text_print(text, "# HELP bcachefuse_%s_%s %s\n# TYPE bcachefuse_%s_%s %s\n", of, name, help,
		   of, name, kind == METRIC_COUNTER ? "counter" : "gauge");
}

/* The whole text is made in one step, so all of it is from one moment. */
void metrics_print(struct daemon *daemon, struct text *text)
{
	daemon_metrics_print(daemon, text);
	volume_metrics_print(daemon, text);
	set_metrics_print(daemon, text);
	device_metrics_print(daemon, text);
}
