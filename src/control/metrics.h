/*
 * DIR/metrics: counters and gauges of all sets and volumes, in Prometheus text format, version
 * 0.0.4.
 */
#pragma once

#include "control/text.h"
#include "lifecycle/daemon.h"

void metrics_print(struct daemon *daemon, struct text *text);
/* The part of it about devices (device_metrics.c). */
void device_metrics_print(struct daemon *daemon, struct text *text);
