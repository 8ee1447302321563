/*
 * Stops volumes, sets and the daemon.
 *
 * A job first marks what shall stop (is_stopping), then tears down all that is ready: a
 * volume that is marked and has no open handle, a set that is marked and has no
 * volumes left.  The rest follows at the last close (volume_closed()).
 *
 *	volume:	FREEZE (no request in flight) --> FLUSH --> freed
 *	set:	GC (gc and fills end) --> SPACE (refill ends) --> CLEAN (writes all leaves)
 *		    --> COMMIT (an entry that needs no other) --> REST (everything is idle)
 *		    --> FLUSH --> freed
 *
 * (STOP-1) After a clean stop, the next start has nothing to replay.
 * (STOP-2) A set that failed goes straight to REST.  Its device stays as after a power
 *     cut, and its volumes stay attached.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/sometimes.h"
#include "lifecycle/internal.h"

/* ---- a volume ---- */

enum volume_end_state { VOLUME_FREEZE, VOLUME_FLUSH, VOLUME_GONE };

struct volume_end {
	struct job job;
	enum volume_end_state state;
	struct volume *volume;
};

/*
 * A failed last flush is reported, but the volume goes all the same: nothing can be done any more.
 */
static void volume_goes(struct volume_end *job, int error)
{
	struct volume *volume = job->volume;

	if (error && !job->job.error->code)
		error_set(job->job.error, -error,
			  "%s: what was written could not be made durable: %s",
			  device_path(volume->backing), strerror(-error));
	if (volume->set)
		list_remove(&volume->set_link);
	daemon_remove_volume(volume->daemon, volume);
	log_info("%s stopped", volume->name);
	device_close(volume->backing);
	volume_done(volume);
	free(volume);
	job_end(&job->job, error);
}

static void volume_end_step(struct job *base, int error)
{
	struct volume_end *job = container_of(base, struct volume_end, job);
	struct volume *volume = job->volume;

	switch (job->state) {
	case VOLUME_FREEZE:
		job->state = VOLUME_FLUSH;
		volume_freeze(volume);
		volume_quiesce(volume, &base->op);
		return;
	case VOLUME_FLUSH:
		job->state = VOLUME_GONE;
		if (volume->backing && !volume->is_mounted_read_only)
			device_flush(volume->backing, &base->op);
		else
			op_queue(&base->op);
		return;
	case VOLUME_GONE:
		volume_goes(job, error);
		return;
	}
}

static void volume_teardown(struct volume *volume, struct error *error, struct op *op)
{
	struct volume_end *job = job_new(volume->daemon, sizeof(*job), volume_end_step, error, op);

	job->volume = volume;
	job->state = VOLUME_FREEZE;
	job_begin(&job->job);
}

/* ---- a set ---- */

enum set_end_state {
	SET_BEGIN,
	SET_GC,
	SET_SPACE,
	SET_CLEAN,
	SET_COMMIT,
	SET_REST,
	SET_FLUSH,
};

struct set_end {
	struct job job;
	enum set_end_state state;
	struct cache_set *set;
};

/* Looks again when an op of the set has become idle. */
static void set_end_wait(struct set_end *job)
{
	waitlist_join(&job->set->when_idle, &job->job.op);
}

/*
 * Nothing of the set may run any more when its memory is freed: every op must be idle.  Then its
 * device is not being flushed either, since an op of the set waits for each flush.
 */
static LOCKED bool is_at_rest(const struct cache_set *set)
{
	return gc_is_idle(&set->gc) && !set->fills.under_way && journal_is_idle(&set->journal) &&
	       space_is_idle(&set->space) && index_is_idle(&set->index) &&
	       op_is_idle(&set->failure.op);
}

/* Stops all parts; those that wait for work or for time are woken, and end. */
static LOCKED void set_end_parts(struct cache_set *set)
{
	gc_stop(&set->gc);
	space_stop(&set->space);
	journal_stop(&set->journal);
	index_stop(&set->index);
}

