/*
 * How long a reactor's steps take: a step is a call of an op's step function, or of a
 * completion's.  While one runs, no request makes progress.
 *
 * One look at the clock ends a step and begins the next.  On a busy machine the thread may
 * lose its processor in the middle of a step, and the step would seem long; but asking for
 * the thread's own CPU time is a system call.  So that is asked for only after a step, or a
 * turn, that ends CPU_CHECK_NS or more after it was asked for last: what the step has used is
 * at most what the thread has used since then.
 *
 * (STEP-1) A step counts with the time that passed or with the CPU time of the thread since
 *     the last check, whichever is less.  The sum is too high by less than CPU_CHECK_NS a step.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	STEP_CLASSES = 18,
	STEP_CLASS_NS = 1953,	/* class i: shorter than this << i; class 10 ends at 2 ms */
	CPU_CHECK_NS = 100000,
};

struct step_times {
	uint64_t counts[STEP_CLASSES];	/* the last class holds all longer ones, too */
	uint64_t sum_ns;
	uint64_t longest_ns;		/* since the start, or since a step that was forgetting */
	bool is_forgetting;		/* the current step is one of these */
	uint64_t began_ns;		/* of the current step, monotonic */
	uint64_t checked_ns, checked_cpu_ns;	/* the last check, by both clocks */
};

static inline unsigned step_class(uint64_t ns)
{
	unsigned class = 0;

	while (class < STEP_CLASSES - 1 && ns >= (uint64_t)STEP_CLASS_NS << class)
		class++;
	return class;
}

/* True: before the step ends, step_times_check() has to be told the thread's CPU time. */
static inline bool step_times_check_is_due(const struct step_times *times, uint64_t now_ns)
{
	return now_ns - times->checked_ns >= CPU_CHECK_NS;
}

/* The CPU time that the thread used since the last check. */
static inline uint64_t step_times_check(struct step_times *times, uint64_t now_ns, uint64_t cpu_ns)
{
	uint64_t used_ns = cpu_ns - times->checked_cpu_ns;

	times->checked_ns = now_ns;
	times->checked_cpu_ns = cpu_ns;
	return used_ns;
}

/* A step has ended, and another one begins; `most_ns`: of step_times_check(), or UINT64_MAX. */
static inline void step_times_add(struct step_times *times, uint64_t now_ns, uint64_t most_ns)
{
	uint64_t ns = now_ns - times->began_ns;

	if (ns > most_ns)
		ns = most_ns;
	times->counts[step_class(ns)]++;
	times->sum_ns += ns;
	if (times->is_forgetting)
		times->longest_ns = 0;
	else if (ns > times->longest_ns)
		times->longest_ns = ns;
	times->is_forgetting = false;
	times->began_ns = now_ns;
}
