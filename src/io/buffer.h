/*
 * Aligned memory for device transfers, prefaulted when it is allocated.
 *
 * (BUFFER-1) Every buffer is aligned to a page.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum { BUFFER_ALIGN = 4096 };

/* Page-aligned, zeroed; freed with buffer_free(). Never NULL: the program ends instead. */
void *buffer_new(size_t bytes);
/* For sizes that come from a disk or a user: NULL if there is no memory. */
void *buffer_try_new(size_t bytes) MUST_CHECK;
void buffer_free(void *memory);
