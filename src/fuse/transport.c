/*
 * The transport through /dev/fuse: a request is a message in a slot of a channel.
 *
 *	 0       40          80
 *	[ header | arguments | payload ...            as it comes
 *	               [ 16  | struct or data ...     its reply
 *
 * The header of the reply overwrites the end of the arguments (of a WRITE or READ), but never the
 * header of the request, so the request's number is still there when it is answered.
 */
#include "fuse/transport.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	HEADER_BYTES = sizeof(struct fuse_in_header),
	REPLY_HEADER_BYTES = sizeof(struct fuse_out_header),
	BEFORE_PAYLOAD_BYTES = CHANNEL_HEAD_BYTES,
};
_Static_assert(HEADER_BYTES + sizeof(struct fuse_write_in) == BEFORE_PAYLOAD_BYTES,
	       "the payload of a WRITE is aligned");
_Static_assert(HEADER_BYTES + REPLY_HEADER_BYTES <= BEFORE_PAYLOAD_BYTES,
	       "a reply leaves the header of its request");

struct transport {
	struct channel *channel;
	transport_deliver_fn *deliver;
	void *context;
	struct transport_request requests[];	/* one for each slot */
};

/* A message that is shorter than a header has no number, so it cannot be answered. */
static void transport_message(void *context, struct channel_slot *slot, int error UNUSED)
{
	struct transport *transport = context;
	struct transport_request *request;

	if (!slot) {
		transport->deliver(transport->context, NULL);
		return;
	}
	if (slot->in_bytes < HEADER_BYTES) {
		channel_release(slot);
		return;
	}
	request = &transport->requests[slot->index];
	assert(!request->slot);		/* TRANSPORT-1 */
	*request = (struct transport_request){
		.header = slot->in,
		.arguments = (const char *)slot->in + HEADER_BYTES,
		.argument_bytes = slot->in_bytes - HEADER_BYTES,
		.payload = slot->data,
		.index = slot->index,
		.slot = slot,
	};
	/*
	 * Of other operations than WRITE these are arguments, too, and nobody looks at the payload.
	 */
	if (slot->in_bytes > BEFORE_PAYLOAD_BYTES)
		request->payload_bytes = slot->in_bytes - BEFORE_PAYLOAD_BYTES;
	transport->deliver(transport->context, request);
}

/* Takes the slot from its request, which ends. */
static struct channel_slot *transport_end(struct transport_request *request)
{
	struct channel_slot *slot = request->slot;

	assert(slot);			/* TRANSPORT-1 */
	request->slot = NULL;
	return slot;
}

/* Sends `bytes` bytes at `body`, which is in the payload, with a header in front of them. */
static void transport_send(struct transport_request *request, int error, void *body, size_t bytes)
{
	char *message = (char *)body - REPLY_HEADER_BYTES;
	struct fuse_out_header header = {
		.len = REPLY_HEADER_BYTES + bytes,
		.error = error,
		.unique = request->header->unique,
	};

	memcpy(message, &header, sizeof(header));
	channel_reply(transport_end(request), message, header.len);
}

void transport_reply(struct transport_request *request, const void *result, size_t bytes)
{
	memcpy(request->payload, result, bytes);
	transport_send(request, 0, request->payload, bytes);
}

void transport_reply_data(struct transport_request *request, void *data, size_t bytes)
{
	assert((char *)data >= (char *)request->payload);
	transport_send(request, 0, data, bytes);
}

void transport_reply_error(struct transport_request *request, int error)
{
	assert(error <= 0);
	transport_send(request, error, request->payload, 0);
}

void transport_release(struct transport_request *request)
{
	channel_release(transport_end(request));
}

/* libfuse copies what it needs of the message, and writes its reply to /dev/fuse itself. */
void transport_pass_to_library(struct transport_request *request, struct fuse_session *library)
{
	struct fuse_buf message = {
		.mem = request->slot->in, .size = request->slot->in_bytes
	};

	fuse_session_process_buf(library, &message);
	transport_release(request);
}

struct transport *transport_new(struct reactor *reactor, int fd, unsigned requests,
				size_t payload_bytes, transport_deliver_fn *deliver, void *context,
				struct error *error)
{
	struct transport *transport =
		calloc(1, sizeof(*transport) + requests * sizeof(transport->requests[0]));

	if (!transport) {
		error_set(error, ENOMEM, "no memory for %u requests", requests);
		return NULL;
	}
	transport->deliver = deliver;
	transport->context = context;
	transport->channel = channel_new(reactor, fd, requests, payload_bytes, transport_message,
					 transport, error);
	if (!transport->channel) {
		free(transport);
		return NULL;
	}
	return transport;
}

void transport_free(struct transport *transport)
{
	if (!transport)
		return;
	channel_free(transport->channel);
	free(transport);
}

void transport_stop(struct transport *transport)
{
	channel_stop(transport->channel);
}

void transport_drain(struct transport *transport, struct op *op)
{
	channel_drain(transport->channel, op);
}
