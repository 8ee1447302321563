/*
 * Which requests go around the cache, decided before a read or write starts.
 *
 * A read that is bypassed still shows what is cached, but does not keep what it missed.  A
 * write that is bypassed goes to the backing device alone, and takes older data out of the
 * cache.  Writes that become dirty data have a limit of their own, which is lower (write.c).
 */
#pragma once

#include <stdbool.h>

enum { IN_USE_BYPASS_ABOVE = 95 };	/* percent of the buckets in use, as in the kernel */

enum bypass_kind { BYPASS_READ, BYPASS_WRITE };

struct volume;

/* Called once the request has entered, without the set lock.  Changes and counts nothing. */
bool bypass_decide(const struct volume *volume, enum bypass_kind kind);
