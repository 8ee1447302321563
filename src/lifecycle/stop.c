/*
 * Stops volumes, sets and the daemon.
 *
 * A job first marks what shall stop (is_stopping), then tears down all that is ready: a
 * volume that is marked and has no open handle, a set that is marked and has no
 * volumes left.  The rest follows at the last close (volume_closed()).  The tables
 * volume_end_steps and set_end_steps say how each ends.
 *
 * (STOP-1) After a clean stop, the next start has nothing to replay.
 * (STOP-2) A set that failed, also while it stops, writes nothing any more.  Its device
 *     stays as after a power cut, and volumes with dirty data stay attached.
 * (STOP-3) What fails at a last close, when no caller waits any more, is logged, and the stop of
 *     the daemon reports the first of it: umount then fails, and says why.
 * (STOP-4) Before a volume leaves the daemon its keys are durable, or its superblock says NONE, or
 *     the set that has failed has dirty data of it.  Once it has gone nobody sees to VOLUME-3: if
 *     the set fails later, the next start must find the keys.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/sometimes.h"
#include "lifecycle/internal.h"

/* ---- a volume ---- */

struct volume_end {
	struct job job;
	struct volume *volume;
};

static struct volume *volume_of(struct job *base)
{
	return container_of(base, struct volume_end, job)->volume;
}

static int volume_end_freeze(struct job *base)
{
	struct volume *volume = volume_of(base);

	assert(volume->is_stopping && !volume->opens);
	if (volume->set && volume->set->is_stopping)
		set_hurry(volume->set);
	volume_freeze(volume);
	volume_quiesce(volume, &base->op);
	return 0;
}

/* Copies in flight end, no new ones begin: what is dirty stays in the cache. */
static int volume_end_writeback(struct job *base)
{
	return writeback_stop(&volume_of(base)->writeback, &base->op);
}

static int volume_end_flush(struct job *base)
{
	struct volume *volume = volume_of(base);

	if (volume->backing && !volume->is_mounted_read_only)
		device_flush(volume->backing, &base->op);
	return 0;
}

/* Nobody can flush it any more and hear of one that failed (VOLUME-4). */
static int volume_end_look_back(struct job *base)
{
	return volume_flush_error(volume_of(base), volume_of(base)->users_heard);
}

/* STOP-4.  If it fails the set has failed, and the next step sees to that. */
static int volume_end_commit(struct job *base)
{
	struct cache_set *set = volume_of(base)->set;

	if (!set || set->is_read_only || health_error(&set->health))
		return 0;
	set_lock(set);
	journal_commit(&set->journal, &base->op);
	set_unlock(set);
	return 0;
}

/* What was answered may be gone with the set, without a flush that would have told. */
static int lost_with_set(struct job *base)
{
	const struct volume *volume = volume_of(base);
	int error = volume->is_mounted_read_only ? 0 : volume_lost_error(volume);

	if (error && !base->error->code)
		error_set(base->error, -error,
			  "%s: its set, which has failed, has data of it: %s",
			  volume->name, volume->set->health.reason.text);
	return error;
}

/* One that has just lost its set is left as one that stands alone, too (failure.c). */
static int volume_end_leave(struct job *base)
{
	struct volume *volume = volume_of(base);
	int error = 0;

	if (volume_set_has_failed(volume) && !volume_needs_set(volume))
		error = volume_make_alone(volume, &base->op);
	else
		error = lost_with_set(base);
	return error == -EAGAIN ? 0 : error;	/* once: not again, if it cannot be written */
}

/*
 * The table on the disk says it first: until then the keys stay usable, and gc removes none.  A
 * power cut leaves the whole volume, or nothing of it.
 */
static int volume_end_destroy(struct job *base)
{
	struct volume *volume = volume_of(base);
	struct cache_set *set = volume->set;

	if (!volume->is_doomed)
		return 0;
	if (health_error(&set->health))
		return error_set(base->error, EIO,
				 "%s is not destroyed, since its set has failed: %s",
				 volume->name, set->health.reason.text);
	SIM_SOMETIMES("a flash-only volume is destroyed");
	uuid_retire(&set->uuids[volume->slot], clock_epoch_seconds(set->reactor));
	uuids_write(set, base->error, &base->op);
	return 0;
}

