/*
 * Functions shared by the files of repair; private to this folder.
 */
#pragma once

#include "repair/repair.h"

enum { FAULTS_MAX = 4096 };	/* of one look that are kept; the others come with the next one */

/* A step for this fault, or NULL: no memory.  `does` is what its repair does. */
struct repair_step *repair_step_new(struct repair *repair, const struct check_fault *fault,
				    const char *does, ...) PRINTF(3, 4);
/* Writes of the newest step. */
int repair_add_write(struct repair *repair, unsigned member, uint64_t sector, const void *bytes,
		     unsigned sectors, struct error *error) MUST_CHECK;
/* A loss of the newest step; one that follows the one before goes on with that. */
int repair_add_loss(struct repair *repair, struct position from, struct position to,
		    enum check_loss loss, struct error *error) MUST_CHECK;
/* Takes back the newest step, and its writes. */
void repair_drop_step(struct repair *repair);
int repair_no_memory(struct error *error);
/* -EOPNOTSUPP, and why. */
int repair_refuse(struct error *error, const char *format, ...) PRINTF(2, 3);
/* Does the step for this fault stand in the plan already? */
bool repair_has_step(const struct repair *repair, const struct check_fault *fault);
/* The index of the member with this path. */
unsigned repair_member_of(const struct repair *repair, const char *path);
const struct journal_entry_disk *repair_newest_entry(const struct repair *repair);
/* Has the superblock of the member a fault? */
bool repair_is_faulty(const struct repair *repair, unsigned member);
/* The index of the cache among the members. */
unsigned repair_cache(const struct repair *repair);

/*
 * Compares clean data of the volume in the cache with the member.  After a power cut a few may
 * differ, since they are newer in the cache; on another device most do.
 */
struct repair_likeness {
	unsigned same, differ;		/* sectors */
};
void repair_compare(const struct repair *repair, unsigned member, unsigned volume,
		    struct repair_likeness *likeness);

/* Looks at all, through the patches; faults and struct check are left in repair. */
int repair_look(struct repair *repair, struct error *error) MUST_CHECK;

/* Each plans one kind.  0: a step was added. */
typedef int repair_kind_plan(struct repair *repair, const struct check_fault *fault,
			     struct error *error);
repair_kind_plan repair_superblock, repair_backing, repair_priorities, repair_nodes, repair_uuids,
	repair_inner, repair_journal;

/* Does the journal's end look lost, though no entry says so? */
enum repair_end { END_IS_SOUND, END_MAY_BE_LOST, END_IS_LOST };
enum repair_end repair_end_of_journal(const struct repair *repair);
/* REPAIR-5, when no other fault is left. */
int repair_drop_clean(struct repair *repair, struct error *error) MUST_CHECK;
/* The losses of the newest step: these sectors, as far as they are those of volumes. */
int repair_add_losses(struct repair *repair, struct position from, struct position to,
		      struct error *error) MUST_CHECK;
