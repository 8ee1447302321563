/*
 * DIR/metrics: counters and gauges of all sets and volumes, in Prometheus text format, version
 * 0.0.4.
 */
#pragma once

#include "control/text.h"

struct daemon;

void metrics_print(struct daemon *daemon, struct text *text);

/* ---- its parts ---- */

enum metric_kind { METRIC_GAUGE, METRIC_COUNTER };

/*
 * HELP and TYPE of bcachefuse_OF_NAME: once for each name, before its samples, all of which follow
 * together.
 */
void metrics_head(const char *of, const char *name, const char *help, enum metric_kind kind,
		  struct text *text);
void daemon_metrics_print(const struct daemon *daemon, struct text *text);
void volume_metrics_print(struct daemon *daemon, struct text *text);
void set_metrics_print(struct daemon *daemon, struct text *text);
void device_metrics_print(struct daemon *daemon, struct text *text);
