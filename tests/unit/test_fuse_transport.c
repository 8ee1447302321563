/* The transport through /dev/fuse, over a pair of sockets that keep messages whole as it does. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "awaiter.h"
#include "fuse/transport.h"

enum { REQUESTS = 6, PAYLOAD_BYTES = 1 << 16 };

static int ours, theirs;
static struct reactor *reactor;
static struct transport *transport;
static struct transport_request *got;
static unsigned got_count;
static bool has_ended;

static void deliver(void *context, struct transport_request *request)
{
	cr_assert(eq(ptr, context, &got_count));
	if (request) {
		got = request;
		got_count++;
	} else {
		has_ended = true;
	}
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
	transport = transport_new(reactor, ours, REQUESTS, PAYLOAD_BYTES, deliver, &got_count,
				  &error);
	cr_assert(transport != NULL, "%s", error.text);
}

static void teardown(void)
{
	struct awaiter awaiter;

	transport_stop(transport);
	awaiter_init(&awaiter, reactor);
	transport_drain(transport, &awaiter.op);
	awaiter_wait(&awaiter);
	cr_expect(has_ended);
	transport_free(transport);
	reactor_free(reactor);
	close(ours);
	close(theirs);
}

TestSuite(transport, .init = setup, .fini = teardown, .timeout = 60);

/* A WRITE of four bytes, number 7. */
static struct {
	struct fuse_in_header header;
	struct fuse_write_in arguments;
	char payload[4];
} a_write = {
	.header = { .opcode = FUSE_WRITE, .unique = 7, .nodeid = 5, .pid = 11 },
	.arguments = { .fh = 3, .offset = 4096, .size = 4 },
	.payload = "data",
};

/* Sends the first bytes of the WRITE, and waits until they are delivered. */
static void send_bytes(size_t bytes)
{
	cr_assert(eq(sz, send(theirs, &a_write, bytes, 0), bytes));
	while (!got_count)
		reactor_run(reactor);
}

static void send_write(void)
{
	send_bytes(sizeof(a_write.header) + sizeof(a_write.arguments) + 4);
}

/* The next reply; the number of bytes behind its header. */
static size_t receive(struct fuse_out_header *header, char *body, size_t room)
{
	struct awaiter awaiter;
	char reply[256];
	ssize_t bytes;

	transport_stop(transport);
	awaiter_init(&awaiter, reactor);
	transport_drain(transport, &awaiter.op);
	awaiter_wait(&awaiter);
	bytes = recv(theirs, reply, sizeof(reply), 0);
	cr_assert(ge(long, bytes, sizeof(*header)));
	memcpy(header, reply, sizeof(*header));
	cr_expect(eq(u32, header->len, bytes));
	bytes -= sizeof(*header);
	cr_assert(le(sz, bytes, room));
	memcpy(body, reply + sizeof(*header), bytes);
	return bytes;
}

Test(transport, delivers_a_request_in_its_parts)
{
	const struct fuse_write_in *arguments;

	send_write();
	arguments = transport_arguments(got, sizeof(*arguments));
	cr_expect(eq(u64, got->header->nodeid, 5));
	cr_expect(eq(u64, arguments->offset, 4096));
	cr_expect(eq(sz, got->payload_bytes, 4));
	cr_expect(zero(int, memcmp(got->payload, "data", 4)));
	cr_expect(zero(u64, (uintptr_t)got->payload % 4096));
	cr_expect(lt(u32, got->index, REQUESTS));
	transport_release(got);
}

Test(transport, has_no_arguments_where_the_message_is_too_short_for_them)
{
	send_bytes(sizeof(a_write.header) + sizeof(a_write.arguments) - 1);
	cr_expect(eq(ptr, (void *)transport_arguments(got, sizeof(a_write.arguments)), NULL));
	cr_expect(zero(sz, got->payload_bytes));
	transport_release(got);
}

Test(transport, drops_a_message_without_a_whole_header)
{
	send(theirs, &a_write, sizeof(a_write.header) - 1, 0);
	send_write();
	cr_expect(eq(u32, got_count, 1));
	cr_expect(eq(sz, got->payload_bytes, 4));
	transport_release(got);
}

Test(transport, replies_with_a_struct)
{
	struct fuse_write_out written = { .size = 4 }, body = { 0 };
	struct fuse_out_header header;

	send_write();
	transport_reply(got, &written, sizeof(written));
	cr_expect(eq(sz, receive(&header, (char *)&body, sizeof(body)), sizeof(body)));
	cr_expect(eq(u64, header.unique, 7));
	cr_expect(zero(int, header.error));
	cr_expect(eq(u32, body.size, 4));
}

Test(transport, replies_with_data_from_within_the_payload)
{
	struct fuse_out_header header;
	char body[16];

	send_write();
	memcpy((char *)got->payload + 512, "sector 1", 8);
	transport_reply_data(got, (char *)got->payload + 512, 8);
	cr_expect(eq(sz, receive(&header, body, sizeof(body)), 8));
	cr_expect(eq(u64, header.unique, 7));
	cr_expect(zero(int, memcmp(body, "sector 1", 8)));
}

Test(transport, replies_with_an_error_and_nothing_else)
{
	struct fuse_out_header header;
	char body[1];

	send_write();
	transport_reply_error(got, -ENOSPC);
	cr_expect(zero(sz, receive(&header, body, sizeof(body))));
	cr_expect(eq(u64, header.unique, 7));
	cr_expect(eq(int, header.error, -ENOSPC));
}

Test(transport, says_that_it_has_ended_when_the_other_side_is_gone)
{
	shutdown(theirs, SHUT_RDWR);
	while (!has_ended)
		reactor_run(reactor);
	cr_expect(zero(u32, got_count));
}
