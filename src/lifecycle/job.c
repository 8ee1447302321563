/*
 * Jobs: their turns, and the tables of steps of which most of them consist.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sometimes.h"
#include "lifecycle/internal.h"

static bool subject_is_there(const struct job *job)
{
	return (!job->volume_birth || daemon_volume_of_birth(job->daemon, job->volume_birth)) &&
	       (!job->set_birth || daemon_set_of_birth(job->daemon, job->set_birth));
}

static void job_step(struct op *op)
{
	struct job *job = container_of(op, struct job, op);
	int error = op_take_error(op);

	assert(!job->has_turn || job->daemon->sequence_is_running);
	/* Only before the first step: afterwards the job has its turn, and nobody else frees it. */
	if (!job->has_begun && !subject_is_there(job)) {
		job_end(job, error_set(job->error, ENODEV, "the set or volume is gone"));
		return;
	}
	job->has_begun = true;
	job->step(job, error);
}

void *job_new(struct daemon *daemon, size_t bytes, void (*step)(struct job *job, int error),
	      struct error *error, struct op *parent)
{
	struct job *job = calloc(1, bytes);

	assert(job && bytes >= sizeof(*job));
	job->step = step;
	job->daemon = daemon;
	job->parent = parent;
	job->error = error ? error : &job->own_error;
	op_init(&job->op, daemon->reactor, job_step);
	if (parent)
		op_await(parent);
	return job;
}

void job_begin(struct job *job)
{
	assert(!job->has_begun && !job->has_turn);
	op_queue(&job->op);
}

void job_begin_in_turn(struct job *job, const struct volume *volume,
		       const struct cache_set *set)
{
	struct daemon *daemon = job->daemon;

	assert(!job->has_begun && !job->has_turn);
	job->has_turn = true;
	job->volume_birth = volume ? volume->birth : 0;
	job->set_birth = set ? set->birth : 0;
	if (daemon->sequence_is_running) {
		SIM_SOMETIMES("a job of lifecycle waits for its turn");
		waitlist_join(&daemon->sequences, &job->op);
		return;
	}
	daemon->sequence_is_running = true;
	op_queue(&job->op);
}

void job_end(struct job *job, int code)
{
	struct daemon *daemon = job->daemon;

	assert(op_is_idle(&job->op));	/* JOB-1: nothing that it started is left behind */
	assert(code <= 0);
	/* The turn passes to the next job directly, so a new one cannot overtake it. */
	if (job->has_turn && !waitlist_wake_first(&daemon->sequences, 0))
		daemon->sequence_is_running = false;
	if (job->parent)
		op_arrive(job->parent, code);
	free(job);
}

void job_log_if_alone(struct job *job, const char *what)
{
	if (!job->code)
		return;
	if (!job->error->code)
		error_set(job->error, -job->code, "%s: %s", what, strerror(-job->code));
	if (!job->parent)
		log_warning("%s", job->error->text);
}

void job_end_because(struct job *job, int code, const char *what)
{
	if (code && !job->error->code)
		error_set(job->error, -code, "%s: %s", what, strerror(-code));
	job_end(job, code);
}

/* ---- tables of steps ---- */

/* JOB-5: takes back what is done, the last step first, and then ends with the error. */
static void steps_undo(struct job *job)
{
	assert(job->code && job->error->code);	/* JOB-2 */
	while (job->at) {
		const struct job_step *step = &job->steps[--job->at];

		if (step->undo)
			step->undo(job);
		if (!op_is_idle(&job->op))	/* the op awaits what that started */
			return;
	}
	job_end(job, job->code);
}

static void step_failed(struct job *job, int error, const char *what)
{
	SIM_SOMETIMES_IF(job->at, "a job fails after some of its steps, and undoes them");
	job->is_undoing = true;
	job->code = error;
	if (!job->error->code && job->health && job->health->error)
		*job->error = job->health->reason;
	if (!job->error->code)
		error_set(job->error, -error, "%s: %s", what, strerror(-error));
	steps_undo(job);
}

/* `error` is that of what the current step has started, or of the list in which it waited. */
static void steps_go_on(struct job *job, int error)
{
	while (job->steps[job->at].start) {
		const struct job_step *step = &job->steps[job->at];

		if (!error && !job->has_started) {
			error = step->start(job);
			if (error == -EAGAIN) {
				assert(!op_is_idle(&job->op));	/* somebody will wake it */
				return;
			}
			if (error == JOB_DONE)
				break;
			job->has_started = true;
			if (!error && !op_is_idle(&job->op))
				return;
		}
		assert(error <= 0 && op_is_idle(&job->op));
		if (error && step->on_error == STEP_FAILS) {
			step_failed(job, error, step->what);
			return;
		}
		if (step->on_error == STEP_REPORTS && !job->code)
			job->code = error;
		job->at += job->has_started;	/* else it waited in vain, and is asked again */
		job->has_started = false;
		error = 0;
	}
	job_end(job, job->code);
}

static void steps_step(struct job *job, int error)
{
	if (job->is_undoing)
		steps_undo(job);
	else
		steps_go_on(job, error);
}

void *job_of_steps(struct daemon *daemon, size_t bytes, const struct job_step *steps,
		   struct error *error, struct op *parent)
{
	struct job *job = job_new(daemon, bytes, steps_step, error, parent);

	job->steps = steps;
	return job;
}
