/*
 * What the engine may do with a damaged set.
 *
 * The set is mounted read-only, read-write with some writes, and read-write again, each time on
 * what the life before has left.  In each of them:
 *
 * (JUDGE-1) It is refused with a sentence that names a member, or it mounts; reading
 *     and writing end, with success or an error; and it stops, giving back all that it
 *     had.
 * (JUDGE-2) The engine never holds more than a gigabyte.
 * (JUDGE-3) What is refused, and all that is mounted read-only, is not written to.
 *
 * And it is not worse afterwards than before:
 *
 * (JUDGE-4) What mounted read-write mounts again, and has the same volumes.
 * (JUDGE-5) What could be read can be read again, and is the same, unless it was
 *     written.  Only clean data, which the backing device has as well, may give way to
 *     what that has.
 */
#pragma once

#include "damage.h"

enum verdict { VERDICT_REFUSED, VERDICT_READ_ONLY, VERDICT_READ_WRITE };

/* Fails by sim_fail().  `name`: of the input, for messages; `out` (a FILE) is told what happens. */
enum verdict judge(const uint8_t *data, size_t bytes, const char *name, void *out);
