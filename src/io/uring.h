/*
 * Access to the reactor's ring; private to io.
 *
 * A completion belongs to one submission.  Its `done` is called with the result in the
 * next turn: between steps, never within one.
 *
 * (URING-1) A completion has at most one submission in flight.
 * (URING-2) No entry is lost: a full submission queue is submitted, and a full completion
 *     queue emptied, before another entry is used.
 */
#pragma once

#include <liburing.h>
#include <stddef.h>

#include "base/list.h"
#include "io/reactor.h"

struct completion {
	void (*done)(struct completion *completion, int result);
	int result;
	struct list_link link;		/* in reactor->completed */
};

/* A free entry, which the caller must prepare at once.  `completion` NULL: ignore the result. */
struct io_uring_sqe *reactor_sqe(struct reactor *reactor, struct completion *completion);

/* Completes it with `result`, without the ring. */
void reactor_complete(struct reactor *reactor, struct completion *completion, int result);

/* Cancels the submission, if it is in flight; `done` will not be called. */
void reactor_cancel_now(struct reactor *reactor, struct completion *completion);

/* Index of registered memory; -1: it is not registered. */
int reactor_memory_index(const struct reactor *reactor, const void *memory, size_t bytes);
/* To be called before registered memory is freed. */
void reactor_forget_memory(struct reactor *reactor, const void *memory, size_t bytes);

/* Asserts that the caller is the reactor's own thread (OP-2). */
void reactor_assert_home(const struct reactor *reactor);

/* The reactor's transfers to and from devices (transfer.h). */
struct transfer_pool *reactor_transfers(struct reactor *reactor);
