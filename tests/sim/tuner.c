/*
 * Tuners change settings, stop and register members while requests are in flight.
 *
 * Several of them run at once, so that jobs of lifecycle queue up, and find that their set or
 * volume is gone when their turn comes.  They do what users can do with control files.
 */
#include "blame.h"

#include <errno.h>
#include <stdio.h>

#include "base/sometimes.h"
#include "cache/bypass.h"
#include "io/congestion.h"

#define SECOND UINT64_C(1000000000)

/* ---- what becomes durable by it ---- */

/*
 * Detaching is a flush of a volume (MODEL-6), and so is stopping it; stopping a set is one of all
 * its volumes.
 */
static void flush_begin(struct tuner *tuner, struct plan_volume *v)
{
	unsigned i = v - tuner->life->plan->volume;

	tuner->is_flushing[i] = true;
	model_begin(v->model, &tuner->flush[i], MODEL_FLUSH, 0, 0, false, NULL);
}

static void flushes_end(struct tuner *tuner, int error)
{
	struct plan *plan = tuner->life->plan;

	for (unsigned i = 0; i < plan->volumes; i++) {
		if (tuner->is_flushing[i])
			model_end(plan->volume[i].model, &tuner->flush[i], error, NULL);
		tuner->is_flushing[i] = false;
	}
}

/* ---- operations; false: there is nothing to do it to ---- */

static bool change_mode(struct tuner *tuner, struct plan_volume *v)
{
	if (v->is_flash || !volume_may_be_used(v))
		return false;
	v->mode = sim_random(4);
	volume_set_mode(v->volume, v->mode, &tuner->waiter.error, &tuner->waiter.op);
	return true;
}

static bool change_label(struct tuner *tuner, struct plan_volume *v)
{
	if (!volume_may_be_used(v))
		return false;
	SIM_SOMETIMES_IF(v->is_flash, "the label of a flash-only volume changes");
	v->label_changes++;
	tuner->v = v;
	snprintf(tuner->label, sizeof(tuner->label), "label %u", (unsigned)sim_random(1000000));
	SIM_SOMETIMES_IF(!v->volume->set, "the label of a volume without a set changes");
	volume_set_label(v->volume, tuner->label, &tuner->waiter.error, &tuner->waiter.op);
	return true;
}

static bool detach(struct tuner *tuner, struct plan_volume *v)
{
	if (v->is_flash || !volume_may_be_used(v) || !v->volume->set)
		return false;
	SIM_SOMETIMES_IF(v->volume->in_flight > 1, "a volume is detached with requests in flight");
	flush_begin(tuner, v);
	v->moves++;
	volume_detach(v->volume, &tuner->waiter.error, &tuner->waiter.op);
	return true;
}

/* NULL: there is none, or the one that was drawn has gone. */
static struct cache_set *draw_set(struct life *life)
{
	return life->plan->sets ? life->set[sim_random(life->plan->sets)] : NULL;
}

static bool attach(struct tuner *tuner, struct plan_volume *v)
{
	struct cache_set *set = draw_set(tuner->life);

	if (v->is_flash || !volume_may_be_used(v) || !set || v->volume->set)
		return false;
	SIM_SOMETIMES_IF(v->volume->in_flight > 1, "a volume is attached with requests in flight");
	v->moves++;
	volume_attach(v->volume, set, &tuner->waiter.error, &tuner->waiter.op);
	return true;
}

static bool stop_volume(struct tuner *tuner, struct plan_volume *v)
{
	if (!volume_may_be_used(v))
		return false;
	SIM_SOMETIMES_IF(v->volume->opens, "a volume is stopped that is open");
	SIM_SOMETIMES_IF(!v->volume->opens, "a volume is stopped that nobody uses");
	flush_begin(tuner, v);
	tuner->stops = v;
	tuner->volume_birth = v->volume->birth;
	volume_stop(v->volume, &tuner->waiter.error, &tuner->waiter.op);
	return true;
}

