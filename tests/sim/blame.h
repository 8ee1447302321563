/*
 * Which error a request may be answered with: by whose fault, and by what lies where.
 *
 *	                        read    write, zero   discard   flush
 *	nothing failed            -          -           -        -
 *	the backing device      its own error, to whom it happened
 *	the cache device, and the set lives:
 *	  the range is clean      -          -           -        -
 *	  perhaps dirty        its own    its own        -        -
 *	the set is dead:
 *	  the volume is clean     -         EIO         EIO      EIO
 *	  perhaps dirty          EIO        EIO         EIO      EIO
 *
 * That is what the engine keeps today.  It is less than what is wanted (ORDER-26):
 * a dead set refuses writes even of a volume that has nothing dirty, which shall carry
 * on with its backing device alone one day.  What is written to a volume that may write
 * back counts as dirty, and stays so: nothing is ever written back.  Beside all that, a
 * flash-only volume may be full, and some disks cannot discard.
 *
 * (BLAME-1) An error needs a device that failed meanwhile, or a set that died of one.
 * (BLAME-2) A set dies only of an error of its cache device.
 */
#pragma once

#include <stdbool.h>

#include "life.h"

/* A request of this slot begins: `slot->request` is filled in. */
void blame_begin(struct slot *slot);
/* It was answered: fails the seed if it may not be with this error. */
void blame_end(const struct slot *slot, int error);
/* Did any disk answer an error in this life? */
bool blame_has_cause(const struct life *life);
/* Could the set die in this life (BLAME-2)? */
bool blame_may_have_died(const struct life *life);
/* Fails the seed if the set is dead, and its disk never failed (BLAME-2). */
void blame_death(struct life *life);
