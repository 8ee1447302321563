/*
 * Messages in and out of a descriptor: /dev/fuse.
 *
 * Some reads are always outstanding; each message arrives in a slot, and its
 * reply leaves from the same slot in the next submission of the reactor.
 *
 *	in                  data (page aligned)
 *	|<- CHANNEL_HEAD ->|<------------- data_bytes ------------>|<- slack ->|
 *	[ head of request  ][ payload of a WRITE ...
 *	         [ reply: 16][ payload of a READ ...
 *
 * A WRITE's head is 80 bytes, so its payload lands aligned and can go to a
 * device as it is; a reply's head is 16 bytes, so a READ's answer leaves in one
 * piece from data - 16 (or from 16 bytes before any place within the data).
 *
 * (CHANNEL-1) A slot is idle, being read into, taken, or leaving with its
 *     reply.
 * (CHANNEL-2) Every slot that was handed to on_message is given back exactly once, by
 *     channel_reply() or channel_release(): a request without an answer would hang its
 *     caller until we die.
 * (CHANNEL-3) While slots are idle, CHANNEL_READS of them are being read into.
 * (CHANNEL-4) on_message is never called from within a step, nor from a call below.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "io/op.h"

enum {
	CHANNEL_READS = 4,		/* kept outstanding */
	CHANNEL_HEAD_BYTES = 80,	/* in front of data: fuse_in_header + fuse_write_in */
	CHANNEL_SLACK_BYTES = 16384,	/* behind data_bytes */
	CHANNEL_PIECES_MAX = 4,
};

struct channel;

struct channel_slot {
	void *in;		/* the message */
	unsigned in_bytes;	/* its length */
	void *data;		/* in + CHANNEL_HEAD_BYTES, page aligned */
	void *user;		/* the caller's; NULL when the message arrives */
	unsigned index;		/* of this slot, below channel_slots() */
};

/*
 * A message in `slot`, which is now the callee's; or, once and last, slot == NULL
 * and the reason why no more will come: -ENODEV after the unmount, -ECANCELED
 * after channel_stop(), other errors of the descriptor.
 */
typedef void channel_message(void *context, struct channel_slot *slot, int error);

/*
 * Makes the slots and begins to read.  `fd` stays the caller's and is made
 * non-blocking.  A message may have up to CHANNEL_HEAD_BYTES + data_bytes + CHANNEL_SLACK_BYTES.
 * NULL and the reason on failure.
 */
struct channel *channel_new(struct reactor *reactor, int fd, unsigned slots, size_t data_bytes,
			    channel_message *on_message, void *context, struct error *error);
/* Only when channel_idle(). */
void channel_free(struct channel *channel);

/* Ends the reading; messages that were taken can still be answered. */
void channel_stop(struct channel *channel);
/* Nothing is outstanding: no read, no reply, no slot in the callee's hands (CHANNEL-2). */
bool channel_idle(const struct channel *channel);
/* The op arrives when the channel has ended and is idle; one op at most. */
void channel_drain(struct channel *channel, struct op *op);

unsigned channel_slots(const struct channel *channel);
/* The slot of that index, so that its owner can keep an array beside. */
struct channel_slot *channel_slot_at(struct channel *channel, unsigned index);

/*
 * Sends a reply and gives the slot back when it has left.  What it points to
 * must stay until then: within the slot, or for ever.
 */
void channel_reply(struct channel_slot *slot, const void *message, size_t bytes);
void channel_reply_pieces(struct channel_slot *slot, const struct iovec *pieces, unsigned count);
/* Gives back a slot whose message has no reply, or was answered otherwise. */
void channel_release(struct channel_slot *slot);
