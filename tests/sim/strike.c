/*
 * Faults aimed at a state: the disk of a set begins to fail while its ring is full, say, or
 * the power goes then.
 *
 * Faults by rate come at any time, mostly early: a set dies of them before it comes to a state
 * that takes much work to reach, or that lasts only a moment.
 */
#include "life.h"

enum { STRIKE_PERCENT = 10, FULL_RING_PERCENT = 40, STRIKE_RATE = 300000 };

void strike_draw(struct life *life)
{
	bool may_strike = life->plan->sets && !life->is_read_only && !life->plan->is_spared;

	life->strike = STRIKE_NONE;
	if (may_strike && sim_chance(STRIKE_PERCENT))
		life->strike = 1 + sim_random(STRIKES - 1);
	if (may_strike && life->plan->is_storm && sim_chance(FULL_RING_PERCENT))
		life->strike = STRIKE_RING_IS_FULL;
	life->strike_is_cut = sim_chance(life->strike == STRIKE_RING_IS_FULL ? 80 : 20);
}

void strike_now(struct plan *plan)
{
	unsigned set = plan->sets ? sim_random(plan->sets) : 0;
	struct sim_faults faults = { .write_errors = STRIKE_RATE, .flush_errors = STRIKE_RATE };

	if (plan->sets)
		sim_disk_set_faults(plan->set[set].cache, &faults);
}

static bool has_come(enum strike strike, const struct cache_set *set) LOCKED
{
	switch (strike) {
	case STRIKE_RING_IS_FULL:
		return !waitlist_empty(&set->journal.reclaimed);
	case STRIKE_SET_STOPS:
		return set->is_stopping;
	case STRIKE_INDEX_WORKS:
		return !index_is_at_rest(&set->index);
	default:
		return false;
	}
}

static void strike_disk(const struct life *life, struct sim_disk *cache)
{
	struct sim_faults faults = { .write_errors = STRIKE_RATE };

	if (life->strike_is_cut) {
		sim_cut_at_write(sim_writes() + 1 + sim_random(20));
		return;
	}
	faults.flush_errors = sim_chance(50) ? STRIKE_RATE : 0;
	sim_disk_set_faults(cache, &faults);
}

void strike_look(struct life *life)
{
	if (life->strike == STRIKE_NONE)
		return;
	life_refresh(life);
	for (unsigned i = 0; i < life->plan->sets && life->strike != STRIKE_NONE; i++) {
		struct cache_set *set = life->set[i];
		bool strikes;

		if (!set || !set->is_running)
			continue;
		set_lock(set);
		strikes = has_come(life->strike, set);
		set_unlock(set);
		if (!strikes)
			continue;
		life->strike = STRIKE_NONE;
		strike_disk(life, life->plan->set[i].cache);
	}
}
