/*
 * Forks, reports to the parent, leaves the terminal.
 *
 *	parent: fork --> read -----------------------------> prints the report, exits
 *	child:        `-> opens members, mounts ... ready --> leaves the terminal, reports, serves
 *
 * The pipe has one writing end, in the child.  If the child dies, the parent reads the end of the
 * file, not a report.
 */
#include "tools/daemonize.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "io/process.h"

struct word {	/* the child's report; written in one piece, so it arrives whole */
	int code;
	char text[ERROR_TEXT_BYTES + 100];
};

void daemonize_not(struct daemonize *daemonize)
{
	daemonize->pipe = -1;
}

/* The child is gone without a report: a crash, or the OOM killer. */
static void say_lost(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) == child && WIFSIGNALED(status))
		fprintf(stderr,
			"bcachefuse: the daemon died of signal %d (%s) before it was ready\n",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		fprintf(stderr, "bcachefuse: the daemon ended before it was ready\n");
}

/* The parent: waits for the report, prints it, exits by _exit(): exit handlers are the child's. */
static void wait_for_child(int pipe, pid_t child, int lost_code) __attribute__((noreturn));
static void wait_for_child(int pipe, pid_t child, int lost_code)
{
	struct word word = { 0 };
	ssize_t got;

	do {
		got = read(pipe, &word, sizeof(word));
	} while (got < 0 && errno == EINTR);
	if (got != sizeof(word)) {
		say_lost(child);
		_exit(lost_code);
	}
	if (word.code)
		fprintf(stderr, "%s\n", word.text);
	_exit(word.code);
}

int daemonize_start(struct daemonize *daemonize, int lost_code, struct error *error)
{
	int ends[2];
	pid_t child;

	/* Otherwise both processes would print the text that is in buffers now. */
	fflush(NULL);
	process_close_inherited();
	if (pipe2(ends, O_CLOEXEC))
		return error_set(error, errno, "cannot make a pipe: %s", strerror(errno));
	child = fork();
	if (child < 0) {
		int code = errno;

		close(ends[0]);
		close(ends[1]);
		return error_set(error, code, "cannot start the daemon: %s", strerror(code));
	}
	if (child) {
		close(ends[1]);
		wait_for_child(ends[0], child, lost_code);
	}
	close(ends[0]);
	signal(SIGPIPE, SIG_IGN);	/* the parent may have been killed */
	daemonize->pipe = ends[1];
	return 0;
}

static void say(struct daemonize *daemonize, int code, const char *text)
{
	struct word word = { .code = code };
	ssize_t written;

	snprintf(word.text, sizeof(word.text), "%s", text);
	do {
		written = write(daemonize->pipe, &word, sizeof(word));
	} while (written < 0 && errno == EINTR);
	close(daemonize->pipe);
	daemonize->pipe = -1;
}

/*
 * Not before the daemon is ready: until then its errors belong to the caller.  In a session of its
 * own it gets no SIGHUP of the terminal, and in / it keeps no file system busy.
 */
static void leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	if (chdir("/"))
		perror("bcachefuse: chdir /");
	if (null < 0)
		return;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	if (null > STDERR_FILENO)
		close(null);
}

/* First leaves the terminal, so that nothing is printed after the caller's prompt. */
void daemonize_ready(struct daemonize *daemonize)
{
	if (daemonize->pipe < 0)
		return;
	leave_terminal();
	say(daemonize, 0, "");
}

void daemonize_failed(struct daemonize *daemonize, int code, const char *text)
{
	if (daemonize->pipe >= 0)
		say(daemonize, code, text);
}
