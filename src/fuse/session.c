/*
 * The session.
 *
 * On the first SIGTERM, SIGINT or SIGHUP it unmounts as soon as no volume is open; on the
 * second it exits at once, as after a power cut.
 *
 * (SESSION-1) When the mount has ended, no message is read any more, and all requests that
 *     were taken are answered before the daemon stops.
 * (SESSION-2) All jobs of the blocking thread have ended before the reactor does.
 * (SESSION-3) The mount is unmounted by its identity (own_mount.h).  While another file
 *     system is mounted on top of it, the session stays, and tries again periodically.
 */
#include "fuse/session.h"

#include <assert.h>
#include <errno.h>
#include <linux/fuse.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cache/request.h"
#include "control/tree.h"
#include "control/tunables.h"
#include "fuse/data_file.h"
#include "fuse/inodes.h"
#include "fuse/library.h"
#include "io/channel.h"
#include "io/own_mount.h"
#include "io/process.h"
#include "io/signals.h"

enum {
	REQUESTS_DEFAULT = 64,
	DATA_BYTES = 1 << 20,
	/* Since Linux 6.6 a direct write invalidates the page cache of other handles. */
	DIRECT_MINOR = 39,
	EXIT_AT_ONCE = 2,		/* "system error" in mount(8) */
};
#define LEAVE_AGAIN_NS UINT64_C(500000000)	/* while a mount is on top of ours */

enum session_state {
	SESSION_LOOK,		/* waits for daemon_look_at() */
	SESSION_MEMBERS,	/* waits for a member to be registered */
	SESSION_TUNE,		/* waits for a store of a mount option */
	SESSION_SERVE,
	SESSION_DRAIN,		/* waits for requests in flight to be answered */
	SESSION_STOP,		/* waits for daemon_stop() */
	SESSION_JOBS,		/* waits for jobs of the blocking thread */
};

/* A job of the blocking thread. */
struct session_job {
	struct session *session;
	struct blocking_job job;
	struct op op;
	bool is_running;
};

struct session {
	const struct session_setup *setup;
	struct reactor *reactor;
	struct blocking *blocking;
	struct signals *signals;
	struct daemon daemon;
	struct tree tree;
	struct inodes inodes;
	struct data_files data;
	struct fuse_session *fuse;
	struct channel *channel;
	struct op op;
	enum session_state state;
	unsigned next;			/* index of the member, then of the tunable */
	struct error error;		/* why it could not start, or end cleanly */
	struct error stop_error;
	bool is_mounted, is_ready;
	struct own_mount mount;
	unsigned signal_count;
	struct session_job say, leave;
	struct error leave_error;	/* of the job `leave` */
	struct timer leave_timer;	/* until the next attempt to unmount */
	struct op leave_again;
	bool leaves_again, has_told_of_mount;
};

/* ---- messages ---- */

/* Messages without a reply.  Interrupts are ignored: every request ends by itself. */
static bool needs_no_answer(const struct fuse_in_header *head)
{
	return head->opcode == FUSE_FORGET || head->opcode == FUSE_BATCH_FORGET ||
	       head->opcode == FUSE_INTERRUPT;
}

static void note_version(struct session *session, const struct channel_slot *slot)
{
	const struct fuse_in_header *head = slot->in;
	const struct fuse_init_in *init = (const void *)(head + 1);

	if (slot->in_bytes < sizeof(*head) + 2 * sizeof(init->major))
		return;
	session->data.direct = init->major > 7 ||
			       (init->major == 7 && init->minor >= DIRECT_MINOR);
}

static void session_ready(struct session *session)
{
	session->is_ready = true;
	log_info("%s: mounted", session->setup->directory);
	if (session->setup->ready)
		session->setup->ready(session->setup->context);
}

static void session_ask_library(struct session *session, struct channel_slot *slot)
{
	const struct fuse_in_header *head = slot->in;
	struct fuse_buf message = { .mem = slot->in, .size = slot->in_bytes };
	bool is_init = head->opcode == FUSE_INIT;

	if (is_init)
		note_version(session, slot);
	fuse_session_process_buf(session->fuse, &message);
	channel_release(slot);
	if (is_init && !session->is_ready)
		session_ready(session);
}

static void session_message(void *context, struct channel_slot *slot, int error UNUSED)
{
	struct session *session = context;

	if (!slot)
		op_queue(&session->op);		/* SERVE has ended */
	else if (slot->in_bytes < sizeof(struct fuse_in_header) || needs_no_answer(slot->in))
		channel_release(slot);
	else if (!data_files_take(&session->data, slot))
		session_ask_library(session, slot);
}

/* The kernel's page cache never holds data that we have not seen (no WRITEBACK_CACHE), and an
 * open with O_TRUNC asks for the truncation by itself, which we can then ignore. */
static void session_init(void *context, struct fuse_conn_info *connection)
{
	struct session *session = container_of(context, struct session, inodes);
	unsigned requests = session->setup->requests;

	connection->want &= ~(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA |
			      FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
			      FUSE_CAP_WRITEBACK_CACHE);
	connection->want |= connection->capable & (FUSE_CAP_ASYNC_DIO | FUSE_CAP_ASYNC_READ |
						   FUSE_CAP_PARALLEL_DIROPS);
	connection->max_write = DATA_BYTES;
	connection->max_background = requests ? requests : REQUESTS_DEFAULT;
	connection->congestion_threshold = connection->max_background * 3 / 4;
}

/* ---- the mount ---- */

static void session_idle(void *context);

