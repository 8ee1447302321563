/*
 * The set lock.  It is held for short critical sections only, never across a wait; the
 * simulator's lock checks that.
 *
 * The layers below `cache` do not know the set, so their own ops take the lock by these
 * functions; all others use set_lock() and set_unlock().
 */
#pragma once

#include "base/compiler.h"

struct lock;

struct lock *lock_new(void);
void lock_free(struct lock *lock);
void lock_acquire(struct lock *lock) LOCKS_SET;
void lock_release(struct lock *lock) UNLOCKS_SET;
