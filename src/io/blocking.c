/*
 * The thread for blocking calls, and its queue of jobs.
 *
 * There is only one: a job that hangs delays the jobs behind it, but never a step.
 *
 * (BLOCKING-1) The thread owns a job from blocking_start() until reactor_post(), and does
 *     not touch it afterwards.
 */
#include "io/blocking.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "io/reactor.h"

struct blocking {
	pthread_t thread;
	pthread_mutex_t mutex;		/* guards the fields below */
	pthread_cond_t wake;
	struct list jobs;
	bool stopping;
};

/* Waits for the next job; NULL: the thread is to end. */
static struct blocking_job *blocking_next(struct blocking *blocking)
{
	struct list_link *link;

	pthread_mutex_lock(&blocking->mutex);
	while (list_empty(&blocking->jobs) && !blocking->stopping)
		pthread_cond_wait(&blocking->wake, &blocking->mutex);
	link = list_take_first(&blocking->jobs);
	pthread_mutex_unlock(&blocking->mutex);
	return link ? container_of(link, struct blocking_job, link) : NULL;
}

static void *blocking_run(void *argument)
{
	struct blocking *blocking = argument;

	for (struct blocking_job *job; (job = blocking_next(blocking));) {
		struct op *op = job->op;
		int result = job->run(job);

		job->result = result;
		reactor_post(op, result);	/* BLOCKING-1 */
	}
	return NULL;
}

/* Blocks all signals in the new thread: the main thread handles them. */
static int blocking_create_thread(struct blocking *blocking)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&blocking->thread, NULL, blocking_run, blocking);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

struct blocking *blocking_new(struct error *error)
{
	struct blocking *blocking = calloc(1, sizeof(*blocking));
	int code;

	if (!blocking) {
		error_set(error, ENOMEM, "no memory for a thread");
		return NULL;
	}
	list_init(&blocking->jobs);
	pthread_mutex_init(&blocking->mutex, NULL);
	pthread_cond_init(&blocking->wake, NULL);
	code = blocking_create_thread(blocking);
	if (code) {
		error_set(error, code, "cannot make a thread: %s", strerror(code));
		free(blocking);
		return NULL;
	}
	return blocking;
}

void blocking_free(struct blocking *blocking)
{
	if (!blocking)
		return;
	pthread_mutex_lock(&blocking->mutex);
	blocking->stopping = true;
	pthread_cond_signal(&blocking->wake);
	pthread_mutex_unlock(&blocking->mutex);
	pthread_join(blocking->thread, NULL);
	assert(list_empty(&blocking->jobs));
	pthread_cond_destroy(&blocking->wake);
	pthread_mutex_destroy(&blocking->mutex);
	free(blocking);
}

void blocking_start(struct blocking *blocking, struct blocking_job *job, struct op *op)
{
	op_await(op);
	job->op = op;
	pthread_mutex_lock(&blocking->mutex);
	assert(!blocking->stopping);
	list_add_last(&blocking->jobs, &job->link);
	pthread_cond_signal(&blocking->wake);
	pthread_mutex_unlock(&blocking->mutex);
}
