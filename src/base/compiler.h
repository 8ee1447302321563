/*
 * Extensions of the language: scope guards, container_of, printf checks, and the
 * annotations by which clang checks the use of the set lock.
 *
 * A function marked LOCKED may be called only with the set lock held, between set_lock()
 * and set_unlock() (cache/cache_set.h).  clang tracks a role instead of the lock itself:
 * nobody ever holds two set locks, so one role serves all sets.  gcc ignores it.
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef __clang__
#define THREAD_SAFETY(x) __attribute__((x))
#else
#define THREAD_SAFETY(x)
#endif

struct THREAD_SAFETY(capability("role")) role {
	char unused;
};
extern struct role set_lock_role;

#define LOCKED THREAD_SAFETY(requires_capability(set_lock_role))
#define LOCKS_SET THREAD_SAFETY(acquire_capability(set_lock_role)) \
	THREAD_SAFETY(no_thread_safety_analysis)
#define UNLOCKS_SET THREAD_SAFETY(release_capability(set_lock_role)) \
	THREAD_SAFETY(no_thread_safety_analysis)

#define PRINTF(at, arguments) __attribute__((format(printf, at, arguments)))
#define UNUSED __attribute__((unused))
#define MUST_CHECK __attribute__((warn_unused_result))

#define container_of(pointer, type, member) \
	((type *)((char *)(pointer) - offsetof(type, member)))
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static inline void autofree_pointer(void *pointer)
{
	free(*(void **)pointer);
}
static inline void autoclose_descriptor(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define autofree __attribute__((cleanup(autofree_pointer)))
#define autoclose __attribute__((cleanup(autoclose_descriptor)))
