/*
 * DIR/metrics: everything that can be counted, in the text format of Prometheus.
 */
#pragma once

#include "control/text.h"
#include "lifecycle/daemon.h"

void metrics_print(struct daemon *daemon, struct text *text);
