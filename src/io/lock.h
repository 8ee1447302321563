/*
 * The lock by which a set is entered.  Held for moments, never across a wait;
 * the simulator's only checks that.
 *
 * The layers below the set know it as this lock: their own ops enter and leave
 * the set by it.
 */
#pragma once

#include "base/compiler.h"

struct lock;

struct lock *lock_new(void);
void lock_free(struct lock *lock);
void lock_acquire(struct lock *lock) ENTERS_SET;
void lock_release(struct lock *lock) LEAVES_SET;
