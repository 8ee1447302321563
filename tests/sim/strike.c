/*
 * Faults aimed at a state: the disk of a set begins to fail while its ring is full, say, or
 * the power goes then.
 *
 * Faults by rate come at any time, mostly early: a set dies of them before it comes to a state
 * that takes much work to reach, or that lasts only a moment.
 *
 * Or the file system below a cache device is full for a while, which no set may die of: what it
 * must write waits for room.
 */
#include "blame.h"

#include "base/sometimes.h"

enum { STRIKE_PERCENT = 10, FULL_RING_PERCENT = 40, CLEAN_PERCENT = 20, STRIKE_RATE = 300000,
       FULL_PERCENT = 15, FULL_AFTER_NS_MAX = 300000000, LAST_STOP_PERCENT = 20,
       LAST_REQUESTS = 30 };
#define FULL_NS_MAX UINT64_C(3000000000)
#define LAST_DELAY_NS UINT64_C(600000000000)

void strike_draw(struct life *life)
{
	bool may_strike = life->plan->sets && !life->is_read_only && !life->plan->is_spared;

	life->strike = STRIKE_NONE;
	if (may_strike && sim_chance(STRIKE_PERCENT))
		life->strike = 1 + sim_random(STRIKES - 1);
	if (may_strike && life->plan->is_storm && sim_chance(FULL_RING_PERCENT))
		life->strike = STRIKE_RING_IS_FULL;
	life->strike_is_cut = sim_chance(life->strike == STRIKE_RING_IS_FULL ? 80 : 20);
	if (may_strike && sim_chance(CLEAN_PERCENT)) {
		life->strike = STRIKE_VOLUME_IS_CLEAN;
		life->strike_is_cut = false;
	}
}

void strike_fill(struct plan *plan)
{
	uint64_t from_ns = sim_now() + plan_late_random(plan, FULL_AFTER_NS_MAX);

	for (unsigned i = 0; i < plan->sets; i++)
		if (plan_late_chance(plan, FULL_PERCENT))
			sim_disk_set_full(plan->set[i].cache, from_ns,
					  from_ns + plan_late_random(plan, FULL_NS_MAX));
}

void strike_empty(struct plan *plan)
{
	for (unsigned i = 0; i < plan->sets; i++)
		sim_disk_set_full(plan->set[i].cache, 0, 0);
}

void strike_now(struct plan *plan)
{
	unsigned set = plan->sets ? sim_random(plan->sets) : 0;
	struct sim_faults faults = { .write_errors = STRIKE_RATE, .flush_errors = STRIKE_RATE };

	if (plan->sets)
		sim_disk_set_faults(plan->set[set].cache, &faults);
}

/* A few requests more, whose keys are not durable soon.  False: the power went. */
static bool load_once_more(struct life *life, struct cache_set *set)
{
	struct plan *plan = life->plan;
	struct swarm swarm = plan->swarm;
	unsigned fua_percent = plan->fua_percent;
	bool goes_on;

	if (set) {
		set_lock(set);
		set->journal.delay_ns = LAST_DELAY_NS;
		set_unlock(set);
	}
	/* No flush makes them durable. */
	plan->swarm.weight[SWARM_FLUSH] = plan->fua_percent = 0;
	life->left = LAST_REQUESTS;
	slots_go(life, 4);
	goes_on = slots_wait(life, LAST_DELAY_NS);
	plan->swarm = swarm;
	plan->fua_percent = fua_percent;
	return goes_on;
}

/* One that has a set, if there is any. */
static struct plan_volume *draw_last_stop(struct plan *plan)
{
	unsigned first = plan_late_random(plan, plan->volumes);
	struct plan_volume *v = &plan->volume[first];

	for (unsigned i = 0; i < plan->volumes && !(volume_may_be_used(v) && v->volume->set); i++)
		v = &plan->volume[(first + i) % plan->volumes];
	return v;
}

bool strike_stops_volume(struct life *life)
{
	struct plan *plan = life->plan;
	struct plan_volume *v;

	/* Where a kind of write lags, the cuts are aimed at that. */
	if (sim_lags() || life->is_read_only || plan->is_spared ||
	    !plan_late_chance(plan, LAST_STOP_PERCENT))
		return false;
	life_refresh(life);
	v = draw_last_stop(plan);
	if (!volume_may_be_used(v))
		return false;
	if (!load_once_more(life, v->volume->set))
		return true;
	life_refresh(life);
	if (!volume_may_be_used(v))
		return false;
	model_begin(v->model, &life->last_stop, MODEL_FLUSH, 0, 0, false, NULL);
	life_waiter_init(life, &life->waiter);
	volume_stop(v->volume, &life->waiter.error, &life->waiter.op);
	if (!life_wait_and_expect(life, &life->waiter, START_SECONDS, "stopping a volume"))
		return true;
	if (life->waiter.result && !blame_has_cause(life))
		sim_fail("a volume cannot be stopped: %s", life->waiter.error.text);
	model_end(v->model, &life->last_stop, life->waiter.result, NULL);
	SIM_SOMETIMES("the power goes when a volume has stopped");
	return true;
}

/* One that leaves the set when that dies, after some requests, so that the cache has data of it. */
static bool has_clean_volume(const struct life *life, const struct cache_set *set)
{
	if (life->left > life->plan->requests / 4 * 3)
		return false;
	for (const struct volume *v = set_first_volume(set); v; v = set_next_volume(set, v))
		if (!volume_needs_set(v) && v->mode == MODE_WRITETHROUGH)
			return true;
	return false;
}

static bool has_come(const struct life *life, const struct cache_set *set) LOCKED
{
	switch (life->strike) {
	case STRIKE_RING_IS_FULL:
		return !waitlist_empty(&set->journal.reclaimed);
	case STRIKE_SET_STOPS:
		return set->is_stopping;
	case STRIKE_INDEX_WORKS:
		return !index_is_at_rest(&set->index);
	case STRIKE_VOLUME_IS_CLEAN:
		return has_clean_volume(life, set);
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
		strikes = has_come(life, set);
		set_unlock(set);
		if (!strikes)
			continue;
		SIM_SOMETIMES_IF(life->strike == STRIKE_VOLUME_IS_CLEAN,
				 "a disk fails whose set has a clean volume");
		life->strike = STRIKE_NONE;
		strike_disk(life, life->plan->set[i].cache);
	}
}