static void add_option(char **options, const char *option, const char *value)
{
	autofree char *text = NULL;
	int error = asprintf(&text, "%s%s", option, value) < 0;

	/* kernel_flags is a list of options; commas elsewhere must be escaped. */
	if (!error)
		error = *value ? fuse_opt_add_opt_escaped(options, text)
			       : fuse_opt_add_opt(options, text);
	assert(!error);
}

static char *mount_options(const struct session_setup *setup)
{
	char *options = NULL;

	add_option(&options, "subtype=bcachefuse", "");
	add_option(&options, "default_permissions", "");
	add_option(&options, "fsname=", setup->source);
	if (setup->read_only)
		add_option(&options, "ro", "");
	if (setup->allow_other)
		add_option(&options, "allow_other", "");
	if (setup->kernel_flags && *setup->kernel_flags)
		add_option(&options, setup->kernel_flags, "");
	return options;
}

static int session_new_fuse(struct session *session, struct error *error)
{
	struct fuse_lowlevel_ops operations = { .init = session_init };
	autofree char *options = mount_options(session->setup);
	char *words[] = { "bcachefuse", "-o", options, NULL };
	struct fuse_args arguments = FUSE_ARGS_INIT(3, words);

	inodes_operations(&operations);
	control_file_operations(&operations);
	session->fuse = fuse_session_new(&arguments, &operations, sizeof(operations),
					 &session->inodes);
	fuse_opt_free_args(&arguments);
	return session->fuse ? 0
			     : error_set(error, EINVAL, "libfuse refuses the mount options \"%s\"",
					 options);
}

/* Users other than root mount through fusermount3, which prints its own errors. */
static int say_unmountable(const char *directory, int code, struct error *error)
{
	bool is_missing = code == ENOENT || code == ENODEV || code == ENXIO;

	return error_set(error, code, "%s: cannot be mounted on by FUSE: %s%s", directory,
			 strerror(code),
			 is_missing ? " (is there a /dev/fuse?)" :
			 geteuid()  ? " (fusermount3 has said why)" : "");
}

static int session_mount(struct session *session, struct error *error)
{
	const char *directory = session->setup->directory;
	unsigned requests = session->setup->requests;
	unsigned slots = (requests ? requests : REQUESTS_DEFAULT) + REQUESTS_MORE;
	struct mount_table before;
	int result = session_new_fuse(session, error);

	if (!result)
		result = mount_table_read(&before, error);
	if (result)
		return result;
	errno = 0;
	if (fuse_session_mount(session->fuse, directory))
		result = say_unmountable(directory, errno ? errno : EIO, error);
	else
		own_mount_find(&session->mount, fuse_session_fd(session->fuse), directory, &before);
	mount_table_done(&before);
	if (result)
		return result;
	assert(slots <= REQUESTS_MAX);
	session->is_mounted = true;
	session->daemon.directory = directory;
	session->daemon.file_system = own_mount_number(&session->mount);
	data_files_init(&session->data, &session->tree, slots);
	session->data.idle = session_idle;
	session->data.context = session;
	session->channel = channel_new(session->reactor, fuse_session_fd(session->fuse), slots,
				       DATA_BYTES, session_message, session, error);
	return session->channel ? 0 : -error->code;
}

/* ---- the states ---- */

static void session_stop(struct session *session)
{
	session->state = SESSION_STOP;
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

/* SESSION-2 */
static void session_jobs(struct session *session)
{
	session->state = SESSION_JOBS;
	timer_cancel(&session->leave_timer);
	if (!session->say.is_running && !session->leave.is_running && !session->leaves_again)
		reactor_stop(session->reactor);
}

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
		channel_drain(session->channel, op);	/* SESSION-1 */
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

/* ---- unmounting ---- */

static void job_start(struct session_job *job)
{
	assert(!job->is_running);
	job->is_running = true;
	blocking_start(job->session->blocking, &job->job, &job->op);
}

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
	channel_stop(session->channel);
}

/* The last volume was closed. */
static void session_idle(void *context)
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

static void session_signal(void *context, int number)
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

/* ---- start and end ---- */

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

static void job_init(struct session_job *job, struct session *session,
		     int (*run)(struct blocking_job *job), void (*step)(struct op *op))
{
	*job = (struct session_job){ .session = session, .job = { .run = run } };
	op_init(&job->op, session->reactor, step);
}

static int session_open_world(struct session *session, struct error *error)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, 0 };

	fuse_set_log_func(library_log);
	signal(SIGPIPE, SIG_IGN);	/* the reader of our log may exit */
	process_protect();
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

static void session_close_world(struct session *session)
{
	if (session->blocking)
		blocking_free(session->blocking);
	if (session->signals)
		signals_free(session->signals);
	if (session->reactor)
		reactor_free(session->reactor);
}

static void session_begin(struct session *session)
{
	const struct session_setup *setup = session->setup;
	struct daemon_options options = {
		.read_only = setup->read_only, .node_memory_bytes = setup->node_memory_bytes
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
	job_init(&session->say, session, say_run, say_step);
	job_init(&session->leave, session, leave_run, leave_step);
	op_init(&session->leave_again, session->reactor, leave_again_step);
	op_init(&session->op, session->reactor, session_step);
	session->state = SESSION_LOOK;
	op_queue(&session->op);
}

/* After an early failure it may still be mounted; libfuse cleans up the rest. */
static void session_unmount(struct session *session)
{
	struct error error;

	if (own_mount_leave(&session->mount, &error))
		log_warning("%s: stays mounted without a daemon: %s", session->setup->directory,
			    error.text);
	own_mount_sever(&session->mount);
	fuse_session_unmount(session->fuse);
}

static void session_end(struct session *session)
{
	assert(!session->inodes.stores);
	channel_free(session->channel);
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
	return result;
}
