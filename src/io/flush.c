/* The flushes of one device: starts them, shares them, wakes the ops that wait. */
#include "io/device_shared.h"

#include <assert.h>

#include "io/reactor.h"

static void flush_start(struct flush *flush)
{
	assert(!flush->running);			/* FLUSH-1 */
	assert(waitlist_empty(&flush->waiting_now));
	flush->running = true;
	flush->started++;
	list_take_all(&flush->waiting_now.ops, &flush->waiting_next.ops);
	device_flush_start(flush->device, &flush->op);
}

static void flush_step(struct op *op)
{
	struct flush *flush = container_of(op, struct flush, op);
	int error = op_take_error(op);

	assert(flush->running);
	flush->running = false;
	if (!error)
		flush->completed = flush->started;	/* FLUSH-4 */
	waitlist_wake_all(&flush->waiting_now, error);
	if (!waitlist_empty(&flush->waiting_next))
		flush_start(flush);
}

void flush_init(struct flush *flush, struct device *device)
{
	*flush = (struct flush){ .device = device };
	waitlist_init(&flush->waiting_now);
	waitlist_init(&flush->waiting_next);
}

uint64_t device_flush_ticket(struct device *device)
{
	return device_shared(device)->flush.started;
}

bool device_flush_covers(struct device *device, uint64_t ticket)
{
	return device_shared(device)->flush.completed > ticket;
}

bool device_is_flushing(struct device *device)
{
	return device_shared(device)->flush.running;
}

void device_flush_wait(struct device *device, uint64_t ticket, struct op *op)
{
	struct flush *flush = &device_shared(device)->flush;

	assert(!flush->running || op->home == flush->op.home);
	assert(ticket <= flush->started);		/* FLUSH-2 */
	if (device_flush_covers(device, ticket)) {
		op_await(op);
		reactor_post(op, 0);
		return;
	}
	if (flush->running && flush->started > ticket) {
		waitlist_join(&flush->waiting_now, op);
		return;
	}
	waitlist_join(&flush->waiting_next, op);	/* FLUSH-3 */
	if (!flush->running) {
		op_init(&flush->op, op->home, flush_step);
		flush_start(flush);
	}
}

void device_flush(struct device *device, struct op *op)
{
	device_flush_wait(device, device_flush_ticket(device), op);
}
