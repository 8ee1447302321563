/*
 * Which requests go around the cache, decided before a read or write starts.
 *
 * A read that is bypassed still shows what is cached, but does not keep what it missed.  A
 * write that is bypassed goes to the backing device alone, and takes older data out of the
 * cache.  Writes that become dirty data have a limit of their own, which is lower
 * (wants_writeback() in write_way.c).
 *
 * The rules, of which the first one that applies decides, are the kernel's, but for its rule about
 * read-ahead, which FUSE does not tell us of:
 *
 *	a flash-only volume: writes are never bypassed			into the cache
 *	    and reads keep nothing, since all of it is cached		around
 *	the volume is detaching, or its set is read-only; or, for a
 *	    read, its set stops						around
 *	the mode is none; or writearound, for a write			around
 *	more than IN_USE_BYPASS_ABOVE percent of the buckets are in use	around
 *	it is no multiple of the set's blocks				around
 *	it belongs to a stream of sequential_cutoff bytes or more	around
 *	the cache device is congested, and it belongs to a stream that
 *	    is longer than the congestion allows			around
 *	otherwise							into the cache
 *
 * So the beginning of a stream is cached, up to the cutoff, and the rest is not
 * (sequential.h, congestion.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

enum { IN_USE_BYPASS_ABOVE = 95 };	/* percent of the buckets in use, as in the kernel */
#define SEQUENTIAL_CUTOFF_BYTES (UINT32_C(4) << 20)	/* by default */

enum bypass_kind { BYPASS_READ, BYPASS_WRITE };

struct volume;

/* The read or write that is asked about. */
struct bypass_question {
	enum bypass_kind kind;
	uint64_t start, sectors;	/* key sectors: all blocks that it touches */
	uint64_t offset, bytes;		/* of the volume, as the user asked for it */
	uint32_t task;
};

/*
 * To be called once for each request, or chunk of one, to a volume with a set, when it has
 * entered: streams are followed by it.
 */
bool bypass_decide(struct volume *volume, const struct bypass_question *question) LOCKED;
