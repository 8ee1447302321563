/*
 * Signals as events of a reactor: they arrive between steps, not in the midst
 * of anything.
 *
 * (SIGNAL-1) While a struct signals is there, its signals are blocked in the thread
 *     that made it, and in those it makes later: nobody is interrupted.
 */
#pragma once

#include "base/error.h"
#include "io/reactor.h"

struct signals;

/* Never called from within a step. */
typedef void signals_arrived(void *context, int signal);

/*
 * `numbers`: the signals, ended by 0.  Make it before other threads are made.
 * NULL and the reason on failure.
 */
struct signals *signals_new(struct reactor *reactor, const int *numbers, signals_arrived *arrived,
			    void *context, struct error *error);
/* Not from within `arrived`. */
void signals_free(struct signals *signals);
