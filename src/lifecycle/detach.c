/*
 * Detaches a volume from its set; changes its mode and its label.
 *
 *	FREEZE --------> FLUSH ---------> SUPERBLOCK --> TABLE --> done
 *	freeze; no       the backing      says NONE,     thawed; its slot
 *	request in       device           without set    is retired
 *	flight
 *
 * The superblock says NONE before the first write that bypasses the index (ORDER-18,
 * LESSON-12), and before the slot is retired (ORDER-20).  A volume with dirty data is
 * refused, since it would lose them.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/sometimes.h"
#include "base/units.h"
#include "lifecycle/internal.h"

enum detach_state { DETACH_BEGIN, DETACH_FREEZE, DETACH_FLUSH, DETACH_SUPERBLOCK, DETACH_TABLE };

struct detaching {
	struct job job;
	enum detach_state state;
	struct volume *volume;
};

static int refuse_dirty(const struct detaching *job)
{
	char size[UNITS_TEXT_BYTES];

	return error_set(
		job->job.error, EBUSY,
		"%s has %s that are only in the cache: writing them back comes in a later "
		"version; the kernel can do it",
		device_path(job->volume->backing),
		units_print_size(size, volume_dirty_bytes(job->volume)));
}

/* A failed detach: thaws the volume, which stays attached. */
static void reopen(struct detaching *job, int code, const char *what)
{
	job->volume->is_detaching = false;
	volume_thaw(job->volume);
	job_end_because(&job->job, code, what);
}

static void begin(struct detaching *job)
{
	struct volume *volume = job->volume;

	if (!volume->set || volume->is_flash) {
		job_end(&job->job, 0);
		return;
	}
	if (volume_dirty_bytes(volume)) {
		job_end(&job->job, refuse_dirty(job));
		return;
	}
	volume->is_detaching = true;
	job->state = DETACH_FREEZE;
	volume_freeze(volume);
	volume_quiesce(volume, &job->job.op);
}

static void drained(struct detaching *job)
{
	struct volume *volume = job->volume;

	SIM_SOMETIMES_IF(volume_dirty_bytes(volume),
			 "the last write before the volume is frozen is dirty");
	if (volume_dirty_bytes(volume)) {	/* a write made it dirty before it was frozen */
		refuse_dirty(job);
		reopen(job, -EBUSY, "");
		return;
	}
	job->state = DETACH_FLUSH;
	device_flush(volume->backing, &job->job.op);
}

/*
 * FLUSH made all data durable on the backing device, which from now on stands alone.  If this
 * fails, the device may say NONE all the same: the next dirty write makes DIRTY durable again,
 * even if that was the state (CHANGE-3).
 */
static void write_superblock(struct detaching *job)
{
	const struct superblock_change none = {
		.fields = CHANGE_STATE | CHANGE_SET, .state = STATE_NONE,
	};

	job->state = DETACH_SUPERBLOCK;
	volume_change_superblock(job->volume, &none, &job->job.op);
}

/*
 * The superblock is durable, so the volume can be thawed before the table is written: if a power
 * cut prevents that, the next attach retires the slot (ORDER-20).
 */
static void retire(struct detaching *job)
{
	struct volume *volume = job->volume;
	struct cache_set *set = volume->set;

	volume->set = NULL;
	list_remove(&volume->set_link);
	uuids_retire(set, volume->slot);
	SIM_SOMETIMES("a volume leaves its set");
	log_info("%s is no longer cached", device_path(volume->backing));
	volume->is_detaching = false;
	volume_thaw(volume);
	job->state = DETACH_TABLE;
	uuids_write(set, job->job.error, &job->job.op);
}

static void detaching_step(struct job *base, int error)
{
	struct detaching *job = container_of(base, struct detaching, job);

	/* If the slot could not be retired, the next attach does it (ORDER-20). */
	if (error && job->state != DETACH_TABLE) {
		reopen(job, error, "writing to the backing device");
		return;
	}
	switch (job->state) {
	case DETACH_BEGIN:
		begin(job);
		return;
	case DETACH_FREEZE:
		drained(job);
		return;
	case DETACH_FLUSH:
		write_superblock(job);
		return;
	case DETACH_SUPERBLOCK:
		retire(job);
		return;
	case DETACH_TABLE:
		*base->error = (struct error){ 0 };
		job_end(base, 0);
		return;
	}
}

static struct detaching *detaching_new(struct volume *volume, struct error *error, struct op *op)
{
	struct detaching *job = job_new(volume->daemon, sizeof(*job), detaching_step, error, op);

	job->volume = volume;
	job->state = DETACH_BEGIN;
	return job;
}

void volume_detach(struct volume *volume, struct error *error, struct op *op)
{
	job_begin_in_turn(&detaching_new(volume, error, op)->job, volume, NULL);
}

void detach_start(struct volume *volume, struct error *error, struct op *op)
{
	job_begin(&detaching_new(volume, error, op)->job);
}

/* ---- settings that live in the superblock ---- */

struct setting {
	struct job job;
	struct volume *volume;
	struct superblock_change change;
	unsigned writes;	/* under way or done */
};

static struct setting *setting_new(struct volume *volume, void (*step)(struct job *job, int error),
				   enum superblock_field field, struct error *error, struct op *op)
{
	struct setting *job = job_new(volume->daemon, sizeof(*job), step, error, op);

	job->volume = volume;
	job->change.fields = field;
	return job;
}

/* Requests go by the new mode once it is durable. */
static void mode_step(struct job *base, int error)
{
	struct setting *job = container_of(base, struct setting, job);

	if (error || job->writes || job->volume->mode == job->change.mode) {
		job_end_because(base, error, "writing the superblock of the backing device");
		return;
	}
	job->writes++;
	volume_change_superblock(job->volume, &job->change, &base->op);
}

void volume_set_mode(struct volume *volume, enum cache_mode mode, struct error *error,
		     struct op *op)
{
	struct setting *job = setting_new(volume, mode_step, CHANGE_MODE, error, op);

	job->change.mode = mode;
	job_begin_in_turn(&job->job, volume, NULL);
}

/* Two writes: the superblock of the backing device, then the table of its set, if it has one. */
static void label_step(struct job *base, int error)
{
	struct setting *job = container_of(base, struct setting, job);
	struct volume *volume = job->volume;
	struct cache_set *set = volume->set;

	if (error && job->writes == 1) {
		job_end_because(base, error, "writing the label");
	} else if (error || job->writes == 2 || (job->writes == 1 && !set)) {
		job_end_because(base, error, "writing the label into the set's table");
	} else if (!job->writes++) {
		volume_change_superblock(volume, &job->change, &base->op);
	} else {
		memcpy(set->uuids[volume->slot].label, job->change.label,
		       sizeof(job->change.label));
		uuids_write(set, base->error, &base->op);
	}
}

void volume_set_label(struct volume *volume, const char *label, struct error *error,
		      struct op *op)
{
	struct setting *job = setting_new(volume, label_step, CHANGE_LABEL, error, op);

	memcpy(job->change.label, label, strnlen(label, SUPERBLOCK_LABEL_BYTES));
	job_begin_in_turn(&job->job, volume, NULL);
}
