/*
 * The end of a set: its parts stop one after the other, and leave it clean if they can.
 *
 * The table set_end_steps says in which order (STOP-1, STOP-2 in stop.c).
 */
#include <errno.h>

#include "base/log.h"
#include "base/sometimes.h"
#include "lifecycle/internal.h"

#define LAST_WAIT_FOR_ROOM_NS UINT64_C(5000000000)

struct set_end {
	struct job job;
	struct cache_set *set;
	bool began_cleanly;		/* the set ran, could write and had not failed */
	bool is_aborted;		/* nothing is written any more (STOP-2) */
};

static struct set_end *set_end_of(struct job *base)
{
	return container_of(base, struct set_end, job);
}

/* Not a set that never ran or is read-only, nor one that has failed, which may happen any time. */
static bool may_still_write(const struct set_end *job)
{
	const struct cache_set *set = job->set;

	return set->is_running && !set->is_read_only && !job->is_aborted &&
	       !health_error(&set->health);
}

/* Asks again when an op of the set has become idle. */
static int wait_for_parts(struct set_end *job)
{
	waitlist_join(&job->set->when_idle, &job->job.op);
	return -EAGAIN;
}

void set_hurry(struct cache_set *set)
{
	if (!set->is_in_hurry && set->is_running && !health_error(&set->health))
		device_wait_for_room(set->cache.device,
				     clock_ns(set->reactor) + LAST_WAIT_FOR_ROOM_NS);
	set->is_in_hurry = true;
}

static int set_end_begin(struct job *base)
{
	struct set_end *job = set_end_of(base);
	struct cache_set *set = job->set;

	assert(list_empty(&set->volumes));
	job->began_cleanly = may_still_write(job);
	set->is_stopping = true;
	set_hurry(set);
	set_lock(set);
	gc_stop(&set->gc);
	set_unlock(set);
	return 0;
}

/* They end first, because they insert keys and take buckets. */
static int set_end_gc_and_fills(struct job *base)
{
	struct set_end *job = set_end_of(base);

	if (!may_still_write(job) || (gc_is_idle(&job->set->gc) && !job->set->fills.under_way))
		return 0;
	return wait_for_parts(job);
}

/* Once it has ended, no table needs another entry. */
static int set_end_refill(struct job *base)
{
	struct set_end *job = set_end_of(base);
	struct cache_set *set = job->set;
	bool is_idle;

	if (!may_still_write(job))
		return 0;
	set_lock(set);
	space_stop(&set->cache.space);
	is_idle = space_is_idle(&set->cache.space);
	set_unlock(set);
	return is_idle ? 0 : wait_for_parts(job);
}

/* An error makes the end an unclean one; it is the set's, and reported with its reason. */
static int set_end_leaves(struct job *base)
{
	struct set_end *job = set_end_of(base);
	int error;

	if (!may_still_write(job))
		return 0;
	set_lock(job->set);
	error = index_clean_all(&job->set->index, &base->op);
	set_unlock(job->set);
	if (error == -EAGAIN)
		return -EAGAIN;
	job->is_aborted = error;
	return 0;
}

/* All leaves are written: the entry records that no older one is needed (STOP-1). */
static int set_end_entry(struct job *base)
{
	struct set_end *job = set_end_of(base);

	if (!may_still_write(job))
		return 0;
	set_lock(job->set);
	journal_commit_always(&job->set->journal, &base->op);
	set_unlock(job->set);
	return 0;
}

/* Stops all parts; those that wait for work or for time are woken, and end. */
static int set_end_parts(struct job *base)
{
	struct set_end *job = set_end_of(base);
	struct cache_set *set = job->set;
	bool is_clean = may_still_write(job);

	SIM_SOMETIMES_IF(job->began_cleanly && !is_clean, "a set dies while it stops");
	set_lock(set);
	gc_stop(&set->gc);
	space_stop(&set->cache.space);
	journal_stop(&set->journal);
	index_stop(&set->index);
	if (!is_clean)
		set_abort(set);
	set_unlock(set);
	failure_stop(set);
	return 0;
}

/*
 * Nothing of the set may run any more when its memory is freed: every op must be idle.  Then its
 * device is not being flushed either, since an op of the set waits for each flush.
 */
static LOCKED bool is_at_rest(const struct cache_set *set)
{
	return gc_is_idle(&set->gc) && !set->fills.under_way && journal_is_idle(&set->journal) &&
	       space_is_idle(&set->cache.space) && index_is_idle(&set->index) &&
	       failure_is_idle(set);
}

static int set_end_rest(struct job *base)
{
	struct set_end *job = set_end_of(base);
	bool at_rest;

	set_lock(job->set);
	at_rest = is_at_rest(job->set);
	set_unlock(job->set);
	SIM_SOMETIMES_IF(!at_rest, "a set that stops waits for its parts");
	return at_rest ? 0 : wait_for_parts(job);
}

/* No data stay in the volatile cache of the device. */
static int set_end_flush(struct job *base)
{
	struct set_end *job = set_end_of(base);

	if (may_still_write(job))
		device_flush(job->set->cache.device, &base->op);
	return 0;
}

static int set_end_watch(struct job *base)
{
	watch_end(set_end_of(base)->set->watch, &base->op);
	return 0;
}

static int set_end_free(struct job *base)
{
	struct cache_set *set = set_end_of(base)->set;
	char name[40];

	if (health_error(&set->health) && set->is_running && !base->error->code)
		base->code = error_set(base->error, EIO, "set %s has failed: %s: %s",
				       set_name(set, name), device_path(set->cache.device),
				       set->health.reason.text);
	if (set->is_running) {
		log_info("set %s stopped", set_name(set, name));
		list_remove(&set->link);
	}
	failure_free(set);
	set_done(set);
	device_close(set->cache.device);
	free(set);
	return 0;
}

static const struct job_step set_end_steps[] = {
	{ "stopping the set", .start = set_end_begin },
	{ "stopping the set", .start = set_end_gc_and_fills, .on_error = STEP_IGNORES },
	{ "stopping the set", .start = set_end_refill, .on_error = STEP_IGNORES },
	{ "stopping the set", .start = set_end_leaves, .on_error = STEP_IGNORES },
	{ "stopping the set", .start = set_end_entry, .on_error = STEP_IGNORES },
	{ "stopping the set", .start = set_end_parts },
	{ "stopping the set", .start = set_end_rest },
	{ "stopping the set", .start = set_end_flush, .on_error = STEP_REPORTS },
	{ "stopping the set", .start = set_end_watch },
	{ "stopping the set", .start = set_end_free },
	{ 0 },
};

void set_teardown(struct cache_set *set, struct error *error, struct op *op)
{
	struct set_end *job = job_of_steps(set->daemon, sizeof(*job), set_end_steps, error, op);

	job->set = set;
	job_begin(&job->job);
}
