/*
 * The set lock in the simulator.  There is one thread, so it only checks that nobody takes the
 * locks of two sets, or one lock twice.
 */
#include "io/lock.h"

#include "world.h"

struct lock {
	unsigned char unused;
};

struct lock *lock_new(void)
{
	return malloc(sizeof(struct lock));
}

void lock_free(struct lock *lock)
{
	if (lock && world.inside == lock)
		sim_fail("a lock is freed while it is held");
	free(lock);
}

void lock_acquire(struct lock *lock)
{
	if (world.inside)
		sim_fail(world.inside == lock ? "a set is entered twice" :
			 "a second set is entered");
	world.inside = lock;
}

void lock_release(struct lock *lock)
{
	if (world.inside != lock)
		sim_fail("a set is left by someone who is not in it");
	world.inside = NULL;
}
