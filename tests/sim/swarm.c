/*
 * Draws the weights of a seed, and by them.
 */
#include "swarm.h"

#include <stdio.h>

#include "sim.h"

enum { ZERO_PERCENT = 40, LOG2_OF_WEIGHT_MAX = 6 };
_Static_assert(1 << LOG2_OF_WEIGHT_MAX == SWARM_WEIGHT_MAX, "the largest weight is drawn");

struct thing {
	enum swarm_group group;
	const char *name;
};

#define SWARM_ROW(group, thing, name) { SWARM_##group, name },
static const struct thing things[SWARM_COUNT] = { SWARM_THINGS(SWARM_ROW) };
#undef SWARM_ROW

static const char *const group_names[SWARM_GROUPS] = { "requests", "sizes", "places",
						       "operations", "faults" };

void swarm_draw(struct swarm *swarm)
{
	for (unsigned i = 0; i < SWARM_COUNT; i++) {
		unsigned weight = 1 << sim_random(LOG2_OF_WEIGHT_MAX + 1);

		swarm->weight[i] = sim_chance(ZERO_PERCENT) ? 0 : weight;
	}
}

static unsigned total(const struct swarm *swarm, enum swarm_group group)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < SWARM_COUNT; i++)
		sum += things[i].group == group ? swarm->weight[i] : 0;
	return sum;
}

enum swarm_thing swarm_choose(const struct swarm *swarm, enum swarm_group group)
{
	unsigned sum = total(swarm, group), luck;

	if (!sum)
		return SWARM_NOTHING;
	luck = sim_random(sum);
	for (unsigned i = 0; i < SWARM_COUNT; i++) {
		unsigned weight = things[i].group == group ? swarm->weight[i] : 0;

		if (luck < weight)
			return i;
		luck -= weight;
	}
	return SWARM_NOTHING;
}

const char *swarm_name(enum swarm_thing thing)
{
	return thing < SWARM_COUNT ? things[thing].name : "nothing";
}

void swarm_print(const struct swarm *swarm)
{
	for (enum swarm_group group = 0; group < SWARM_GROUPS; group++) {
		printf("  %s:", group_names[group]);
		for (unsigned i = 0; i < SWARM_COUNT; i++)
			if (things[i].group == group && swarm->weight[i])
				printf(" %s %u", things[i].name, swarm->weight[i]);
		printf("\n");
	}
}
