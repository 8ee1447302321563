/*
 * One thread for calls that can only block: open, stat, libblkid, ioctls.
 *
 * A job runs there and its op awaits it, so that a path into our own mount or
 * on a dead server stops nobody else.  `run` must touch nothing but what its
 * job holds.
 */
#pragma once

#include "base/error.h"
#include "io/op.h"

struct blocking;

struct blocking_job {
	int (*run)(struct blocking_job *job);	/* its result arrives as the op's error */
	struct op *op;
	int result;
	struct list_link link;
};

struct blocking *blocking_new(struct error *error);
void blocking_free(struct blocking *blocking);
void blocking_start(struct blocking *blocking, struct blocking_job *job, struct op *op);
