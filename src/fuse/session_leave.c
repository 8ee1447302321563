/*
 * How a session ends: signals, and the attempts to unmount.
 *
 *	1st signal --> a volume is open?  yes: says who uses it; waits for session_idle()
 *	                                   no: leave_run() --> leave_step() --> transport_stop()
 *	2nd signal --> leave_run(), even with open volumes; exits, with the devices as after a
 *	               power cut
 *	3rd signal --> exits without unmounting
 *
 * umount(2) may wait for other file systems, and a search for users reads all of /proc; so both
 * run on the blocking thread, while the reactor still serves requests.
 */
#include "fuse/session.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "fuse/session_internal.h"

enum { EXIT_AT_ONCE = 2 };		/* "system error" in mount(8) */

#define LEAVE_AGAIN_NS UINT64_C(500000000)	/* while a mount is on top of ours */

static void job_start(struct session_job *job)
{
	assert(!job->is_running);
	job->is_running = true;
	blocking_start(job->session->blocking, &job->job, &job->op);
}

/* SESSION_JOBS waits for jobs: the last one to end lets the reactor stop. */
static void job_ended(struct session_job *job)
{
	job->is_running = false;
	job->op.error = 0;
	if (job->session->state == SESSION_JOBS)
		session_jobs(job->session);
}

/* Unmounts lazily: processes that use the mount keep it. */
static int leave_run(struct blocking_job *job)
{
	struct session *session = container_of(job, struct session_job, job)->session;

	return own_mount_leave(&session->mount, &session->leave_error);
}

static void session_leave(struct session *session)
{
	if (session->leave.is_running)
		return;
	session->leave_error = (struct error){ 0 };
	job_start(&session->leave);
}

/* SESSION-3 */
static void leave_again_step(struct op *op)
{
	struct session *session = container_of(op, struct session, leave_again);

	op->error = 0;
	session->leaves_again = false;
	if (session->state == SESSION_JOBS)
		session_jobs(session);
	else if (session->state == SESSION_SERVE && !data_files_busy(&session->data))
		session_leave(session);
}

static void session_leave_later(struct session *session)
{
	if (!session->has_told_of_mount)
		log_warning("%s: stays while another mount needs it; a second signal ends it at "
			    "once. %s",
			    session->setup->directory, session->leave_error.text);
	session->has_told_of_mount = true;
	if (session->leaves_again)
		return;
	session->leaves_again = true;
	timer_start(&session->leave_timer, LEAVE_AGAIN_NS, &session->leave_again);
}

/*
 * The kernel keeps a lazily detached mount for its users; so reading ends only if no volume is
 * open.  A second signal does not wait for them.
 */
static void leave_step(struct op *op)
{
	struct session_job *job = container_of(op, struct session_job, op);
	struct session *session = job->session;
	int error = op->error;

	if (session->signal_count > 1)
		_exit(EXIT_AT_ONCE);
	job_ended(job);
	/* If a volume was opened meanwhile, session_idle() is called at its close. */
	if (session->state != SESSION_SERVE || data_files_busy(&session->data))
		return;
	if (error == -EBUSY) {
		session_leave_later(session);
		return;
	}
	if (error)
		log_warning("%s: %s", session->setup->directory, session->leave_error.text);
	transport_stop(session->transport);
}

void session_idle(void *context)
{
	struct session *session = context;

	if (session->signal_count && session->state == SESSION_SERVE)
		session_leave(session);
}

static int say_run(struct blocking_job *job)
{
	const struct session *session = container_of(job, struct session_job, job)->session;
	const struct session_setup *setup = session->setup;
	autofree char *text = NULL;
	size_t bytes;
	FILE *stream = setup->print_holders ? open_memstream(&text, &bytes) : NULL;

	if (stream) {
		setup->print_holders(stream, setup->directory);
		fclose(stream);
	}
	log_warning("%s: stays until its volumes are closed; a second signal ends it at once. "
		    "In use by %s",
		    setup->directory, text ? text : "someone");
	return 0;
}

static void say_step(struct op *op)
{
	job_ended(container_of(op, struct session_job, op));
}

/* Exits without writing anything: the devices are as after a power cut. */
static void session_leave_now(struct session *session)
{
	log_warning("%s: leaves at once", session->setup->directory);
	if (session->signal_count > 2 || session->state != SESSION_SERVE)
		_exit(EXIT_AT_ONCE);
	session_leave(session);
}

/* Before the mount is served, the count is enough: session_was_interrupted() looks at it. */
void session_signal(void *context, int number)
{
	struct session *session = context;

	log_info("%s: %s", session->setup->directory, strsignal(number));
	if (++session->signal_count > 1)
		session_leave_now(session);
	else if (session->state == SESSION_SERVE && data_files_busy(&session->data))
		job_start(&session->say);
	else if (session->state == SESSION_SERVE)
		session_leave(session);
}

static void job_init(struct session_job *job, struct session *session,
		     int (*run)(struct blocking_job *job), void (*step)(struct op *op))
{
	*job = (struct session_job){ .session = session, .job = { .run = run } };
	op_init(&job->op, session->reactor, step);
}

void session_leave_init(struct session *session)
{
	job_init(&session->say, session, say_run, say_step);
	job_init(&session->leave, session, leave_run, leave_step);
	op_init(&session->leave_again, session->reactor, leave_again_step);
}
