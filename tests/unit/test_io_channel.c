/* The channel, over a pair of sockets that keep messages whole as /dev/fuse does. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "awaiter.h"
#include "io/channel.h"

enum { SLOTS = 6, DATA_BYTES = 1 << 16 };

static int ours, theirs;
static struct reactor *reactor;
static struct channel *channel;
static struct channel_slot *got[64];
static unsigned got_count;
static int end;

static void on_message(void *context, struct channel_slot *slot, int error)
{
	cr_assert(eq(ptr, context, &got_count));
	if (slot)
		got[got_count++] = slot;
	else
		end = error;
	reactor_stop(reactor);
}

static void setup(void)
{
	struct error error = { .code = 0 };
	int pair[2];

	cr_assert(zero(int, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair)));
	theirs = pair[0];
	ours = pair[1];
	reactor = test_reactor();
	channel = channel_new(reactor, ours, SLOTS, DATA_BYTES, on_message, &got_count, &error);
	cr_assert(channel != NULL, "%s", error.text);
}

static void wait_for_messages(unsigned count)
{
	while (got_count < count)
		reactor_run(reactor);
}

static void drain(void)
{
	struct awaiter awaiter;

	awaiter_init(&awaiter, reactor);
	channel_drain(channel, &awaiter.op);
	awaiter_wait(&awaiter);
	cr_expect(channel_idle(channel));
}

static void teardown(void)
{
	channel_stop(channel);
	drain();
	channel_free(channel);
	reactor_free(reactor);
	close(ours);
	close(theirs);
}

TestSuite(channel, .init = setup, .fini = teardown, .timeout = 60);

Test(channel, puts_a_payload_behind_80_bytes_on_a_page)
{
	char message[80 + 512];

	memset(message, 'h', 80);
	memset(message + 80, 'p', 512);
	cr_assert(eq(int, send(theirs, message, sizeof(message), 0), sizeof(message)));
	wait_for_messages(1);
	cr_expect(eq(u32, got[0]->in_bytes, sizeof(message)));
	cr_expect(zero(int, memcmp(got[0]->in, message, sizeof(message))));
	cr_expect(zero(u64, (uintptr_t)got[0]->data % 4096));
	cr_expect(zero(int, memcmp(got[0]->data, message + 80, 512)));
	channel_release(got[0]);
}

Test(channel, sends_a_reply_from_in_front_of_the_data)
{
	char reply[64];
	char *begin;

	send(theirs, "?", 1, 0);
	wait_for_messages(1);
	begin = (char *)got[0]->data + 1024 - 16;
	memcpy(begin, "0123456789abcdefdata", 20);
	channel_reply(got[0], begin, 20);
	channel_stop(channel);
	drain();
	cr_expect(eq(int, recv(theirs, reply, sizeof(reply), 0), 20));
	cr_expect(zero(int, memcmp(reply, "0123456789abcdefdata", 20)));
}

Test(channel, hands_out_each_slot_once_and_reads_on_when_one_is_back)
{
	for (unsigned i = 0; i < SLOTS + 2; i++)
		send(theirs, "?", 1, 0);
	wait_for_messages(SLOTS);
	for (unsigned i = 0; i < SLOTS; i++)
		for (unsigned j = 0; j < i; j++)
			cr_expect(ne(ptr, got[i], got[j]));
	channel_release(got[0]);
	wait_for_messages(SLOTS + 1);
	cr_expect(eq(ptr, got[SLOTS], got[0]));
	for (unsigned i = 1; i <= SLOTS; i++)
		channel_release(got[i]);
	wait_for_messages(SLOTS + 2);
	channel_release(got[SLOTS + 1]);
}

Test(channel, tells_the_end_once_and_after_the_last_message)
{
	send(theirs, "?", 1, 0);
	shutdown(theirs, SHUT_WR);
	while (!end)
		reactor_run(reactor);
	cr_expect(eq(int, end, -ENODEV));
	cr_expect(eq(u32, got_count, 1));
	cr_expect(not(channel_idle(channel)));
	channel_release(got[0]);
	drain();
	end = 0;
}

Test(channel, ends_when_it_is_stopped)
{
	channel_stop(channel);
	while (!end)
		reactor_run(reactor);
	cr_expect(eq(int, end, -ECANCELED));
	cr_expect(channel_idle(channel));
}
