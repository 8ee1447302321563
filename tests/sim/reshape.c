/*
 * Flash-only volumes change their size, or are destroyed and made anew, under load and power cuts.
 *
 * A volume shrinks and grows again to its size; for the model that is a write of zeros
 * behind the new end (FLASH-1).  Or it is destroyed, and another one is made: zeros all over.
 * Meanwhile nobody uses it, so that no request is refused; the rest of its set is under load.
 *
 * An operation that a cut, an error or another tuner left half done is mended by the next start
 * (reshape_mend()).
 */
#include "life.h"

#include <errno.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "blame.h"

enum { SECTOR = 512, SLOTS_TO_SPARE = 20, WAIT_NS = 1000000,
       GAP_NS_MAX = 50000000 };

/* Volumes that attach need slots, too, and none is ever used again. */
static bool has_slots(const struct cache_set *set)
{
	unsigned unused = 0;

	for (unsigned i = 0; i < set->uuid_slots; i++)
		unused += uuid_is_zero(set->uuids[i].uuid);
	return unused >= SLOTS_TO_SPARE;
}

static bool may_be_reshaped(const struct plan_volume *v)
{
	return v->is_flash && volume_may_be_used(v) && v->sectors % v->block_sectors == 0 &&
	       v->sectors > v->block_sectors && has_slots(v->volume->set);
}

static struct plan_volume *find_flash(struct plan *plan)
{
	for (unsigned i = 0; i < plan->volumes; i++)
		if (may_be_reshaped(&plan->volume[i]))
			return &plan->volume[i];
	return NULL;
}

/* From now on nobody begins to use it. */
bool reshape_begin(struct tuner *tuner)
{
	struct plan_volume *v = find_flash(tuner->life->plan);

	if (!v)
		return false;
	v->is_reshaped = true;
	tuner->reshaped = v;
	tuner->stage = RESHAPE_WAIT;
	timer_start(&tuner->timer, WAIT_NS, &tuner->waiter.op);
	return true;
}

/* Those who still use it come first.  False: it has gone meanwhile. */
static bool start_first_stage(struct tuner *tuner)
{
	struct plan_volume *v = tuner->reshaped;
	bool is_remade = tuner->doing == SWARM_REMAKE;
	uint64_t end = 0;

	if (!v->volume || v->volume->is_stopping)
		return false;
	if (v->volume->opens) {
		timer_start(&tuner->timer, WAIT_NS, &tuner->waiter.op);
		return true;
	}
	tuner->stage = RESHAPE_FIRST;
	if (!is_remade)
		end = v->block_sectors * (1 + sim_random(v->sectors / v->block_sectors - 1));
	model_begin(v->model, &tuner->zeros, MODEL_ZERO, end * SECTOR, (v->sectors - end) * SECTOR,
		    true, NULL);
	if (is_remade)
		volume_destroy(v->volume, &tuner->waiter.error, &tuner->waiter.op);
	else
		volume_resize(v->volume, end, &tuner->waiter.error, &tuner->waiter.op);
	return true;
}

/* False: its set or the volume has gone meanwhile, or is about to. */
static bool start_second_stage(struct tuner *tuner)
{
	struct plan_volume *v = tuner->reshaped;
	struct cache_set *set = tuner->life->set[0];	/* plan_add_flash() */
	bool is_remade = tuner->doing == SWARM_REMAKE;

	if (!set || set->is_stopping || !is_remade != !!v->volume)
		return false;
	tuner->stage = RESHAPE_SECOND;
	if (is_remade)
		set_create_volume(set, v->sectors, &tuner->waiter.error, &tuner->waiter.op);
	else
		volume_resize(v->volume, v->sectors, &tuner->waiter.error, &tuner->waiter.op);
	return true;
}

bool reshape_goes_on(struct tuner *tuner, int error)
{
	struct plan_volume *v = tuner->reshaped;
	bool is_whole = tuner->stage == RESHAPE_SECOND && !error;

	if (!v)
		return false;
	life_refresh(tuner->life);
	if (tuner->stage == RESHAPE_WAIT) {
		if (start_first_stage(tuner))
			return true;
		tuner->reshaped = NULL;
		v->is_reshaped = false;
		return false;
	}
	if (!error && tuner->stage == RESHAPE_FIRST) {	/* a cut may come here */
		tuner->stage = RESHAPE_GAP;
		timer_start(&tuner->timer, sim_random(GAP_NS_MAX), &tuner->waiter.op);
		return true;
	}
	if (!error && tuner->stage == RESHAPE_GAP && start_second_stage(tuner))
		return true;
	model_end(v->model, &tuner->zeros, is_whole ? 0 : -EIO, NULL);
	tuner->reshaped = NULL;
	v->is_reshaped = !is_whole;
	if (tuner->doing == SWARM_REMAKE)
		v->label[0] = '\0';
	return false;
}

bool reshape_mend(struct life *life, struct plan_volume *v)
{
	struct cache_set *set = life->set[0];

	if (v->volume && v->volume->sectors == v->sectors) {
		v->is_reshaped = false;
		return true;
	}
	SIM_SOMETIMES_IF(!v->volume, "a cut comes between the end of a volume and the next one");
	SIM_SOMETIMES_IF(v->volume, "a cut comes while a volume is smaller");
	life_waiter_init(life, &life->waiter);
	if (!set)
		return life_start_failed(life, "without its set", v->model->id);
	if (v->volume)
		volume_resize(v->volume, v->sectors, &life->waiter.error, &life->waiter.op);
	else
		set_create_volume(set, v->sectors, &life->waiter.error, &life->waiter.op);
	if (!life_wait_and_expect(life, &life->waiter, START_SECONDS, "mending a volume"))
		return false;
	if (life->waiter.result)
		return life_start_failed(life, "not mended", v->model->id);
	v->is_reshaped = false;
	v->label[0] = '\0';
	life_refresh(life);
	return true;
}