/* Those of its volumes that are open go later: then nothing is promised yet. */
static bool stop_set(struct tuner *tuner, bool unregister)
{
	struct life *life = tuner->life;
	struct plan *plan = life->plan;
	struct cache_set *set = draw_set(life);
	bool is_used = false;

	if (!set || set->is_stopping)
		return false;
	for (unsigned i = 0; i < plan->volumes; i++) {
		struct plan_volume *v = &plan->volume[i];

		if (!v->volume || v->volume->set != set)
			continue;
		is_used |= v->volume->opens != 0;
		if (unregister && !v->is_flash)
			v->moves++;
		flush_begin(tuner, v);
	}
	SIM_SOMETIMES_IF(is_used && !unregister, "a set is stopped with requests in flight");
	SIM_SOMETIMES_IF(is_used && unregister, "a set is unregistered with requests in flight");
	SIM_SOMETIMES_IF(life->set[0] && life->set[1], "one of two sets is stopped");
	if (sim_chance(30))
		life_want_gc(set);
	tuner->set = set == life->set[0] ? 0 : 1;
	tuner->set_birth = set->birth;
	if (unregister)
		set_unregister(set, &tuner->waiter.error, &tuner->waiter.op);
	else
		set_stop(set, &tuner->waiter.error, &tuner->waiter.op);
	return true;
}

/* What has gone comes back; what is there is refused. */
static bool register_member(struct tuner *tuner, struct plan_volume *v)
{
	struct life *life = tuner->life;
	unsigned sets = life->plan->sets, set = sets ? sim_random(sets) : 0;
	bool cache = sets && (v->is_flash || sim_chance(50));
	const char *name = cache ? life->plan->set[set].name : v->name;

	if (v->is_flash && !cache)
		return false;
	SIM_SOMETIMES_IF(cache && !life->set[set] && life->busy, "a set is registered under load");
	SIM_SOMETIMES_IF(!cache && !v->volume && life->set[0], "a volume comes back to its set");
	SIM_SOMETIMES_IF(!cache && !v->volume && !life->set[0],
			 "a volume comes back before its set");
	daemon_register(&life->daemon, name, &tuner->waiter.error, &tuner->waiter.op);
	return true;
}

static bool change_journal_delay(struct tuner *tuner)
{
	struct cache_set *set = draw_set(tuner->life);

	if (!set)
		return false;
	set_lock(set);
	set->journal.delay_ns = (uint64_t[]){ 0, 1000000, 100000000, SECOND }[sim_random(4)];
	set_unlock(set);
	return false;
}

void life_draw_writeback(struct volume *volume)
{
	struct writeback_tunables *tunables = &volume->writeback_tunables;

	tunables->running = sim_chance(80);
	tunables->percent = (unsigned[]){ 0, 0, 0, 1, 10, 40 }[sim_random(6)];
	tunables->delay = (unsigned[]){ 0, 0, 1, 30 }[sim_random(4)];
	tunables->rate_update_seconds = (unsigned[]){ 1, 5 }[sim_random(2)];
	tunables->rate_minimum = (unsigned[]){ 8, 1000 }[sim_random(2)];
	writeback_wake(&volume->writeback);
}

/* Blocks of a volume are 8 sectors at most. */
void life_draw_stripes(struct life *life, struct volume *volume, struct life_waiter *waiter)
{
	if (!volume->stripes && !volume->partial_stripes_expensive)
		volume->stripe_sectors = 8 * (1 + plan_late_random(life->plan, 40));
	volume_set_partial_stripes(volume, plan_late_chance(life->plan, 80), &waiter->error,
				   &waiter->op);
}

static bool change_writeback(struct tuner *tuner, struct plan_volume *v)
{
	if (v->is_flash || !volume_may_be_used(v) || !v->volume->set)
		return false;
	life_draw_writeback(v->volume);
	if (!plan_late_chance(tuner->life->plan, 10))
		return false;
	SIM_SOMETIMES_IF(volume_dirty_bytes(v->volume), "stripes are counted under load");
	life_draw_stripes(tuner->life, v->volume, &tuner->waiter);
	return true;
}

static bool cancel_detach(struct plan_volume *v)
{
	if (!v->is_flash && volume_may_be_used(v))
		volume_cancel_detach(v->volume);
	return false;
}

/* Which buckets are reused first: of a sweep that is under way, too. */
static bool change_setting(struct tuner *tuner)
{
	struct cache_set *set = draw_set(tuner->life);

	if (!set || set->is_stopping)
		return false;
	tuner->set = set == tuner->life->set[0] ? 0 : 1;
	tuner->life->plan->set[tuner->set].setting_changes++;
	tuner->replacement = sim_random(3);
	SIM_RARELY_IF(set->cache.space.refill_state == REFILL_SWEEP,
		      "the policy changes during a sweep",
		      "test_space_refill/of_a_sweep_go_by_the_policy_with_which_it_began");
	set_change_replacement(set, tuner->replacement, &tuner->waiter.error, &tuner->waiter.op);
	return true;
}

