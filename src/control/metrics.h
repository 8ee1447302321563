/*
 * DIR/metrics: counters and gauges of all sets and volumes, in Prometheus text format, version
 * 0.0.4.
 */
#pragma once

#include <stdint.h>

#include "cache/traffic.h"
#include "control/text.h"

struct daemon;

void metrics_print(struct daemon *daemon, struct text *text);

/* ---- its parts ---- */

enum metric_kind { METRIC_GAUGE, METRIC_COUNTER };

enum { METRIC_VALUE_BYTES = 32 };

/* As a number is written there: "12.5", "+Inf". */
const char *metrics_value(char text[METRIC_VALUE_BYTES], double value);
/*
 * HELP and TYPE of bcachefuse_OF_NAME: once for each name, before its samples, all of which follow
 * together.
 */
void metrics_head(const char *of, const char *name, const char *help, enum metric_kind kind,
		  struct text *text);
/*
 * The samples of a histogram `name`: one for each class, the first of which ends at `first_ns` and
 * each other one at twice that of the one before, but the last one, which has no end.  `labels`:
 * a="b",c="d", or empty.
 */
void metrics_histogram(const char *name, const char *labels, const uint64_t *counts,
		       unsigned classes, uint64_t first_ns, uint64_t sum_ns, struct text *text);
/* "read_hit", ... */
extern const char *const metrics_way_names[TRAFFIC_WAYS];
void daemon_metrics_print(const struct daemon *daemon, struct text *text);
void volume_metrics_print(struct daemon *daemon, struct text *text);
void set_metrics_print(struct daemon *daemon, struct text *text);
void device_metrics_print(struct daemon *daemon, struct text *text);
