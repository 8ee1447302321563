/*
 * Flash-only volumes: made, named and resized.  (stop.c destroys them, at their last close.)
 *
 * Besides its keys, such a volume is an entry in its set's table of volumes.  The tables
 * create_steps, flash_label_steps and resize_steps say in which order things change.
 *
 * (FLASH-1) A volume reads as zeros where it was never written, also after it was shrunk and has
 *     grown again.  So what is behind the new end has no keys before the table on the disk says
 *     that the volume is larger.
 * (FLASH-2) An entry in memory is as on the disk, but for the job that is writing the table: if
 *     that fails, the job restores the entry.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/numbers.h"
#include "base/sometimes.h"
#include "base/units.h"
#include "lifecycle/internal.h"

#define FLASH_SECTORS_MAX (INT64_MAX / 512)	/* the largest file */

struct flash_job {
	struct job job;
	struct cache_set *set;
	struct volume *volume;		/* NULL: it is still to be made */
	int slot;
	struct uuid_entry before, after;	/* the entry of the volume */
	uint64_t old_sectors;		/* its size at the begin, as users see it */
	struct purge purge;
	bool is_purging;
};

static struct flash_job *flash_job_of(struct job *base)
{
	return container_of(base, struct flash_job, job);
}

void flash_add(struct cache_set *set, unsigned slot)
{
	const struct uuid_entry *entry = &set->uuids[slot];
	struct volume *volume;

	if (!entry->sectors || entry->sectors > FLASH_SECTORS_MAX) {
		log_warning("volume %u of the set is ignored: found a size of %llu sectors", slot,
			    (unsigned long long)entry->sectors);
		return;
	}
	volume = volume_new(set->daemon, NULL);
	memcpy(volume->uuid, entry->uuid, sizeof(volume->uuid));
	memcpy(volume->label, entry->label, sizeof(volume->label));
	volume->sectors = entry->sectors;
	volume->block_sectors = set->cache.superblock.block_sectors;
	volume->slot = slot;
	volume->set = set;
	volume->mode = MODE_WRITEBACK;
	volume->is_exported = true;
	daemon_add_volume(set->daemon, volume);
	list_add_last(&set->volumes, &volume->set_link);
	log_info("flash-only volume %u is %s", slot, volume->name);
}

/* ---- what all of them check and write ---- */

static int check_set(const struct flash_job *job)
{
	const struct cache_set *set = job->set;
	struct error *error = job->job.error;

	if (set->is_stopping || (job->volume && job->volume->is_stopping))
		return error_set(error, EINTR, "it is stopping");
	if (!set->is_running)
		return error_set(error, EPERM, "the set is not running");
	if (health_error(&set->health))
		return error_set(error, EIO, "the set has failed: %s", set->health.reason.text);
	return 0;
}

/* Whole blocks: the rest of a last block would show what was there before the volume shrank. */
static int check_size(const struct flash_job *job, uint64_t sectors, uint64_t *result)
{
	unsigned block = job->set->cache.superblock.block_sectors;

	if (sectors < block || sectors > FLASH_SECTORS_MAX)
		return error_set(job->job.error, EINVAL,
				 "a volume of %llu sectors: wanted %u (a block) to %llu",
				 (unsigned long long)sectors, block,
				 (unsigned long long)FLASH_SECTORS_MAX);
	*result = round_down(sectors, block);
	return 0;
}

static void set_entry(struct flash_job *job, const struct uuid_entry *entry)
{
	struct cache_set *set = job->set;

	set->uuids[job->slot] = *entry;
	set_lock(set);
	set_volumes_changed(set);
	set_unlock(set);
}

static int flash_write_table(struct job *base)
{
	struct flash_job *job = flash_job_of(base);

	if (!memcmp(&job->before, &job->after, sizeof(job->before)))
		return 0;
	set_entry(job, &job->after);
	uuids_write(job->set, base->error, &base->op);
	return 0;
}

/* FLASH-2: to be a step before the write, since a step that fails is not undone itself. */
static int flash_keep_entry(struct job *base UNUSED)
{
	return 0;
}

static void flash_restore_entry(struct job *base)
{
	set_entry(flash_job_of(base), &flash_job_of(base)->before);
}

static struct flash_job *flash_job_new(struct cache_set *set, const struct job_step *steps,
				       struct error *error, struct op *op)
{
	struct flash_job *job = job_of_steps(set->daemon, sizeof(*job), steps, error, op);

	job->set = set;
	job->job.health = &set->health;
	return job;
}

/* ---- a new one ---- */

/* Version 4 of RFC 4122: all of it is random. */
static void draw_uuid(struct reactor *reactor, uint8_t uuid[16])
{
	for (unsigned i = 0; i < 16; i += 8) {
		uint64_t random = reactor_random(reactor);

		memcpy(uuid + i, &random, 8);
	}
	uuid[6] = (uuid[6] & 0x0f) | 0x40;
	uuid[8] = (uuid[8] & 0x3f) | 0x80;
}

static int create_check(struct job *base)
{
	struct flash_job *job = flash_job_of(base);
	uint32_t now = clock_epoch_seconds(job->set->reactor);
	int error = check_set(job) ?: check_size(job, job->after.sectors, &job->after.sectors);

	if (error)
		return error;
	job->slot = uuids_find_free(job->set);
	if (job->slot < 0)
		return error_set(base->error, EINVAL,
				 "no room for a volume: all %u slots were used",
				 job->set->uuid_slots);
	draw_uuid(job->set->reactor, job->after.uuid);
	job->after.flags = UUID_FLASH_ONLY;
	job->after.first_registered = job->after.last_registered = now;
	job->before = job->set->uuids[job->slot];
	return 0;
}