static void set_end_abort(struct set_end *job)
{
	struct cache_set *set = job->set;

	set_lock(set);
	set_end_parts(set);
	set_abort(set);
	set_unlock(set);
	failure_stop(&set->failure);
	job->state = SET_REST;
	op_queue(&job->job.op);
}

/*
 * Gc and fills end first, because they insert keys and take buckets.  A set that never ran, is
 * read-only or has failed writes nothing: it is aborted.
 */
static void set_end_begin(struct set_end *job)
{
	struct cache_set *set = job->set;

	set->is_stopping = true;
	if (!set->is_running || set->is_read_only || health_error(&set->health)) {
		set_end_abort(job);
		return;
	}
	set_lock(set);
	gc_stop(&set->gc);
	set_unlock(set);
	job->state = SET_GC;
	op_queue(&job->job.op);
}

/*
 * Refill has ended, so no table needs another entry.  After all leaves are written, an empty entry
 * records that no older one is needed (STOP-1).
 */
static void set_end_clean(struct set_end *job)
{
	struct cache_set *set = job->set;
	int error;

	set_lock(set);
	error = index_clean_all(&set->index, &job->job.op);
	if (!error) {
		job->state = SET_COMMIT;
		journal_commit_always(&set->journal, &job->job.op);
	}
	set_unlock(set);
	if (error && error != -EAGAIN)
		set_end_abort(job);
}

/* When everything is idle, a last flush: no data stay in the volatile cache of the device. */
static void set_end_rest(struct set_end *job)
{
	struct cache_set *set = job->set;
	bool at_rest;

	set_lock(set);
	at_rest = is_at_rest(set);
	set_unlock(set);
	if (!at_rest) {
		SIM_SOMETIMES("a set that stops waits for its parts");
		set_end_wait(job);
		return;
	}
	job->state = SET_FLUSH;
	if (set->is_read_only || !set->is_running || health_error(&set->health))
		op_queue(&job->job.op);
	else
		device_flush(set->device, &job->job.op);
}

static void set_goes(struct set_end *job, int error)
{
	struct cache_set *set = job->set;
	char name[40];

	if (health_error(&set->health) && set->is_running && !job->job.error->code)
		error = error_set(job->job.error, EIO, "set %s: %s", set_name(set, name),
				  set->health.reason.text);
	if (set->is_running) {
		log_info("set %s stopped", set_name(set, name));
		list_remove(&set->link);
	}
	set_done(set);
	device_close(set->device);
	free(set);
	job_end_because(&job->job, error, "stopping the set");
}

static void set_end_go_on(struct set_end *job)
{
	struct cache_set *set = job->set;
	bool is_idle;

	switch (job->state) {
	case SET_BEGIN:
		set_end_begin(job);
		return;
	case SET_GC:
		if (!gc_is_idle(&set->gc) || set->fills.under_way) {
			set_end_wait(job);
			return;
		}
		job->state = SET_SPACE;
		/* fall through */
	case SET_SPACE:
		set_lock(set);
		space_stop(&set->space);
		is_idle = space_is_idle(&set->space);
		set_unlock(set);
		if (!is_idle) {
			set_end_wait(job);
			return;
		}
		job->state = SET_CLEAN;
		/* fall through */
	case SET_CLEAN:
		set_end_clean(job);
		return;
	case SET_COMMIT:
		set_lock(set);
		set_end_parts(set);
		set_unlock(set);
		failure_stop(&set->failure);
		job->state = SET_REST;
		/* fall through */
	case SET_REST:
		set_end_rest(job);
		return;
	case SET_FLUSH:
		set_goes(job, 0);
		return;
	}
}

static void set_end_step(struct job *base, int error)
{
	struct set_end *job = container_of(base, struct set_end, job);

	if (job->state == SET_FLUSH) {
		set_goes(job, error);
	} else if (job->state < SET_REST && job->state > SET_BEGIN &&
		 health_error(&job->set->health)) {
		SIM_SOMETIMES("a set dies while it stops");
		set_end_abort(job);		/* STOP-2 */
	} else {
		set_end_go_on(job);
	}
}

