/*
 * Marks: states that only some runs of the simulator reach.
 *
 *	SIM_SOMETIMES("a fill is cancelled by a write");
 *	SIM_SOMETIMES_IF(!free_buckets, "an entry enters the last free journal bucket");
 *
 * The simulator counts the seeds that reach each mark, and lists the marks that none
 * reached: nothing tests such a state.  It has its own build of the engine, compiled with
 * SIM_MARKS; in the program a mark generates no code.
 */
#pragma once

#ifdef SIM_MARKS

struct sim_mark {
	const char *text, *file;
	unsigned line;
	unsigned reached;	/* by this seed; tests/sim/marks.c */
};

/* The linker gathers the addresses of all marks in the section sim_marks. */
#define SIM_SOMETIMES(what) do { \
	static struct sim_mark mark_ = { .text = (what), .file = __FILE__, .line = __LINE__ }; \
	static struct sim_mark *const mark_address_ \
		__attribute__((section("sim_marks"), used)) = &mark_; \
	mark_.reached++; \
} while (0)
#define SIM_SOMETIMES_IF(condition, what) do { \
	if (condition) \
		SIM_SOMETIMES(what); \
} while (0)

#else

#define SIM_SOMETIMES(what) ((void)0)
/* The condition is compiled, so that it stays valid, but not evaluated. */
#define SIM_SOMETIMES_IF(condition, what) ((void)sizeof(!(condition)))

#endif
