/*
 * Which errors a request may be answered with.  An error is right only if a device failed,
 * and only if the engine could not do without that device:
 *
 *	                        read    write, zero   discard   flush
 *	nothing failed            -          -           -        -
 *	the backing device      its error, for the request that got it
 *	  too often              EIO        EIO         EIO      EIO
 *	the cache device, but the set did not fail:
 *	  the range is clean      -          -           -        -
 *	  perhaps dirty        its error  its error   its error   -
 *	the set failed:
 *	  the volume is clean     -          -           -        -
 *	  it has dirty data:
 *	    the range is clean    -         EIO         EIO      EIO
 *	    perhaps dirty        EIO        EIO         EIO      EIO
 *
 * A range was dirty if data were written to it in writeback mode before the request; a write fails
 * by that only since it reads the rest of a block.  A volume is clean if the index of its
 * set, which does not change any more, has no dirty data of it.  Of a failed set, a range
 * also fails whose node is not in memory.  Where the cache is full instead, ENOSPC is answered
 * for EIO.  In addition, a flash-only volume may be full, and some disks cannot discard.
 *
 * (BLAME-1) An error is answered only if a device failed during the request, or if the set
 *     had failed because of one.  Of two sets only the one to which the volume belongs, or
 *     belonged when the request began, can be the cause.
 * (BLAME-2) A set fails only because of an error of its cache device.
 * (BLAME-3) Once the set has failed, a change or a flush of a clean volume is answered after its
 *     superblock says NONE.
 * (BLAME-4) A flush also tells of what failed on the backing device since the last flush that told
 *     something (VOLUME-4): that need not have been during the request.  It must tell of a flush
 *     that had failed, for whoever it was.
 */
#pragma once

#include <stdbool.h>

#include "life.h"

/* A request of this slot begins: `slot->request` is filled in. */
void blame_begin(struct slot *slot);
/* It was answered: fails the seed if it may not be with this error. */
void blame_end(const struct slot *slot, int error);
/* Likewise, whatever becomes of the answer: what it made dirty is no younger than now. */
void blame_changed(const struct slot *slot);
/* Did any disk answer an error in this life? */
bool blame_has_cause(const struct life *life);
/* Could this set of the plan die in this life (BLAME-2)? */
bool blame_may_have_died(const struct life *life, unsigned set);
/* Could its superblock not be written in this life? */
bool blame_may_keep_superblock(const struct life *life, const struct plan_volume *v);
/* Fails the seed if a set is dead, and its disk never failed (BLAME-2). */
void blame_death(struct life *life);
