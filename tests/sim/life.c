/*
 * Starts the engine, keeps it busy with requests, stops it.
 */
#include "blame.h"

#include <string.h>

#include "base/sometimes.h"
#include "base/numbers.h"
#include "check.h"
#include "format/uuid.h"
#include "lifecycle/internal.h"

/* How often out of a million for each unit of weight. */
enum { STRIPED_PERCENT = 25 };
enum { SLOW_RATE = 400, STUCK_RATE = 2, ERROR_RATE = 60,
       SUPERBLOCK_ERROR_RATE = 10000 };
#define SECOND UINT64_C(1000000000)

/* ---- start ---- */

static struct volume *find_flash(struct life *life)
{
	for (struct volume *volume = daemon_first_volume(&life->daemon); volume;
	     volume = daemon_next_volume(&life->daemon, volume))
		if (volume->is_flash && !volume->is_doomed)
			return volume;
	return NULL;
}

static struct volume *find_volume(struct life *life, const uint8_t uuid[16])
{
	for (struct volume *volume = daemon_first_volume(&life->daemon); volume;
	     volume = daemon_next_volume(&life->daemon, volume))
		if (!memcmp(volume->uuid, uuid, 16))
			return volume;
	return NULL;
}

static bool life_register(struct life *life, const char *name)
{
	life_waiter_init(life, &life->waiter);
	daemon_register(&life->daemon, name, &life->waiter.error, &life->waiter.op);
	return life_wait_and_expect(life, &life->waiter, START_SECONDS, "registering");
}

/* It is not as it should be after a start: some device must have failed. */
bool life_start_failed(struct life *life, const char *what, unsigned id)
{
	if (!blame_has_cause(life))
		sim_fail("%s %u is %s after the start", id ? "volume" : "the set", id, what);
	SIM_SOMETIMES_IF(!life->is_damaged, "a start fails since a device does");
	life->start_failed = true;
	return false;
}

/* The cache devices that come before the volume with this number, or behind them all. */
static bool register_caches(struct life *life, const unsigned *places, unsigned place)
{
	for (unsigned s = 0; s < life->plan->sets; s++)
		if (places[s] == place && !life_register(life, life->plan->set[s].name))
			return false;
	return true;
}

/* Cache devices come at random places among the others. */
static bool register_all(struct life *life)
{
	struct plan *plan = life->plan;
	unsigned places[PLAN_SETS_MAX];

	for (unsigned s = 0; s < plan->sets; s++)
		places[s] = sim_random(plan->volumes + 1);
	for (unsigned i = 0; i <= plan->volumes; i++) {
		if (!register_caches(life, places, i))
			return false;
		if (i < plan->volumes && !plan->volume[i].is_flash &&
		    !life_register(life, plan->volume[i].name))
			return false;
	}
	return true;
}

/* ORDER-17, also where it was otherwise before the start: no request has come yet. */
static void check_says_dirty(struct plan_volume *v)
{
	struct superblock_disk disk;
	struct superblock sb;

	if (v->is_flash || !v->volume->set)
		return;
	sim_disk_read(v->disk, &disk, SUPERBLOCK_SECTOR, SUPERBLOCK_BYTES / 512);
	superblock_decode_unchecked(&sb, &disk);
	if (volume_dirty_bytes(v->volume) && superblock_state(&sb) != STATE_DIRTY)
		sim_fail("volume %u opens with dirty data, and its superblock says %u",
			 v->model->id, superblock_state(&sb));
	SIM_SOMETIMES_IF(v->says_clean && volume_dirty_bytes(v->volume),
			 "a volume said clean, and its set has dirty data of it");
	v->says_clean = false;
}

/* One that names a set and is not in it waits for it. */
static bool is_detached(const struct plan_volume *v)
{
	return !v->is_flash && uuid_is_zero(v->volume->superblock.set_uuid);
}

