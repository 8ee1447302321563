/*
 * What the files of io know of the reactor's ring; nobody else includes this.
 *
 * A completion stands for one submission; its `done` is called with the result,
 * in the turn after the ring had it: between steps, never within one.
 *
 * (URING-1) A completion has at most one submission outstanding.
 * (URING-2) Entries are never lost: when the submission queue is full it is
 *     submitted, when the completion queue is full it is emptied first.
 */
#pragma once

#include <liburing.h>
#include <stddef.h>

#include "base/list.h"
#include "io/reactor.h"

struct completion {
	void (*done)(struct completion *completion, int result);
	int result;
	struct list_link link;		/* in the reactor's list of those that completed */
};

/* A free entry, to be prepared at once.  `completion` may be NULL: nobody wants the result. */
struct io_uring_sqe *reactor_sqe(struct reactor *reactor, struct completion *completion);

/* As though the ring had completed it with `result`. */
void reactor_complete(struct reactor *reactor, struct completion *completion, int result);

/* Takes back what is outstanding, if it is; its `done` is not called any more. */
void reactor_cancel_now(struct reactor *reactor, struct completion *completion);

/* Where the memory is registered with the ring; -1: it is not. */
int reactor_memory_index(const struct reactor *reactor, const void *memory, size_t bytes);
/* Before registered memory is freed. */
void reactor_forget_memory(struct reactor *reactor, const void *memory, size_t bytes);

/* Asserts that the caller is the reactor's own thread (OP-2). */
void reactor_assert_home(const struct reactor *reactor);

/* The reactor's transfers to and from devices (transfer.h). */
struct transfer_pool *reactor_transfers(struct reactor *reactor);
