/*
 * The engine without a mount; see offline.h.
 */
#include "tools/offline.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "io/process.h"
#include "io/signals.h"
#include "tools/member.h"
#include "tools/mounts.h"

enum offline_state { OFFLINE_LOOK, OFFLINE_MEMBERS, OFFLINE_WORK, OFFLINE_STOP };

struct offline {
	const char *const *members;
	unsigned count, next;
	struct offline_work *work;
	enum offline_state state;
	struct reactor *reactor;
	struct signals *signals;
	struct blocking *blocking;
	struct daemon daemon;
	struct op op;
	struct timer timer;		/* ends a wait of the work, for a signal */
	bool is_interrupted;
	struct error error, stop_error;
};

static void offline_stop(struct offline *offline)
{
	offline->state = OFFLINE_STOP;
	daemon_stop(&offline->daemon, &offline->stop_error, &offline->op);
}

/* The next member; after the last, the work. */
static void offline_members(struct offline *offline)
{
	int error;

	if (offline->next < offline->count) {
		daemon_register(&offline->daemon, offline->members[offline->next++],
				&offline->error, &offline->op);
		return;
	}
	error = daemon_check_complete(&offline->daemon, &offline->error);
	offline->state = OFFLINE_WORK;
	if (error)
		offline_stop(offline);
	else
		op_queue(&offline->op);
}

static void offline_work(struct offline *offline)
{
	int error = offline->work->step(offline->work, &offline->daemon, &offline->op,
					&offline->error);

	if (error == -EAGAIN)
		return;
	if (error && !offline->error.code)
		error_set(&offline->error, -error, "%s", strerror(-error));
	offline_stop(offline);
}

/* A signal, or an error of what the op awaited. */
static bool ends_early(struct offline *offline, int error)
{
	if (offline->state == OFFLINE_STOP || (!error && !offline->is_interrupted))
		return false;
	if (error && !offline->error.code)
		error_set(&offline->error, -error, "%s", strerror(-error));
	offline_stop(offline);
	return true;
}

static void offline_step(struct op *op)
{
	struct offline *offline = container_of(op, struct offline, op);
	int error = op_take_error(op);

	if (ends_early(offline, error))
		return;
	switch (offline->state) {
	case OFFLINE_LOOK:
		offline->state = OFFLINE_MEMBERS;
		daemon_look_at(&offline->daemon, offline->members, offline->count,
			       &offline->error, op);
		return;
	case OFFLINE_MEMBERS:
		offline_members(offline);
		return;
	case OFFLINE_WORK:
		offline_work(offline);
		return;
	case OFFLINE_STOP:
		if (error && !offline->stop_error.code)
			error_set(&offline->stop_error, -error, "%s", strerror(-error));
		reactor_stop(offline->reactor);
		return;
	}
}

/* The op sees it when what it awaits has ended: work waits for a moment only. */
static void offline_signal(void *context, int number)
{
	struct offline *offline = context;

	if (number != SIGUSR1)
		offline->is_interrupted = true;
	else if (offline->work->print_now && offline->state == OFFLINE_WORK)
		offline->work->print_now(offline->work);
}

static int offline_open(struct offline *offline, struct error *error)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, 0 };

	signal(SIGPIPE, SIG_IGN);
	process_protect();
	offline->reactor = reactor_new(error);
	if (offline->reactor)
		offline->signals = signals_new(offline->reactor, signals, offline_signal, offline,
					       error);
	if (offline->signals)
		offline->blocking = blocking_new(error);
	return offline->blocking ? 0 : -error->code;
}

/* The blocking thread goes first, since it posts to the reactor. */
static void offline_close(struct offline *offline)
{
	if (offline->blocking)
		blocking_free(offline->blocking);
	if (offline->signals)
		signals_free(offline->signals);
	if (offline->reactor)
		reactor_free(offline->reactor);
}

int offline_run(const char *const *members, unsigned count, enum offline_way way,
		struct offline_work *work, struct error *error)
{
	const struct daemon_options options = { .read_only = way != OFFLINE_WRITE,
						.rescues = way == OFFLINE_RESCUE };
	struct offline offline = { .members = members, .count = count, .work = work };
	int result = offline_open(&offline, error);

	if (!result) {
		daemon_init(&offline.daemon, offline.reactor, offline.blocking, &options);
		op_init(&offline.op, offline.reactor, offline_step);
		op_queue(&offline.op);
		reactor_run(offline.reactor);
		daemon_done(&offline.daemon);
		*error = offline.error.code ? offline.error : offline.stop_error;
		result = -error->code;
		if (!result && offline.is_interrupted)
			result = -EINTR;
	}
	offline_close(&offline);
	return result;
}

int offline_check_members(const char *const *members, unsigned count, bool for_writing,
			  struct error *error)
{
	int result = 0;

	for (unsigned i = 0; i < count && !result; i++) {
		for (unsigned j = 0; j < i && !result; j++)
			result = member_check_distinct(members[j], members[i], error);
		if (!result)
			result = member_check_present(members[i], error);
		if (!result)
			result = mounted_check(members[i], for_writing, error);
	}
	return result;
}
