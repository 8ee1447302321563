/* The window of polling: when it opens, when it closes, and who is in the way. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "io/poll_window.h"
#include "io/transfer.h"

#define US 1000ull
#define SECOND 1000000000ull

static struct poll_window window;

static void setup(void)
{
	poll_window_init(&window, 30 * US);
}

TestSuite(poll, .init = setup, .timeout = 60);

static uint64_t open_ns(void)
{
	return poll_window_ns(&window, 10 * SECOND);
}

static void sleep_times(unsigned times, uint64_t ns)
{
	while (times--)
		poll_window_slept(&window, ns);
}

static void poll_times(unsigned times, enum poll_end end)
{
	while (times--)
		poll_window_polled(&window, 5 * US, end);
}

static void open_it(void)
{
	sleep_times(8, 40 * US);
	poll_times(16, POLL_PAID);
	cr_assert(eq(int, window.state, POLL_OPEN));
	cr_assert(eq(u64, open_ns(), 30 * US));
}

Test(poll, begins_asleep)
{
	cr_expect(zero(u64, open_ns()));
}

Test(poll, is_tried_after_eight_short_waits)
{
	sleep_times(7, 80 * US);
	cr_expect(zero(u64, open_ns()));
	sleep_times(1, 80 * US);
	cr_expect(eq(u64, open_ns(), 30 * US));
}

/* 30 us of polling, and 50 us for waking up, are as far as it can reach. */
Test(poll, is_not_tried_after_longer_ones)
{
	sleep_times(7, 40 * US);
	sleep_times(1, 80 * US + 1);
	sleep_times(7, 40 * US);
	cr_expect(zero(u64, open_ns()));
	sleep_times(1000, SECOND);
	cr_expect(zero(u64, open_ns()));
}

Test(poll, stays_open_while_it_pays)
{
	open_it();
	poll_times(100, POLL_PAID);
	cr_expect(eq(u64, open_ns(), 30 * US));
}

Test(poll, closes_when_it_does_not)
{
	open_it();
	poll_times(1, POLL_IN_VAIN);
	cr_expect(eq(u64, open_ns(), 15 * US));
	poll_times(1, POLL_PAID);
	cr_expect(eq(u64, open_ns(), 30 * US));
	poll_times(3, POLL_IN_VAIN);
	cr_expect(eq(u64, open_ns(), 3750));
	poll_times(1, POLL_IN_VAIN);
	cr_expect(zero(u64, open_ns()));
}

Test(poll, is_open_after_a_trial_of_which_half_paid)
{
	sleep_times(8, 40 * US);
	poll_times(8, POLL_IN_VAIN);
	poll_times(7, POLL_PAID);
	cr_expect(eq(int, window.state, POLL_TRIAL));
	poll_times(1, POLL_PAID);
	cr_expect(eq(int, window.state, POLL_OPEN));
	poll_times(4, POLL_IN_VAIN);
	sleep_times(8, 40 * US);
	poll_times(9, POLL_PREEMPTED);
	poll_times(7, POLL_PAID);
	cr_expect(eq(int, window.state, POLL_CLOSED));
}

/* Whoever always comes a little too late is not waited for again and again. */
Test(poll, is_tried_ever_more_rarely_in_vain)
{
	for (unsigned patience = 8; patience <= 4096; patience *= 2) {
		sleep_times(patience - 1, 40 * US);
		cr_expect(zero(u64, open_ns()));
		sleep_times(1, 40 * US);
		cr_expect(eq(u64, open_ns(), 30 * US));
		poll_times(16, POLL_IN_VAIN);
		cr_expect(zero(u64, open_ns()));
	}
	sleep_times(4096, 40 * US);		/* but no more rarely than that */
	cr_expect(eq(u64, open_ns(), 30 * US));
	poll_times(16, POLL_PAID);
	poll_times(4, POLL_IN_VAIN);
	cr_expect(zero(u64, open_ns()));
	sleep_times(8, 40 * US);		/* and soon again once it has paid */
	cr_expect(eq(u64, open_ns(), 30 * US));
}

Test(poll, is_off_with_a_maximum_of_zero)
{
	poll_window_init(&window, 0);
	sleep_times(20, 5 * US);
	cr_expect(zero(u64, open_ns()));
}

Test(poll, counts)
{
	open_it();
	window.polls = window.polls_paid = window.polled_ns = 0;
	poll_window_polled(&window, 3 * US, POLL_PAID);
	poll_window_polled(&window, 8 * US, POLL_IN_VAIN);
	poll_window_polled(&window, 9 * US, POLL_PREEMPTED);
	cr_expect(eq(u64, window.polls, 3));
	cr_expect(eq(u64, window.polls_paid, 1));
	cr_expect(eq(u64, window.polls_preempted, 1));
	cr_expect(eq(u64, window.polled_ns, 20 * US));
}

static void check(unsigned cpus, uint64_t now_ns)
{
	cr_assert(poll_window_check_is_due(&window, now_ns));
	poll_window_check(&window, cpus, now_ns);
	cr_expect(not(poll_window_check_is_due(&window, now_ns + SECOND / 10 - 1)));
}

/* POLL-2 */
Test(poll, leaves_the_only_cpu_alone)
{
	open_it();
	check(1, 10 * SECOND);
	cr_expect(zero(u64, poll_window_ns(&window, 11 * SECOND - 1)));
	check(2, 11 * SECOND);
	cr_expect(eq(u64, poll_window_ns(&window, 11 * SECOND), 30 * US));
}

/* POLL-2 */
Test(poll, pauses_when_it_is_preempted_often)
{
	open_it();
	poll_times(44, POLL_PAID);
	poll_times(4, POLL_PREEMPTED);
	check(2, 1 * SECOND);				/* one in 16 */
	cr_expect(lt(u64, window.paused_until_ns, 1 * SECOND));
	open_it();
	poll_times(43, POLL_PAID);
	poll_times(5, POLL_PREEMPTED);
	check(2, 2 * SECOND);				/* more */
	cr_expect(eq(u64, window.paused_until_ns, 3 * SECOND));
	open_it();
	cr_expect(zero(u64, poll_window_ns(&window, 3 * SECOND - 1)));
	cr_expect(eq(u64, poll_window_ns(&window, 3 * SECOND), 30 * US));
}

/* A preemption now and then is nobody's fault, also where polls are few. */
Test(poll, bears_one_preemption)
{
	open_it();
	poll_times(1, POLL_PREEMPTED);
	check(2, 1 * SECOND);
	cr_expect(eq(u64, poll_window_ns(&window, 1 * SECOND), 15 * US));
}

/* POLL-1 */
Test(poll, waits_for_no_transfer_that_has_just_begun)
{
	const uint64_t begun_ns = 1000000000, half_ms = 500000;
	struct transfer old = { .started_ns = begun_ns };
	struct transfer young = { .started_ns = begun_ns + half_ms };
	struct transfer_pool pool;

	transfer_pool_init(&pool);
	cr_expect_not(transfers_end_soon(&pool, begun_ns), "none is in flight");
	list_add_first(&pool.in_flight, &old.link);
	cr_expect(transfers_end_soon(&pool, begun_ns + half_ms - 1));
	cr_expect_not(transfers_end_soon(&pool, begun_ns + half_ms), "its disk is slow");
	list_add_first(&pool.in_flight, &young.link);
	cr_expect(transfers_end_soon(&pool, begun_ns + half_ms));
	list_remove(&young.link);
	cr_expect_not(transfers_end_soon(&pool, begun_ns + half_ms));
	list_remove(&old.link);
	transfer_pool_done(&pool);
}
