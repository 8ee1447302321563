/*
 * A volume: freezing and thawing, and what it counts.
 */
#include "cache/volume.h"

#include <errno.h>


#include "base/sometimes.h"
#include "cache/bypass.h"
#include "cache/cache_set.h"

void volume_init(struct volume *volume, struct daemon *daemon, struct reactor *reactor,
		 struct device *backing)
{
	*volume = (struct volume){
		.daemon = daemon,
		.reactor = reactor,
		.backing = backing,
		.is_flash = !backing,
		.sequential_cutoff = SEQUENTIAL_CUTOFF_BYTES,
	};
	writeback_tunables_init(&volume->writeback_tunables);
	writeback_init(&volume->writeback, volume);
	list_init(&volume->requests);
	waitlist_init(&volume->thawed);
	waitlist_init(&volume->drained);
	ranges_init(&volume->ranges);
	sequential_init(&volume->sequential);
	if (backing)
		volume_superblock_init(volume);
}

void volume_done(struct volume *volume)
{
	assert(list_empty(&volume->requests));
	assert(!volume->in_flight && waitlist_empty(&volume->thawed));
	assert(volume->writeback.state == WRITEBACK_OFF && !volume->dirty_writes);
	assert(!volume->stripes);
	if (volume->backing)
		volume_superblock_done(volume);
}

bool volume_is_read_only(const struct volume *volume)
{
	return volume->is_mounted_read_only ||
	       (volume->set &&
		(set_is_obsolete(volume->set) || volume->dirty_end > volume->sectors));
}

uint64_t volume_dirty_bytes(const struct volume *volume)
{
	return volume->set ? volume->set->index.dirty_sectors[volume->slot] * 512 : 0;
}

uint64_t volume_dirty_age_ns(const struct volume *volume)
{
	uint64_t since_ns = volume->writeback.age.since_ns;

	if (!volume_dirty_bytes(volume) && !volume->dirty_writes)
		return 0;
	return since_ns ? clock_ns(volume->reactor) - since_ns : UINT64_MAX;
}

bool volume_set_has_failed(const struct volume *volume)
{
	return volume->set && health_error(&volume->set->health);
}

/* Dirty data of which no key is known any more are not counted. */
static bool may_have_lost_dirty(const struct volume *volume)
{
	return volume->set && volume->set->index.nodes_lost && volume_state(volume) != STATE_CLEAN;
}

bool volume_needs_set(const struct volume *volume)
{
	return volume->is_flash || volume_dirty_bytes(volume) || may_have_lost_dirty(volume);
}

bool volume_reads_failed_set(const struct volume *volume)
{
	return volume_set_has_failed(volume) && volume_needs_set(volume) &&
	       volume->set->on_failure == FAILURE_READONLY;
}

/* That the device was full is told; other reasons are in the log, and no errno tells them. */
int volume_lost_error(const struct volume *volume)
{
	if (!volume_set_has_failed(volume) || !volume_needs_set(volume))
		return 0;
	return health_error(&volume->set->health) == -ENOSPC ? -ENOSPC : -EIO;
}

/* ---- failed flushes (VOLUME-4) ---- */

static uint64_t flush_failures(const struct volume *volume)
{
	return volume->backing ? device_counts(volume->backing)->flush_failures : 0;
}

int volume_flush_error(const struct volume *volume, uint64_t heard)
{
	return flush_failures(volume) == heard ? 0 : -EIO;
}

int volume_tell_users(struct volume *volume, int error)
{
	int earlier = volume_flush_error(volume, volume->users_heard);

	SIM_SOMETIMES_IF(earlier && !error, "a flush tells of one that failed before");
	volume->users_heard = flush_failures(volume);
	if (earlier)
		volume_tell_detach(volume);
	return error ? error : earlier;
}

void volume_tell_detach(struct volume *volume)
{
	volume->detach_heard = flush_failures(volume);
}

/* ---- statistics ---- */

void volume_count(struct volume *volume, enum stats_counter counter, uint64_t n)
{
	if (!volume->set || volume->is_flash)
		return;
	stats_count(&volume->stats, counter, n);
	stats_count(&volume->set->stats, counter, n);
}

/* ---- freezing ---- */

void volume_freeze(struct volume *volume)
{
	assert(!volume->is_frozen);
	volume->is_frozen = true;
}

void volume_thaw(struct volume *volume)
{
	assert(volume->is_frozen);
	volume->is_frozen = false;
	waitlist_wake_all(&volume->thawed, 0);
}

/* Fills count as in flight, too (volume_request_ref()). */
void volume_quiesce(struct volume *volume, struct op *op)
{
	assert(volume->is_frozen);
	if (volume->in_flight) {
		SIM_SOMETIMES("a volume that is frozen has requests in flight");
		waitlist_join(&volume->drained, op);
		return;
	}
	op_await(op);
	op_arrive(op, 0);
}

int volume_request_begin(struct volume *volume, struct op *op)
{
	if (volume->is_frozen) {
		SIM_SOMETIMES("a request waits for its volume to thaw");
		waitlist_join(&volume->thawed, op);
		return -EAGAIN;
	}
	volume->in_flight++;
	return 0;
}

void volume_request_ref(struct volume *volume)
{
	assert(volume->in_flight);
	volume->in_flight++;
}

void volume_request_end(struct volume *volume)
{
	assert(volume->in_flight);
	if (!--volume->in_flight)
		waitlist_wake_all(&volume->drained, 0);
}
