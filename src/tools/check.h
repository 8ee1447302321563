/*
 * The report of `check`: as text, as JSON, and as a list of what is lost.
 */
#pragma once

#include "check/check.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/progress.h"

enum {	/* of check and repair: those of fsck(8), which may be combined */
	CHECK_CLEAN = 0,
	CHECK_ERRORS_LEFT = 4,
	CHECK_COULD_NOT_LOOK = 8,
	CHECK_USAGE = 16,
};

struct check_run {
	struct check_watch watch;
	struct check check;
	/* from the command line */
	bool super_only, as_json;
	const char *lost_path;
	enum progress_style style;
	/* the run */
	struct progress progress;
	enum check_phase phase;
	bool has_phase;
	struct interrupt interrupt;
	FILE *lost;
	struct json json;
	uint64_t count[CHECK_IDS];
};

void check_print_begin(struct check_run *run);
void check_print_fault(struct check_run *run, const struct check *check,
		       const struct check_fault *fault);
/* After the faults of members, before those of sets. */
void check_print_sets(struct check_run *run);
/* Before and after the faults of a set. */
void check_print_set(struct check_run *run, const struct check_member *cache);
void check_print_set_end(struct check_run *run);
/* The verdict.  `code`: the exit code. */
void check_print_end(struct check_run *run, int code);
uint64_t check_count(const struct check_run *run, enum check_severity severity);
