/*
 * Aligned memory for device transfers.
 *
 * Buffers of 2 MiB or more are aligned for huge pages, so that registering them with the
 * ring pins few pages.
 */
#include "io/buffer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/numbers.h"

enum { HUGE_PAGE_BYTES = 2 << 20 };

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
	void *memory = buffer_try_new(bytes);

	if (!memory) {
		log_error("no memory for %zu bytes of buffers", bytes);
		abort();
	}
	return memory;
}

void buffer_free(void *memory)
{
	free(memory);
}