static bool volume_bring_up(struct life *life, struct plan_volume *v)
{
	life_refresh(life);
	if (v->is_reshaped && life->is_read_only)
		return true;		/* nobody uses it */
	if ((v->is_reshaped || life->is_lied_to) && v->is_flash && !reshape_mend(life, v))
		return false;
	if (!v->volume)
		return life_start_failed(life, "not there", v->model->id);
	if (!v->volume->is_exported) {
		if (life->plan->sets)
			return life_start_failed(life, "not exported", v->model->id);
		life_waiter_init(life, &life->waiter);
		volume_run(v->volume, &life->waiter.error, &life->waiter.op);
		if (!life_wait_and_expect(life, &life->waiter, START_SECONDS,
					  "running without a set"))
			return false;
		if (life->waiter.result)
			return life_start_failed(life, "not running", v->model->id);
	}
	if (v->volume->sectors != v->sectors)
		sim_fail("volume %u has %llu sectors, wanted %llu", v->model->id,
			 (unsigned long long)v->volume->sectors, (unsigned long long)v->sectors);
	/* What is not in the table yet is not attached; what was durable for a liar may be gone. */
	if (life->is_read_only || life->is_lied_to)
		return true;
	if (life->plan->sets && !v->moves && !v->volume->set != v->is_detached)
		return life_start_failed(life, v->is_detached ? "attached" : "not attached",
				    v->model->id);
	if (!v->label_changes && v->label[0] && strcmp(v->label, v->volume->label))
		sim_fail("volume %u is called \"%s\", wanted \"%s\"", v->model->id,
			 v->volume->label, v->label);
	if (v->label_changes)
		v->label[0] = '\0';
	v->label_changes = 0;
	if (!life_has_died(life)) {	/* else it may leave its set any moment */
		v->moves = 0;
		v->is_detached = is_detached(v);
	}
	check_says_dirty(v);
	if (!v->is_flash && life->plan->swarm.weight[SWARM_WRITEBACK])
		life_draw_writeback(v->volume);
	if (v->is_flash || !plan_late_chance(life->plan, STRIPED_PERCENT))
		return true;
	life_waiter_init(life, &life->waiter);
	life_draw_stripes(life, v->volume, &life->waiter);
	return life_wait_and_expect(life, &life->waiter, START_SECONDS, "counting stripes");
}

static void check_settings(const struct life *life, struct plan_set *of_plan,
			   const struct cache_set *set)
{
	enum replacement found;

	if (!set || life->is_lied_to)
		return;
	found = superblock_replacement(&set->cache.superblock);
	if (!of_plan->setting_changes && found != of_plan->replacement)
		sim_fail("set %s has policy %u, wanted %u", of_plan->name, found,
			 of_plan->replacement);
	of_plan->replacement = found;
	of_plan->setting_changes = 0;
}

/* Mostly devices may fail as often as they like, so that much happens behind that. */
static void draw_error_limits(struct life *life)
{
	bool is_usual = sim_chance(20);
	uint64_t halflife = sim_chance(50) ? 0 : 88 * (1 + sim_random(20));

	for (unsigned i = 0; i < life->plan->sets; i++)
		if (life->set[i])
			device_set_error_limit(life->set[i]->cache.device,
					       is_usual ? SET_ERROR_LIMIT : UINT64_MAX, halflife);
	for (unsigned i = 0; i < life->plan->sets; i++)
		if (life->set[i] && sim_chance(30))
			life->set[i]->on_failure = FAILURE_READONLY;
	for (unsigned i = 0; i < life->plan->volumes; i++) {
		struct volume *volume = life->plan->volume[i].volume;

		if (volume && volume->backing)
			device_set_error_limit(volume->backing,
					       is_usual ? VOLUME_ERROR_LIMIT : UINT64_MAX, 0);
	}
}

