/* Jobs that are tables of steps: their order, what is undone, what goes on. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "awaiter.h"
#include "io/blocking.h"
#include "lifecycle/internal.h"

static struct reactor *reactor;
static struct daemon daemon_;
static struct awaiter awaiter;
static struct error reason;
static char said[64];		/* a letter for each call: in capitals the starts */

struct tried {
	struct job job;
	struct timer timer;
	bool has_waited;
};

static void say(char c)
{
	size_t length = strlen(said);

	cr_assert(length + 1 < sizeof(said));
	said[length] = c;
}

static void setup(void)
{
	struct daemon_options options = { .read_only = false };

	reactor = test_reactor();
	daemon_init(&daemon_, reactor, NULL, &options);
	awaiter_init(&awaiter, reactor);
}

static void teardown(void)
{
	struct awaiter end;

	awaiter_init(&end, reactor);
	daemon_stop(&daemon_, NULL, &end.op);
	awaiter_wait(&end);
	daemon_done(&daemon_);
	reactor_free(reactor);
}

TestSuite(job, .init = setup, .fini = teardown, .timeout = 60);

static int run(const struct job_step *steps)
{
	struct tried *job = job_of_steps(&daemon_, sizeof(*job), steps, &reason, &awaiter.op);

	job_begin_in_turn(&job->job, NULL, NULL);
	return awaiter_wait(&awaiter);
}

static int at_once(struct job *base)
{
	(void)base;
	say('A');
	return 0;
}

static void undo_at_once(struct job *base)
{
	(void)base;
	say('a');
}

static int later(struct job *base)
{
	say('L');
	timer_start(&container_of(base, struct tried, job)->timer, 1000, &base->op);
	return 0;
}

static void undo_later(struct job *base)
{
	say('l');
	timer_start(&container_of(base, struct tried, job)->timer, 1000, &base->op);
}

/* Waits once for what another step of the reactor will bring, and asks again. */
static int again(struct job *base)
{
	struct tried *job = container_of(base, struct tried, job);

	say('W');
	if (job->has_waited)
		return 0;
	job->has_waited = true;
	timer_start(&job->timer, 1000, &base->op);
	return -EAGAIN;
}

static int fails_at_once(struct job *base)
{
	(void)base;
	say('F');
	return -EIO;
}

static int fails_later(struct job *base)
{
	say('G');
	op_await(&base->op);
	reactor_post(&base->op, -ENOSPC);
	return 0;
}

static int refuses(struct job *base)
{
	return error_set(base->error, EBUSY, "its own reason");
}

static int has_done_all(struct job *base)
{
	(void)base;
	say('D');
	return JOB_DONE;
}

Test(job, takes_its_steps_in_order)
{
	static const struct job_step steps[] = {
		{ "one", .start = later, .undo = undo_later },
		{ "two", .start = at_once, .undo = undo_at_once },
		{ "three", .start = again },
		{ "four", .start = at_once },
		{ 0 },
	};

	cr_expect(zero(int, run(steps)));
	cr_expect(eq(str, said, "LAWWA"));
	cr_expect(zero(int, reason.code));
}

/* JOB-5: also what takes its time to be undone. */
Test(job, undoes_the_steps_before_the_one_that_fails)
{
	static const struct job_step steps[] = {
		{ "one", .start = at_once, .undo = undo_at_once },
		{ "two", .start = later, .undo = undo_later },
		{ "three", .start = again },
		{ "four", .start = at_once, .undo = undo_at_once },
		{ "five", .start = fails_later, .undo = undo_later },
		{ "six", .start = at_once, .undo = undo_at_once },
		{ 0 },
	};

	cr_expect(eq(int, run(steps), -ENOSPC));
	cr_expect(eq(str, said, "ALWWAGala"));
	cr_expect(eq(int, reason.code, ENOSPC));
	cr_expect(eq(int, strncmp(reason.text, "five: ", 6), 0), "%s", reason.text);
}

Test(job, keeps_the_reason_of_its_step)
{
	static const struct job_step steps[] = { { "one", .start = refuses }, { 0 } };

	cr_expect(eq(int, run(steps), -EBUSY));
	cr_expect(eq(str, reason.text, "its own reason"));
}

/* JOB-4 */
Test(job, goes_on_where_errors_are_reported_or_ignored)
{
	static const struct job_step steps[] = {
		{ "one", .start = at_once, .undo = undo_at_once },
		{ "two", .start = fails_later, .on_error = STEP_IGNORES },
		{ "three", .start = fails_at_once, .on_error = STEP_REPORTS },
		{ "four", .start = fails_later, .on_error = STEP_REPORTS },
		{ "five", .start = at_once },
		{ 0 },
	};

	cr_expect(eq(int, run(steps), -EIO));
	cr_expect(eq(str, said, "AGFGA"));
}

Test(job, ends_early_where_there_is_nothing_more_to_do)
{
	static const struct job_step steps[] = {
		{ "one", .start = at_once, .undo = undo_at_once },
		{ "two", .start = has_done_all },
		{ "three", .start = fails_at_once },
		{ 0 },
	};

	cr_expect(zero(int, run(steps)));
	cr_expect(eq(str, said, "AD"));
}
