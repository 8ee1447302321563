/*
 * Looks at a damaged set with src/check, as "bcachefuse check" does with files.
 */
#include "inspect.h"

#include <stdio.h>

#include "../sim/sim.h"
#include "check/check.h"

enum { MEMBERS_MAX = 8, STEPS_MAX = 1 << 20 };

struct inspection {
	struct check_watch watch;
	struct check_member member[MEMBERS_MAX];
	FILE *out;
	uint64_t faults, steps;
};

static void take(struct check_watch *watch, const struct check *check,
		 const struct check_fault *fault)
{
	struct inspection *inspection = container_of(watch, struct inspection, watch);
	const struct check_kind *kind = check_kind(fault->id);

	if (!*fault->error.text)
		sim_fail("check: %s without a sentence", kind->name);
	for (const char *c = fault->error.text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			sim_fail("check: words with a control character: \"%s\"",
				 fault->error.text);
	if (fault->has_range && fault->from.volume > fault->to.volume && check->has_root)
		sim_fail("check: a range that ends before it begins");
	inspection->faults += kind->severity != CHECK_NOTE;
	if (inspection->out)
		fprintf(inspection->out, "check: %s: %s\n", kind->name, fault->error.text);
}

/* Each step reads a node or more of the devices, so their number is bounded by the sizes. */
static bool go_on(struct check_watch *watch, enum check_phase phase UNUSED, uint64_t done UNUSED,
		  uint64_t total UNUSED)
{
	struct inspection *inspection = container_of(watch, struct inspection, watch);

	if (inspection->steps++ == STEPS_MAX)
		sim_fail("check: does not end");
	return true;
}

static void open_all(struct inspection *inspection, const char *const *paths, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct check_member *member = &inspection->member[i];

		member->path = paths[i];
		if (device_open(&member->device, paths[i], DEVICE_READ_ONLY, &member->error))
			sim_fail("check: %s", member->error.text);
	}
}

uint64_t inspect_set(const char *const *paths, unsigned count, void *out)
{
	struct inspection inspection = { .watch = { .take = take, .go_on = go_on }, .out = out };
	struct check check = { .member = inspection.member, .members = count,
			       .watch = &inspection.watch, .against_backing = true };
	uint64_t changes = sim_changes();

	open_all(&inspection, paths, count);
	check_superblocks(&check);
	check_without_cache(&check);
	for (unsigned i = 0; i < count; i++) {
		if (!check_member_is_cache(&check.member[i]) || check.member[i].is_twice)
			continue;
		check_set(&check, &check.member[i]);
		check_done(&check);
	}
	for (unsigned i = 0; i < count; i++)
		device_close(inspection.member[i].device);
	sim_check_nothing_left();
	if (sim_changes() != changes)
		sim_fail("check: has written");
	return inspection.faults;
}
