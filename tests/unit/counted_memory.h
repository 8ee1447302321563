/*
 * Memory that is counted, and that fails when told so.
 *
 * The test is linked with --wrap (counted_memory in tests/local.mk): what the engine and the test
 * allocate comes through here.
 */
#pragma once

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

static int memory_pieces;				/* allocated and not freed */
static unsigned memory_allocations_left = UINT_MAX;	/* until all fail */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
int __real_posix_memalign(void **memory, size_t alignment, size_t bytes);
void __real_free(void *memory);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t bytes);
void __wrap_free(void *memory);

static inline bool memory_is_left(void)
{
	if (!memory_allocations_left)
		return false;
	if (memory_allocations_left != UINT_MAX)
		memory_allocations_left--;
	return true;
}

static inline void *memory_counted(void *memory)
{
	memory_pieces += memory != NULL;
	return memory;
}

void *__wrap_malloc(size_t bytes)
{
	return memory_is_left() ? memory_counted(__real_malloc(bytes)) : NULL;
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return memory_is_left() ? memory_counted(__real_calloc(count, bytes)) : NULL;
}

void *__wrap_realloc(void *memory, size_t bytes)
{
	if (!memory)
		return __wrap_malloc(bytes);
	return memory_is_left() ? __real_realloc(memory, bytes) : NULL;
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t bytes)
{
	int failed = memory_is_left() ? __real_posix_memalign(memory, alignment, bytes) : ENOMEM;

	if (!failed)
		memory_counted(*memory);
	return failed;
}

void __wrap_free(void *memory)
{
	memory_pieces -= memory != NULL;
	__real_free(memory);
}
