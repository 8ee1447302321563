/*
 * Attaches a volume to a set; runs a volume without one.
 *
 * The tables attach_steps and run_steps say in which order.  The table of volumes is durable
 * before any key with the volume's number (ORDER-19), and the backing superblock, which names
 * the set, before the first write goes through the set.  The volume is frozen for the last
 * step, since `volume->set` changes only then (VOLUME-1).  With -o ro nothing is written.
 *
 * A superblock that says CLEAN is not trusted.  A kernel does not wait for the write
 * that says DIRTY, so after a power cut the index may have dirty keys of a volume
 * that says CLEAN.  Therefore the dirty count of the index decides: if it is not 0,
 * DIRTY is made durable (with -o ro: set in memory) before the volume appears.
 * Otherwise, if the cache were lost, the backing device would pass for complete.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/sometimes.h"
#include "base/units.h"
#include "lifecycle/internal.h"

enum { SETS_MAX = 64 };

struct attaching {
	struct job job;
	struct volume *volume;
	struct cache_set *set;		/* NULL: the one with the cache device at `path` */
	char path[PATH_MAX];
	struct blocking_job blocking;
	struct cache_set *sets[SETS_MAX];	/* whose cache devices are compared with it */
	unsigned set_count, found;
	int slot;			/* in the table of volumes */
	bool is_new;			/* the set has nothing of it that may be used */
	struct dirty_end dirty_end;
	bool is_looking;
	struct purge purge;		/* of clean data behind the end */
	bool is_purging;
};

static struct attaching *attaching_of(struct job *base)
{
	return container_of(base, struct attaching, job);
}

/* Runs on the blocking thread.  A set ends by a job only, and this one has its turn. */
static int look_for_run(struct blocking_job *blocking)
{
	struct attaching *job = container_of(blocking, struct attaching, blocking);

	for (job->found = 0; job->found < job->set_count; job->found++)
		if (device_is_at(job->sets[job->found]->cache.device, job->path))
			return 0;
	return -ENOENT;
}

static int attach_look_for_set(struct job *base)
{
	struct attaching *job = attaching_of(base);
	struct daemon *daemon = base->daemon;

	if (job->set)
		return 0;
	for (struct cache_set *set = daemon_first_set(daemon); set && job->set_count < SETS_MAX;
	     set = daemon_next_set(daemon, set))
		job->sets[job->set_count++] = set;
	job->blocking.run = look_for_run;
	blocking_start(daemon->blocking, &job->blocking, &base->op);
	return 0;
}

static int attach_take_set(struct job *base)
{
	struct attaching *job = attaching_of(base);

	if (!job->set)
		job->set = job->sets[job->found];
	return 0;
}

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
static int check_volume(const struct attaching *job)
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
	if (volume->superblock.block_sectors < job->set->cache.superblock.block_sectors)
		return error_set(
			error, EINVAL,
			"couldn't attach %s: block size less than set's block size: "
			"found %u sectors, wanted %u or more",
			path, volume->superblock.block_sectors,
			job->set->cache.superblock.block_sectors);
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

/*
 * The volume was used without the set, so the data that the set has of it are outdated.  With state
 * NONE it has left the set, clean: what is dirty in the index is so because the clean keys
 * of its writeback are not journaled (ORDER-15), and the backing device has it.
 */
static void retire(struct cache_set *set, unsigned slot, enum backing_state state,
		   const char *path)
{
	char size[UNITS_TEXT_BYTES];
	uint64_t dirty = set->index.dirty_sectors[slot] * 512;
	struct error note;

	SIM_RARELY_IF(dirty && state == STATE_NONE,
		      "a volume was detached, and a power cut made its keys dirty again",
		      "test_lifecycle_attach/of_a_volume_that_was_detached_drops_no_dirty_data");
	if (dirty && state != STATE_NONE) {
		error_set(&note, ENODATA,
			  "%s was used without the set: discarding %s of dirty data", path,
			  units_print_size(size, dirty));
		log_warning("%s", note.text);
		daemon_note_error(set->daemon, &note);
	}
	uuids_retire(set, slot);
}

/* Finds the volume's slot in the table, or a free one for a volume that is new to the set. */
static int find_slot(struct attaching *job)
{
	struct cache_set *set = job->set;
	const struct volume *volume = job->volume;
	enum backing_state state = volume_state(volume);
	const char *path = device_path(volume->backing);
	bool is_ours = uuid_is_equal(volume->superblock.set_uuid, set->cache.superblock.set_uuid);
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
	job->slot = uuids_find_free(set);
	if (job->slot < 0)
		return error_set(job->job.error, EINVAL,
				 "not caching %s, no room for UUID: all %u slots were used",
				 path, set->uuid_slots);
	/* Once there is another: the superblock may name the set after a write that failed. */
	if (slot >= 0)
		retire(set, slot, state, path);
	return 0;
}

