/* Signals: they arrive on the reactor, in turn, and interrupt nobody. */
#include <signal.h>

#include "awaiter.h"
#include "io/signals.h"

struct seen {
	struct reactor *reactor;
	unsigned count;
	int last;
};

static void arrived(void *context, int signal)
{
	struct seen *seen = context;

	seen->count++;
	seen->last = signal;
	reactor_stop(seen->reactor);
}

static const int watched[] = { SIGTERM, SIGHUP, 0 };

Test(signals, arrive_each_time, .timeout = 60)
{
	struct seen seen = { .reactor = test_reactor() };
	struct signals *signals = signals_new(seen.reactor, watched, arrived, &seen, NULL);

	for (unsigned i = 0; i < 3; i++) {
		kill(getpid(), i % 2 ? SIGHUP : SIGTERM);
		while (seen.count == i)
			reactor_run(seen.reactor);
		cr_expect(eq(int, seen.last, i % 2 ? SIGHUP : SIGTERM));
	}
	signals_free(signals);
	reactor_free(seen.reactor);
}

Test(signals, are_let_go_without_having_come, .timeout = 60)
{
	struct seen seen = { .reactor = test_reactor() };
	struct signals *signals = signals_new(seen.reactor, watched, arrived, &seen, NULL);
	sigset_t blocked;

	signals_free(signals);
	reactor_free(seen.reactor);
	cr_expect(zero(u32, seen.count));
	sigprocmask(SIG_BLOCK, NULL, &blocked);
	cr_expect(zero(int, sigismember(&blocked, SIGTERM)));
}
