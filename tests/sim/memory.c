/*
 * The engine's memory, so that a power cut can drop it.
 *
 * The program is linked with --wrap for the allocating functions: each block
 * that the engine asks for is in a list, filled with a pattern that is no valid
 * content, and all of them go at once at a cut.  After a clean stop the list
 * must be empty, which finds leaks.
 *
 *	| gap | struct block | guard | what the engine has | gap |
 *
 * Under the address sanitizer guard and gaps are poisoned, so that a byte too far
 * is found as in memory of the system's.  Before sim_start() and after sim_end()
 * there is no engine: who asks then (a fuzzer that is linked with us) gets the system's.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "world.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define POISON(memory, bytes) __asan_poison_memory_region(memory, bytes)
#define UNPOISON(memory, bytes) __asan_unpoison_memory_region(memory, bytes)
#else
#define POISON(memory, bytes) ((void)(memory), (void)(bytes))
#define UNPOISON(memory, bytes) ((void)(memory), (void)(bytes))
#endif

/* Of large blocks only the ends are filled: a megabyte takes longer than most lives use it. */
enum { GUARD_BYTES = 32, FILLED_WHOLE_MAX = 65536, FILLED_END = 4096 };
#define BLOCK_MAGIC UINT64_C(0x626c6f636b206f66)

struct block {
	struct list_link link;
	size_t bytes, room;
	char *base;
	void *caller;
	uint64_t magic;
} __attribute__((aligned(16)));

static struct list blocks = { { &blocks.head, &blocks.head } };
static size_t bytes_held;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__real_reallocarray(void *memory, size_t count, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
int __real_posix_memalign(void **memory, size_t align, size_t bytes);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t bytes);
int __real_vasprintf(char **text, const char *format, va_list arguments) PRINTF(2, 0);
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

static void *map(size_t bytes, int flags, int file)
{
	void *memory = __real_mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE,
				   file, 0);

	assert(memory != MAP_FAILED);
	return memory;
}

void *sim_map(size_t bytes)
{
	return map(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

void *sim_map_shared(size_t bytes)
{
	return map(bytes, MAP_SHARED | MAP_ANONYMOUS, -1);
}

void *sim_map_copy(size_t bytes, int file)
{
	return map(bytes, MAP_PRIVATE, file);
}

void sim_unmap(void *memory, size_t bytes)
{
	__real_munmap(memory, bytes);
}

static struct block *block_of(void *memory)
{
	struct block *block = (void *)((char *)memory - GUARD_BYTES - sizeof(*block));

	if (block->magic != BLOCK_MAGIC)
		sim_fail("the engine frees memory that it does not own");
	return block;
}

static void *block_memory(struct block *block)
{
	return (char *)(block + 1) + GUARD_BYTES;
}

static void count_bytes(size_t bytes)
{
	bytes_held += bytes;
	if (world.memory_limit && bytes_held > world.memory_limit)
		sim_fail("the engine holds %zu bytes of memory, %zu of them now, wanted at most "
			 "%zu", bytes_held, bytes, world.memory_limit);
}

static void fill_block(char *at, size_t bytes)
{
	if (bytes <= FILLED_WHOLE_MAX) {
		memset(at, world.fill, bytes);
		return;
	}
	memset(at, world.fill, FILLED_WHOLE_MAX - FILLED_END);
	memset(at + bytes - FILLED_END, world.fill, FILLED_END);
}

static void *block_new(size_t bytes, size_t align, void *caller)
{
	size_t before = sizeof(struct block) + GUARD_BYTES;
	size_t room = bytes + before + align + GUARD_BYTES;
	struct block *block;
	char *base, *at;

	count_bytes(bytes);
	base = __real_malloc(room);
	assert(base);
	at = (char *)(((uintptr_t)base + before + align - 1) / align * align);
	block = (void *)(at - before);
	*block = (struct block){ .bytes = bytes, .room = room, .base = base, .caller = caller,
				 .magic = BLOCK_MAGIC };
	list_add_last(&blocks, &block->link);
	POISON(base, (size_t)((char *)block - base));
	POISON(block + 1, GUARD_BYTES);
	POISON(at + bytes, (size_t)(base + room - (at + bytes)));
	fill_block(at, bytes);
	return at;
}

static void block_free(void *memory)
{
	struct block *block;
	char *base;

	if (!memory)
		return;
	block = block_of(memory);
	base = block->base;
	bytes_held -= block->bytes;
	list_remove(&block->link);
	block->magic = 0;
	UNPOISON(base, block->room);
	__real_free(base);
}

void __wrap_free(void *memory)
{
	if (world.is_alive)
		block_free(memory);
	else
		__real_free(memory);
}

void *__wrap_malloc(size_t bytes)
{
	if (!world.is_alive)
		return __real_malloc(bytes);
	return block_new(bytes, 16, __builtin_return_address(0));
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	if (!world.is_alive)
		return __real_calloc(count, bytes);
	if (bytes && count > SIZE_MAX / 2 / bytes)
		return NULL;
	return memset(block_new(count * bytes, 16, __builtin_return_address(0)), 0, count * bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
	void *now;

	if (!world.is_alive)
		return __real_realloc(memory, bytes);
	now = block_new(bytes, 16, __builtin_return_address(0));
	if (memory) {
		size_t before = block_of(memory)->bytes;

		memcpy(now, memory, before < bytes ? before : bytes);
		block_free(memory);
	}
	return now;
}

void *__wrap_reallocarray(void *memory, size_t count, size_t bytes)
{
	if (!world.is_alive)
		return __real_reallocarray(memory, count, bytes);
	return __wrap_realloc(memory, count * bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
	if (!world.is_alive)
		return __real_aligned_alloc(align, bytes);
	return block_new(bytes, align < 16 ? 16 : align, __builtin_return_address(0));
}

int __wrap_posix_memalign(void **memory, size_t align, size_t bytes)
{
	if (!world.is_alive)
		return __real_posix_memalign(memory, align, bytes);
	*memory = block_new(bytes, align < 16 ? 16 : align, __builtin_return_address(0));
	return 0;
}

char *__wrap_strndup(const char *text, size_t bytes)
{
	size_t length = strnlen(text, bytes);
	char *copy;

	if (!world.is_alive)
		return __real_strndup(text, bytes);
	copy = block_new(length + 1, 16, __builtin_return_address(0));
	memcpy(copy, text, length);
	copy[length] = 0;
	return copy;
}

char *__wrap_strdup(const char *text)
{
	return world.is_alive ? __wrap_strndup(text, strlen(text)) : __real_strdup(text);
}

int __wrap_vasprintf(char **text, const char *format, va_list arguments)
{
	char line[4096];
	int length;

	if (!world.is_alive)
		return __real_vasprintf(text, format, arguments);
	length = vsnprintf(line, sizeof(line), format, arguments);
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
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	if (!world.is_alive)
		return __real_mmap(at, bytes, protection, flags, fd, offset);
	if (fd >= 0)
		sim_fail("the engine maps a file");
	return memset(block_new(bytes, 4096, __builtin_return_address(0)), 0, bytes);
}

int __wrap_munmap(void *memory, size_t bytes)
{
	if (!world.is_alive)
		return __real_munmap(memory, bytes);
	if (block_of(memory)->bytes != bytes)
		sim_fail("the engine unmaps %zu bytes of %zu", bytes, block_of(memory)->bytes);
	block_free(memory);
	return 0;
}

void memory_drop(void)
{
	for (struct list_link *link; (link = list_first(&blocks));)
		block_free(block_memory(container_of(link, struct block, link)));
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
