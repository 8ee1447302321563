/*
 * The engine's memory, so that a power cut can drop it.
 *
 * The program is linked with --wrap for the allocating functions: each block
 * that the engine asks for is in a list, filled with a pattern that is no valid
 * content, and all of them go at once at a cut.  After a clean stop the list
 * must be empty, which finds leaks.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "world.h"

#define BLOCK_MAGIC UINT64_C(0x626c6f636b206f66)

struct block {
	struct list_link link;
	size_t bytes;
	void *base;
	void *caller;
	uint64_t magic;
} __attribute__((aligned(16)));

static struct list blocks = { { &blocks.head, &blocks.head } };

void *__real_malloc(size_t bytes);
void __real_free(void *memory);
void *__real_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *memory, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__wrap_reallocarray(void *memory, size_t count, size_t bytes);
void __wrap_free(void *memory);
void *__wrap_aligned_alloc(size_t align, size_t bytes);
int __wrap_posix_memalign(void **memory, size_t align, size_t bytes);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t bytes);
int __wrap_vasprintf(char **text, const char *format, va_list arguments) PRINTF(2, 0);
int __wrap_asprintf(char **text, const char *format, ...) PRINTF(2, 3);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *memory, size_t bytes);

void *sim_alloc(size_t bytes)
{
	void *memory = __real_malloc(bytes ? bytes : 1);

	assert(memory);
	return memset(memory, 0, bytes);
}

void sim_free(void *memory)
{
	__real_free(memory);
}

static void *map(size_t bytes, int flags)
{
	void *memory = __real_mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				   flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert(memory != MAP_FAILED);
	return memory;
}

void *sim_map(size_t bytes)
{
	return map(bytes, MAP_PRIVATE);
}

void *sim_map_shared(size_t bytes)
{
	return map(bytes, MAP_SHARED);
}

void sim_unmap(void *memory, size_t bytes)
{
	__real_munmap(memory, bytes);
}

static struct block *block_of(void *memory)
{
	struct block *block = (struct block *)memory - 1;

	if (block->magic != BLOCK_MAGIC)
		sim_fail("the engine frees memory that it does not own");
	return block;
}

static void *block_new(size_t bytes, size_t align, void *caller)
{
	size_t room = bytes + sizeof(struct block) + align;
	char *base = __real_malloc(room);
	uintptr_t at = (uintptr_t)base + sizeof(struct block);
	struct block *block;

	assert(base);
	at = (at + align - 1) / align * align;
	block = (struct block *)at - 1;
	*block = (struct block){ .bytes = bytes, .base = base, .caller = caller,
				 .magic = BLOCK_MAGIC };
	list_add_last(&blocks, &block->link);
	return memset((void *)at, world.fill, bytes);
}

void __wrap_free(void *memory)
{
	struct block *block;

	if (!memory)
		return;
	block = block_of(memory);
	list_remove(&block->link);
	block->magic = 0;
	__real_free(block->base);
}

void *__wrap_malloc(size_t bytes)
{
	return block_new(bytes, 16, __builtin_return_address(0));
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	if (bytes && count > SIZE_MAX / 2 / bytes)
		return NULL;
	return memset(block_new(count * bytes, 16, __builtin_return_address(0)), 0, count * bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
	void *now = block_new(bytes, 16, __builtin_return_address(0));

	if (memory) {
		size_t before = block_of(memory)->bytes;

		memcpy(now, memory, before < bytes ? before : bytes);
		__wrap_free(memory);
	}
	return now;
}

void *__wrap_reallocarray(void *memory, size_t count, size_t bytes)
{
	return __wrap_realloc(memory, count * bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
	return block_new(bytes, align < 16 ? 16 : align, __builtin_return_address(0));
}

int __wrap_posix_memalign(void **memory, size_t align, size_t bytes)
{
	*memory = block_new(bytes, align < 16 ? 16 : align, __builtin_return_address(0));
	return 0;
}

char *__wrap_strndup(const char *text, size_t bytes)
{
	size_t length = strnlen(text, bytes);
	char *copy = block_new(length + 1, 16, __builtin_return_address(0));

	memcpy(copy, text, length);
	copy[length] = 0;
	return copy;
}

char *__wrap_strdup(const char *text)
{
	return __wrap_strndup(text, strlen(text));
}

int __wrap_vasprintf(char **text, const char *format, va_list arguments)
{
	char line[4096];
	int length = vsnprintf(line, sizeof(line), format, arguments);

	assert(length >= 0 && (size_t)length < sizeof(line));
	*text = __wrap_strdup(line);
	return length;
}

int __wrap_asprintf(char **text, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = __wrap_vasprintf(text, format, arguments);
	va_end(arguments);
	return length;
}

/* Mapped memory is fresh zeros: a block does as well. */
void *__wrap_mmap(void *at UNUSED, size_t bytes, int protection UNUSED, int flags UNUSED,
		  int fd, off_t offset UNUSED)
{
	if (fd >= 0)
		sim_fail("the engine maps a file");
	return memset(block_new(bytes, 4096, __builtin_return_address(0)), 0, bytes);
}

int __wrap_munmap(void *memory, size_t bytes)
{
	if (block_of(memory)->bytes != bytes)
		sim_fail("the engine unmaps %zu bytes of %zu", bytes, block_of(memory)->bytes);
	__wrap_free(memory);
	return 0;
}

void memory_drop(void)
{
	for (struct list_link *link; (link = list_first(&blocks));)
		__wrap_free(container_of(link, struct block, link) + 1);
}

size_t memory_blocks(void)
{
	size_t count = 0;

	for (struct list_link *link = list_first(&blocks); link; link = list_next(&blocks, link))
		count++;
	return count;
}

/* Where the first of those that are left came from: for addr2line. */
void memory_print(unsigned count)
{
	struct list_link *link = list_first(&blocks);

	for (; link && count--; link = list_next(&blocks, link)) {
		struct block *block = container_of(link, struct block, link);

		fprintf(stderr, "  %zu bytes, asked for at %p\n", block->bytes, block->caller);
	}
}
