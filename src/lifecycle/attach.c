/*
 * Attaches a volume to a set; runs a volume without one.
 *
 *	CHECK --new in the set---------------> TABLE --> SUPERBLOCK --> FREEZE --> done
 *	  |  |--known; says clean, is dirty--> TABLE -----^              ^
 *	  |  `--known------------------------> TABLE --------------------+
 *	  `-----with -o ro-----------------------------------------------^
 *
 * TABLE makes the table of volumes durable, before any key with the volume's number
 * (ORDER-19).  SUPERBLOCK makes the backing superblock durable, which names the set,
 * before the first write goes through the set.  FREEZE waits for its requests, since
 * `volume->set` changes only then (VOLUME-1).
 *
 * A superblock that says CLEAN is not trusted.  A kernel does not wait for the write
 * that says DIRTY, so after a power cut the index may have dirty keys of a volume
 * that says CLEAN.  Therefore the dirty count of the index decides: if it is not 0,
 * DIRTY is made durable (with -o ro: set in memory) before the volume appears.
 * Otherwise, if the cache were lost, the backing device would pass for complete.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/units.h"
#include "lifecycle/internal.h"

enum attach_state { ATTACH_CHECK, ATTACH_TABLE, ATTACH_SUPERBLOCK, ATTACH_FREEZE };

struct attaching {
	struct job job;
	enum attach_state state;
	struct volume *volume;
	struct cache_set *set;
	int slot;
	bool is_new;
};

/* Two volumes with one UUID would share a slot, and so each other's cached data. */
static bool is_attached_twin(const struct attaching *job)
{
	const struct volume *v;

	for (v = set_first_volume(job->set); v; v = set_next_volume(job->set, v))
		if (uuid_is_equal(v->uuid, job->volume->uuid))
			return true;
	return false;
}

/* The conditions and messages of the kernel, where it has them. */
static int check(const struct attaching *job)
{
	const struct volume *volume = job->volume;
	const char *path = volume->backing ? device_path(volume->backing) : volume->name;
	struct error *error = job->job.error;

	if (volume->set || volume->is_flash)
		return error_set(error, EINVAL, "can't attach %s: already attached", path);
	if (job->set->is_stopping || !job->set->is_running || volume->is_stopping)
		return error_set(error, EINVAL, "can't attach %s: shutting down", path);
	if (health_error(&job->set->health))
		return error_set(error, EIO, "can't attach %s: the set has failed: %s", path,
				 job->set->health.reason.text);
	if (volume->superblock.block_sectors < job->set->superblock.block_sectors)
		return error_set(
			error, EINVAL,
			"couldn't attach %s: block size less than set's block size: "
			"found %u sectors, wanted %u or more",
			path, volume->superblock.block_sectors, job->set->superblock.block_sectors);
	if (uuid_is_retired(volume->uuid))
		return error_set(error, EINVAL,
				 "couldn't attach %s: found the UUID that marks slots of detached "
				 "volumes, wanted its own",
				 path);
	if (is_attached_twin(job))
		return error_set(error, EINVAL,
				 "tried to attach %s but duplicate UUID already attached", path);
	return 0;
}

/* The volume was used without the set, so the data that the set has of it are outdated. */
static void retire(struct cache_set *set, unsigned slot, const char *path)
{
	char size[UNITS_TEXT_BYTES];
	uint64_t dirty = set->index.dirty_sectors[slot] * 512;

	if (dirty)
		log_warning("%s was used without the set: discarding %s of dirty data",
			    path, units_print_size(size, dirty));
	uuids_retire(set, slot);
}

/* Finds the volume's slot in the table, or a free one for a volume that is new to the set. */
static int find_slot(struct attaching *job)
{
	struct cache_set *set = job->set;
	const struct volume *volume = job->volume;
	enum backing_state state = volume_state(volume);
	const char *path = device_path(volume->backing);
	bool is_ours = uuid_is_equal(volume->superblock.set_uuid, set->superblock.set_uuid);
	int slot = uuids_find(set, volume->uuid);

	if (slot >= 0 && (set->uuids[slot].flags & UUID_FLASH_ONLY))
		return error_set(job->job.error, EINVAL,
				 "can't attach %s: a flash-only volume of the set has its UUID",
				 path);
	/* Its data in the cache are current: it goes on with its slot. */
	if (slot >= 0 && is_ours && (state == STATE_CLEAN || state == STATE_DIRTY)) {
		job->slot = slot;
		return 0;
	}
	/* Its dirty data are in another set, or lost: a new slot would hide that. */
	if (state == STATE_DIRTY)
		return error_set(
			job->job.error, ENOENT,
			"couldn't find uuid for %s in set: it is dirty, and its data are not there",
			path);
	if (state == STATE_CLEAN && !is_ours)
		log_warning("%s was attached to another set, clean: dirty data that this may still "
			    "have are lost", path);
	job->is_new = true;
	if (set->is_read_only)
		return 0;		/* it runs uncached: the cache has no data of it */
	if (slot >= 0)
		retire(set, slot, path);
	job->slot = uuids_find_free(set);
	return job->slot >= 0
		       ? 0
		       : error_set(
				 job->job.error, EINVAL,
				 "not caching %s, no room for UUID: all %u slots were used",
				 path, set->uuid_slots);
}

/* Even a volume that no set has yet may have requests in flight, if it ran uncached. */
static void freeze_volume(struct attaching *job)
{
	job->state = ATTACH_FREEZE;
	volume_freeze(job->volume);
	volume_quiesce(job->volume, &job->job.op);
}

