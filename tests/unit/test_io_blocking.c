/* Blocking jobs: they run elsewhere, in order, and their results arrive. */
#include <errno.h>
#include <pthread.h>

#include "awaiter.h"
#include "io/blocking.h"

struct noted_job {
	struct blocking_job job;
	pthread_t thread;
	unsigned *runs;
	unsigned run;		/* the how-manieth */
	int result;
};

static int noted_run(struct blocking_job *job)
{
	struct noted_job *noted = container_of(job, struct noted_job, job);

	noted->thread = pthread_self();
	noted->run = ++*noted->runs;
	return noted->result;
}

Test(blocking, runs_a_job_in_another_thread_and_brings_its_result, .timeout = 60)
{
	struct reactor *reactor = test_reactor();
	struct blocking *blocking = blocking_new(NULL);
	unsigned runs = 0;
	struct noted_job noted = { .job.run = noted_run, .runs = &runs, .result = -EROFS };
	struct awaiter awaiter;

	awaiter_init(&awaiter, reactor);
	blocking_start(blocking, &noted.job, &awaiter.op);
	cr_expect(eq(int, awaiter_wait(&awaiter), -EROFS));
	cr_expect(eq(int, noted.job.result, -EROFS));
	cr_expect(zero(int, pthread_equal(noted.thread, pthread_self())));
	blocking_free(blocking);
	reactor_free(reactor);
}

Test(blocking, runs_jobs_one_after_the_other_in_their_order, .timeout = 60)
{
	enum { JOBS = 100 };
	struct reactor *reactor = test_reactor();
	struct blocking *blocking = blocking_new(NULL);
	unsigned runs = 0;
	struct noted_job noted[JOBS];
	struct awaiter awaiter;

	awaiter_init(&awaiter, reactor);
	for (unsigned i = 0; i < JOBS; i++) {
		noted[i] = (struct noted_job){ .job.run = noted_run, .runs = &runs };
		blocking_start(blocking, &noted[i].job, &awaiter.op);
	}
	cr_expect(eq(int, awaiter_wait(&awaiter), 0));
	for (unsigned i = 0; i < JOBS; i++)
		cr_expect(eq(u32, noted[i].run, i + 1));
	blocking_free(blocking);
	reactor_free(reactor);
}
