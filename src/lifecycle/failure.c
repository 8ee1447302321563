/*
 * One op per set waits in health->watchers and aborts the set when it fails.
 */
#include "cache/failure.h"

#include <errno.h>

#include "base/log.h"
#include "cache/cache_set.h"

/* Runs once: when the set fails, or when failure_stop() ends the watch. */
static void failure_step(struct op *op)
{
	struct failure *failure = container_of(op, struct failure, op);
	struct cache_set *set = failure->set;
	char name[40];

	op_take_error(op);
	if (!health_error(&set->health))
		return;		/* woken by failure_stop() */
	log_error("error on %s: %s, disabling caching", set_name(set, name),
		  set->health.reason.text);
	set_lock(set);
	set_abort(set);
	set_unlock(set);
}

void set_abort(struct cache_set *set)
{
	journal_abort(&set->journal, -EIO);
	space_abort(&set->cache.space, -EIO);
	index_abort(&set->index, -EIO);
	gc_stop(&set->gc);
}

void failure_init(struct failure *failure, struct cache_set *set)
{
	failure->set = set;
	op_init(&failure->op, set->reactor, failure_step);
	failure->op.when_idle = &set->when_idle;
}

/* The set may have failed before the watch begins. */
void failure_watch(struct failure *failure)
{
	if (health_error(&failure->set->health))
		op_queue(&failure->op);
	else
		waitlist_join(&failure->set->health.watchers, &failure->op);
}

void failure_stop(struct failure *failure)
{
	if (failure->op.awaited) {
		list_remove(&failure->op.link);
		op_arrive(&failure->op, 0);
	}
}