/* Only now, when the table is durable (ORDER-19): no key has its number before. */
static int create_add(struct job *base)
{
	struct flash_job *job = flash_job_of(base);

	SIM_SOMETIMES("a flash-only volume is made");
	flash_add(job->set, job->slot);
	return 0;
}

static const struct job_step create_steps[] = {
	{ "creating a volume", .start = create_check },
	{ "creating a volume", .start = flash_keep_entry, .undo = flash_restore_entry },
	{ "creating a volume", .start = flash_write_table },
	{ "creating a volume", .start = create_add },
	{ 0 },
};

void set_create_volume(struct cache_set *set, uint64_t sectors, struct error *error,
		       struct op *op)
{
	struct flash_job *job = flash_job_new(set, create_steps, error, op);

	job->after.sectors = sectors;
	job_begin_in_turn(&job->job, NULL, set);
}

/* ---- its label ---- */

/* Both entries begin as what the table has: a step changes one field of `after`. */
static void take_entry(struct flash_job *job)
{
	char label[sizeof(job->after.label)];

	memcpy(label, job->after.label, sizeof(label));
	job->slot = job->volume->slot;
	job->before = job->after = job->set->uuids[job->slot];
	memcpy(job->after.label, label, sizeof(label));
}

static int flash_label_check(struct job *base)
{
	take_entry(flash_job_of(base));
	return check_set(flash_job_of(base));
}

static int flash_label_use(struct job *base)
{
	struct flash_job *job = flash_job_of(base);

	memcpy(job->volume->label, job->after.label, sizeof(job->volume->label));
	return 0;
}

static const struct job_step flash_label_steps[] = {
	{ "writing the label into the set's table", .start = flash_label_check },
	{ "writing the label", .start = flash_keep_entry, .undo = flash_restore_entry },
	{ "writing the label into the set's table", .start = flash_write_table },
	{ "writing the label", .start = flash_label_use },
	{ 0 },
};

void flash_set_label(struct volume *volume, const char *label, struct error *error, struct op *op)
{
	struct flash_job *job = flash_job_new(volume->set, flash_label_steps, error, op);

	job->volume = volume;
	memcpy(job->after.label, label, strnlen(label, SUPERBLOCK_LABEL_BYTES));
	job_begin_in_turn(&job->job, volume, NULL);
}

/* ---- its size ---- */

static bool grows(const struct flash_job *job)
{
	return job->after.sectors > job->old_sectors;
}

/* Removes the keys from the end of the smaller size to that of the larger one. */
static int purge_between(struct flash_job *job)
{
	unsigned block = job->volume->block_sectors;
	uint64_t low = min_u64(job->old_sectors, job->after.sectors);
	uint64_t high = max_u64(job->old_sectors, job->after.sectors);

	if (!job->is_purging)
		purge_begin(&job->purge, job->set, job->slot, round_up(low, block),
			    round_up(high, block), false);
	job->is_purging = true;
	return purge_go_on(&job->purge, &job->job.op);
}

static int resize_check(struct job *base)
{
	struct flash_job *job = flash_job_of(base);
	uint64_t wanted = job->after.sectors;

	take_entry(job);
	memcpy(job->after.label, job->before.label, sizeof(job->after.label));
	job->old_sectors = job->volume->sectors;
	if (wanted == job->old_sectors)
		return JOB_DONE;	/* also one that is no multiple of the block */
	return check_set(job) ?: check_size(job, wanted, &job->after.sectors);
}

/* FLASH-1: usually there are none. */
static int resize_clear(struct job *base)
{
	struct flash_job *job = flash_job_of(base);

	return grows(job) ? purge_between(job) : 0;
}

static int resize_freeze(struct job *base)
{
	struct flash_job *job = flash_job_of(base);

	if (grows(job))
		return 0;
	volume_freeze(job->volume);
	volume_quiesce(job->volume, &base->op);
	return 0;
}

/* Requests behind the new end are answered with an error from now on. */
static int resize_cut(struct job *base)
{
	struct flash_job *job = flash_job_of(base);

	if (grows(job))
		return 0;
	job->volume->sectors = job->after.sectors;
	volume_thaw(job->volume);
	return 0;
}

static void resize_uncut(struct job *base)
{
	flash_job_of(base)->volume->sectors = flash_job_of(base)->old_sectors;
}

/* The table says the new size; a volume that has shrunk gives its buckets back. */
static int resize_use(struct job *base)
{
	struct flash_job *job = flash_job_of(base);
	char size[UNITS_TEXT_BYTES];

	SIM_SOMETIMES_IF(grows(job), "a flash-only volume grows");
	SIM_SOMETIMES_IF(job->after.sectors < job->old_sectors, "a flash-only volume shrinks");
	if (!job->is_purging || grows(job)) {
		job->volume->sectors = job->after.sectors;
		log_info("%s has %s now", job->volume->name,
			 units_print_size(size, job->volume->sectors * 512));
	}
	return grows(job) ? 0 : purge_between(job);
}

static const struct job_step resize_steps[] = {
	{ "resizing", .start = resize_check },
	{ "removing what is behind the end", .start = resize_clear },
	{ "resizing", .start = resize_freeze },
	{ "resizing", .start = resize_cut, .undo = resize_uncut },
	{ "resizing", .start = flash_keep_entry, .undo = flash_restore_entry },
	{ "resizing", .start = flash_write_table },
	{ "removing what is behind the end", .start = resize_use, .on_error = STEP_REPORTS },
	{ 0 },
};

void volume_resize(struct volume *volume, uint64_t sectors, struct error *error, struct op *op)
{
	struct flash_job *job = flash_job_new(volume->set, resize_steps, error, op);

	assert(volume->is_flash);
	job->volume = volume;
	job->after.sectors = sectors;
	job_begin_in_turn(&job->job, volume, NULL);
}
