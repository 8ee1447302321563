/*
 * The marks of base/sometimes.h: how many seeds reached which.
 *
 * Each seed runs in a process of its own, so the counts lie in memory that all of
 * them share.  Marks stand in the engine and in the simulator itself, which sees
 * states from outside.
 */
#pragma once

#include <stdbool.h>

#include "base/sometimes.h"

/* Before the first seed. */
void marks_open(void);
/* In the process of a seed, when it has passed: what it reached counts. */
void marks_save(void);
/*
 * Prints how many marks were reached, and each that was not; `all`: each one with its count.
 * Returns the number of those that were not reached but should be.
 */
unsigned marks_report(bool all);
