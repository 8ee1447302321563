/*
 * Blocking jobs in the simulator: they run, as a moment of their own, some time later.
 */
#include "io/blocking.h"

#include "world.h"

struct blocking {
	unsigned jobs;
};

struct job_event {
	struct event event;
	struct blocking *blocking;
	struct blocking_job *job;
};

struct blocking *blocking_new(struct error *error UNUSED)
{
	return calloc(1, sizeof(struct blocking));
}

void blocking_free(struct blocking *blocking)
{
	if (blocking && blocking->jobs)
		sim_fail("blocking_free() with %u jobs under way", blocking->jobs);
	free(blocking);
}

static void job_drop(struct event *event)
{
	sim_free(container_of(event, struct job_event, event));
}

static void job_fire(struct event *event)
{
	struct job_event *e = container_of(event, struct job_event, event);
	struct blocking_job *job = e->job;

	e->blocking->jobs--;
	sim_free(e);
	job->result = job->run(job);
	if (world.inside)
		sim_fail("a blocking job ended inside a set");
	if (!world.is_dead)
		op_arrive(job->op, job->result);
}

void blocking_start(struct blocking *blocking, struct blocking_job *job, struct op *op)
{
	struct job_event *e = sim_alloc(sizeof(*e));

	op_await(op);
	job->op = op;
	blocking->jobs++;
	e->event.fire = job_fire;
	e->event.drop = job_drop;
	e->blocking = blocking;
	e->job = job;
	world_add_event(&e->event, sim_random(500000));
}