static int attach_check(struct job *base)
{
	struct attaching *job = attaching_of(base);

	return check_volume(job) ?: find_slot(job);
}

/* A new volume gets the slot in memory now, and no other one can: jobs run one at a time. */
static int attach_write_table(struct job *base)
{
	struct attaching *job = attaching_of(base);
	struct cache_set *set = job->set;
	const struct volume *volume = job->volume;
	uint32_t now = clock_epoch_seconds(set->reactor);
	struct uuid_entry *entry;

	if (set->is_read_only)
		return 0;
	assert(job->slot >= 0 && (unsigned)job->slot < set->uuid_slots);
	entry = &set->uuids[job->slot];
	if (job->is_new) {
		assert(uuid_is_zero(entry->uuid));	/* a retired slot is never used again */
		*entry = (struct uuid_entry){ .first_registered = now };
		memcpy(entry->uuid, volume->uuid, sizeof(entry->uuid));
		memcpy(entry->label, volume->label, sizeof(entry->label));
	}
	entry->last_registered = now;
	uuids_write(set, base->error, &base->op);
	return 0;
}

/* Does the index have dirty data of the volume although its superblock does not say DIRTY? */
static bool is_secretly_dirty(const struct attaching *job)
{
	return !job->is_new && job->set->index.dirty_sectors[job->slot] &&
	       volume_state(job->volume) != STATE_DIRTY;
}

/* What the superblock must say before the volume may be used in the set. */
static enum backing_state state_in_set(const struct attaching *job)
{
	if (job->is_new)
		return STATE_CLEAN;
	return is_secretly_dirty(job) ? STATE_DIRTY : volume_state(job->volume);
}

/*
 * No request of the volume goes through the set yet, so its dirty count cannot change here.  If
 * this fails, the slot of a new volume stays in the table: the next attach retires it (ORDER-20).
 */
static int attach_write_superblock(struct job *base)
{
	struct attaching *job = attaching_of(base);
	struct volume *volume = job->volume;
	struct superblock_change change = { .fields = CHANGE_STATE | CHANGE_SET,
					    .state = state_in_set(job) };

	assert(!volume->set);
	if (job->set->is_read_only ||
	    (!job->is_new && !is_secretly_dirty(job) && !volume->writer.state_in_doubt))
		return 0;
	if (is_secretly_dirty(job))
		log_info("%s: its superblock says clean, but its set has dirty data",
			 device_path(volume->backing));
	memcpy(change.set_uuid, job->set->cache.superblock.set_uuid, sizeof(change.set_uuid));
	volume_change_superblock(volume, &change, &base->op);
	return 0;
}

/* Is the device shorter than it was?  Without dirty data nothing can be behind its end. */
static int attach_look_behind_end(struct job *base)
{
	struct attaching *job = attaching_of(base);

	if (job->is_new || !job->set->index.dirty_sectors[job->slot])
		return 0;
	if (!job->is_looking)
		dirty_end_begin(&job->dirty_end, job->volume, job->set, job->slot);
	job->is_looking = true;
	return dirty_end_go_on(&job->dirty_end, &base->op);
}

/*
 * Clean data behind the end are of a time when the device was larger.  They go while it is known
 * that it is shorter: when it is long again it may have something else there.
 */
static int attach_clear_behind_end(struct job *base)
{
	struct attaching *job = attaching_of(base);
	const struct volume *volume = job->volume;

	if (job->is_new || job->set->is_read_only)
		return 0;
	if (!job->is_purging)
		purge_begin(&job->purge, job->set, job->slot,
			    volume->data_offset + volume->sectors, BKEY_END_MAX, true);
	job->is_purging = true;
	return purge_go_on(&job->purge, &base->op);
}

static int attach_count_stripes(struct job *base)
{
	struct attaching *job = attaching_of(base);

	return stripes_count(job->volume, job->set, job->slot, &base->op);
}

/* Even a volume that no set has yet may have requests in flight, if it ran uncached. */
static int attach_freeze(struct job *base)
{
	struct volume *volume = attaching_of(base)->volume;

	volume_freeze(volume);
	volume_quiesce(volume, &base->op);
	return 0;
}