static void begin(struct attaching *job)
{
	struct cache_set *set = job->set;
	struct volume *volume = job->volume;
	uint32_t now = clock_epoch_seconds(set->reactor);
	struct uuid_entry *entry;
	int error = check(job) ?: find_slot(job);

	if (error) {
		job_end(&job->job, error);
		return;
	}
	if (set->is_read_only) {
		if (!job->is_new) {
			freeze_volume(job);
			return;
		}
		volume->is_exported = true;
		job_end(&job->job, 0);
		return;
	}
	entry = &set->uuids[job->slot];
	if (job->is_new) {
		*entry = (struct uuid_entry){ .first_registered = now };
		memcpy(entry->uuid, volume->uuid, sizeof(entry->uuid));
		memcpy(entry->label, volume->label, sizeof(entry->label));
	}
	entry->last_registered = now;
	job->state = ATTACH_TABLE;
	uuids_write(set, job->job.error, &job->job.op);
}

/* Does the index have dirty data of the volume although its superblock does not say DIRTY? */
static bool is_secretly_dirty(const struct attaching *job)
{
	return !job->is_new && job->set->index.dirty_sectors[job->slot] &&
	       volume_state(job->volume) != STATE_DIRTY;
}

static void write_superblock(struct attaching *job, enum backing_state state)
{
	struct superblock_change change = { .fields = CHANGE_STATE | CHANGE_SET, .state = state };

	memcpy(change.set_uuid, job->set->superblock.set_uuid, sizeof(change.set_uuid));
	job->state = ATTACH_SUPERBLOCK;
	volume_change_superblock(job->volume, &change, &job->job.op);
}

/* No request of the volume goes through the set yet, so its dirty count cannot change here. */
static void go_on_with_superblock(struct attaching *job)
{
	if (job->is_new) {
		write_superblock(job, STATE_CLEAN);
	} else if (is_secretly_dirty(job)) {
		log_info("%s: its superblock says clean, but its set has dirty data",
			 device_path(job->volume->backing));
		write_superblock(job, STATE_DIRTY);
	} else if (job->volume->writer.state_in_doubt) {
		write_superblock(job, volume_state(job->volume));
	} else {
		freeze_volume(job);
	}
}

/* The volume is frozen: no request can see `set` and `slot` change. */
static void join(struct attaching *job)
{
	struct volume *volume = job->volume;
	struct cache_set *set = job->set;
	char name[40];

	if (set->is_read_only && is_secretly_dirty(job))
		superblock_set_state(&volume->superblock, STATE_DIRTY);	/* in memory only */
	volume->set = set;
	volume->slot = job->slot;
	volume->is_exported = true;
	volume->attach_error = (struct error){ 0 };
	list_add_last(&set->volumes, &volume->set_link);
	volume_thaw(volume);
	log_info("caching %s as %s on set %s", device_path(volume->backing), volume->name,
		 set_name(set, name));
	job_end(&job->job, 0);
}

static void attaching_step(struct job *base, int error)
{
	struct attaching *job = container_of(base, struct attaching, job);

	if (error) {
		job_end_because(base, error, job->state == ATTACH_SUPERBLOCK ?
				"writing the superblock of the backing device" : "attaching");
		return;
	}
	switch (job->state) {
	case ATTACH_CHECK:
		begin(job);
		return;
	case ATTACH_TABLE:
		go_on_with_superblock(job);
		return;
	case ATTACH_SUPERBLOCK:
		freeze_volume(job);
		return;
	case ATTACH_FREEZE:
		join(job);
		return;
	}
}

/* For attach_start(), within another job, and volume_attach(), which waits for its turn. */
static struct attaching *attaching_new(struct volume *volume, struct cache_set *set,
				       struct error *error, struct op *op)
{
	struct attaching *job = job_new(volume->daemon, sizeof(*job), attaching_step, error, op);

	job->volume = volume;
	job->set = set;
	job->state = ATTACH_CHECK;
	return job;
}

void attach_start(struct volume *volume, struct cache_set *set, struct error *error,
		  struct op *op)
{
	job_begin(&attaching_new(volume, set, error, op)->job);
}

void volume_attach(struct volume *volume, struct cache_set *set, struct error *error,
		   struct op *op)
{
	job_begin_in_turn(&attaching_new(volume, set, error, op)->job, volume, set);
}

/* ---- without a set ---- */

struct running {
	struct job job;
	struct volume *volume;
	bool is_written;
};

/* State STALE is durable before the volume can be written without its set (ORDER-18). */
static void running_step(struct job *base, int error)
{
	struct running *job = container_of(base, struct running, job);
	struct volume *volume = job->volume;
	const struct superblock_change stale = { .fields = CHANGE_STATE, .state = STATE_STALE };
	bool must_write = volume_state(volume) != STATE_NONE && !volume->set;

	if (error) {
		job_end_because(base, error, "writing the superblock of the backing device");
		return;
	}
	if (volume->is_exported) {
		job_end(base, error_set(base->error, EBUSY, "%s is running already", volume->name));
		return;
	}
	if (must_write && !job->is_written && !volume->is_mounted_read_only) {
		job->is_written = true;
		if (superblock_state(&volume->superblock) == STATE_DIRTY)
			log_warning("%s: starts without its cache: all dirty data are lost",
				    volume->member_name);
		volume_change_superblock(volume, &stale, &base->op);
		return;
	}
	volume->is_exported = true;
	job_end(base, 0);
}

void volume_run(struct volume *volume, struct error *error, struct op *op)
{
	struct running *job = job_new(volume->daemon, sizeof(*job), running_step, error, op);

	job->volume = volume;
	job_begin_in_turn(&job->job, volume, NULL);
}
