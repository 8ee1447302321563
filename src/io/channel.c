/*
 * A channel on the reactor's ring.
 *
 *	      read            on_message          channel_reply
 *	IDLE ------> READING -----------> TAKEN ----------------> LEAVING
 *	  ^             |                   |                        |
 *	  |  stopped    |  channel_release  |          the reply     |
 *	  +-------------+-------------------+----------has left------+
 */
#include "io/channel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "base/numbers.h"
#include "io/buffer.h"
#include "io/uring.h"

enum slot_state { SLOT_IDLE, SLOT_READING, SLOT_TAKEN, SLOT_LEAVING };

/* A slot with its private part. */
struct slot {
	struct channel_slot visible;
	struct channel *channel;
	enum slot_state state;
	struct completion completion;	/* of the read, then of the reply */
	const void *reply;
	size_t reply_bytes;
	struct list_link link;		/* in channel->idle */
};

struct channel {
	struct reactor *reactor;
	int fd;
	channel_message *on_message;
	void *context;
	struct op *drain;		/* the op that awaits the end, or NULL */
	int end;			/* why reading has ended; 0: it has not */
	bool end_told;
	unsigned reading;
	unsigned away;			/* slots that are taken or sending a reply */
	unsigned count;
	size_t message_bytes;		/* the longest that is read */
	size_t memory_bytes;
	char *memory;
	struct list idle;		/* last used first: its memory is in the CPU cache */
	struct slot slots[];
};

static struct slot *slot_of(struct channel_slot *visible)
{
	return container_of(visible, struct slot, visible);
}

/* ---- reading ---- */

static void slot_read(struct slot *slot)
{
	struct channel *channel = slot->channel;
	struct io_uring_sqe *sqe = reactor_sqe(channel->reactor, &slot->completion);

	io_uring_prep_read(sqe, channel->fd, slot->visible.in, channel->message_bytes, 0);
}

/* CHANNEL-3 */
static void channel_read_more(struct channel *channel)
{
	while (!channel->end && channel->reading < CHANNEL_READS) {
		struct list_link *link = list_take_first(&channel->idle);
		struct slot *slot;

		if (!link)
			return;
		slot = container_of(link, struct slot, link);
		assert(slot->state == SLOT_IDLE);	/* CHANNEL-1 */
		slot->state = SLOT_READING;
		channel->reading++;
		slot_read(slot);
	}
}

/* Cancels the reads; one that has a message already still delivers it. */
static void channel_end(struct channel *channel, int error)
{
	if (channel->end)
		return;
	channel->end = error;
	for (unsigned i = 0; i < channel->count; i++)
		if (channel->slots[i].state == SLOT_READING)
			io_uring_prep_cancel(reactor_sqe(channel->reactor, NULL),
					     &channel->slots[i].completion, 0);
}

/* Reports the end when no read is in flight; lets `drain` arrive when everything is idle. */
static void channel_check_end(struct channel *channel)
{
	struct op *drain = channel->drain;

	if (!channel->end || channel->reading)
		return;
	if (!channel->end_told) {
		channel->end_told = true;
		channel->on_message(channel->context, NULL, channel->end);
	}
	if (drain && channel_idle(channel)) {
		channel->drain = NULL;
		op_arrive(drain, 0);
	}
}

static void slot_idle(struct slot *slot)
{
	slot->state = SLOT_IDLE;
	list_add_first(&slot->channel->idle, &slot->link);
}

static bool result_is_passing(int result)
{
	/* ENOENT: the request was interrupted before it could be read. */
	return result == -EINTR || result == -EAGAIN || result == -ENOENT || result == -ENOMEM;
}

static void slot_take(struct slot *slot, unsigned bytes)
{
	struct channel *channel = slot->channel;

	slot->state = SLOT_TAKEN;
	slot->visible.in_bytes = bytes;
	channel->away++;
	channel_read_more(channel);
	channel->on_message(channel->context, &slot->visible, 0);
}

/* An empty read is an end of file, for instance of a socket. */
static void slot_read_done(struct slot *slot, int result)
{
	struct channel *channel = slot->channel;

	assert(slot->state == SLOT_READING && channel->reading > 0);
	if (!channel->end && result_is_passing(result)) {
		slot_read(slot);
		return;
	}
	channel->reading--;
	if (result > 0) {
		slot_take(slot, result);
	} else {
		slot_idle(slot);
		channel_end(channel, result ? result : -ENODEV);
	}
	channel_check_end(channel);
}

/* ---- replying ---- */

static void slot_write(struct slot *slot)
{
	struct channel *channel = slot->channel;
	struct io_uring_sqe *sqe = reactor_sqe(channel->reactor, &slot->completion);

	io_uring_prep_write(sqe, channel->fd, slot->reply, slot->reply_bytes, 0);
}

