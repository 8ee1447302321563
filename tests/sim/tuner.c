/*
 * The tuner changes settings while requests are under way.
 */
#include "blame.h"

#include <errno.h>

#define SECOND UINT64_C(1000000000)

static void tuner_change_mode(struct life *life)
{
	struct plan_volume *v = &life->plan->volume[sim_random(life->plan->volumes)];

	if (v->is_flash)
		return;
	v->mode = sim_random(4);
	volume_set_mode(v->volume, v->mode, &life->tuner.error, &life->tuner.op);
}

/* Out of its set, or into it again; dirty data keep it in, and slots run out. */
static void tuner_attach(struct life *life)
{
	struct plan_volume *v = &life->plan->volume[sim_random(life->plan->volumes)];

	if (!life->set || v->is_flash)
		return;
	life->tuner_attaches = true;
	if (v->volume->set) {
		life->tuner_detaches = v;
		model_begin(v->model, &life->tuner_flush, MODEL_FLUSH, 0, 0, false, NULL);
		volume_detach(v->volume, &life->tuner.error, &life->tuner.op);
	} else {
		volume_attach(v->volume, life->set, &life->tuner.error, &life->tuner.op);
	}
}

static bool tuner_was_refused(const struct life *life, int error)
{
	return life->tuner_attaches && (error == -EBUSY || error == -EINVAL);
}

static void tuner_step(struct op *op)
{
	struct life *life = container_of(op, struct life, tuner.op);
	int error = op_take_error(op);

	if (error && !blame_has_cause(life) && !tuner_was_refused(life, error))
		sim_fail("changing a setting: error %d: %s", error, life->tuner.error.text);
	if (life->tuner_detaches)	/* V6 */
		model_end(life->tuner_detaches->model, &life->tuner_flush, error, NULL);
	life->tuner_detaches = NULL;
	life->tuner.error = (struct error){ 0 };
	life->tuner_attaches = false;
	if (life->tuner_stops || life_is_dead(life)) {
		life->tuner_runs = false;
		return;
	}
	timer_start(&life->tuner_timer, sim_random(SECOND / 10), op);
	switch (swarm_choose(&life->plan->swarm, SWARM_OPERATIONS)) {
	case SWARM_MODE:
		tuner_change_mode(life);
		return;
	case SWARM_ATTACH:
	case SWARM_DETACH:
		tuner_attach(life);
		return;
	case SWARM_GC:
		if (!life->set)
			return;
		set_enter(life->set);
		gc_trigger(&life->set->gc);
		set_leave(life->set);
		return;
	default:
		return;
	}
}

void tuner_start(struct life *life)
{
	life->tuner = (struct life_waiter){ .is_done = false };
	op_init(&life->tuner.op, life->reactor, tuner_step);
	life->tuner_runs = true;
	life->tuner_stops = false;
	life->tuner_detaches = NULL;
	op_queue(&life->tuner.op);
}

static bool tuner_is_over(void *context)
{
	struct life *life = context;

	return !life->tuner_runs;
}

bool tuner_end(struct life *life)
{
	life->tuner_stops = true;
	switch (sim_run_until(tuner_is_over, life, LIVENESS_SECONDS * SECOND)) {
	case SIM_DONE:
		return true;
	case SIM_CUT:
		return false;
	default:
		life_print_waiting(life);
		sim_fail("a change of a setting does not end");
	}
}