bool life_start(struct life *life, struct plan *plan)
{
	struct daemon_options options = { .node_memory_bytes = plan->node_memory_bytes,
					  .slice_buckets = plan_slice_buckets(plan),
					  .read_only = life->is_read_only };
	struct error error;

	life->plan = plan;
	memset(life->set, 0, sizeof(life->set));
	life->start_failed = life->stop_failed = life->stopped_badly = false;
	memset(life->has_died, 0, sizeof(life->has_died));
	life->started_ns = sim_now();
	memset(&life->daemon, 0, sizeof(life->daemon));
	plan_set_slowness(plan, true);
	life->reactor = reactor_new(&error);
	life->blocking = blocking_new(&error);
	slots_init(life);
	daemon_init(&life->daemon, life->reactor, life->blocking, &options);
	if (!register_all(life))
		return false;
	life_refresh(life);
	draw_error_limits(life);
	for (unsigned i = 0; i < plan->sets; i++)
		if ((!life->set[i] || !life->set[i]->is_running) && !life->is_read_only)
			return life_start_failed(life, "not running", 0);
	for (unsigned i = 0; i < plan->sets; i++)
		check_settings(life, &plan->set[i], life->set[i]);
	for (unsigned i = 0; i < plan->volumes; i++)
		if (!volume_bring_up(life, &plan->volume[i]))
			return false;
	return true;
}

/* The superblocks that are to be written now cannot be, or the power goes soon. */
static void strike_those_who_leave(struct plan *plan)
{
	const struct sim_faults faults = { .superblock_errors = 700000 };

	for (unsigned i = 0; i < plan->volumes; i++)
		if (plan->volume[i].disk && sim_chance(40))
			sim_disk_set_faults(plan->volume[i].disk, &faults);
	if (sim_chance(30))
		sim_cut_at_write(sim_writes() + 1 + sim_random(30));
}

/* Its volumes leave it, unless they have dirty data: check_failed_set() sees to that. */
void life_set_dies(struct life *life, unsigned set)
{
	struct plan *plan = life->plan;

	if (life->has_died[set])
		return;
	life->has_died[set] = true;
	for (unsigned i = 0; i < plan->volumes; i++)
		plan->volume[i].moves += !plan->volume[i].is_flash;
	if (life->left && !plan->is_spared && !life->is_read_only)
		strike_those_who_leave(plan);
}

/* There is one flash-only volume; made anew it has another UUID. */
static void volume_refresh(struct life *life, struct plan_volume *v)
{
	v->volume = v->is_flash ? find_flash(life) : find_volume(life, v->uuid);
	if (!v->volume)
		return;
	memcpy(v->uuid, v->volume->uuid, sizeof(v->uuid));
	if (v->birth != v->volume->birth)	/* what failed before is no matter of this one's */
		v->seen_ns = sim_now();
	v->birth = v->volume->birth;
}

void life_refresh(struct life *life)
{
	for (unsigned i = 0; i < life->plan->sets; i++) {
		life->set[i] = daemon_find_set(&life->daemon, life->plan->set[i].uuid);
		if (life->set[i] && health_error(&life->set[i]->health))
			life_set_dies(life, i);
	}
	for (unsigned i = 0; i < life->plan->volumes; i++)
		volume_refresh(life, &life->plan->volume[i]);
}

struct plan_set *life_set_of(const struct life *life, const struct volume *volume)
{
	for (unsigned i = 0; i < life->plan->sets; i++)
		if (volume->set &&
		    !memcmp(volume->set->cache.superblock.set_uuid, life->plan->set[i].uuid, 16))
			return &life->plan->set[i];
	return NULL;
}

bool volume_may_be_used(const struct plan_volume *v)
{
	return v->volume && v->volume->is_exported && !v->volume->is_stopping && !v->is_reshaped;
}

bool life_has_died(const struct life *life)
{
	bool has_died = false;

	for (unsigned i = 0; i < life->plan->sets; i++)
		has_died |= life->has_died[i];
	return has_died;
}

bool life_is_dead(struct life *life)
{
	life_refresh(life);
	return life_has_died(life);
}

