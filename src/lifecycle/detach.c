/*
 * Detaches a volume from its set; changes its mode and its label.
 *
 *	is_detaching --> dirty data are written back --> in turn: detach_steps
 *	                  ^ for hours, perhaps: no other job waits, and it can be cancelled
 *
 * From the beginning no write goes into the cache any more, and writeback has no limit.  The table
 * detach_steps says what follows, when nothing is dirty.  The superblock says NONE before the
 * first write that bypasses the index (ORDER-18, LESSON-12), and before the slot is retired
 * (ORDER-20).
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/sometimes.h"
#include "lifecycle/internal.h"

struct detaching {
	struct job job;
	struct volume *volume;
	struct cache_set *set;		/* after detach_leave(): where its slot is to be retired */
};

static struct detaching *detaching_of(struct job *base)
{
	return container_of(base, struct detaching, job);
}

/*
 * As in the kernel, there is nothing to do for a volume without a set.  While the job waited for
 * its turn the detach may have been cancelled, and another one begun; from here on it cannot be.
 */
static int detach_check(struct job *base)
{
	const struct volume *volume = detaching_of(base)->volume;

	if (!volume->set || volume->is_flash)
		return JOB_DONE;
	if (volume->is_detaching && !volume_dirty_bytes(volume) && !volume->dirty_writes)
		return 0;
	return error_set(base->error, ECANCELED, "the detach was cancelled");
}

/*
 * Reads leave no fills behind from now on, which would keep the volume busy, and writes no dirty
 * data.
 */
static int detach_freeze(struct job *base)
{
	struct volume *volume = detaching_of(base)->volume;

	volume->detach_is_final = true;
	volume_freeze(volume);
	volume_quiesce(volume, &base->op);
	return 0;
}

/* Requests go on: after a failed detach they use the set as before. */
static void detach_thaw(struct job *base)
{
	struct volume *volume = detaching_of(base)->volume;

	assert(volume->is_detaching);
	volume->is_detaching = volume->detach_is_final = false;
	volume_tell_detach(volume);
	volume_thaw(volume);
}

static int detach_stop_writeback(struct job *base)
{
	return writeback_stop(&detaching_of(base)->volume->writeback, &base->op);
}

static void detach_start_writeback(struct job *base)
{
	writeback_start(&detaching_of(base)->volume->writeback);
}

/* All data are on the backing device, which must stand alone from now on (ORDER-27). */
static int detach_flush(struct job *base)
{
	const struct volume *volume = detaching_of(base)->volume;

	assert(volume->is_frozen && !volume->in_flight && !volume_dirty_bytes(volume));
	device_flush(volume->backing, &base->op);
	return 0;
}

/* Users hear it, too, by their next flush (VOLUME-4). */
static int detach_look_back(struct job *base)
{
	const struct volume *volume = detaching_of(base)->volume;

	if (!volume_flush_error(volume, volume->detach_heard))
		return 0;
	return error_set(base->error, EIO, "a flush of %s had failed: what was written before may "
			 "be lost", device_path(volume->backing));
}

/*
 * If this fails, the device may say NONE all the same: the next dirty write makes DIRTY durable
 * again, even if that was the state (CHANGE-3).
 */
static int detach_write_superblock(struct job *base)
{
	const struct superblock_change none = {
		.fields = CHANGE_STATE | CHANGE_SET, .state = STATE_NONE,
	};

	volume_change_superblock(detaching_of(base)->volume, &none, &base->op);
	return 0;
}

/* The superblock is durable, so the volume can be thawed before the table is written. */
static int detach_leave(struct job *base)
{
	struct detaching *job = detaching_of(base);
	struct volume *volume = job->volume;

	assert(volume->is_frozen && !volume->in_flight);	/* VOLUME-1 */
	assert(volume_state(volume) == STATE_NONE);		/* ORDER-18 */
	job->set = volume->set;
	stripes_forget(volume, volume->set, volume->slot);
	volume->set = NULL;
	list_remove(&volume->set_link);
	uuids_retire(job->set, volume->slot);
	SIM_SOMETIMES("a volume leaves its set");
	log_info("%s is no longer cached", device_path(volume->backing));
	detach_thaw(base);
	waiting_retry(volume->daemon);
	return 0;
}

/* The volume is detached even if this fails: the next attach retires the slot (ORDER-20). */
static int detach_write_table(struct job *base)
{
	uuids_write(detaching_of(base)->set, NULL, &base->op);
	return 0;
}

static const struct job_step detach_steps[] = {
	{ "detaching", .start = detach_check },
	{ "detaching", .start = detach_freeze, .undo = detach_thaw },
	{ "detaching", .start = detach_stop_writeback, .undo = detach_start_writeback },
	{ "writing to the backing device", .start = detach_flush },
	{ "writing to the backing device", .start = detach_look_back },
	{ "writing to the backing device", .start = detach_write_superblock },
	{ "detaching", .start = detach_leave },
	{ "retiring the slot", .start = detach_write_table, .on_error = STEP_IGNORES },
	{ 0 },
};

