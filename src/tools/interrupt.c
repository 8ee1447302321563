/*
 * Takes signals by a descriptor; see interrupt.h.
 */
#include "tools/interrupt.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static sigset_t interrupt_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	return set;
}

void interrupt_begin(struct interrupt *interrupt)
{
	sigset_t set = interrupt_signals();

	*interrupt = (struct interrupt){ .fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC) };
	if (interrupt->fd >= 0)
		sigprocmask(SIG_BLOCK, &set, NULL);
}

void interrupt_look(struct interrupt *interrupt)
{
	struct signalfd_siginfo info;

	while (interrupt->fd >= 0 &&
	       read(interrupt->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGUSR1)
			interrupt->wants_progress = true;
		else
			interrupt->is_stopped = true;
	}
}

/* Signals that have come are taken, so that it does not end the program now. */
void interrupt_end(struct interrupt *interrupt)
{
	sigset_t set = interrupt_signals();

	interrupt_look(interrupt);
	if (interrupt->fd < 0)
		return;
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	close(interrupt->fd);
	interrupt->fd = -1;
}