bool life_ends_dead(struct life *life)
{
	return life_is_dead(life) && !life->goes_on;
}

bool life_set_is_dead(struct life *life, const struct plan_set *set)
{
	life_refresh(life);
	return set && life->has_died[set - life->plan->set];
}

/* ---- load ---- */

/* Requests are still being started: only that none waits too long is of interest. */
static bool load_is_over(void *context)
{
	struct life *life = context;

	return life->left == 0 || life_ends_dead(life) || life->busy == 0;
}

static struct sim_disk *draw_disk(struct plan *plan)
{
	unsigned backing = sim_random(plan->volumes);

	if (plan->sets && sim_chance(50))
		return plan->set[sim_random(plan->sets)].cache;
	return plan->volume[backing].disk ?: plan->volume[0].disk;
}

/* Preferably one whose first dirty data are still to come: state DIRTY is to be written then. */
static struct plan_volume *draw_volume_to_become_dirty(struct plan *plan)
{
	struct plan_volume *v;

	for (unsigned tries = 0; tries < 4; tries++) {
		v = &plan->volume[sim_random(plan->volumes)];
		if (v->volume && v->volume->set && v->volume->mode == MODE_WRITEBACK &&
		    volume_state(v->volume) == STATE_CLEAN)
			break;
	}
	return v;
}

/* Of these no set dies, so that much happens behind them. */
static void switch_mild_faults(struct plan *plan, const struct sim_faults *usual)
{
	struct plan_volume *v = draw_volume_to_become_dirty(plan);
	struct sim_faults faults = *usual;

	faults.no_space = sim_chance(30);
	faults.data_errors = 30000;
	for (unsigned i = 0; i < plan->sets; i++)
		if (sim_chance(25))
			sim_disk_set_faults(plan->set[i].cache, &faults);
	faults.data_errors = 0;
	faults.superblock_errors = sim_chance(50) ? 900000 : 300000;
	faults.read_errors = sim_chance(50) ? 20000 : 0;
	if (v->disk && sim_chance(50))
		sim_disk_set_faults(v->disk, &faults);
}

static void switch_faults(struct life *life, bool on)
{
	const unsigned *weight = life->plan->swarm.weight;
	struct sim_faults faults = { .slow = on ? weight[SWARM_SLOW] * SLOW_RATE : 0,
				     .stuck = on ? weight[SWARM_STUCK] * STUCK_RATE : 0 };

	plan_set_faults(life->plan, &faults);
	if (on && !life->is_read_only && !life->plan->is_spared)
		switch_mild_faults(life->plan, &faults);
	if (!on || !life->plan->has_errors || life->is_read_only || !sim_chance(60))
		return;
	faults.read_errors = weight[SWARM_READ_ERROR] * ERROR_RATE;
	faults.write_errors = weight[SWARM_WRITE_ERROR] * ERROR_RATE;
	faults.flush_errors = weight[SWARM_FLUSH_ERROR] * ERROR_RATE;
	faults.superblock_errors = weight[SWARM_SUPERBLOCK_ERROR] * SUPERBLOCK_ERROR_RATE;
	faults.no_space = sim_chance(30);
	sim_disk_set_faults(draw_disk(life->plan), &faults);
}

void life_faults_at_once(struct plan *plan)
{
	struct sim_faults faults = { .no_space = sim_chance(30) };
	unsigned *const rates[] = { &faults.read_errors, &faults.write_errors,
				    &faults.flush_errors, &faults.now_errors,
				    &faults.superblock_errors };

	for (unsigned kinds = 1 + sim_chance(30); kinds; kinds--)
		*rates[sim_random(ARRAY_SIZE(rates))] =
			(unsigned[]){ 5000, 50000, 300000 }[sim_random(3)];
	sim_disk_set_faults(draw_disk(plan), &faults);
}

