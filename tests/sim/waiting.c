/*
 * Waits until the engine has ended its work; if it does not, reports which op waits for what.
 */
#include "blame.h"

#include <stdio.h>

#include "check.h"

#define SECOND UINT64_C(1000000000)

static void waiter_step(struct op *op)
{
	struct life_waiter *waiter = container_of(op, struct life_waiter, op);

	waiter->is_done = true;
	waiter->result = op_take_error(op);
}

void life_waiter_init(struct life *life, struct life_waiter *waiter)
{
	*waiter = (struct life_waiter){ .is_done = false };
	op_init(&waiter->op, life->reactor, waiter_step);
}

static bool waiter_is_done(void *context)
{
	struct life_waiter *waiter = context;

	return waiter->is_done;
}

const char *const life_kind_names[] = { "read", "write", "flush", "discard", "zero" };

static void print_read(const struct cache_read *r)
{
	fprintf(stderr, ", read state %d at %llu of %llu + %llu, awaits %u, %u pinned", r->state,
		(unsigned long long)r->at, (unsigned long long)r->start,
		(unsigned long long)r->sectors, r->op.awaited, r->batch.pinned_count);
}

static void print_insert(const struct insert *insert)
{
	fprintf(stderr, ", insert state %d, key %u of %u, awaits %u", insert->state, insert->next,
		insert->count, insert->op.awaited);
}

static void print_write(const struct cache_write *w)
{
	fprintf(stderr, ", write state %d way %d at %llu of %llu + %llu, awaits %u", w->state,
		w->way, (unsigned long long)w->at, (unsigned long long)w->start,
		(unsigned long long)w->sectors, w->op.awaited);
	if (w->state == WRITE_KEYS)
		print_insert(&w->insert);
}

static void print_request(const struct request *r)
{
	fprintf(stderr, "%s, bytes %llu + %llu: state %d, awaits %u, key sectors %llu..%llu",
		life_kind_names[r->kind], (unsigned long long)r->offset,
		(unsigned long long)r->bytes, r->state, r->op.awaited,
		(unsigned long long)r->start, (unsigned long long)r->end);
	if (r->state == REQUEST_READING || r->state == REQUEST_EDGES)
		print_read(&r->read);
	else if (r->state == REQUEST_WRITING)
		print_write(&r->write);
	else if (r->state == REQUEST_HOLES)
		print_insert(&r->insert);
	fputc('\n', stderr);
}

/* Who waits: the last thing one sees of a run that hangs. */
void life_print_waiting(struct life *life)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		const struct slot *slot = &life->slot[i];

		if (!slot->is_busy)
			continue;
		fprintf(stderr, "  slot %u, volume %u, for %llu ms: ", i, slot->v->model->id,
			(unsigned long long)((sim_now() - slot->started_ns) / 1000000));
		print_request(&slot->request);
	}
	for (unsigned i = 0; i < life->plan->sets; i++)
		if (life->set[i])
			check_print(life->set[i]);
}

bool life_wait(struct life *life, struct life_waiter *waiter, unsigned seconds, const char *what)
{
	switch (sim_run_until(waiter_is_done, waiter, seconds * SECOND)) {
	case SIM_DONE:
		return true;
	case SIM_CUT:
		return false;
	case SIM_IDLE:
		life_print_waiting(life);
		sim_fail("%s waits for ever: nothing is under way", what);
	case SIM_TIME:
		break;
	}
	life_print_waiting(life);
	sim_fail("%s has not ended after %u seconds", what, seconds);
}

bool life_wait_and_expect(struct life *life, struct life_waiter *waiter, unsigned seconds,
			  const char *what)
{
	if (!life_wait(life, waiter, seconds, what))
		return false;
	if (waiter->result && !blame_has_cause(life))
		sim_fail("%s: error %d: %s", what, waiter->result, waiter->error.text);
	return true;
}