static void join_set(const struct attaching *job)
{
	struct volume *volume = job->volume;
	struct cache_set *set = job->set;
	char name[40];

	if (set->is_read_only && is_secretly_dirty(job))
		superblock_set_state(&volume->superblock, STATE_DIRTY);	/* in memory only */
	assert(set_has_volume(set, job->slot));
	volume->set = set;
	volume->slot = job->slot;
	volume_set_dirty_end(volume, job->dirty_end.end);
	list_add_last(&set->volumes, &volume->set_link);
	log_info("caching %s as %s on set %s", device_path(volume->backing), volume->name,
		 set_name(set, name));
}

/* The volume is frozen: no request can see `set` and `slot` change. */
static int attach_join(struct job *base)
{
	struct attaching *job = attaching_of(base);
	struct volume *volume = job->volume;

	assert(volume->is_frozen && !volume->in_flight);	/* VOLUME-1 */
	if (!(job->set->is_read_only && job->is_new))
		join_set(job);
	volume->attach_error = (struct error){ 0 };
	volume->is_exported = true;
	volume_thaw(volume);
	if (volume->set) {
		writeback_start(&volume->writeback);
		failure_see_volume(volume->set);
	}
	return 0;
}

static const struct job_step attach_steps[] = {
	{ "no registered set has this cache device", .start = attach_look_for_set },
	{ "attaching", .start = attach_take_set },
	{ "attaching", .start = attach_check },
	{ "attaching", .start = attach_write_table },
	{ "writing the superblock of the backing device", .start = attach_write_superblock },
	{ "looking for dirty data", .start = attach_look_behind_end },
	{ "removing clean data behind the end", .start = attach_clear_behind_end },
	{ "counting stripes", .start = attach_count_stripes },
	{ "attaching", .start = attach_freeze },
	{ "attaching", .start = attach_join },
	{ 0 },
};

/* For attach_start(), within another job, and volume_attach(), which waits for its turn. */
static struct attaching *attaching_new(struct volume *volume, struct cache_set *set,
				       struct error *error, struct op *op)
{
	struct attaching *job = job_of_steps(volume->daemon, sizeof(*job), attach_steps, error, op);

	job->volume = volume;
	job->set = set;
	job->slot = -1;
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

void volume_attach_path(struct volume *volume, const char *path, struct error *error,
			struct op *op)
{
	struct attaching *job = attaching_new(volume, NULL, error, op);

	snprintf(job->path, sizeof(job->path), "%s", path);
	job_begin_in_turn(&job->job, volume, NULL);
}

/* ---- without a set ---- */

struct running {
	struct job job;
	struct volume *volume;
};

static int run_check(struct job *base)
{
	const struct volume *volume = container_of(base, struct running, job)->volume;

	return volume->is_exported ?
		       error_set(base->error, EBUSY, "%s is running already", volume->name) : 0;
}

/* How much it is only the set knows; it says so when it comes back and drops them (retire()). */
static void say_given_up(const struct volume *volume)
{
	struct daemon *daemon = volume->daemon;
	const struct cache_set *set = daemon_find_set(daemon, volume->superblock.set_uuid);
	int slot = set && set->is_running ? uuids_find(set, volume->uuid) : -1;
	char name[40], size[UNITS_TEXT_BYTES] = "all";
	struct error note;

	if (slot >= 0)
		units_print_size(size, set->index.dirty_sectors[slot] * 512);
	error_set(&note, ENODATA,
		  "%s starts without its cache: %s dirty data that set %s has of it are given up",
		  device_path(volume->backing), size,
		  units_print_uuid(name, volume->superblock.set_uuid));
	log_warning("%s", note.text);
	daemon_note_error(daemon, &note);
}

/* State STALE is durable before the volume can be written without its set (ORDER-18). */
static int run_write_stale(struct job *base)
{
	struct volume *volume = container_of(base, struct running, job)->volume;
	const struct superblock_change stale = { .fields = CHANGE_STATE, .state = STATE_STALE };

	assert(!volume->is_flash && !volume->set);	/* these are exported from the beginning */
	if (volume_state(volume) == STATE_NONE || volume->is_mounted_read_only)
		return 0;
	if (volume_state(volume) == STATE_DIRTY)
		say_given_up(volume);
	volume_change_superblock(volume, &stale, &base->op);
	return 0;
}

static int run_export(struct job *base)
{
	container_of(base, struct running, job)->volume->is_exported = true;
	return 0;
}

static const struct job_step run_steps[] = {
	{ "starting without the set", .start = run_check },
	{ "writing the superblock of the backing device", .start = run_write_stale },
	{ "starting without the set", .start = run_export },
	{ 0 },
};

void volume_run(struct volume *volume, struct error *error, struct op *op)
{
	struct running *job = job_of_steps(volume->daemon, sizeof(*job), run_steps, error, op);

	job->volume = volume;
	job_begin_in_turn(&job->job, volume, NULL);
}