static bool all_sets_are_there(const struct life *life)
{
	for (unsigned i = 0; i < life->plan->sets; i++)
		if (!life->set[i])
			return false;
	return life->plan->sets;
}

/* No operation is under way: what became of them is certain. */
static void volumes_settle(const struct life *life)
{
	struct plan *plan = life->plan;

	for (unsigned i = 0; i < plan->volumes; i++) {
		struct plan_volume *v = &plan->volume[i];

		v->label_changes = 0;
		if (!v->volume || !all_sets_are_there(life))
			continue;	/* one of them was stopped: how it was then is not known */
		if (v->moves && blame_has_cause(life))
			continue;	/* a superblock that could not be written may be there */
		v->moves = 0;
		v->is_detached = is_detached(v);
	}
}

/* Disks are slow no more; until when must that be heard which waits for something? */
static void be_quick(struct life *life)
{
	plan_set_slowness(life->plan, false);
	life->deadline_ns = sim_last_event() + LIVENESS_SECONDS * SECOND;
}

/*
 * Liveness: when the last transfer that is slow has ended, all is answered within seconds.
 */
static bool writeback_is_over(void *context)
{
	struct life *life = context;

	life_refresh(life);
	for (unsigned i = 0; i < life->plan->volumes; i++) {
		const struct volume *volume = life->plan->volume[i].volume;

		if (volume && (volume->writeback.state > WRITEBACK_IDLE ||
			       !op_is_idle(&volume->writeback.op)))
			return false;
	}
	return true;
}

/* Nothing is dirty any more, and the superblock says so, unless the set has failed. */
static void expect_clean(const struct plan_volume *v)
{
	const struct volume *volume = v->volume;

	if (!volume || v->is_flash || !volume->set || volume->is_mounted_read_only ||
	    volume->is_stopping || volume->writeback.state == WRITEBACK_OFF ||
	    health_error(&volume->set->health))
		return;
	if (volume_dirty_bytes(volume) || volume_state(volume) == STATE_DIRTY)
		sim_fail("volume %u was written back, has %llu dirty bytes, and state %u",
			 v->model->id, (unsigned long long)volume_dirty_bytes(volume),
			 volume_state(volume));
	SIM_SOMETIMES("all dirty data are written back");
}

/* Lets all be written back, or stops that: nothing is left that goes on by itself. */
static bool writeback_ends(struct life *life)
{
	bool all = sim_chance(40);
	struct plan *plan = life->plan;
	uint64_t limit_ns;

	life_refresh(life);
	for (unsigned i = 0; i < plan->volumes; i++) {
		struct volume *volume = plan->volume[i].volume;

		if (!volume || volume->is_flash)
			continue;
		volume->writeback_tunables.running = all;
		volume->writeback_tunables.percent = 0;
		volume->writeback_tunables.delay = 1;
		writeback_wake(&volume->writeback);
	}
	/* From the moment on at which the last transfer that is stuck has ended. */
	limit_ns = 120 * SECOND + (sim_last_event() > sim_now() ? sim_last_event() - sim_now() : 0);
	switch (sim_run_until(writeback_is_over, life, limit_ns)) {
	case SIM_CUT:
		return false;
	case SIM_DONE:
		break;
	default:
		life_print_waiting(life);
		sim_fail("writeback does not end");
	}
	for (unsigned i = 0; all && i < plan->volumes; i++)
		expect_clean(&plan->volume[i]);
	return true;
}

static bool load_ends(struct life *life)
{
	life->strike = STRIKE_NONE;
	strike_empty(life->plan);
	switch_faults(life, false);
	life->left = 0;
	slots_awake(life);
	be_quick(life);
	if (!slots_wait(life, life->deadline_ns - sim_now()) ||
	    !tuners_end(life, life->deadline_ns - sim_now()) || strike_stops_volume(life))
		return false;
	if (!writeback_ends(life))
		return false;
	life_refresh(life);
	if (!life->is_read_only)
		volumes_settle(life);
	blame_death(life);
	return true;
}

