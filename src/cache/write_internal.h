/*
 * Shared by write.c and write_way.c; private to this folder.
 */
#pragma once

#include "cache/request.h"

/* 0: `way` is chosen. -EAGAIN: the op waits for state DIRTY to be durable (ORDER-17), or for gc. */
int cache_write_decide(struct cache_write *write) MUST_CHECK;
/*
 * Does the write hide dirty data (hides_dirty)?  0: that is known, and writeback copies nothing to
 * its range (RANGE-3).  -EAGAIN: `op` waits for a node, or for a copy to end.  -errno: the set
 * failed.
 */
int cache_write_look(struct cache_write *write) MUST_CHECK;
