/* Shared flushes: who waits for which, counted on a real file. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awaiter.h"
#include "io/device_shared.h"

enum { WAITERS = 5 };

static char path[] = "test_io_flush_XXXXXX_img";
static struct reactor *reactor;
static struct device *device;
static const struct flush *flush;
static struct awaiter waiters[WAITERS];

static void setup(void)
{
	struct error error = { .code = 0 };
	int fd = mkstemps(path, strlen("_img"));

	cr_assert(ge(int, fd, 0));
	cr_assert(zero(int, ftruncate(fd, 1 << 20)));
	close(fd);
	reactor = test_reactor();
	cr_assert(zero(int, device_open(&device, path, DEVICE_READ_WRITE, &error)), "%s",
		  error.text);
	unlink(path);
	flush = &device_shared(device)->flush;
	for (unsigned i = 0; i < WAITERS; i++)
		awaiter_init(&waiters[i], reactor);
}

static void teardown(void)
{
	device_close(device);
	reactor_free(reactor);
}

TestSuite(flush, .init = setup, .fini = teardown, .timeout = 60);

Test(flush, a_ticket_is_covered_by_the_next_flush)
{
	uint64_t ticket = device_flush_ticket(device);

	cr_expect(not(device_flush_covers(device, ticket)));
	device_flush_wait(device, ticket, &waiters[0].op);
	cr_expect(device_is_flushing(device));
	cr_expect(eq(int, awaiter_wait(&waiters[0]), 0));
	cr_expect(device_flush_covers(device, ticket));
	cr_expect(not(device_flush_covers(device, device_flush_ticket(device))));
}

Test(flush, all_who_come_before_one_begins_share_it)
{
	uint64_t ticket = device_flush_ticket(device);

	for (unsigned i = 0; i < WAITERS; i++)
		device_flush_wait(device, ticket, &waiters[i].op);
	for (unsigned i = 0; i < WAITERS; i++)
		if (!waiters[i].steps)
			awaiter_wait(&waiters[i]);
	cr_expect(eq(u64, flush->started, 1));
	cr_expect(eq(u64, flush->completed, 1));
}

Test(flush, who_came_too_late_for_one_shares_the_next)
{
	device_flush(device, &waiters[0].op);
	for (unsigned i = 1; i < WAITERS; i++)
		device_flush(device, &waiters[i].op);
	for (unsigned i = 0; i < WAITERS; i++)
		if (!waiters[i].steps)
			awaiter_wait(&waiters[i]);
	cr_expect(eq(u64, flush->started, 2));
	cr_expect(eq(u64, flush->completed, 2));
}

/* ---- two reactors ---- */

enum { ROUNDS = 200 };

struct other {
	pthread_t thread;
	unsigned rounds, flushed;
	bool was_covered;
	/* A reactor runs while it has something to wait for, so each goes on for the other one. */
	_Atomic bool may_end, has_ended;
};

/* In a thread of its own: a reactor whose ops flush the same device. */
static void *flush_again_and_again(void *context)
{
	struct other *other = context;
	struct error error = { .code = 0 };
	struct reactor *own = reactor_new(&error);
	struct awaiter awaiter;

	if (!own)
		return NULL;
	awaiter_init(&awaiter, own);
	other->was_covered = true;
	while (other->rounds++ < ROUNDS || !other->may_end) {
		uint64_t ticket = device_flush_ticket(device);

		device_flush_wait(device, ticket, &awaiter.op);
		other->flushed += awaiter_wait(&awaiter) == 0;
		other->was_covered &= device_flush_covers(device, ticket);
	}
	other->has_ended = true;
	reactor_free(own);
	return NULL;
}

static void run_for_a_millisecond(void)
{
	struct awaiter pause;
	struct timer timer = { .op = NULL };

	awaiter_init(&pause, reactor);
	timer_start(&timer, 1000000, &pause.op);
	awaiter_wait(&pause);
}

/* A woken op runs on its own reactor, whichever of the two has flushed for it (OP-2). */
Test(flush, is_shared_by_ops_of_two_reactors)
{
	struct other other = { .flushed = 0 };

	cr_assert(zero(int, pthread_create(&other.thread, NULL, flush_again_and_again, &other)));
	for (unsigned i = 0; i < ROUNDS; i++) {
		device_flush(device, &waiters[0].op);
		cr_expect(eq(int, awaiter_wait(&waiters[0]), 0));
	}
	other.may_end = true;
	while (!other.has_ended)
		run_for_a_millisecond();
	pthread_join(other.thread, NULL);
	cr_expect(eq(u32, other.flushed, other.rounds - 1));
	cr_expect(other.was_covered);
	cr_expect(eq(u64, flush->completed, flush->started));
	cr_expect(le(u64, flush->started, other.flushed + ROUNDS));
}

Test(flush, what_is_covered_waits_for_nothing)
{
	uint64_t ticket = device_flush_ticket(device);

	device_flush_wait(device, ticket, &waiters[0].op);
	awaiter_wait(&waiters[0]);
	device_flush_wait(device, ticket, &waiters[1].op);
	cr_expect(zero(u32, waiters[1].steps));
	cr_expect(eq(int, awaiter_wait(&waiters[1]), 0));
	cr_expect(eq(u64, flush->started, 1));
}
