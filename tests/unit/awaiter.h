/*
 * An op for tests of the real io: it waits for what was started, then stops the
 * reactor, so that each test reads in the order in which it happens.
 */
#pragma once

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/device.h"
#include "io/reactor.h"

struct awaiter {
	struct op op;
	unsigned steps;
	int error;
};

static inline void awaiter_step(struct op *op)
{
	struct awaiter *awaiter = container_of(op, struct awaiter, op);

	awaiter->steps++;
	awaiter->error = op_take_error(op);
	reactor_stop(op->home);
}

static inline void awaiter_init(struct awaiter *awaiter, struct reactor *reactor)
{
	*awaiter = (struct awaiter){ .steps = 0 };
	op_init(&awaiter->op, reactor, awaiter_step);
}

/* Runs the reactor until all that the op awaits has come; its error. */
static inline int awaiter_wait(struct awaiter *awaiter)
{
	unsigned steps = awaiter->steps;

	while (awaiter->steps == steps)
		reactor_run(awaiter->op.home);
	return awaiter->error;
}

static inline struct reactor *test_reactor(void)
{
	struct error error = { .code = 0 };
	struct reactor *reactor = reactor_new(&error);

	cr_assert(reactor != NULL, "%s", error.text);
	return reactor;
}

/* A device of `sectors` on a file that is gone once it is closed. */
static inline struct device *test_device(uint64_t sectors)
{
	char path[] = "test_device_XXXXXX_img";
	int fd = mkstemps(path, sizeof("_img") - 1);
	struct error error = { .code = 0 };
	struct device *device = NULL;

	cr_assert(ge(int, fd, 0));
	cr_assert(zero(int, ftruncate(fd, sectors * 512)));
	close(fd);
	cr_assert(zero(int, device_open(&device, path, DEVICE_READ_WRITE, &error)), "%s",
		  error.text);
	unlink(path);
	return device;
}
