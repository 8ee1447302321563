/*
 * The session.
 *
 * On the first SIGTERM, SIGINT or SIGHUP it unmounts as soon as no volume is open; on the
 * second it exits at once, as after a power cut.
 *
 * (SESSION-1) When the mount has ended, no request is read any more, and all that were
 *     delivered are answered before the daemon stops.
 * (SESSION-2) All jobs of the blocking thread have ended before the reactor does.
 * (SESSION-3) The mount is unmounted by its identity (own_mount.h).  While another file
 *     system is mounted on top of it, the session stays, and tries again periodically.
 */
#include "fuse/session.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "control/tunables.h"
#include "fuse/session_internal.h"
#include "io/exit_report.h"
#include "io/process.h"

/* ---- the states ---- */

/* Every way to the end leads here, also from before the mount: members may be open by then. */
static void session_stop(struct session *session)
{
	session->state = SESSION_STOP;
	session_notify_stopping(session);
	daemon_stop(&session->daemon, &session->stop_error, &session->op);
}

static void session_fail(struct session *session, int error)
{
	if (!session->error.code)
		error_set(&session->error, -error, "%s", strerror(-error));
	session_stop(session);
}

static void session_look(struct session *session)
{
	session->state = SESSION_MEMBERS;
	daemon_look_at(&session->daemon, session->setup->members, session->setup->member_count,
		       &session->error, &session->op);
}

/* Did a signal arrive before the mount existed? */
static bool session_was_interrupted(struct session *session)
{
	if (!session->signal_count)
		return false;
	error_set(&session->error, EINTR, "interrupted by a signal");
	session_fail(session, -EINTR);
	return true;
}

/* Starts the next member or tunable; mounts after the last. */
static void session_members(struct session *session)
{
	const struct session_setup *setup = session->setup;
	int error;

	if (session_was_interrupted(session))
		return;
	if (session->next < setup->member_count) {
		daemon_register(&session->daemon, setup->members[session->next++], &session->error,
				&session->op);
	} else {
		error = daemon_check_complete(&session->daemon, &session->error);
		session->state = SESSION_TUNE;
		session->next = 0;
		if (error)
			session_fail(session, error);
		else
			op_queue(&session->op);
	}
}

static void session_tune(struct session *session)
{
	const struct session_setup *setup = session->setup;
	const struct session_tunable *tunable;
	int error;

	if (session_was_interrupted(session))
		return;
	if (session->next < setup->tunable_count) {
		tunable = &setup->tunables[session->next++];
		control_tune(&session->daemon, tunable->name, tunable->value, &session->error,
			     &session->op);
		return;
	}
	session->state = SESSION_SERVE;
	error = session_mount(session, &session->error);
	if (error)
		session_fail(session, error);
}

void session_jobs(struct session *session)
{
	session->state = SESSION_JOBS;
	timer_cancel(&session->leave_timer);
	session_notify_done(session);
	if (!session->say.is_running && !session->leave.is_running && !session->leaves_again)
		reactor_stop(session->reactor);
}

/* `op` awaits one thing at a time: the state says which. */
static void session_step(struct op *op)
{
	struct session *session = container_of(op, struct session, op);
	int error = op_take_error(op);

	switch (session->state) {
	case SESSION_LOOK:
	case SESSION_MEMBERS:
	case SESSION_TUNE:
		if (error)
			session_fail(session, error);
		else if (session->state == SESSION_LOOK)
			session_look(session);
		else if (session->state == SESSION_MEMBERS)
			session_members(session);
		else
			session_tune(session);
		return;
	case SESSION_SERVE:
		session->state = SESSION_DRAIN;
		transport_drain(session->transport, op);	/* SESSION-1 */
		return;
	case SESSION_DRAIN:
		data_files_close_all(&session->data);
		session_stop(session);
		return;
	case SESSION_STOP:
		if (error && !session->error.code)
			session->error = session->stop_error;
		if (error && !session->error.code)
			error_set(&session->error, -error, "stopping: %s", strerror(-error));
		session_jobs(session);
		return;
	case SESSION_JOBS:
		return;
	}
}

/* ---- start and end ---- */

/* libfuse prints its messages to standard error otherwise, which a daemon does not have. */
static void library_log(enum fuse_log_level level, const char *format, va_list arguments)
{
	char line[ERROR_TEXT_BYTES];

	vsnprintf(line, sizeof(line), format, arguments);
	line[strcspn(line, "\n")] = '\0';
	if (level <= FUSE_LOG_ERR)
		log_error("%s", line);
	else
		log_debug("%s", line);
}

static int session_open_world(struct session *session, struct error *error)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, 0 };

	fuse_set_log_func(library_log);
	signal(SIGPIPE, SIG_IGN);	/* the reader of our log may exit */
	process_protect();
	session->report = exit_report_new();
	session->reactor = reactor_new(error);
	if (session->reactor)
		reactor_set_poll(session->reactor, session->setup->poll_us * UINT64_C(1000));
	if (session->reactor)
		session->signals = signals_new(session->reactor, signals, session_signal, session,
					       error);
	if (session->signals)
		session->blocking = blocking_new(error);
	return session->blocking ? 0 : -error->code;
}

/* The blocking thread goes first, since it posts to the reactor (SESSION-2). */
static void session_close_world(struct session *session)
{
	if (session->blocking)
		blocking_free(session->blocking);
	if (session->signals)
		signals_free(session->signals);
	if (session->reactor)
		reactor_free(session->reactor);
}

/* Only prepares; the first step runs in reactor_run(). */
static void session_begin(struct session *session)
{
	const struct session_setup *setup = session->setup;
	struct daemon_options options = {
		.read_only = setup->read_only, .overlay = setup->overlay,
		.node_memory_bytes = setup->node_memory_bytes,
	};

	daemon_init(&session->daemon, session->reactor, session->blocking, &options);
	tree_init(&session->tree, &session->daemon);
	session->inodes = (struct inodes){
		.tree = &session->tree,
		.reactor = session->reactor,
		.owner_uid = geteuid(),
		.owner_gid = getegid(),
		.uid = setup->uid,
		.gid = setup->gid,
		.umask = setup->umask,
		.since = clock_epoch_seconds(session->reactor),
	};
	list_init(&session->inodes.handles);
	session_leave_init(session);
	op_init(&session->op, session->reactor, session_step);
	session->state = SESSION_LOOK;
	session_notify_init(session);
	op_queue(&session->op);
}

/*
 * From the top to the bottom: libfuse calls the operations of inodes, these ask the tree, and the
 * tree the daemon.
 */
static void session_end(struct session *session)
{
	assert(!session->inodes.stores);
	transport_free(session->transport);
	if (session->is_mounted) {
		data_files_done(&session->data);
		session_unmount(session);
	}
	if (session->fuse)
		fuse_session_destroy(session->fuse);
	inodes_close_all(&session->inodes);
	inodes_done(&session->inodes);
	tree_done(&session->tree);
	daemon_done(&session->daemon);
	notify_close(&session->notify);
}

int session_run(const struct session_setup *setup, struct error *error)
{
	struct session session = { .setup = setup };
	int result = session_open_world(&session, error);

	if (!result) {
		session_begin(&session);
		reactor_run(session.reactor);
		session_end(&session);
		if (!session.error.code && !session.is_ready)
			error_set(&session.error, EIO, "%s: was unmounted before it was ready",
				  setup->directory);
		*error = session.error;
		result = -session.error.code;
	}
	session_close_world(&session);
	exit_report_write(session.report, result ? error->text : "");
	return result;
}
