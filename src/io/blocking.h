/*
 * One thread for system calls that block: open, stat, libblkid, ioctls.
 *
 * The op of a job awaits its end, so a path on our own mount, or on a server that does
 * not respond, delays only that op.  `run` may use only its job, and what that owns.
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
