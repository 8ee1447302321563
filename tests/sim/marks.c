/*
 * Adds up the marks of all seeds.
 */
#include "marks.h"

#include <stdio.h>
#include <string.h>

#include "sim.h"

/* By the linker: the section with the addresses of all marks. */
extern struct sim_mark *const __start_sim_marks[], *const __stop_sim_marks[];

static unsigned *seeds_reached;		/* by mark; shared by all processes */

static unsigned marks_count(void)
{
	return __stop_sim_marks - __start_sim_marks;
}

/* Two marks of one name could not be told apart. */
static void check_names(void)
{
	for (unsigned i = 0; i < marks_count(); i++)
		for (unsigned k = 0; k < i; k++)
			if (!strcmp(__start_sim_marks[i]->text, __start_sim_marks[k]->text))
				sim_fail("two marks are called \"%s\"",
					 __start_sim_marks[i]->text);
}

void marks_open(void)
{
	check_names();
	seeds_reached = sim_map_shared(marks_count() * sizeof(seeds_reached[0]));
}

void marks_save(void)
{
	for (unsigned i = 0; i < marks_count(); i++) {
		if (__start_sim_marks[i]->reached)
			__atomic_add_fetch(&seeds_reached[i], 1, __ATOMIC_RELAXED);
		__start_sim_marks[i]->reached = 0;
	}
}

static void print_mark(const struct sim_mark *mark, unsigned seeds)
{
	const char *file = strstr(mark->file, "/src/") ?: strstr(mark->file, "/tests/");

	printf("%8u  %s (%s:%u)%s%s\n", seeds, mark->text, file ? file + 1 : mark->file,
	       mark->line, mark->unit_test ? ": rare, " : "", mark->unit_test ?: "");
}

unsigned marks_report(bool all)
{
	unsigned missed = 0, rare = 0;

	for (unsigned i = 0; i < marks_count(); i++) {
		bool is_rare = __start_sim_marks[i]->unit_test != NULL;

		rare += is_rare;
		missed += !seeds_reached[i] && !is_rare;
		if (all || !seeds_reached[i])
			print_mark(__start_sim_marks[i], seeds_reached[i]);
	}
	printf("%u of %u marks reached; %u more are left to unit tests\n",
	       marks_count() - rare - missed, marks_count() - rare, rare);
	return missed;
}
