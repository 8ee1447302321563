/*
 * Forgets a backing device that is gone for good: the set drops all that it holds of it.
 *
 * The slot is retired, as by a detach (ORDER-20), but nothing is written back, and no superblock
 * of the device tells: it has none here.  Gc removes the keys of a retired slot, and the next one
 * finds their buckets empty.
 *
 * (FORGET-1) The table on the disk says it first: until then the keys stay usable, and gc removes
 *     none.  So a power cut leaves all of the device's data, or none.
 * (FORGET-2) A device that is attached is never forgotten: its requests use the slot.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/units.h"
#include "lifecycle/internal.h"

struct forgetting {
	struct job job;
	struct cache_set *set;
	unsigned slot;
	struct uuid_entry before;
};

static struct forgetting *forgetting_of(struct job *base)
{
	return container_of(base, struct forgetting, job);
}

static bool is_attached(const struct cache_set *set, unsigned slot)
{
	const struct volume *volume = set_first_volume(set);

	for (; volume; volume = set_next_volume(set, volume))
		if (volume->slot == slot)
			return true;
	return false;
}

static int forget_check(struct job *base)
{
	struct forgetting *job = forgetting_of(base);
	const struct cache_set *set = job->set;

	if (health_error(&set->health))
		return error_set(base->error, EIO, "the set has failed: %s",
				 set->health.reason.text);
	if (set->is_stopping || !set->is_running || set->is_read_only)
		return error_set(base->error, EPERM, "the set is not running, or read-only");
	if (job->slot >= set->uuid_slots || !set_has_volume(set, job->slot))
		return error_set(base->error, ENOENT, "the set has no volume %u", job->slot);
	if (is_attached(set, job->slot))
		return error_set(base->error, EBUSY, "the backing device is there, and attached: "
				 "detach it");		/* FORGET-2; flash-only volumes, too */
	job->before = set->uuids[job->slot];
	return 0;
}

/* In memory only the entry, for the write; the keys stay usable (FORGET-1). */
static int forget_retire(struct job *base)
{
	struct forgetting *job = forgetting_of(base);

	uuid_retire(&job->set->uuids[job->slot], clock_epoch_seconds(job->set->reactor));
	return 0;
}

static void forget_restore(struct job *base)
{
	struct forgetting *job = forgetting_of(base);

	job->set->uuids[job->slot] = job->before;
}

static int forget_write_table(struct job *base)
{
	uuids_write(forgetting_of(base)->set, base->error, &base->op);
	return 0;
}

static int forget_keys(struct job *base)
{
	struct forgetting *job = forgetting_of(base);
	struct cache_set *set = job->set;
	char uuid[40], size[UNITS_TEXT_BYTES];

	set_lock(set);
	log_info("backing device %s is forgotten, with %s of dirty data",
		 units_print_uuid(uuid, job->before.uuid),
		 units_print_size(size, set->index.dirty_sectors[job->slot] * 512));
	set_volumes_changed(set);
	gc_trigger(&set->gc);
	set_unlock(set);
	return 0;
}

static const struct job_step forget_steps[] = {
	{ "forgetting a backing device", .start = forget_check },
	{ "forgetting a backing device", .start = forget_retire, .undo = forget_restore },
	{ "writing the set's table", .start = forget_write_table },
	{ "forgetting a backing device", .start = forget_keys },
	{ 0 },
};

void set_forget(struct cache_set *set, unsigned slot, struct error *error, struct op *op)
{
	struct forgetting *job = job_of_steps(set->daemon, sizeof(*job), forget_steps, error, op);

	job->set = set;
	job->slot = slot;
	job->job.health = &set->health;
	job_begin_in_turn(&job->job, NULL, set);
}