void set_teardown(struct cache_set *set, struct error *error, struct op *op)
{
	struct set_end *job = job_new(set->daemon, sizeof(*job), set_end_step, error, op);

	job->set = set;
	job->state = SET_BEGIN;
	job_begin(&job->job);
}

/* ---- everything that is ready to stop ---- */

struct stopping {
	struct job job;
	void (*mark)(struct stopping *job);	/* marks what shall stop; NULL: it is marked */
	struct volume *volume;
	struct cache_set *set;
	int code;				/* the first failure */
	bool is_detaching;			/* first detaches the volumes of the set */
};

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

static void mark_set(struct stopping *job)
{
	struct volume *v;

	for (v = set_first_volume(job->set); v; v = set_next_volume(job->set, v))
		v->is_stopping = true;
	job->set->is_stopping = true;
}

static void stopping_step(struct job *base, int error)
{
	struct stopping *job = container_of(base, struct stopping, job);
	struct volume *volume;
	struct cache_set *set;

	if (error && !job->code)
		job->code = error;
	volume = job->is_detaching && !error ? next_to_detach(job) : NULL;
	if (volume) {
		detach_start(volume, base->error, &base->op);
		return;
	}
	if (job->is_detaching && error) {
		SIM_SOMETIMES("a set stays since a volume could not leave it");
		job_end(base, error);	/* a volume could not be detached: the set stays */
		return;
	}
	job->is_detaching = false;
	if (job->mark)
		job->mark(job);
	job->mark = NULL;
	volume = next_volume(base->daemon);
	set = volume ? NULL : next_set(base->daemon);
	if (volume)
		volume_teardown(volume, base->error, &base->op);
	else if (set)
		set_teardown(set, base->error, &base->op);
	else
		job_end(base, job->code);
}

static struct stopping *stopping_new(struct daemon *daemon, void (*mark)(struct stopping *job),
				     struct error *error, struct op *op)
{
	struct stopping *job = job_new(daemon, sizeof(*job), stopping_step, error, op);

	job->mark = mark;
	return job;
}

static void mark_volume(struct stopping *job)
{
	job->volume->is_stopping = true;
}

void volume_stop(struct volume *volume, struct error *error, struct op *op)
{
	struct stopping *job = stopping_new(volume->daemon, mark_volume, error, op);

	job->volume = volume;
	job_begin_in_turn(&job->job, volume, NULL);
}

/* A job without a mark: tears down what became ready by this close. */
void volume_closed(struct volume *volume)
{
	if (volume->is_stopping && !volume->opens)
		job_begin_in_turn(&stopping_new(volume->daemon, NULL, NULL, NULL)->job, NULL,
				  NULL);
}

void set_stop(struct cache_set *set, struct error *error, struct op *op)
{
	struct stopping *job = stopping_new(set->daemon, mark_set, error, op);

	job->set = set;
	job_begin_in_turn(&job->job, NULL, set);
}

void set_unregister(struct cache_set *set, struct error *error, struct op *op)
{
	struct stopping *job = stopping_new(set->daemon, mark_set, error, op);

	job->set = set;
	job->is_detaching = true;
	job_begin_in_turn(&job->job, NULL, set);
}

static void mark_all(struct stopping *job)
{
	struct daemon *daemon = job->job.daemon;
	struct volume *v;
	struct cache_set *set;

	for (v = daemon_first_volume(daemon); v; v = daemon_next_volume(daemon, v)) {
		assert(!v->opens);
		v->is_stopping = true;
	}
	for (set = daemon_first_set(daemon); set; set = daemon_next_set(daemon, set))
		set->is_stopping = true;
}

void daemon_stop(struct daemon *daemon, struct error *error, struct op *op)
{
	if (!daemon->is_stopping) {	/* stats_op's last step lets `op` arrive */
		daemon->is_stopping = true;
		daemon->stopped = op;
		op_await(op);
		timer_cancel(&daemon->stats_timer);
	}
	job_begin_in_turn(&stopping_new(daemon, mark_all, error, op)->job, NULL, NULL);
}
