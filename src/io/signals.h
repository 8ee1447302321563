/*
 * Signals as events of a reactor: they are handled between steps.
 *
 * (SIGNAL-1) While a struct signals exists, its signals are blocked in the thread that
 *     created it, and in threads it creates later, so that no system call is interrupted.
 */
#pragma once

#include "base/error.h"
#include "io/reactor.h"

struct signals;

/* Never called from within a step. */
typedef void signals_arrived(void *context, int signal);

/*
 * `numbers`: the signals, ended by 0.  To be called before other threads are created.
 * NULL and the reason on failure.
 */
struct signals *signals_new(struct reactor *reactor, const int *numbers, signals_arrived *arrived,
			    void *context, struct error *error);
/* Not from within `arrived`. */
void signals_free(struct signals *signals);
