/*
 * Sets a stopped child's vector registers from a buffer that is too short for this processor, as
 * User Mode Linux does, while signals overwrite errno; says how many sets failed.
 *
 * usage: set_registers COUNT      (with wide_xstate.so preloaded)
 */
#include <elf.h>
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KNOWN_BYTES = 2696, SIGNAL_EVERY_US = 20 };

static void overwrite_errno(int number)
{
	(void)number;
	errno = EAGAIN;
}

static pid_t stopped_child(void)
{
	pid_t child = fork();

	if (child < 0)
		err(1, "fork");
	if (!child) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(1);
		raise(SIGSTOP);
		_exit(0);
	}
	if (waitpid(child, NULL, WUNTRACED) != child)
		err(1, "waitpid");
	return child;
}

int main(int argc, char **argv)
{
	static unsigned char state[KNOWN_BYTES];
	struct iovec known = { .iov_base = state, .iov_len = sizeof(state) };
	struct itimerval often = { .it_interval.tv_usec = SIGNAL_EVERY_US,
				   .it_value.tv_usec = SIGNAL_EVERY_US };
	struct sigaction action = { .sa_handler = overwrite_errno, .sa_flags = SA_RESTART };
	long count = argc > 1 ? atol(argv[1]) : 1, failed = 0;
	pid_t child = stopped_child();

	if (ptrace(PTRACE_GETREGSET, child, NT_X86_XSTATE, &known))
		err(1, "get");
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (long i = 0; i < count; i++)
		failed += ptrace(PTRACE_SETREGSET, child, NT_X86_XSTATE, &known) != 0;
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	printf("%ld of %ld failed\n", failed, count);
	return failed != 0;
}
