/* The flushes of one device: starts them, shares them, wakes the ops that wait. */
#include "io/device_shared.h"

#include <assert.h>

#include "io/reactor.h"

static void lock(struct flush *flush)
{
	int error = pthread_mutex_lock(&flush->mutex);

	assert(!error);
}

static void unlock(struct flush *flush)
{
	int error = pthread_mutex_unlock(&flush->mutex);

	assert(!error);
}

/* Under the mutex: the caller starts the transfer when it has let go of it. */
static void flush_begins(struct flush *flush)
{
	assert(!flush->running);			/* FLUSH-1 */
	assert(waitlist_empty(&flush->waiting_now));
	flush->running = true;
	flush->started++;
	list_take_all(&flush->waiting_now.ops, &flush->waiting_next.ops);
}

static void flush_step(struct op *op)
{
	struct flush *flush = container_of(op, struct flush, op);
	int error = op_take_error(op);
	struct waitlist ended;
	bool begins;

	waitlist_init(&ended);
	lock(flush);
	assert(flush->running);
	flush->running = false;
	if (!error)
		flush->completed = flush->started;	/* FLUSH-4 */
	list_take_all(&ended.ops, &flush->waiting_now.ops);
	begins = !waitlist_empty(&flush->waiting_next);
	if (begins)
		flush_begins(flush);
	unlock(flush);
	waitlist_wake_all(&ended, error);
	if (begins)
		device_flush_start(flush->device, &flush->op);
}

void flush_init(struct flush *flush, struct device *device)
{
	*flush = (struct flush){ .device = device };
	pthread_mutex_init(&flush->mutex, NULL);
	waitlist_init(&flush->waiting_now);
	waitlist_init(&flush->waiting_next);
}

void flush_done(struct flush *flush)
{
	assert(!flush->running && waitlist_empty(&flush->waiting_next));
	pthread_mutex_destroy(&flush->mutex);
}

/* One of the numbers of flushes, as of now. */
static uint64_t read_number(struct flush *flush, const uint64_t *number)
{
	uint64_t value;

	lock(flush);
	value = *number;
	unlock(flush);
	return value;
}

uint64_t device_flush_ticket(struct device *device)
{
	struct flush *flush = &device_shared(device)->flush;

	return read_number(flush, &flush->started);
}

bool device_flush_covers(struct device *device, uint64_t ticket)
{
	struct flush *flush = &device_shared(device)->flush;

	return read_number(flush, &flush->completed) > ticket;
}

bool device_is_flushing(struct device *device)
{
	struct flush *flush = &device_shared(device)->flush;
	bool running;

	lock(flush);
	running = flush->running;
	unlock(flush);
	return running;
}

/* Puts the op where it waits; true: a flush begins, whose transfer is to be started. */
static bool flush_join(struct flush *flush, uint64_t ticket, struct op *op)
{
	assert(ticket <= flush->started);		/* FLUSH-2 */
	if (flush->running && flush->started > ticket) {
		waitlist_join(&flush->waiting_now, op);
		return false;
	}
	waitlist_join(&flush->waiting_next, op);	/* FLUSH-3 */
	if (flush->running)
		return false;
	op_init(&flush->op, op->home, flush_step);
	flush_begins(flush);
	return true;
}

void device_flush_wait(struct device *device, uint64_t ticket, struct op *op)
{
	struct flush *flush = &device_shared(device)->flush;
	bool is_covered, begins = false;

	lock(flush);
	is_covered = flush->completed > ticket;
	if (!is_covered)
		begins = flush_join(flush, ticket, op);
	unlock(flush);
	if (is_covered) {
		op_await(op);
		reactor_post(op, 0);
	} else if (begins) {
		device_flush_start(flush->device, &flush->op);
	}
}

void device_flush(struct device *device, struct op *op)
{
	device_flush_wait(device, device_flush_ticket(device), op);
}
