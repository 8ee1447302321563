/*
 * Prints durations as people say them, like "45 s", with a unit that fits.
 */
#pragma once

#include <stdint.h>

enum { DURATION_TEXT_BYTES = 32 };

/* Whole seconds, minutes, hours or days, at least "1 s"; "unknown" if it is INFINITY. */
const char *duration_print(char text[DURATION_TEXT_BYTES], double seconds);
/* Three digits at most, from "8 us" to "2.1 s". */
const char *latency_print(char text[DURATION_TEXT_BYTES], uint64_t ns);
