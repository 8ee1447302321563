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

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define NS_PER_SECOND 1e9

const char *const metrics_way_names[TRAFFIC_WAYS] = {
	[TRAFFIC_READ_HIT] = "read_hit", [TRAFFIC_READ_MISS] = "read_miss",
	[TRAFFIC_READ_BYPASS] = "read_bypass", [TRAFFIC_WRITE_BACK] = "write_back",
	[TRAFFIC_WRITE_THROUGH] = "write_through", [TRAFFIC_WRITE_BYPASS] = "write_bypass",
	[TRAFFIC_WAY_FLUSH] = "flush", [TRAFFIC_WAY_DISCARD] = "discard",
};

const char *metrics_value(char text[METRIC_VALUE_BYTES], double value)
{
	if (isinf(value))
		return value > 0 ? "+Inf" : "-Inf";
	snprintf(text, METRIC_VALUE_BYTES, "%.17g", value);
	return text;
}

void metrics_head(const char *of, const char *name, const char *help, enum metric_kind kind,
		  struct text *text)
{
	text_print(text, "# HELP bcachefuse_%s_%s %s\n# TYPE bcachefuse_%s_%s %s\n", of, name, help,
		   of, name, kind == METRIC_COUNTER ? "counter" : "gauge");
}

/*
 * A histogram of Prometheus is cumulative: the sample of each bound counts all that took no longer.
 */
void metrics_histogram(const char *name, const char *labels, const uint64_t *counts,
		       unsigned classes, uint64_t first_ns, uint64_t sum_ns, struct text *text)
{
	const char *open = *labels ? "{" : "", *comma = *labels ? "," : "";
	const char *close = *labels ? "}" : "";
	uint64_t count = 0;

	for (unsigned i = 0; i < classes - 1; i++) {
		count += counts[i];
		text_print(text, "%s_bucket{%s%sle=\"%.10g\"} %" PRIu64 "\n", name, labels,
			   comma, (first_ns << i) / NS_PER_SECOND, count);
	}
	count += counts[classes - 1];
	text_print(text, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma,
		   count);
	text_print(text, "%s_sum%s%s%s %.17g\n%s_count%s%s%s %" PRIu64 "\n", name, open, labels,
		   close, sum_ns / NS_PER_SECOND, name, open, labels, close, count);
}

/* The whole text is made in one step, so all of it is from one moment. */
void metrics_print(struct daemon *daemon, struct text *text)
{
	daemon_metrics_print(daemon, text);
	volume_metrics_print(daemon, text);
	set_metrics_print(daemon, text);
	device_metrics_print(daemon, text);
}
