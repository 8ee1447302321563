/*
 * The size of a backing device: it may have grown while its volume is in use, and it may be
 * shorter than what the set has of it.
 *
 *	MEASURE (blocking) --> CLEAR (clean keys behind the old end) --> FREEZE --> the new size
 *
 * Keys behind the end are of a time when the device was larger.  Clean ones would hide what the
 * device has there now, so they go: when a shorter device is attached, and before it grows.
 * Dirty ones are the only copy: a volume that is too short for them cannot be written, until the
 * device has its size again.
 */
#include <errno.h>

#include "base/log.h"
#include "base/sometimes.h"
#include "base/units.h"
#include "lifecycle/internal.h"

typedef unsigned long long ull;

enum { LOOKUPS_A_STEP = 256 };		/* then other ops get their turn */

/* ---- where the dirty data end ---- */

void dirty_end_begin(struct dirty_end *find, const struct volume *volume, struct cache_set *set,
		     unsigned slot)
{
	*find = (struct dirty_end){ .set = set, .slot = slot,
				    .at = volume->data_offset + volume->sectors };
}

/* From extent to extent: where nothing is cached, a lookup passes all that one leaf covers. */
int dirty_end_go_on(struct dirty_end *find, struct op *op)
{
	struct cache_set *set = find->set;
	struct lookup found;
	int error = 0;

	set_lock(set);
	for (unsigned left = LOOKUPS_A_STEP; left && find->at < BKEY_END_MAX; left--) {
		error = index_lookup(&set->index, find->slot, find->at, BKEY_END_MAX - find->at,
				     &found, op);
		if (error)
			break;
		find->at += found.sectors;
		if (found.is_hit && bkey_is_dirty(&found.key))
			find->end = find->at;
	}
	set_unlock(set);
	if (error || find->at >= BKEY_END_MAX)
		return error;
	op_queue(op);
	return -EAGAIN;
}

void volume_set_dirty_end(struct volume *volume, uint64_t key_sector)
{
	volume->dirty_end = key_sector > volume->data_offset ? key_sector - volume->data_offset : 0;
	/* Before there is a mount, daemon_check_complete() says so. */
	if (volume->dirty_end > volume->sectors && volume->daemon->directory)
		log_warning("%s is read-only: found %llu sectors, but its set has dirty data up to "
			    "sector %llu",
			    volume->name, (ull)volume->sectors, (ull)volume->dirty_end);
}

/* ---- a device that has grown ---- */

struct growing {
	struct job job;
	struct volume *volume;
	struct blocking_job blocking;
	struct error blocking_error;
	uint64_t sectors;		/* of the device, measured */
	struct purge purge;
	bool is_purging;
};

static struct growing *growing_of(struct job *base)
{
	return container_of(base, struct growing, job);
}

static int measure_run(struct blocking_job *blocking)
{
	struct growing *job = container_of(blocking, struct growing, blocking);

	return device_measure(job->volume->backing, &job->sectors, &job->blocking_error);
}

static int grow_measure(struct job *base)
{
	struct growing *job = growing_of(base);

	job->blocking.run = measure_run;
	blocking_start(base->daemon->blocking, &job->blocking, &base->op);
	return 0;
}

static int grow_check(struct job *base)
{
	struct growing *job = growing_of(base);
	const struct device *device = job->volume->backing;

	if (job->sectors < device_sectors(device))
		return error_set(base->error, EINVAL,
				 "%s has become shorter: found %llu sectors, wanted %llu or more",
				 device_path(device), (ull)job->sectors,
				 (ull)device_sectors(device));
	return job->sectors == device_sectors(device) ? JOB_DONE : 0;
}

static int grow_clear(struct job *base)
{
	struct growing *job = growing_of(base);
	const struct volume *volume = job->volume;

	if (!volume->set)
		return 0;
	if (!job->is_purging)
		purge_begin(&job->purge, volume->set, volume->slot,
			    volume->data_offset + volume->sectors, job->sectors, true);
	job->is_purging = true;
	return purge_go_on(&job->purge, &base->op);
}

/* A request that ends with the volume's last block must not see the end move. */
static int grow_freeze(struct job *base)
{
	struct volume *volume = growing_of(base)->volume;

	volume_freeze(volume);
	volume_quiesce(volume, &base->op);
	return 0;
}

static int grow_use(struct job *base)
{
	struct growing *job = growing_of(base);
	struct volume *volume = job->volume;
	char size[UNITS_TEXT_BYTES];

	device_grow(volume->backing, job->sectors);
	volume->sectors = job->sectors - volume->data_offset;
	if (volume->set)
		stripes_forget(volume, volume->set, volume->slot);
	volume_thaw(volume);
	/* One that was too short for its dirty data was read-only until now. */
	if (volume->set && volume->writeback.state == WRITEBACK_OFF)
		writeback_start(&volume->writeback);
	log_info("%s has grown: %s has %s now", device_path(volume->backing), volume->name,
		 units_print_size(size, volume->sectors * 512));
	return 0;
}

/* Those behind the old end, too; the volume is in use already. */
static int grow_count_stripes(struct job *base)
{
	struct volume *volume = growing_of(base)->volume;

	return volume->set ? stripes_count(volume, volume->set, volume->slot, &base->op) : 0;
}

static const struct job_step grow_steps[] = {
	{ "measuring the backing device", .start = grow_measure },
	{ "growing", .start = grow_check },
	{ "removing clean data behind the end", .start = grow_clear },
	{ "growing", .start = grow_freeze },
	{ "growing", .start = grow_use },
	{ "counting stripes", .start = grow_count_stripes },
	{ 0 },
};

void volume_measure(struct volume *volume, struct error *error, struct op *op)
{
	struct growing *job = job_of_steps(volume->daemon, sizeof(*job), grow_steps, error, op);

	assert(volume->backing);
	job->volume = volume;
	job_begin_in_turn(&job->job, volume, NULL);
}
