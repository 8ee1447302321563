/*
 * Aligned memory for device transfers.
 *
 * Buffers of 2 MiB or more are aligned for huge pages, so that registering them with the
 * ring pins few pages.
 */
#include "io/buffer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/numbers.h"

enum { HUGE_PAGE_BYTES = 2 << 20 };

static void *memory_or_end(void *memory, size_t bytes)
{
	if (!memory) {
		log_error("no memory for %zu bytes of buffers", bytes);
		abort();
	}
	return memory;
}

void *buffer_try_new(size_t bytes)
{
	bool huge = bytes >= HUGE_PAGE_BYTES;
	size_t rounded = round_up(max_u64(bytes, 1), BUFFER_ALIGN);
	void *memory = NULL;

	if (posix_memalign(&memory, huge ? HUGE_PAGE_BYTES : BUFFER_ALIGN, rounded))
		return NULL;
	if (huge)
		madvise(memory, rounded, MADV_HUGEPAGE);	/* refused: small pages */
	memset(memory, 0, rounded);			/* and so prefaulted */
	return memory;
}

void *buffer_new(size_t bytes)
{
	return memory_or_end(buffer_try_new(bytes), bytes);
}

void buffer_free(void *memory)
{
	free(memory);
}

void buffer_pool_init(struct buffer_pool *pool, unsigned count, size_t bytes)
{
	assert(count && bytes);
	bytes = round_up(bytes, BUFFER_ALIGN);				/* BUFFER-1 */
	*pool = (struct buffer_pool){ .count = count, .free_count = count, .bytes = bytes };
	pool->memory = buffer_new(count * bytes);
	pool->free = memory_or_end(calloc(count, sizeof(*pool->free)), count);
	waitlist_init(&pool->waiting);
	for (unsigned i = 0; i < count; i++)
		pool->free[i] = (char *)pool->memory + (count - 1 - i) * bytes;
}

void buffer_pool_done(struct buffer_pool *pool)
{
	assert(pool->free_count == pool->count);
	assert(waitlist_empty(&pool->waiting));
	free(pool->free);
	buffer_free(pool->memory);
	*pool = (struct buffer_pool){ .memory = NULL };
}

void *buffer_get(struct buffer_pool *pool, struct op *op)
{
	if (pool->free_count)
		return pool->free[--pool->free_count];
	if (op)
		waitlist_join(&pool->waiting, op);
	return NULL;
}

void buffer_put(struct buffer_pool *pool, void *buffer)
{
	size_t offset = (char *)buffer - (char *)pool->memory;

	assert(offset % pool->bytes == 0 && offset / pool->bytes < pool->count);
	assert(pool->free_count < pool->count);
	pool->free[pool->free_count++] = buffer;
	waitlist_wake_all(&pool->waiting, 0);	/* each asks again, in order */
}
