/* Signals through a signalfd, which the ring polls. */
#include "io/signals.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

#include "io/uring.h"

struct signals {
	struct reactor *reactor;
	signals_arrived *arrived;
	void *context;
	int fd;
	sigset_t before;		/* the signal mask before (SIGNAL-1) */
	struct completion completion;
};

/* A poll of the ring reports once, so it is started again after each report. */
static void signals_watch(struct signals *signals)
{
	struct io_uring_sqe *sqe = reactor_sqe(signals->reactor, &signals->completion);

	io_uring_prep_poll_add(sqe, signals->fd, POLLIN);
}

static void signals_done(struct completion *completion, int result UNUSED)
{
	struct signals *signals = container_of(completion, struct signals, completion);
	struct signalfd_siginfo info;

	while (read(signals->fd, &info, sizeof(info)) == sizeof(info))
		signals->arrived(signals->context, info.ssi_signo);
	signals_watch(signals);
}

struct signals *signals_new(struct reactor *reactor, const int *numbers, signals_arrived *arrived,
			    void *context, struct error *error)
{
	struct signals *signals = calloc(1, sizeof(*signals));
	sigset_t set;

	if (!signals) {
		error_set(error, ENOMEM, "no memory for signals");
		return NULL;
	}
	*signals = (struct signals){ .reactor = reactor, .arrived = arrived, .context = context };
	signals->completion.done = signals_done;
	sigemptyset(&set);
	for (; *numbers; numbers++)
		sigaddset(&set, *numbers);
	signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals->fd < 0) {
		error_set(error, errno, "cannot watch signals: %s", strerror(errno));
		free(signals);
		return NULL;
	}
	pthread_sigmask(SIG_BLOCK, &set, &signals->before);
	signals_watch(signals);
	return signals;
}

void signals_free(struct signals *signals)
{
	if (!signals)
		return;
	reactor_cancel_now(signals->reactor, &signals->completion);
	close(signals->fd);
	pthread_sigmask(SIG_SETMASK, &signals->before, NULL);
	free(signals);
}