/* When requests go around the cache: how long a stream, how slow a device. */
static bool change_bypass(struct tuner *tuner, struct plan_volume *v)
{
	struct cache_set *set = draw_set(tuner->life);
	struct congestion *congestion = set ? device_congestion(set->cache.device) : NULL;

	if (v->volume)
		v->volume->sequential_cutoff =
			(uint32_t[]){ 0, 4096, 65536, SEQUENTIAL_CUTOFF_BYTES }[sim_random(4)];
	if (congestion) {
		congestion->read_threshold_us = (unsigned[]){ 0, 100, 2000 }[sim_random(3)];
		congestion->write_threshold_us = (unsigned[]){ 0, 100, 20000 }[sim_random(3)];
	}
	return false;
}

static bool want_gc(struct tuner *tuner)
{
	struct cache_set *set = draw_set(tuner->life);

	if (!set || set->is_stopping)
		return false;
	set_lock(set);
	set->gc.move.is_enabled = plan_moves(tuner->life->plan);
	set_unlock(set);
	life_want_gc(set);
	return false;
}

static bool operate(struct tuner *tuner)
{
	struct plan *plan = tuner->life->plan;
	struct plan_volume *v = &plan->volume[sim_random(plan->volumes)];

	tuner->doing = swarm_choose(&plan->swarm, SWARM_OPERATIONS);
	switch (tuner->doing) {
	case SWARM_MODE:
		return change_mode(tuner, v);
	case SWARM_LABEL:
		return change_label(tuner, v);
	case SWARM_ATTACH:
		return attach(tuner, v);
	case SWARM_DETACH:
		return detach(tuner, v);
	case SWARM_STOP_VOLUME:
		return stop_volume(tuner, v);
	case SWARM_STOP_SET:
		return stop_set(tuner, false);
	case SWARM_UNREGISTER:
		return stop_set(tuner, true);
	case SWARM_REGISTER:
		return register_member(tuner, v);
	case SWARM_DELAY:
		return change_journal_delay(tuner);
	case SWARM_BYPASS:
		return change_bypass(tuner, v);
	case SWARM_GC:
		return want_gc(tuner);
	case SWARM_WRITEBACK:
		return change_writeback(tuner, v);
	case SWARM_CANCEL:
		return cancel_detach(v);
	case SWARM_SETTING:
		return change_setting(tuner);
	case SWARM_RESIZE:
	case SWARM_REMAKE:
		return reshape_begin(tuner);
	default:
		return false;
	}
}

/* ---- their ends ---- */

/* What only we could get wrong is no refusal: see lifecycle's own words for these. */
static bool may_be_refused(const struct tuner *tuner, int error)
{
	if (error == -ENODEV) {
		SIM_SOMETIMES_IF(tuner->doing != SWARM_NOTHING,
				 "a job finds that its volume or set has gone");
		return true;
	}
	switch (tuner->doing) {
	case SWARM_ATTACH:
		SIM_SOMETIMES_IF(error == -EINVAL, "an attach is refused");
		return error == -EINVAL;
	case SWARM_DETACH:		/* cancelled, or the volume was stopped meanwhile */
		return error == -ECANCELED || error == -EALREADY;
	case SWARM_UNREGISTER:
		return error == -ECANCELED || error == -EBUSY;
	case SWARM_REGISTER:
		return error == -EBUSY || error == -EEXIST;
	case SWARM_LABEL:
	case SWARM_RESIZE:
	case SWARM_REMAKE:
		return error == -EINTR;		/* it is stopping */
	default:
		return false;
	}
}

static bool set_has_gone(struct tuner *tuner)
{
	const struct cache_set *set = tuner->life->set[tuner->set];

	return !set || set->birth != tuner->set_birth;
}

/* Another tuner may have stopped it before, or only a backing device failed meanwhile. */
static void stopped_badly(struct tuner *tuner, int error)
{
	struct life *life = tuner->life;

	life->stopped_badly = true;
	if (error != -ENODEV && blame_may_have_died(life, tuner->set))
		life_set_dies(life, tuner->set);
}

