/*
 * Tells systemd how far the session is: ready, stopping, and a status line.
 *
 *	start --every five seconds: STATUS, more time--> READY=1 --...--> STOPPING=1, likewise
 *
 * Starting a large set after a crash, and stopping one, may take longer than systemd waits.  As
 * long as the event loop runs, it gets more time.
 */
#include "fuse/session_internal.h"

#include "base/escape.h"

enum { DIRECTORY_BYTES = 256 };

#define NOTIFY_AGAIN_NS UINT64_C(5000000000)
#define NOTIFY_EXTEND_US 60000000

/* What takes time now; NULL: nothing does. */
static const char *notify_word(const struct session *session)
{
	switch (session->state) {
	case SESSION_LOOK:
		return "looking at the members";
	case SESSION_MEMBERS:
		return "starting member";
	case SESSION_TUNE:
		return "changing settings";
	case SESSION_SERVE:
		return session->is_ready ? NULL : "mounting";
	case SESSION_DRAIN:
		return "answering the last requests";
	case SESSION_STOP:
	case SESSION_JOBS:
		return "making everything durable";
	}
	return NULL;
}

static void notify_progress(struct session *session)
{
	const char *word = notify_word(session);
	unsigned seconds = (clock_ns(session->reactor) - session->notify_since_ns) / 1000000000;

	if (!word)
		return;
	if (session->state == SESSION_MEMBERS)
		notify_send(&session->notify, "EXTEND_TIMEOUT_USEC=%d\nSTATUS=%s %u of %u, %u s",
			    NOTIFY_EXTEND_US, word, session->next, session->setup->member_count,
			    seconds);
	else
		notify_send(&session->notify, "EXTEND_TIMEOUT_USEC=%d\nSTATUS=%s, %u s",
			    NOTIFY_EXTEND_US, word, seconds);
	if (session->state != SESSION_JOBS)
		timer_start(&session->notify_timer, NOTIFY_AGAIN_NS, &session->notify_op);
}

static void notify_step(struct op *op)
{
	op_take_error(op);
	notify_progress(container_of(op, struct session, notify_op));
}

void session_notify_init(struct session *session)
{
	notify_open(&session->notify);
	op_init(&session->notify_op, session->reactor, notify_step);
	session->notify_since_ns = clock_ns(session->reactor);
	if (notify_is_wanted(&session->notify))
		notify_progress(session);
}

/* The timer is stopped: its op takes a last step, which finds nothing that takes time. */
void session_notify_ready(struct session *session)
{
	char directory[DIRECTORY_BYTES];

	escape_line(directory, sizeof(directory), session->setup->directory);
	notify_send(&session->notify, "READY=1\nSTATUS=mounted on %s", directory);
	timer_cancel(&session->notify_timer);
}

void session_notify_stopping(struct session *session)
{
	notify_send(&session->notify, "STOPPING=1");
	session->notify_since_ns = clock_ns(session->reactor);
	if (notify_is_wanted(&session->notify) && !timer_running(&session->notify_timer) &&
	    op_is_idle(&session->notify_op))
		notify_progress(session);
}

void session_notify_done(struct session *session)
{
	timer_cancel(&session->notify_timer);
}
