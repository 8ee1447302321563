/*
 * Plans the repair of a set that nobody uses.
 *
 *	check --> the first kind of fault --> step: planned writes --+
 *	  ^                                                          |
 *	  `--- the members, seen through all planned writes  <-------'
 *
 *	no fault is left: the plan is complete; one that no step mends: there is none
 *
 * A plan is a list of steps.  A step is a fault that check has found, with what mending it costs
 * (ranges of volumes, and whether they were dirty) and what it writes (member, sector, bytes).
 * Writes are kept as patches (io/patches.h), through which check looks at the set again: so the
 * last look sees what the members will be, and whoever applies the plan only writes.
 *
 * (REPAIR-1) Planning only reads, and may fail; applying only writes (src/tools/repair_undo.c).
 * (REPAIR-2) A plan is complete: check finds no trouble behind it, or the set is refused as a
 *     whole.  Half of a repair might take away what another way of mending needs.
 * (REPAIR-3) A stale pointer never becomes current.  Where the table of priorities is lost, a
 *     bucket keeps the generation of its newest pointer only if it has metadata or dirty data,
 *     which are never given to others; the clean data of other buckets are dropped, as nothing
 *     tells whether these were reused.
 * (REPAIR-4) A superblock is rebuilt only where its place in the set is proved: that of a cache by
 *     its journal and a table of priorities that fit, that of a backing device by being the only
 *     one that the set misses, and by clean data which are the same in both places.
 * (REPAIR-5) Clean data go where newer changes of the index are lost: they might be older than
 *     those of the backing device.  Dirty data stay, since there is no other copy.
 *
 * A write that mends may be torn or repeated: no step needs another one to be durable before it,
 * as check finds the same faults, or fewer, until the last byte is written.  A repair that was
 * interrupted is taken back by its undo file, or made again.
 */
#pragma once

#include "check/check.h"
#include "io/patches.h"

enum { REPAIR_SAMPLES = 64 };

/* Extents of a volume in the index: kept for those whose backing device is not known. */
struct repair_volume {
	uint64_t first, end;		/* of all its extents; sectors as in keys */
	struct bkey sample[REPAIR_SAMPLES];	/* clean ones */
	unsigned samples, extents;
};

struct repair_loss {
	struct position from, to;	/* sectors as in keys */
	enum check_loss loss;
};

struct repair_write {
	unsigned member;
	unsigned patch;			/* index in the patches of that member */
};

struct repair_step {
	enum check_id fault;
	unsigned member;
	struct error found;		/* the fault's sentence */
	struct error does;		/* and that of its repair, in `text` */
	struct repair_loss *loss;	/* what it costs */
	unsigned losses, losses_room;
	uint64_t clean_sectors;		/* that are dropped: the backing devices have them */
	unsigned first_write, writes;
};

struct repair_watch {
	/* As that of check; `round` counts its runs. */
	bool (*go_on)(struct repair_watch *watch, unsigned round, enum check_phase phase,
		      uint64_t done, uint64_t total);
};

struct repair {
	/* filled in by the owner */
	struct check_member *member;
	unsigned members;
	uint8_t new_uuid[16];		/* for a cache device that has lost its own */
	uint64_t data_offset;		/* of a backing device that has lost it; 0: not known */
	struct repair_watch *watch;
	/* the plan */
	struct repair_step *step;
	unsigned steps, steps_room;
	struct repair_write *write;
	unsigned writes, writes_room;
	struct patches *patches;	/* of each member */
	/* as far as the last look could tell */
	struct check check;
	/* private */
	struct check_watch check_watch;
	struct check_fault *fault;	/* of the last look */
	unsigned faults, faults_room;
	bool is_short_of_memory;
	bool drops_clean;		/* clean data are still to go: REPAIR-5 */
	bool has_new_leaves, is_rid_of_clean;	/* and these did */
	bool without_priorities;	/* the next look: as if their table were lost */
	unsigned round;
	unsigned char *keeps;		/* by bucket: it has live dirty data */
	struct run clean;		/* clean extents, if they may have to go */
	struct repair_volume *volume;	/* by number */
};

/*
 * Plans.  0: check finds no fault, or none behind the steps.  -EINTR: the watch ended it.
 * -EOPNOTSUPP: a fault that no step mends.  Other -errno: it could not look.  Afterwards
 * repair_done(), in any case.
 */
int repair_plan(struct repair *repair, struct error *error) MUST_CHECK;
void repair_done(struct repair *repair);

static inline const struct patch *repair_patch(const struct repair *repair, unsigned write)
{
	const struct repair_write *w = &repair->write[write];

	return &repair->patches[w->member].patch[w->patch];
}
