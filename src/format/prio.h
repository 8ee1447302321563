/*
 * Checks and seals parts of the priority table as they are on disk.
 */
#pragma once

#include "base/error.h"
#include "bcachefuse/prio.h"

/* `bytes`: of the meta bucket.  0, or -EINVAL: "bad magic reading priorities", "bad csum ...". */
int prio_part_check(const struct prio_part_disk *part, unsigned bytes, uint64_t set_magic,
		    struct error *error) MUST_CHECK;
/* Fills in all of the header but the checksum; returns that of the header, to go on with. */
uint64_t prio_part_begin(struct prio_part_disk *part, uint64_t set_magic, uint64_t sequence,
			 uint64_t next);
/* Only the first `used` of the meta bucket's `bytes` are at `part`; the rest is zero. */
void prio_part_seal(struct prio_part_disk *part, unsigned used, unsigned bytes, uint64_t set_magic,
		    uint64_t sequence, uint64_t next);
/* Makes an undamaged part one of another set. */
void prio_part_set_magic(struct prio_part_disk *part, unsigned bytes, uint64_t set_magic);
