/*
 * Signals for commands that work in a loop of plain reads: Ctrl-C, and SIGUSR1 for progress.
 *
 * They are blocked, and asked for between two steps of the work, so a step is never cut short.
 */
#pragma once

#include <stdbool.h>

struct interrupt {
	int fd;			/* -1: signals do what they do by default */
	bool is_stopped;	/* SIGINT, SIGTERM or SIGHUP came */
	bool wants_progress;	/* SIGUSR1 came; whoever prints it resets this */
};

void interrupt_begin(struct interrupt *interrupt);
/* Takes what has come since. */
void interrupt_look(struct interrupt *interrupt);
void interrupt_end(struct interrupt *interrupt);
