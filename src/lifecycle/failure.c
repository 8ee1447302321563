/*
 * A set that fails: every op that waits in it is woken, and volumes that need it no more leave it.
 *
 *	the set runs --health_fail()--> set_abort() --> a job in its turn, for each volume:
 *	                                                  |- no dirty data: it leaves the set
 *	                                                  `- dirty data: it stays
 *
 * A volume that leaves goes on alone, as one without a set: its superblock says NONE first
 * (ORDER-18), and requests that are in flight meanwhile see to that themselves (VOLUME-3).  A
 * volume with dirty data stays in the failed set, with its superblock as it is: it still belongs
 * to the set, reads of dirty data fail, and so do writes (ORDER-26).
 *
 * The failed set stays, so that it is seen, until it is stopped.
 *
 * (FAILURE-1) If a superblock cannot be written, its volume stays in the set, and the first
 *     request for which that succeeds lets the job run once more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sometimes.h"
#include "base/units.h"
#include "lifecycle/internal.h"

/* Waits in health.watchers, and after the failure in set->left (FAILURE-1). */
struct failure {
	struct cache_set *set;
	struct op op;
	bool is_known;			/* the failure was seen, and told */
};

/* ---- a volume leaves ---- */

struct leaving {
	struct job job;
	struct volume *volume;
};

static struct volume *volume_of(struct job *base)
{
	return container_of(base, struct leaving, job)->volume;
}

static int leave_freeze(struct job *base)
{
	volume_freeze(volume_of(base));
	volume_quiesce(volume_of(base), &base->op);
	return 0;
}

static void leave_thaw(struct job *base)
{
	volume_thaw(volume_of(base));
}

/* It has nothing to do any more: no restart if the job fails. */
static int leave_stop_writeback(struct job *base)
{
	return writeback_stop(&volume_of(base)->writeback, &base->op);
}

static int leave_write_superblock(struct job *base)
{
	return volume_make_alone(volume_of(base), &base->op);
}

/*
 * The slot is retired in memory only: the set writes nothing any more.  The next attach retires it
 * in the table (ORDER-20).
 */
static int leave_set(struct job *base)
{
	struct volume *volume = volume_of(base);
	struct cache_set *set = volume->set;

	assert(volume->is_frozen && !volume->in_flight);	/* VOLUME-1 */
	assert(volume_state(volume) == STATE_NONE);		/* ORDER-18 */
	stripes_forget(volume, set, volume->slot);
	volume->set = NULL;
	volume->is_detaching = false;	/* a detach that waits for its turn has nothing to do */
	list_remove(&volume->set_link);
	uuids_retire(set, volume->slot);
	volume->is_stopping |= volume->stops_with_set;
	SIM_SOMETIMES("a volume leaves a set that has failed");
	log_warning("%s goes on without its cache: the set has failed, and had no dirty data of "
		    "it", device_path(volume->backing));
	volume_thaw(volume);
	volume_closed(volume);		/* if it is to stop, and nobody has it open */
	return 0;
}

static const struct job_step leave_steps[] = {
	{ "leaving the failed set", .start = leave_freeze, .undo = leave_thaw },
	{ "leaving the failed set", .start = leave_stop_writeback },
	{ "writing the superblock of the backing device", .start = leave_write_superblock },
	{ "leaving the failed set", .start = leave_set },
	{ 0 },
};

static void leave_start(struct volume *volume, struct error *error, struct op *op)
{
	struct leaving *job = job_of_steps(volume->daemon, sizeof(*job), leave_steps, error, op);

	job->volume = volume;
	job_begin(&job->job);
}

/* ---- all of them ---- */

struct parting {
	struct job job;
	struct cache_set *set;
	uint64_t asked;			/* birth of the last volume that was asked to leave */
	unsigned left;			/* volumes that have left the set */
};

static struct parting *parting_of(struct job *base)
{
	return container_of(base, struct parting, job);
}

static bool may_leave(const struct volume *volume)
{
	return !volume_needs_set(volume) && !volume->is_mounted_read_only;
}

/* Each is asked once, in the order of their births: they leave the list meanwhile. */
static struct volume *next_to_leave(const struct parting *job)
{
	struct volume *v, *next = NULL;

	for (v = set_first_volume(job->set); v; v = set_next_volume(job->set, v))
		if (v->birth > job->asked && may_leave(v) && (!next || v->birth < next->birth))
			next = v;
	return next;
}

static int part_leave(struct job *base)
{
	struct parting *job = parting_of(base);
	struct volume *volume = next_to_leave(job);

	if (!volume)
		return 0;
	job->asked = volume->birth;
	job->left++;
	leave_start(volume, base->error, &base->op);
	return -EAGAIN;
}

