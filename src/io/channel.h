/*
 * A channel: messages and replies through a descriptor, /dev/fuse.
 *
 * Some reads are always in flight.  Each message arrives in a slot, and its reply is sent
 * from the same slot with the next submission of the reactor.
 *
 *	in                  data (page aligned)
 *	|<- CHANNEL_HEAD ->|<------------- data_bytes ------------>|<- slack ->|
 *	[ head of request  ][ payload of a WRITE ...
 *	         [ reply: 16][ payload of a READ ...
 *
 * The head of a WRITE has 80 bytes, so its payload is aligned in `data` and can be written
 * to a device from there.  The head of a reply has 16 bytes, so the reply to a READ is one
 * piece from data - 16 on (or from 16 bytes before any place in the data).
 *
 * (CHANNEL-1) A slot is idle, being read into, taken by the callee, or sending its reply.
 * (CHANNEL-2) The callee gives back every slot that on_message passed to it exactly once, by
 *     channel_reply() or channel_release().  Otherwise the caller of that request would
 *     hang until the daemon ends.
 * (CHANNEL-3) While slots are idle, CHANNEL_READS of them are being read into.
 * (CHANNEL-4) on_message is never called from within a step, or from a call of the callee.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "io/op.h"

enum {
	CHANNEL_READS = 4,		/* reads in flight */
	CHANNEL_HEAD_BYTES = 80,	/* before data: fuse_in_header + fuse_write_in */
	CHANNEL_SLACK_BYTES = 16384,	/* after data_bytes */
};

struct channel;

struct channel_slot {
	void *in;		/* the message */
	unsigned in_bytes;	/* its length */
	void *data;		/* in + CHANNEL_HEAD_BYTES, page aligned */
	unsigned index;		/* of this slot, below the number of slots */
};

/*
 * Passes a message in `slot`, which the callee owns from now on.  The last call has slot == NULL
 * and the reason: -ENODEV after the unmount, -ECANCELED after channel_stop(), other errors of the
 * descriptor.
 */
typedef void channel_message(void *context, struct channel_slot *slot, int error);

/*
 * Allocates the slots and starts to read.  `fd` still belongs to the caller, and is made
 * non-blocking.  A message may have up to CHANNEL_HEAD_BYTES + data_bytes + CHANNEL_SLACK_BYTES.
 * NULL and the reason on failure.
 */
struct channel *channel_new(struct reactor *reactor, int fd, unsigned slots, size_t data_bytes,
			    channel_message *on_message, void *context, struct error *error);
/* Only when channel_idle(). */
void channel_free(struct channel *channel);

/* Stops reading; messages that were taken can still be answered. */
void channel_stop(struct channel *channel);
/* No read or reply is in flight, and the callee has no slot (CHANNEL-2). */
bool channel_idle(const struct channel *channel);
/* The op awaits the end of the channel, when it is idle; at most one op. */
void channel_drain(struct channel *channel, struct op *op);

/*
 * Sends a reply, and gives the slot back when it is sent.  The memory must stay in place until
 * then: it is in the slot, or constant.
 */
void channel_reply(struct channel_slot *slot, const void *message, size_t bytes);
/* Gives back a slot whose message needs no reply, or was answered in another way. */
void channel_release(struct channel_slot *slot);