/* A volume that was open goes later: nothing is promised yet. */
static bool volume_has_gone(const struct tuner *tuner)
{
	const struct volume *volume = tuner->stops->volume;

	return !volume || volume->birth != tuner->volume_birth;
}

/* Is what the operation was to make durable still on its way? */
static bool is_promised_later(struct tuner *tuner)
{
	if (tuner->doing == SWARM_STOP_SET || tuner->doing == SWARM_UNREGISTER)
		return !set_has_gone(tuner);
	return tuner->doing == SWARM_STOP_VOLUME && !volume_has_gone(tuner);
}

/* Nothing of a volume that has stopped may be left to be written. */
static void strike_stopped(struct tuner *tuner)
{
	struct plan *plan = tuner->life->plan;

	if (tuner->doing != SWARM_STOP_VOLUME || !volume_has_gone(tuner) ||
	    !plan_late_chance(plan, 60))
		return;
	SIM_SOMETIMES("the power is to go soon after a volume has stopped");
	sim_cut_at_write(sim_writes() + 1 + plan_late_random(plan, 3));
}

static void operation_ended(struct tuner *tuner, int error)
{
	bool is_of_set = tuner->doing == SWARM_STOP_SET || tuner->doing == SWARM_UNREGISTER;
	struct plan_volume *v = tuner->v;
	struct plan_set *of_plan = &tuner->life->plan->set[tuner->set];

	if (error && !blame_has_cause(tuner->life) && !may_be_refused(tuner, error))
		sim_fail("operation %s: error %d: %s", swarm_name(tuner->doing), error,
			 tuner->waiter.error.text);
	life_refresh(tuner->life);
	if (error && is_of_set && set_has_gone(tuner))
		stopped_badly(tuner, error);
	flushes_end(tuner, error ?: is_promised_later(tuner) ? -EBUSY : 0);
	if (!error)
		strike_stopped(tuner);
	if (v)
		snprintf(v->label, sizeof(v->label), "%s", error ? "" : tuner->label);
	if (tuner->doing == SWARM_SETTING && !error && of_plan->setting_changes == 1) {
		of_plan->replacement = tuner->replacement;
		of_plan->setting_changes = 0;
	}
	tuner->v = NULL;
	tuner->waiter.error = (struct error){ 0 };
}

static void tuner_step(struct op *op)
{
	struct tuner *tuner = container_of(op, struct tuner, waiter.op);
	struct life *life = tuner->life;
	int error = op_take_error(op);

	if (tuner->is_operating && reshape_goes_on(tuner, error))
		return;
	if (tuner->is_operating)
		operation_ended(tuner, error);
	tuner->is_operating = false;
	if (life->tuners_stop || life_is_dead(life)) {
		tuner->runs = false;
		return;
	}
	life_refresh(life);
	if (!tuner->is_rested) {
		tuner->is_rested = true;
		timer_start(&tuner->timer,
			    sim_random(life->plan->is_thin ? SECOND / 200 : SECOND / 10), op);
		return;
	}
	tuner->is_rested = false;
	tuner->is_operating = operate(tuner);
	if (!tuner->is_operating)
		op_queue(op);
}

void tuners_start(struct life *life)
{
	life->tuners_stop = false;
	for (unsigned i = 0; i < life->plan->tuners; i++) {
		struct tuner *tuner = &life->tuner[i];

		*tuner = (struct tuner){ .life = life, .runs = !life->is_read_only,
					 .is_rested = sim_chance(20) };
		if (!tuner->runs)
			continue;
		op_init(&tuner->waiter.op, life->reactor, tuner_step);
		op_queue(&tuner->waiter.op);
	}
}

static bool tuners_are_over(void *context)
{
	struct life *life = context;
	bool runs = false;

	for (unsigned i = 0; i < life->plan->tuners; i++)
		runs |= life->tuner[i].runs;
	return !runs;
}

bool tuners_end(struct life *life, uint64_t limit_ns)
{
	life->tuners_stop = true;
	switch (sim_run_until(tuners_are_over, life, limit_ns)) {
	case SIM_DONE:
		return true;
	case SIM_CUT:
		return false;
	default:
		break;
	}
	life_print_waiting(life);
	for (unsigned i = 0; i < life->plan->tuners; i++)
		if (life->tuner[i].runs)
			fprintf(stderr, "  tuner %u: %s\n", i, swarm_name(life->tuner[i].doing));
	sim_fail("an operation does not end");
}