/* The next gc removes the keys; the one that it asks for finds their buckets empty. */
static void forget_keys(struct cache_set *set)
{
	set_lock(set);
	set_volumes_changed(set);
	gc_trigger(&set->gc);
	set_unlock(set);
}

static int volume_end_watch(struct job *base)
{
	watch_end(volume_of(base)->watch, &base->op);
	return 0;
}

/* After a failed flush the volume goes all the same: nothing can be done any more. */
static int volume_end_free(struct job *base)
{
	struct volume *volume = volume_of(base);

	assert(volume->is_frozen && !volume->in_flight);
	if (base->code && !base->error->code)
		error_set(base->error, -base->code,
			  "%s: what was written could not be made durable: %s",
			  volume->backing ? device_path(volume->backing) : volume->name,
			  strerror(-base->code));
	if (volume->set) {
		stripes_forget(volume, volume->set, volume->slot);
		list_remove(&volume->set_link);
	}
	if (volume->is_doomed && !health_error(&volume->set->health))
		forget_keys(volume->set);
	daemon_remove_volume(volume->daemon, volume);
	waiting_retry(volume->daemon);
	log_info(volume->is_doomed ? "%s destroyed" : "%s stopped", volume->name);
	device_close(volume->backing);
	volume_done(volume);
	free(volume);
	return 0;
}

static const struct job_step volume_end_steps[] = {
	{ "stopping", .start = volume_end_freeze },
	{ "stopping", .start = volume_end_writeback },
	{ "stopping", .start = volume_end_flush, .on_error = STEP_REPORTS },
	{ "stopping", .start = volume_end_look_back, .on_error = STEP_REPORTS },
	{ "stopping", .start = volume_end_commit, .on_error = STEP_IGNORES },
	{ "stopping", .start = volume_end_leave, .on_error = STEP_REPORTS },
	{ "destroying the volume", .start = volume_end_destroy, .on_error = STEP_REPORTS },
	{ "stopping", .start = volume_end_watch },
	{ "stopping", .start = volume_end_free },
	{ 0 },
};

static void volume_teardown(struct volume *volume, struct error *error, struct op *op)
{
	struct volume_end *job = job_of_steps(volume->daemon, sizeof(*job), volume_end_steps,
					      error, op);

	job->volume = volume;
	job_begin(&job->job);
}

/* ---- everything that is ready to stop ---- */

struct stopping {
	struct job job;
	struct volume *volume;		/* stop this one, */
	struct cache_set *set;		/* or this one with its volumes, or whatever is marked */
};

static struct stopping *stopping_of(struct job *base)
{
	return container_of(base, struct stopping, job);
}

/* A volume that is to stop, and that nobody has open. */
static struct volume *next_volume(const struct daemon *daemon)
{
	struct volume *v;

	for (v = daemon_first_volume(daemon); v; v = daemon_next_volume(daemon, v))
		if (v->is_stopping && !v->opens)
			return v;
	return NULL;
}

/* A set that is to stop, and that has no volumes any more. */
static struct cache_set *next_set(const struct daemon *daemon)
{
	struct cache_set *set;

	for (set = daemon_first_set(daemon); set; set = daemon_next_set(daemon, set))
		if (set->is_stopping && list_empty(&set->volumes))
			return set;
	return NULL;
}

/* Flash-only volumes cannot be detached: they stop with their set, with their data in it. */
static struct volume *next_to_detach(const struct stopping *job)
{
	struct volume *v;

	for (v = set_first_volume(job->set); v; v = set_next_volume(job->set, v))
		if (!v->is_flash)
			return v;
	return NULL;
}

/* A volume that cannot be detached ends the job: the set stays, with the volumes it still has. */
static int stop_detach_volumes(struct job *base)
{
	struct volume *volume = next_to_detach(stopping_of(base));

	if (!volume)
		return 0;
	detach_start(volume, base->error, &base->op);
	return -EAGAIN;
}

static int stop_mark_volume(struct job *base)
{
	stopping_of(base)->volume->is_stopping = true;
	return 0;
}

/* If the power goes before the last close, the volume is still there. */
static int stop_doom_volume(struct job *base)
{
	struct volume *volume = stopping_of(base)->volume;

	assert(volume->is_flash);
	volume->is_doomed = volume->is_stopping = true;
	return 0;
}

