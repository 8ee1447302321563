/*
 * The transfers of devices with an overlay, on a thread of their own.
 *
 *	shadow_start --> jobs --> batch: reads, writes, zeroes --> settle --> sync --> posts
 *
 * The thread takes all that wait as one batch, in order, so that the writes of a batch share the
 * sync that new units need (SHADOW-1), and flushes share theirs.  An overlay is for trying things:
 * one transfer after the other is simple, and fast enough.
 *
 * A transfer has a job in the queue of the thread; the first one that runs carries out the whole
 * batch, and the others find that they are done.
 */
#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "io/blocking.h"
#include "io/shadow_internal.h"
#include "io/transfer.h"

struct shadow_job {
	struct blocking_job blocking;
	struct op op;			/* awaits the job on the reactor */
	struct shadow_member *member;
	struct transfer *transfer;
	struct list_link link;		/* in shadow->jobs, then in the batch */
	bool is_done;			/* by a batch */
	int result;
};

static struct shadow_job *job_of(struct list_link *link)
{
	return container_of(link, struct shadow_job, link);
}

static bool job_changes(const struct shadow_job *job)
{
	return job->transfer->kind == TRANSFER_WRITE || job->transfer->kind == TRANSFER_DISCARD;
}

static bool job_flushes(const struct shadow_job *job)
{
	return job->transfer->kind == TRANSFER_FLUSH || job->transfer->fua;
}

static int job_do(struct shadow_job *job)
{
	struct transfer *transfer = job->transfer;

	switch (transfer->kind) {
	case TRANSFER_READ:
		return shadow_read(job->member, transfer->data, transfer->offset, transfer->left);
	case TRANSFER_WRITE:
		return shadow_write(job->member, transfer->data, transfer->offset, transfer->left);
	case TRANSFER_DISCARD:
		return shadow_zero(job->member, transfer->offset, transfer->left);
	case TRANSFER_FLUSH:
		return 0;
	}
	return 0;
}

/* A write whose bits are not written has failed (SHADOW-3), and so has a flush of it. */
static void batch_do(struct shadow *shadow, struct list *batch)
{
	bool changes = false, flushes = false;
	int settled, flushed;

	for (struct list_link *link = list_first(batch); link; link = list_next(batch, link)) {
		job_of(link)->result = job_do(job_of(link));
		changes |= job_changes(job_of(link));
		flushes |= job_flushes(job_of(link));
	}
	settled = changes ? shadow_settle(shadow) : 0;
	flushed = flushes ? shadow_flush(shadow) : 0;
	for (struct list_link *link; (link = list_take_first(batch));) {
		struct shadow_job *job = job_of(link);

		if (!job->result && job_changes(job))
			job->result = settled;
		if (!job->result && job_flushes(job))
			job->result = flushed;
		job->is_done = true;
	}
}

static int job_run(struct blocking_job *blocking)
{
	struct shadow_job *job = container_of(blocking, struct shadow_job, blocking);
	struct shadow *shadow = job->member->shadow;
	struct list batch;

	if (job->is_done)
		return 0;
	list_init(&batch);
	pthread_mutex_lock(&shadow->jobs_mutex);
	list_take_all(&batch, &shadow->jobs);
	pthread_mutex_unlock(&shadow->jobs_mutex);
	batch_do(shadow, &batch);
	assert(job->is_done);
	return 0;
}

/* On the reactor: the transfer ends as if the ring had carried it out. */
static void job_step(struct op *op)
{
	struct shadow_job *job = container_of(op, struct shadow_job, op);
	struct transfer *transfer = job->transfer;
	bool moves = transfer->kind == TRANSFER_READ || transfer->kind == TRANSFER_WRITE;
	int result = job->result ? job->result : moves ? (int)transfer->left : 0;

	free(job);
	transfer->completion.done(&transfer->completion, result);
}

static void start_thread(struct shadow *shadow)
{
	struct error error;

	if (shadow->blocking)
		return;
	shadow->blocking = blocking_new(&error);
	if (!shadow->blocking) {
		log_error("%s: %s", shadow->path, error.text);
		abort();
	}
}

void shadow_start(struct shadow_member *member, struct transfer *transfer)
{
	struct shadow *shadow = member->shadow;
	struct shadow_job *job = calloc(1, sizeof(*job));

	assert(job);
	start_thread(shadow);
	job->blocking.run = job_run;
	job->member = member;
	job->transfer = transfer;
	op_init(&job->op, transfer->op->home, job_step);
	pthread_mutex_lock(&shadow->jobs_mutex);
	list_add_last(&shadow->jobs, &job->link);
	pthread_mutex_unlock(&shadow->jobs_mutex);
	blocking_start(shadow->blocking, &job->blocking, &job->op);
}

void shadow_queue_done(struct shadow *shadow)
{
	blocking_free(shadow->blocking);
	shadow->blocking = NULL;
	assert(list_empty(&shadow->jobs));
}
