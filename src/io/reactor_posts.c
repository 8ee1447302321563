/*
 * Posts: arrivals of ops that another thread reports, or this one for after the current call.
 *
 *	another thread:  reactor_post --> inbox --eventfd--> the ring --> inbox_woken --+
 *	                                                                                v
 *	the own thread:  reactor_post --> local ----before the next step-----------> op_arrive
 *
 * The inbox is swapped with an empty box under the mutex and emptied without it, so that no other
 * thread ever waits for the work that a post begins.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "io/reactor_internal.h"

enum { POSTS_ROOM = 256 };	/* initial size of a box; doubled when full */

static void post_box_add(struct post_box *box, struct op *op, int error)
{
	if (box->count == box->room) {
		box->room = box->room ? box->room * 2 : POSTS_ROOM;
		box->posts = reallocarray(box->posts, box->room, sizeof(*box->posts));
		if (!box->posts) {
			log_error("no memory for %u posts", box->room);
			abort();
		}
	}
	box->posts[box->count++] = (struct post){ .op = op, .error = error };
}

void post_box_deliver(struct post_box *box)
{
	for (unsigned i = 0; i < box->count; i++)
		op_arrive(box->posts[i].op, box->posts[i].error);
	box->count = 0;
}

static void inbox_post(struct reactor *reactor, struct op *op, int error)
{
	const uint64_t one = 1;
	ssize_t written = sizeof(one);

	pthread_mutex_lock(&reactor->mutex);
	post_box_add(&reactor->inbox, op, error);
	if (reactor->inbox.count == 1)		/* REACTOR-3 */
		written = write(reactor->wake_fd, &one, sizeof(one));
	pthread_mutex_unlock(&reactor->mutex);
	assert(written == sizeof(one));
}

void reactor_post(struct op *op, int error)
{
	struct reactor *home = op->home;

	if (reactor_is_here(home))
		post_box_add(&home->local, op, error);
	else
		inbox_post(home, op, error);
}

void inbox_read(struct reactor *reactor)
{
	struct io_uring_sqe *sqe = reactor_sqe(reactor, &reactor->wake);

	io_uring_prep_read(sqe, reactor->wake_fd, &reactor->wakes, sizeof(reactor->wakes), 0);
}

void inbox_woken(struct completion *completion, int result)
{
	struct reactor *reactor = container_of(completion, struct reactor, wake);
	struct post_box taken;

	assert(result == sizeof(reactor->wakes) || result == -EINTR || result == -EAGAIN);
	pthread_mutex_lock(&reactor->mutex);
	taken = reactor->inbox;
	reactor->inbox = reactor->taken;
	pthread_mutex_unlock(&reactor->mutex);
	reactor->taken = taken;
	post_box_deliver(&reactor->taken);
	inbox_read(reactor);
}