static int stop_mark_set(struct job *base)
{
	struct cache_set *set = stopping_of(base)->set;
	struct volume *v;

	for (v = set_first_volume(set); v; v = set_next_volume(set, v))
		v->is_stopping = true;
	set->is_stopping = true;
	return 0;
}

static int stop_mark_all(struct job *base)
{
	struct daemon *daemon = base->daemon;
	struct volume *v;
	struct cache_set *set;

	assert(daemon->is_stopping);
	for (v = daemon_first_volume(daemon); v; v = daemon_next_volume(daemon, v)) {
		assert(!v->opens);
		v->is_stopping = true;
	}
	for (set = daemon_first_set(daemon); set; set = daemon_next_set(daemon, set)) {
		set->is_stopping = true;
		set_hurry(set);
	}
	return 0;
}

/* One after the other, volumes first; a failure of one is reported, and the others still stop. */
static int stop_tear_down(struct job *base)
{
	struct volume *volume = next_volume(base->daemon);
	struct cache_set *set = volume ? NULL : next_set(base->daemon);

	if (!volume && !set)
		return 0;
	if (volume)
		volume_teardown(volume, base->error, &base->op);
	else
		set_teardown(set, base->error, &base->op);
	return -EAGAIN;
}

static struct stopping *stopping_new(struct daemon *daemon, const struct job_step *steps,
				     struct error *error, struct op *op)
{
	return job_of_steps(daemon, sizeof(struct stopping), steps, error, op);
}

static const struct job_step volume_stop_steps[] = {
	{ "stopping", .start = stop_mark_volume },
	{ "stopping", .start = stop_tear_down, .on_error = STEP_REPORTS },
	{ 0 },
};

void volume_stop(struct volume *volume, struct error *error, struct op *op)
{
	struct stopping *job = stopping_new(volume->daemon, volume_stop_steps, error, op);

	job->volume = volume;
	job_begin_in_turn(&job->job, volume, NULL);
}

static const struct job_step volume_destroy_steps[] = {
	{ "destroying the volume", .start = stop_doom_volume },
	{ "destroying the volume", .start = stop_tear_down, .on_error = STEP_REPORTS },
	{ 0 },
};

void volume_destroy(struct volume *volume, struct error *error, struct op *op)
{
	struct stopping *job = stopping_new(volume->daemon, volume_destroy_steps, error, op);

	job->volume = volume;
	job_begin_in_turn(&job->job, volume, NULL);
}

static int closed_keep_error(struct job *base)
{
	struct error *kept = &base->daemon->closing_error;

	if (!base->code)
		return 0;
	if (!base->error->code)
		error_set(base->error, -base->code, "stopping: %s", strerror(-base->code));
	log_error("%s", base->error->text);
	if (!kept->code)
		*kept = *base->error;
	return 0;
}

/* What is marked already, and became ready by this close. */
static const struct job_step volume_closed_steps[] = {
	{ "stopping", .start = stop_tear_down, .on_error = STEP_REPORTS },
	{ "stopping", .start = closed_keep_error },
	{ 0 },
};

void volume_closed(struct volume *volume)
{
	if (volume->is_stopping && !volume->opens)
		job_begin_in_turn(&stopping_new(volume->daemon, volume_closed_steps, NULL,
						NULL)->job, NULL, NULL);
}

static const struct job_step set_stop_steps[] = {
	{ "stopping", .start = stop_mark_set },
	{ "stopping", .start = stop_tear_down, .on_error = STEP_REPORTS },
	{ 0 },
};

void set_stop(struct cache_set *set, struct error *error, struct op *op)
{
	struct stopping *job = stopping_new(set->daemon, set_stop_steps, error, op);

	job->set = set;
	job_begin_in_turn(&job->job, NULL, set);
}

/* Also if a volume has joined the set meanwhile, or the detach of one was cancelled. */
static int check_all_detach(const struct cache_set *set, struct error *error)
{
	const struct volume *v;

	for (v = set_first_volume(set); v; v = set_next_volume(set, v))
		if (!v->is_flash && !v->is_detaching)
			return error_set(error, ECANCELED, "a volume has joined the set, or its "
					 "detach was cancelled");
	return 0;
}

/* Before the first one is detached. */
static int stop_check_volumes(struct job *base)
{
	return check_all_detach(stopping_of(base)->set, base->error);
}

