/*
 * A library to be preloaded: counts what a program allocates.
 *
 * The count is a 64-bit number at the start of the file that COUNT_ALLOCATIONS names; who
 * wants to know it reads the file while the program runs.  Children that were forked count
 * into the same one.  Memory that is freed is not counted: what is not allocated is not freed.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The C library's own, by the names that stand behind ours. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);

static _Atomic uint64_t before_there_is_a_file;
static _Atomic uint64_t *allocations = &before_there_is_a_file;

static void __attribute__((constructor)) count_into_file(void)
{
	const char *path = getenv("COUNT_ALLOCATIONS");
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	void *map;

	if (fd < 0 || ftruncate(fd, sizeof(*allocations)))
		return;
	map = mmap(NULL, sizeof(*allocations), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		allocations = map;
	close(fd);
}

void *malloc(size_t bytes)
{
	atomic_fetch_add(allocations, 1);
	return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
	atomic_fetch_add(allocations, 1);
	return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
	atomic_fetch_add(allocations, 1);
	return __libc_realloc(memory, bytes);
}

void *memalign(size_t align, size_t bytes)
{
	atomic_fetch_add(allocations, 1);
	return __libc_memalign(align, bytes);
}

void *aligned_alloc(size_t align, size_t bytes)
{
	return memalign(align, bytes);
}

int posix_memalign(void **memory, size_t align, size_t bytes)
{
	*memory = memalign(align, bytes);
	return *memory ? 0 : ENOMEM;
}
