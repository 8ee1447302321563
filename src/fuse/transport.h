/*
 * The transport: how requests come from the kernel, and how their replies go back.
 *
 * A request is a header, arguments, a payload and a reply, whatever carries it:
 *
 *	header		operation, node, process: struct fuse_in_header
 *	arguments	of the operation: struct fuse_read_in, fuse_open_in, ..., or names
 *	payload		the data of a WRITE; for all others, room for the reply
 *	reply		an error, a struct of the operation, or the data of a READ
 *
 * The rest of src/fuse sees these four parts only.  transport.c alone knows that all but the reply
 * come as one message through /dev/fuse, and that the reply is a message with a header of its own.
 * FUSE over io_uring (Linux 6.14) has the same parts in separate memory; it would be another file
 * that implements this header.
 *
 * (TRANSPORT-1) Each delivered request ends exactly once, by a reply, by transport_release() or by
 *     transport_pass_to_library().  Its memory stays in place until then.
 * (TRANSPORT-2) Requests are delivered, and replies are called for, on the reactor's thread.
 * (TRANSPORT-3) The transport copies no part but the structs of replies: the data of a WRITE
 *     and of a READ stay where the kernel or the device has put them.
 */
#pragma once

#include <linux/fuse.h>

#include "fuse/library.h"
#include "io/channel.h"

/* Room behind the payload, for a device that transfers whole blocks. */
enum { TRANSPORT_SLACK_BYTES = CHANNEL_SLACK_BYTES };

struct transport;

struct transport_request {
	const struct fuse_in_header *header;
	const void *arguments;
	size_t argument_bytes;		/* of all that followed the header */
	void *payload;			/* page aligned */
	size_t payload_bytes;		/* that came; counts in a WRITE only */
	unsigned index;			/* below the number of requests; no other one has it now */
	struct channel_slot *slot;	/* transport.c's; NULL: was not delivered (TRANSPORT-1) */
};

/* Delivers a request.  The last call has request == NULL: the mount has ended, or was stopped. */
typedef void transport_deliver_fn(void *context, struct transport_request *request);

/*
 * Carries at most `requests` at a time through `fd`, which still belongs to the caller.  Further
 * ones wait in the kernel.  NULL and the reason on failure.
 */
struct transport *transport_new(struct reactor *reactor, int fd, unsigned requests,
				size_t payload_bytes, transport_deliver_fn *deliver, void *context,
				struct error *error);
/* After transport_drain(); NULL is fine. */
void transport_free(struct transport *transport);

/* Delivers no more; those that were delivered can still be answered. */
void transport_stop(struct transport *transport);
/* The op awaits the last delivery, and the end of every request. */
void transport_drain(struct transport *transport, struct op *op);

/* The arguments, if there are so many bytes of them; otherwise NULL. */
static inline const void *transport_arguments(const struct transport_request *request, size_t bytes)
{
	return request->argument_bytes >= bytes ? request->arguments : NULL;
}

/* Replies with a struct of the operation, which is copied; the payload is overwritten. */
void transport_reply(struct transport_request *request, const void *result, size_t bytes);
/* Replies with data that lie anywhere in the payload. */
void transport_reply_data(struct transport_request *request, void *data, size_t bytes);
/* Replies with an error, or with success (0) and nothing else. */
void transport_reply_error(struct transport_request *request, int error);
/* Ends a request that has no reply. */
void transport_release(struct transport_request *request);
/* libfuse handles the request and replies, now or later, by itself. */
void transport_pass_to_library(struct transport_request *request, struct fuse_session *library);
