/*
 * Aligned memory for device transfers; and pools of equal buffers, allocated and
 * prefaulted at the start, so that the I/O path never allocates.
 *
 * (BUFFER-1) Every buffer is aligned to a page.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "io/op.h"

enum { BUFFER_ALIGN = 4096 };

/* Page-aligned, zeroed; freed with buffer_free(). Never NULL: the program ends instead. */
void *buffer_new(size_t bytes);
/* For sizes that come from a disk or a user: NULL if there is no memory. */
void *buffer_try_new(size_t bytes) MUST_CHECK;
void buffer_free(void *memory);

struct buffer_pool {
	void *memory;
	unsigned count;
	unsigned free_count;
	size_t bytes;		/* of each */
	void **free;
	struct waitlist waiting;
};

void buffer_pool_init(struct buffer_pool *pool, unsigned count, size_t bytes);
void buffer_pool_done(struct buffer_pool *pool);
/* NULL if none is free: then `op`, if not NULL, waits for one. */
void *buffer_get(struct buffer_pool *pool, struct op *op);
void buffer_put(struct buffer_pool *pool, void *buffer);
