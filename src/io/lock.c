/* The set lock: a mutex that spins a little, since critical sections are short. */
#include "io/lock.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"

struct lock {
	pthread_mutex_t mutex;
};

struct lock *lock_new(void)
{
	struct lock *lock = calloc(1, sizeof(*lock));
	pthread_mutexattr_t attributes;

	if (!lock) {
		log_error("no memory for a lock");
		abort();
	}
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&lock->mutex, &attributes);
	pthread_mutexattr_destroy(&attributes);
	return lock;
}

void lock_free(struct lock *lock)
{
	int busy = lock ? pthread_mutex_destroy(&lock->mutex) : 0;

	assert(!busy);		/* nobody holds it */
	free(lock);
}

void lock_acquire(struct lock *lock)
{
	int error = pthread_mutex_lock(&lock->mutex);

	assert(!error);
}

void lock_release(struct lock *lock)
{
	int error = pthread_mutex_unlock(&lock->mutex);

	assert(!error);
}
