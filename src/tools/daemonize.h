/*
 * Starts a daemon that reports its start.
 *
 * The parent process waits until the child reports success or failure, and exits with that
 * result, so that the caller learns of every error during the start.
 */
#pragma once

#include "base/error.h"

struct daemonize {
	int pipe;	/* to the waiting parent; -1: none */
};

/* Stays in the foreground: daemonize_ready() will do nothing. */
void daemonize_not(struct daemonize *daemonize);
/*
 * Forks; to be called before any thread is created.  Returns 0 in the child, or -errno if there is
 * no child.  The parent prints the error that the child reports, if any, and exits; with
 * `lost_code` if the child dies without a report.
 */
int daemonize_start(struct daemonize *daemonize, int lost_code, struct error *error) MUST_CHECK;
/* In the child: leaves the terminal, then lets the parent exit with 0. */
void daemonize_ready(struct daemonize *daemonize);
/* In the child, instead: the parent prints "TEXT\n" and exits with `code`. */
void daemonize_failed(struct daemonize *daemonize, int code, const char *text);