/* Within a turn: nothing is dirty any more. */
static const struct job_step set_unregister_steps[] = {
	{ "detaching", .start = stop_check_volumes },
	{ "detaching", .start = stop_detach_volumes },
	{ "stopping", .start = stop_mark_set },
	{ "stopping", .start = stop_tear_down, .on_error = STEP_REPORTS },
	{ 0 },
};

/* ---- first the dirty data of all volumes, without a turn ---- */

struct unregistering {
	struct job job;
	struct cache_set *set;
};

static struct unregistering *unregistering_of(struct job *base)
{
	return container_of(base, struct unregistering, job);
}

static struct volume *next_dirty(const struct cache_set *set)
{
	struct volume *v;

	for (v = set_first_volume(set); v; v = set_next_volume(set, v))
		if (!v->is_flash && (volume_dirty_bytes(v) || v->dirty_writes))
			return v;
	return NULL;
}

/* All at once: each has a backing device of its own. */
static int unregister_drain(struct job *base)
{
	struct cache_set *set = unregistering_of(base)->set;
	struct volume *v;
	int error;

	if (base->code)			/* a volume was stopped, or the set has failed */
		return 0;
	if (!daemon_set_of_birth(base->daemon, base->set_birth))
		return error_set(base->error, ENODEV, "the set is gone");
	error = check_all_detach(set, base->error);
	if (error)
		return error;
	v = next_dirty(set);
	return v ? writeback_await_clean(&v->writeback, &base->op) : 0;
}

static int unregister_stop(struct job *base)
{
	struct cache_set *set = unregistering_of(base)->set;
	struct stopping *job;

	if (base->code)
		return 0;
	job = stopping_new(base->daemon, set_unregister_steps, base->error, &base->op);
	job->set = set;
	job_begin_in_turn(&job->job, NULL, set);
	return 0;
}

static void unregister_cancel(struct cache_set *set)
{
	struct volume *v;

	for (v = set_first_volume(set); v; v = set_next_volume(set, v))
		if (!v->detach_is_final)
			writeback_cancel_wait(&v->writeback, -ECANCELED);
}

static int unregister_report(struct job *base)
{
	if (base->code && daemon_set_of_birth(base->daemon, base->set_birth))
		unregister_cancel(unregistering_of(base)->set);
	job_log_if_alone(base, "unregistering");
	return 0;
}

static const struct job_step unregister_steps[] = {
	{ "unregistering", .start = unregister_drain, .on_error = STEP_REPORTS },
	{ "unregistering", .start = unregister_stop, .on_error = STEP_REPORTS },
	{ "unregistering", .start = unregister_report },
	{ 0 },
};

void set_unregister(struct cache_set *set, struct error *error, struct op *op)
{
	struct unregistering *job = job_of_steps(set->daemon, sizeof(*job), unregister_steps, error,
						 op);
	struct volume *v;

	job->set = set;
	job->job.set_birth = set->birth;
	for (v = set_first_volume(set); v; v = set_next_volume(set, v)) {
		v->is_detaching |= !v->is_flash;
		writeback_wake(&v->writeback);
	}
	job_begin(&job->job);
}

static int stop_report_kept(struct job *base)
{
	const struct error *kept = &base->daemon->closing_error;

	if (kept->code && !base->code) {
		SIM_RARELY("what failed at a last close is reported by the daemon's stop",
			   "test_lifecycle_stop/reports_what_failed_at_a_last_close");
		*base->error = *kept;
		base->code = -kept->code;
	}
	return 0;
}

static const struct job_step daemon_stop_steps[] = {
	{ "stopping", .start = stop_mark_all },
	{ "stopping", .start = stop_tear_down, .on_error = STEP_REPORTS },
	{ "stopping", .start = stop_report_kept },
	{ 0 },
};

void daemon_stop(struct daemon *daemon, struct error *error, struct op *op)
{
	if (!daemon->is_stopping) {	/* stats_op's last step lets `op` arrive */
		daemon->is_stopping = true;
		daemon->stopped = op;
		op_await(op);
		timer_cancel(&daemon->stats_timer);
	}
	job_begin_in_turn(&stopping_new(daemon, daemon_stop_steps, error, op)->job, NULL, NULL);
}