/* CHECK-4, at every moment: a volume with dirty data says so. */
static void look_at_states(const struct life *life)
{
	for (const struct volume *v = daemon_first_volume(&life->daemon); v;
	     v = daemon_next_volume(&life->daemon, v)) {
		if (v->set && !v->is_flash && volume_dirty_bytes(v) &&
		    volume_state(v) != STATE_DIRTY)
			sim_fail("%s has %llu dirty bytes, and state %u", v->name,
				 (unsigned long long)volume_dirty_bytes(v), volume_state(v));
	}
}

/* Between all steps, since those who use the volumes may all be waiting in a state that strikes. */
static bool looks_over(void *context)
{
	strike_look(context);
	look_at_states(context);
	return load_is_over(context);
}

bool life_load(struct life *life, unsigned requests)
{
	life->look = NULL;
	life->left = requests;
	life->goes_on = sim_chance(60);
	switch_faults(life, true);
	strike_draw(life);
	if (!life->is_read_only)
		strike_fill(life->plan);
	tuners_start(life);
	slots_go(life, life->plan->slots);
	while (!looks_over(life)) {
		unsigned before = life->left;

		switch (sim_run_until(looks_over, life, 2 * START_SECONDS * SECOND)) {
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
	return load_ends(life);
}

static bool no_job_has_its_turn(void *context)
{
	struct life *life = context;

	return !life->daemon.sequence_is_running;
}

bool life_check_failed(struct life *life)
{
	if (!life_is_dead(life))
		return true;
	if (sim_run_until(no_job_has_its_turn, life, LIVENESS_SECONDS * SECOND) == SIM_CUT)
		return false;
	life_refresh(life);		/* those jobs may have stopped sets and volumes */
	for (unsigned i = 0; i < life->plan->sets; i++)
		if (life->set[i] && life_set_is_dead(life, &life->plan->set[i]))
			check_failed_set(life, life->set[i]);
	return true;
}

bool life_check(struct life *life)
{
	for (unsigned i = 0; i < life->plan->sets; i++)
		if (life->set[i] && !life_set_is_dead(life, &life->plan->set[i]) &&
		    !check_set(life, life->set[i]))
			return false;
	return true;
}

void life_want_gc(struct cache_set *set)
{
	set_lock(set);
	gc_trigger(&set->gc);
	set_unlock(set);
}

/* It is under way when its set stops. */
static void draw_a_late_gc(struct life *life)
{
	for (unsigned i = 0; i < life->plan->sets; i++)
		if (life->set[i] && !life->is_read_only && sim_chance(20))
			life_want_gc(life->set[i]);
}

bool life_stop(struct life *life)
{
	bool is_dead = false;

	life_refresh(life);
	draw_a_late_gc(life);
	for (unsigned i = 0; i < life->plan->sets; i++)
		is_dead |= life->set[i] && health_error(&life->set[i]->health);
	life_waiter_init(life, &life->waiter);
	be_quick(life);
	daemon_stop(&life->daemon, &life->waiter.error, &life->waiter.op);
	if (!life_wait_and_expect(life, &life->waiter,
				  (life->deadline_ns - sim_now()) / SECOND, "stopping"))
		return false;
	if (is_dead && !life->waiter.result)
		sim_fail("a dead set was stopped, and nobody was told");
	life->stop_failed = life->waiter.result != 0;
	/* A set may have failed only now: its volumes left it, or not. */
	for (unsigned i = 0; life->stop_failed && i < life->plan->volumes; i++)
		life->plan->volume[i].moves += !life->plan->volume[i].is_flash;
	SIM_SOMETIMES_IF(life->stop_failed && !is_dead, "a stop fails since a device does");
	SIM_SOMETIMES_IF(is_dead, "a dead set is stopped");
	daemon_done(&life->daemon);
	blocking_free(life->blocking);
	reactor_free(life->reactor);
	sim_check_nothing_left();
	return true;
}