/* Gives the slot back (CHANNEL-2). */
static void slot_back(struct slot *slot)
{
	struct channel *channel = slot->channel;

	assert(channel->away > 0);
	channel->away--;
	slot_idle(slot);
	channel_read_more(channel);
}

/* ENOENT: the request was interrupted; ENODEV, ECONNABORTED: the mount is gone. */
static void slot_reply_done(struct slot *slot, int result)
{
	assert(slot->state == SLOT_LEAVING);
	if (result == -EINTR || result == -EAGAIN) {
		slot_write(slot);
		return;
	}
	if (result < 0 && result != -ENOENT && result != -ENODEV && result != -ECONNABORTED)
		log_error("a reply was refused: %s", strerror(-result));
	slot_back(slot);
	channel_check_end(slot->channel);
}

static void slot_done(struct completion *completion, int result)
{
	struct slot *slot = container_of(completion, struct slot, completion);

	if (slot->state == SLOT_READING)
		slot_read_done(slot, result);
	else
		slot_reply_done(slot, result);
}

void channel_reply(struct channel_slot *visible, const void *message, size_t bytes)
{
	struct slot *slot = slot_of(visible);

	assert(slot->state == SLOT_TAKEN);		/* CHANNEL-2 */
	slot->reply = message;
	slot->reply_bytes = bytes;
	slot->state = SLOT_LEAVING;
	slot_write(slot);
}

/* CHANNEL-4: the end is not reported within this call, but by a completion. */
static void slot_released(struct completion *completion, int result UNUSED)
{
	struct slot *slot = container_of(completion, struct slot, completion);

	slot->completion.done = slot_done;
	slot_back(slot);
	channel_check_end(slot->channel);
}

void channel_release(struct channel_slot *visible)
{
	struct slot *slot = slot_of(visible);

	assert(slot->state == SLOT_TAKEN);		/* CHANNEL-2 */
	slot->state = SLOT_LEAVING;
	slot->completion.done = slot_released;
	reactor_complete(slot->channel->reactor, &slot->completion, 0);
}

/* ---- start and end ---- */

static int channel_make_nonblocking(int fd, struct error *error)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return error_set(error, errno, "cannot make a channel non-blocking: %s",
				 strerror(errno));
	return 0;
}

static void channel_init_slots(struct channel *channel, size_t stride)
{
	for (unsigned i = 0; i < channel->count; i++) {
		struct slot *slot = &channel->slots[i];
		char *data = channel->memory + i * stride + BUFFER_ALIGN;

		slot->channel = channel;
		slot->completion.done = slot_done;
		slot->visible = (struct channel_slot){
			.in = data - CHANNEL_HEAD_BYTES, .data = data, .index = i,
		};
		list_add_last(&channel->idle, &slot->link);
	}
}

struct channel *channel_new(struct reactor *reactor, int fd, unsigned slots, size_t data_bytes,
			    channel_message *on_message, void *context, struct error *error)
{
	struct channel *channel = calloc(1, sizeof(*channel) + slots * sizeof(struct slot));
	size_t stride = BUFFER_ALIGN + round_up(data_bytes + CHANNEL_SLACK_BYTES, BUFFER_ALIGN);

	assert(slots > CHANNEL_READS);
	if (!channel) {
		error_set(error, ENOMEM, "no memory for %u request slots", slots);
		return NULL;
	}
	if (channel_make_nonblocking(fd, error)) {
		free(channel);
		return NULL;
	}
	channel->reactor = reactor;
	channel->fd = fd;
	channel->on_message = on_message;
	channel->context = context;
	channel->count = slots;
	channel->message_bytes = CHANNEL_HEAD_BYTES + data_bytes + CHANNEL_SLACK_BYTES;
	channel->memory_bytes = slots * stride;
	channel->memory = buffer_try_new(channel->memory_bytes);
	if (!channel->memory) {
		error_set(error, ENOMEM, "no memory for %u request slots: wanted %zu MiB", slots,
			  channel->memory_bytes >> 20);
		free(channel);
		return NULL;
	}
	list_init(&channel->idle);
	channel_init_slots(channel, stride);
	reactor_register_memory(reactor, channel->memory, channel->memory_bytes);
	channel_read_more(channel);
	return channel;
}

void channel_free(struct channel *channel)
{
	if (!channel)
		return;
	assert(channel_idle(channel) && !channel->drain);
	reactor_forget_memory(channel->reactor, channel->memory, channel->memory_bytes);
	buffer_free(channel->memory);
	free(channel);
}

void channel_stop(struct channel *channel)
{
	channel_end(channel, -ECANCELED);
}

bool channel_idle(const struct channel *channel)
{
	return !channel->reading && !channel->away;
}

void channel_drain(struct channel *channel, struct op *op)
{
	assert(!channel->drain);
	op_await(op);
	if (channel->end_told && channel_idle(channel))
		reactor_post(op, 0);
	else
		channel->drain = op;
}
