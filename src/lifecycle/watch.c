/*
 * Watches the devices of sets and volumes for errors: tells them, and acts if they are too many.
 *
 *	transfers --error--> device_await_error() --> watch_step(): tells --> waits for the next one
 *	                                                  `- too many: the set fails, or the
 *	                                                     volume answers errors, and stops
 *
 * A device that is full is not failing: ENOSPC is told, and not counted (device_tally()).  A cache
 * device whose metadata wait for room says so once.
 *
 * (WATCH-1) The end of a set or of a volume awaits that of its watch, which frees itself in its
 *     last step.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sometimes.h"
#include "lifecycle/internal.h"

struct watch {
	struct op op;
	struct daemon *daemon;
	struct device *device;
	struct cache_set *set;		/* whose cache device it is, or */
	struct volume *volume;		/* whose backing device it is */
	uint64_t told;			/* number of errors that was told last */
	uint64_t shortages;		/* of room, that were told */
	struct op *ended;		/* awaits its end; NULL: it goes on */
};

static const char *const kind_names[TRANSFER_KINDS] = {
	[TRANSFER_READ] = "read", [TRANSFER_WRITE] = "write", [TRANSFER_FLUSH] = "flush",
	[TRANSFER_DISCARD] = "discard",
};

static void watch_tell_room(struct watch *watch)
{
	uint64_t shortages = device_shortages(watch->device);
	struct error note;

	if (shortages == watch->shortages)
		return;
	watch->shortages = shortages;
	error_set(&note, ENOSPC, "%s: No space left on device: what its set must write waits for "
		  "room, and with that whatever is to be durable", device_path(watch->device));
	log_warning("%s", note.text);
	daemon_note_error(watch->daemon, &note);
}

/* The first error is told, then each time when their number has doubled. */
static void watch_tell(struct watch *watch)
{
	const struct device_counts *counts = device_counts(watch->device);
	uint64_t errors = device_errors(watch->device);
	enum transfer_kind kind = counts->last_failed;
	struct error note;

	if (errors < watch->told)		/* they were reset */
		watch->told = 0;
	if (!errors || errors < 2 * watch->told)
		return;
	watch->told = errors;
	error_set(&note, -counts->last_error[kind], "%s: %s error: %s; errors so far: %" PRIu64,
		  device_path(watch->device), kind_names[kind],
		  strerror(-counts->last_error[kind]), errors);
	log_warning("%s", note.text);
	/* That the set waits for room says more, and must stay where users look. */
	if (!device_is_short_of_room(watch->device))
		daemon_note_error(watch->daemon, &note);
}

static void cache_has_too_many(struct cache_set *set)
{
	const struct error_tally *tally = device_tally(set->cache.device);

	set_lock(set);
	health_fail(&set->health, EIO, "too many IO errors: %" PRIu64 ", the limit is %" PRIu64,
		    error_tally_errors(tally), tally->limit);
	set_unlock(set);
	SIM_SOMETIMES("a set fails since its device had too many errors");
}

/* As in the kernel: nothing is transferred any more, and the volume goes at its last close. */
static void backing_has_too_many(struct volume *volume)
{
	struct error note;

	if (volume->io_disable)
		return;
	error_set(&note, EIO, "stop %s: too many IO errors on backing device %s", volume->name,
		  device_path(volume->backing));
	log_error("%s", note.text);
	daemon_note_error(volume->daemon, &note);
	SIM_SOMETIMES("a volume stops since its device had too many errors");
	volume->io_disable = true;
	volume->is_stopping = true;
	if (!volume->daemon->is_stopping)
		volume_closed(volume);
}

static void watch_step(struct op *op)
{
	struct watch *watch = container_of(op, struct watch, op);

	op_take_error(op);
	if (watch->ended) {
		op_arrive(watch->ended, 0);
		free(watch);			/* WATCH-1 */
		return;
	}
	watch_tell(watch);
	watch_tell_room(watch);
	device_await_error(watch->device, &watch->op);
	if (!error_tally_is_over(device_tally(watch->device)))
		return;
	if (watch->set)
		cache_has_too_many(watch->set);
	else
		backing_has_too_many(watch->volume);
}

static struct watch *watch_new(struct daemon *daemon, struct device *device)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	assert(watch);
	watch->daemon = daemon;
	watch->device = device;
	op_init(&watch->op, daemon->reactor, watch_step);
	device_await_error(device, &watch->op);
	return watch;
}

void watch_set(struct cache_set *set)
{
	device_set_error_limit(set->cache.device, SET_ERROR_LIMIT, 0);
	set->watch = watch_new(set->daemon, set->cache.device);
	set->watch->set = set;
}

void watch_volume(struct volume *volume)
{
	device_set_error_limit(volume->backing, VOLUME_ERROR_LIMIT, 0);
	volume->watch = watch_new(volume->daemon, volume->backing);
	volume->watch->volume = volume;
}

/* It waits in the list of its device, or is about to run. */
void watch_end(struct watch *watch, struct op *op)
{
	if (!watch)
		return;
	op_await(op);
	watch->ended = op;
	if (watch->op.awaited) {
		list_remove(&watch->op.link);
		op_arrive(&watch->op, 0);
	}
}