/* Those that stay and are to stop when their set fails. */
static int part_stop(struct job *base)
{
	struct cache_set *set = parting_of(base)->set;

	for (struct volume *v = set_first_volume(set); v; v = set_next_volume(set, v)) {
		v->is_stopping |= v->stops_with_set;
		volume_closed(v);
	}
	return 0;
}

/* Those that stay, by the reason why. */
static int part_tell(struct job *base)
{
	struct parting *job = parting_of(base);
	struct cache_set *set = job->set;
	unsigned dirty = 0, others = 0;
	struct error note;
	char name[40];

	for (const struct volume *v = set_first_volume(set); v; v = set_next_volume(set, v)) {
		dirty += volume_needs_set(v);
		others += may_leave(v);
	}
	error_set(&note, -health_error(&set->health),
		  "set %s has failed: %s: %s; volumes that go on without it: %u, that stay and "
		  "answer errors for their dirty data: %u", set_name(set, name),
		  device_path(set->cache.device), set->health.reason.text,
		  job->left - others, dirty);
	log_error("%s", note.text);
	daemon_note_error(base->daemon, &note);
	if (others) {
		log_error("%s", base->error->text);
		waitlist_join(&set->left, &set->failure->op);	/* FAILURE-1 */
	}
	return 0;
}

static const struct job_step part_steps[] = {
	{ "leaving the failed set", .start = part_leave, .on_error = STEP_REPORTS },
	{ "stopping", .start = part_stop },
	{ "leaving the failed set", .start = part_tell },
	{ 0 },
};

/* Nobody waits for its end: what ends the set has its turn, too, and waits for the op below. */
static void part_begin(struct cache_set *set)
{
	struct parting *job = job_of_steps(set->daemon, sizeof(*job), part_steps, NULL, NULL);

	job->set = set;
	job_begin_in_turn(&job->job, NULL, set);
}

/* ---- the failure ---- */

void set_abort(struct cache_set *set)
{
	journal_abort(&set->journal, -EIO);
	space_abort(&set->cache.space, -EIO);
	index_abort(&set->index, -EIO);
	device_wait_for_room(set->cache.device, 0);
	gc_stop(&set->gc);
}

static void failure_begins(struct cache_set *set)
{
	struct error note;
	char name[40];

	error_set(&note, -health_error(&set->health),
		  "error on %s: %s: %s, disabling caching", set_name(set, name),
		  device_path(set->cache.device), set->health.reason.text);
	log_error("%s", note.text);
	daemon_note_error(set->daemon, &note);
	if (set->on_failure == FAILURE_PANIC)
		abort();
	set_lock(set);
	set_abort(set);
	set_unlock(set);
}

/* Runs when the set fails, again by FAILURE-1, or when failure_stop() ends the watch. */
static void failure_step(struct op *op)
{
	struct failure *failure = container_of(op, struct failure, op);
	struct cache_set *set = failure->set;

	op_take_error(op);
	if (!health_error(&set->health))
		return;		/* woken by failure_stop() */
	if (!failure->is_known)
		failure_begins(set);
	failure->is_known = true;
	if (!list_empty(&set->volumes) && !set->daemon->is_stopping)
		part_begin(set);
}

/* The set may have failed before the watch begins. */
void failure_watch(struct cache_set *set)
{
	struct failure *failure = calloc(1, sizeof(*failure));

	assert(failure && !set->failure);
	failure->set = set;
	op_init(&failure->op, set->reactor, failure_step);
	failure->op.when_idle = &set->when_idle;
	set->failure = failure;
	watch_set(set);
	if (health_error(&set->health))
		op_queue(&failure->op);
	else
		waitlist_join(&set->health.watchers, &failure->op);
}

void failure_see_volume(struct cache_set *set)
{
	if (set->failure && set->failure->is_known && !set->daemon->is_stopping) {
		SIM_RARELY("a volume joins a set that has just failed",
			   "test_lifecycle_attach/leaves_a_set_that_fails_meanwhile");
		part_begin(set);
	}
}

void failure_stop(struct cache_set *set)
{
	struct failure *failure = set->failure;

	if (failure && failure->op.awaited) {
		list_remove(&failure->op.link);
		op_arrive(&failure->op, 0);
	}
}

bool failure_is_idle(const struct cache_set *set)
{
	return !set->failure || op_is_idle(&set->failure->op);
}

void failure_free(struct cache_set *set)
{
	assert(failure_is_idle(set));
	free(set->failure);
	set->failure = NULL;
}
