/*
 * Starts the engine, keeps it busy, stops it.
 */
#include "life.h"

#include <string.h>

#include "check.h"

#define SECOND UINT64_C(1000000000)

/* ---- start ---- */

static struct volume *find_volume(struct life *life, const uint8_t uuid[16])
{
	struct list *volumes = &life->daemon.volumes;

	for (struct list_link *link = list_first(volumes); link; link = list_next(volumes, link)) {
		struct volume *volume = container_of(link, struct volume, daemon_link);

		if (!memcmp(volume->uuid, uuid, 16))
			return volume;
	}
	return NULL;
}

static bool life_register(struct life *life, const char *name)
{
	life_waiter_init(life, &life->waiter);
	daemon_register(&life->daemon, name, &life->waiter.error, &life->waiter.op);
	return life_wait_and_expect(life, &life->waiter, "registering");
}

/* The cache device comes at a random place among the others. */
static bool register_all(struct life *life)
{
	struct plan *plan = life->plan;
	unsigned place = plan->has_set ? sim_random(plan->volumes + 1) : plan->volumes + 1;

	for (unsigned i = 0; i <= plan->volumes; i++) {
		if (i == place && !life_register(life, "cache"))
			return false;
		if (i < plan->volumes && !plan->volume[i].is_flash &&
		    !life_register(life, plan->volume[i].name))
			return false;
	}
	return true;
}

static bool volume_bring_up(struct life *life, struct plan_volume *v)
{
	v->volume = find_volume(life, v->uuid);
	if (!v->volume)
		sim_fail("volume %u is not there after the start", v->model->id);
	if (!v->volume->is_exported) {
		if (life->plan->has_set)
			sim_fail("volume %u is not exported after the start", v->model->id);
		life_waiter_init(life, &life->waiter);
		volume_run(v->volume, &life->waiter.error, &life->waiter.op);
		if (!life_wait_and_expect(life, &life->waiter, "running without a set"))
			return false;
	}
	if (v->volume->sectors != v->sectors)
		sim_fail("volume %u has %llu sectors, wanted %llu", v->model->id,
			 (unsigned long long)v->volume->sectors, (unsigned long long)v->sectors);
	if (life->plan->has_set && v->volume->set != life->set && !life->plan->detaches)
		sim_fail("volume %u is not attached after the start", v->model->id);
	return true;
}

bool life_start(struct life *life, struct plan *plan)
{
	struct daemon_options options = { .node_memory_bytes = plan->node_memory_bytes };
	struct error error;
	struct list_link *first;

	life->plan = plan;
	life->set = NULL;
	life->errors_expected = life->tuner_runs = life->tuner_stops = false;
	memset(&life->daemon, 0, sizeof(life->daemon));
	memset(&life->tuner_timer, 0, sizeof(life->tuner_timer));
	life->reactor = reactor_new(&error);
	life->blocking = blocking_new(&error);
	slots_init(life);
	daemon_init(&life->daemon, life->reactor, life->blocking, &options);
	if (!register_all(life))
		return false;
	first = list_first(&life->daemon.sets);
	if (first)
		life->set = container_of(first, struct cache_set, link);
	if (plan->has_set && (!life->set || !life->set->is_running))
		sim_fail("the set does not run after the start");
	for (unsigned i = 0; i < plan->volumes; i++)
		if (!volume_bring_up(life, &plan->volume[i]))
			return false;
	return true;
}

bool life_is_dead(const struct life *life)
{
	return life->set && health_error(&life->set->health) != 0;
}

/* ---- load ---- */

/* Requests are still being started: only that none waits too long is of interest. */
static bool load_is_over(void *context)
{
	struct life *life = context;

	return life->left == 0 || life_is_dead(life) || life->busy == 0;
}

static void switch_faults(struct life *life, bool on)
{
	struct plan *plan = life->plan;
	unsigned slow = plan->is_storm ? 50000 : 3000;	/* a leaf's write, while entries go on */
	struct sim_faults faults = { .slow = on ? slow : 0,
				     .stuck = on && sim_chance(30) ? 100 : 0 };

	plan_set_faults(plan, &faults);
	if (!on || !plan->has_errors || !sim_chance(60))
		return;
	life->errors_expected = true;
	faults.read_errors = sim_random(4000);
	faults.write_errors = sim_random(2) * sim_random(4000);
	faults.flush_errors = sim_random(2) * sim_random(4000);
	if (plan->has_set && sim_chance(50))
		sim_disk_set_faults(plan->cache, &faults);
	else
		sim_disk_set_faults(plan->volume[0].disk, &faults);
}

bool life_load(struct life *life, unsigned requests)
{
	life->look = NULL;
	life->left = requests;
	switch_faults(life, true);
	tuner_start(life);
	slots_go(life, life->plan->slots);
	while (!load_is_over(life)) {
		unsigned before = life->left;

		switch (sim_run_until(load_is_over, life, 2 * LIVENESS_SECONDS * SECOND)) {
		case SIM_CUT:
			return false;
		case SIM_DONE:
			break;
		default:
			if (life->left != before)
				continue;
			life_print_waiting(life);
			sim_fail("no request ends any more");
		}
	}
	switch_faults(life, false);
	return slots_wait(life, LIVENESS_SECONDS * SECOND) && tuner_end(life);
}

bool life_check(struct life *life)
{
	if (!life->set || life_is_dead(life))
		return true;
	return check_set(life);
}

bool life_stop(struct life *life)
{
	life_waiter_init(life, &life->waiter);
	daemon_stop(&life->daemon, &life->waiter.error, &life->waiter.op);
	if (!life_wait_and_expect(life, &life->waiter, "stopping"))
		return false;
	daemon_done(&life->daemon);
	blocking_free(life->blocking);
	reactor_free(life->reactor);
	sim_check_nothing_left();
	return true;
}
