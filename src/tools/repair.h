/*
 * The command `repair`, in parts:
 *
 *	repair.c	options, the plan's run, the exit code
 *	repair_report.c	the plan as text or JSON
 *	repair_undo.c	the undo file: written before a repair, and taken back
 *	repair_apply.c	writes into members
 *	repair_copy.c	writes copies of members instead
 *
 * The undo file:
 *
 *	[header][member]... [record: header, old bytes, new bytes]... [checksum of all before it]
 *
 * (UNDO-1) It is durable, and its directory is, before the first write into a member.
 * (UNDO-2) It has the old bytes of all that is written, and the new ones: a member belongs to it
 *     if each sector that it names has either.  So others are refused, and so are members that
 *     were changed since, as by a mount.
 */
#pragma once

#include "repair/repair.h"
#include "tools/inspect.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/progress.h"

enum {	/* exit codes, as of fsck(8) */
	REPAIR_CLEAN = 0,
	REPAIR_MENDED = 1,
	REPAIR_ERRORS_LEFT = 4,
	REPAIR_FAILED = 8,
	REPAIR_USAGE = 16,
};

enum repair_verdict {
	VERDICT_CLEAN, VERDICT_PLANNED, VERDICT_REPAIRED, VERDICT_REFUSED, VERDICT_FAILED,
	VERDICT_NOT_FINISHED,
};

struct repair_run {
	struct repair repair;
	struct repair_watch watch;
	struct inspect inspect;
	bool only_plan, is_sure, as_json;
	const char *undo_path, *copy_path, *apply_path;
	enum progress_style style;
	struct progress progress;
	bool has_phase;
	unsigned round;
	enum check_phase phase;
	struct interrupt interrupt;
};

uint64_t repair_now_ns(void);
/* False: it is to end. */
bool repair_goes_on(struct repair_run *run, uint64_t done);

void repair_print(struct repair_run *run, enum repair_verdict verdict, const struct error *error);
uint64_t repair_write_bytes(const struct repair_run *run);

/* Of the plan, before it is applied: UNDO-1.  A file that is there already is refused. */
int undo_write(struct repair_run *run, struct error *error) MUST_CHECK;
/* Takes a repair back.  `written`: sectors that were changed. */
int undo_apply(struct repair_run *run, uint64_t *written, struct error *error) MUST_CHECK;

/* All writes of the plan, superblocks last.  *made: how many were. */
int repair_apply(struct repair_run *run, unsigned *made, struct error *error) MUST_CHECK;
/* Copies of all members, as the plan leaves them.  *unreadable: sectors that are zeros there. */
int repair_copy(struct repair_run *run, uint64_t *unreadable, struct error *error) MUST_CHECK;
