/*
 * An offline check of a damaged set (JUDGE-6).
 */
#pragma once

#include <stdint.h>

/* How many faults, and things that could not be looked at; `out` (a FILE) is told of each. */
uint64_t inspect_set(const char *const *paths, unsigned count, void *out);