static struct detaching *detaching_new(struct volume *volume, struct error *error, struct op *op)
{
	struct detaching *job = job_of_steps(volume->daemon, sizeof(*job), detach_steps, error, op);

	job->volume = volume;
	return job;
}

/* ---- first the dirty data ---- */

struct draining {
	struct job job;
	struct volume *volume;
	bool is_second;			/* another detach of it has begun and not ended */
};

static struct draining *draining_of(struct job *base)
{
	return container_of(base, struct draining, job);
}

/* It has no turn: meanwhile the volume may be stopped, or the detach cancelled. */
static int drain_wait(struct job *base)
{
	struct volume *volume = draining_of(base)->volume;

	if (base->code)
		return 0;
	if (draining_of(base)->is_second)
		return error_set(base->error, EALREADY, "%s is being detached already",
				 volume->name);
	if (!daemon_volume_of_birth(base->daemon, base->volume_birth) || !volume->is_detaching)
		return error_set(base->error, ECANCELED, "the detach was cancelled");
	return writeback_await_clean(&volume->writeback, &base->op);
}

static int drain_detach(struct job *base)
{
	struct volume *volume = draining_of(base)->volume;

	if (!base->code)
		job_begin_in_turn(&detaching_new(volume, base->error, &base->op)->job, volume,
				  NULL);
	return 0;
}

static int drain_report(struct job *base)
{
	job_log_if_alone(base, "detaching");
	return 0;
}

static const struct job_step drain_steps[] = {
	{ "detaching", .start = drain_wait, .on_error = STEP_REPORTS },
	{ "detaching", .start = drain_detach, .on_error = STEP_REPORTS },
	{ "detaching", .start = drain_report },
	{ 0 },
};

void volume_detach(struct volume *volume, struct error *error, struct op *op)
{
	struct draining *job;

	if (!volume->set || volume->is_flash) {
		job_begin_in_turn(&detaching_new(volume, error, op)->job, volume, NULL);
		return;
	}
	SIM_SOMETIMES_IF(volume_dirty_bytes(volume), "a volume with dirty data is to be detached");
	job = job_of_steps(volume->daemon, sizeof(*job), drain_steps, error, op);
	job->volume = volume;
	job->is_second = volume->is_detaching;
	job->job.volume_birth = volume->birth;
	volume->is_detaching = true;
	job_begin(&job->job);
}

void volume_cancel_detach(struct volume *volume)
{
	if (!volume->is_detaching || volume->detach_is_final)
		return;
	SIM_SOMETIMES("a detach is cancelled");
	writeback_cancel_wait(&volume->writeback, -ECANCELED);
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
};

static struct setting *setting_new(struct volume *volume, const struct job_step *steps,
				   enum superblock_field field, struct error *error, struct op *op)
{
	struct setting *job = job_of_steps(volume->daemon, sizeof(*job), steps, error, op);

	assert(!volume->is_flash);
	job->volume = volume;
	job->change.fields = field;
	return job;
}

static int setting_write(struct job *base)
{
	struct setting *job = container_of(base, struct setting, job);

	volume_change_superblock(job->volume, &job->change, &base->op);
	return 0;
}

static int mode_check(struct job *base)
{
	struct setting *job = container_of(base, struct setting, job);

	return job->volume->mode == job->change.mode ? JOB_DONE : 0;
}

/* Requests go by the new mode once it is durable. */
static const struct job_step mode_steps[] = {
	{ "changing the mode", .start = mode_check },
	{ "writing the superblock of the backing device", .start = setting_write },
	{ 0 },
};

void volume_set_mode(struct volume *volume, enum cache_mode mode, struct error *error,
		     struct op *op)
{
	struct setting *job = setting_new(volume, mode_steps, CHANGE_MODE, error, op);

	job->change.mode = mode;
	job_begin_in_turn(&job->job, volume, NULL);
}

static int label_write_table(struct job *base)
{
	struct setting *job = container_of(base, struct setting, job);
	struct cache_set *set = job->volume->set;

	if (!set)
		return 0;
	memcpy(set->uuids[job->volume->slot].label, job->change.label,
	       sizeof(job->change.label));
	uuids_write(set, base->error, &base->op);
	return 0;
}

static const struct job_step label_steps[] = {
	{ "writing the label", .start = setting_write },
	{ "writing the label into the set's table", .start = label_write_table },
	{ 0 },
};

void volume_set_label(struct volume *volume, const char *label, struct error *error,
		      struct op *op)
{
	struct setting *job;

	if (volume->is_flash) {
		flash_set_label(volume, label, error, op);
		return;
	}
	job = setting_new(volume, label_steps, CHANGE_LABEL, error, op);
	memcpy(job->change.label, label, strnlen(label, SUPERBLOCK_LABEL_BYTES));
	job_begin_in_turn(&job->job, volume, NULL);
}
