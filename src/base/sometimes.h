/*
 * Marks: states that only some runs of the simulator reach.
 *
 *	SIM_SOMETIMES("a fill is cancelled by a write");
 *	SIM_SOMETIMES_IF(!free_buckets, "an entry enters the last free journal bucket");
 *
 * The simulator counts the seeds that reach each mark, and lists the marks that none
 * reached: nothing tests such a state.  It has its own build of the engine, compiled with
 * SIM_MARKS; in the program a mark generates no code.
 *
 *	SIM_RARELY("gc splits a node", "test_index_split/splits_what_fills_more");
 *
 * marks a state that a thousand seeds cannot be asked to reach: it takes hours, a set that
 * another implementation left, or two things in one turn of the reactor.  It names the unit
 * test that does reach it; tests/tidy/marks.sh checks that this test exists.
 */
#pragma once

#ifdef SIM_MARKS

struct sim_mark {
	const char *text, *file;
	const char *unit_test;	/* of a rare one; NULL: seeds must reach it */
	unsigned line;
	unsigned reached;	/* by this seed; tests/sim/marks.c */
};

/* The linker gathers the addresses of all marks in the section sim_marks. */
#define SIM_MARK(what, test) do { \
	static struct sim_mark mark_ = { .text = (what), .file = __FILE__, .line = __LINE__, \
					 .unit_test = (test) }; \
	static struct sim_mark *const mark_address_ \
		__attribute__((section("sim_marks"), used)) = &mark_; \
	mark_.reached++; \
} while (0)
#define SIM_SOMETIMES(what) SIM_MARK(what, NULL)
#define SIM_RARELY(what, test) SIM_MARK(what, test)
#define SIM_SOMETIMES_IF(condition, what) do { \
	if (condition) \
		SIM_SOMETIMES(what); \
} while (0)
#define SIM_RARELY_IF(condition, what, test) do { \
	if (condition) \
		SIM_RARELY(what, test); \
} while (0)

#else

#define SIM_SOMETIMES(what) ((void)0)
#define SIM_RARELY(what, test) ((void)0)
/* The condition is compiled, so that it stays valid, but not evaluated. */
#define SIM_SOMETIMES_IF(condition, what) ((void)sizeof(!(condition)))
#define SIM_RARELY_IF(condition, what, test) ((void)sizeof(!(condition)))

#endif
