/*
 * The rules that must hold when a damaged set is used.
 *
 * The set is mounted read-only, read-write with some writes, and read-write again, each time
 * with the result of the mount before.  For each mount:
 *
 * (JUDGE-1) It is refused with a sentence that names a member; or it mounts, reads and writes
 *     end, with success or an error, and it stops and releases everything.
 * (JUDGE-2) The engine never uses more than a gigabyte of memory.
 * (JUDGE-3) A set that is refused, or mounted read-only, is not written to.
 *
 * Before, an offline check looks at it (src/check):
 *
 * (JUDGE-6) It ends, writes nothing, gives all its memory back, and its sentences are such, too.
 * (JUDGE-7) Of a set that is refused in any of the mounts it says that something is wrong.
 *
 * And the damage does not get worse:
 *
 * (JUDGE-4) A set that mounted read-write mounts again, and has the same volumes.
 * (JUDGE-5) Data that could be read can be read again, unchanged unless they were written.  But
 *     clean data may be replaced by the content of the backing device, which has a copy.
 */
#pragma once

#include "damage.h"

enum verdict { VERDICT_REFUSED, VERDICT_READ_ONLY, VERDICT_READ_WRITE };

/* Fails by sim_fail().  `name`: of the input, for messages; `out` (a FILE) is told what happens. */
enum verdict judge(const uint8_t *data, size_t bytes, const char *name, void *out);
