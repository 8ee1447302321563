/*
 * Parts of the priority table as bytes.
 */
#pragma once

#include "base/error.h"
#include "bcachefuse/prio.h"

/* `bytes`: of the meta bucket.  0, or -EINVAL: "bad magic reading priorities", "bad csum ...". */
int prio_part_check(const struct prio_part_disk *part, unsigned bytes, uint64_t set_magic,
		    struct error *error) MUST_CHECK;
/* Of the meta bucket's `bytes` the first `used` are at `part`, the others are zero. */
void prio_part_seal(struct prio_part_disk *part, unsigned used, unsigned bytes, uint64_t set_magic,
		    uint64_t sequence, uint64_t next);
