/*
 * A process that goes on in the background once it has said that all is well.
 *
 * The caller's process waits for the child's word and exits with it, so that
 * whoever started it learns of every error of the start.
 */
#pragma once

#include "base/error.h"

struct daemonize {
	int pipe;	/* to the waiting parent; -1: there is none */
};

/* Stays in the foreground: daemonize_ready() will do nothing. */
void daemonize_not(struct daemonize *daemonize);
/*
 * Forks, before any thread is made.  Returns in the child only: 0; or in the
 * caller, with -errno, where there can be no child.  The parent prints what the
 * child says, if it is an error, and exits; with `lost_code` if it says nothing.
 */
int daemonize_start(struct daemonize *daemonize, int lost_code, struct error *error) MUST_CHECK;
/* In the child: leaves the terminal, then lets the parent exit with 0. */
void daemonize_ready(struct daemonize *daemonize);
/* In the child, instead: the parent prints "TEXT\n" and exits with `code`. */
void daemonize_failed(struct daemonize *daemonize, int code, const char *text);
