/*
 * The list of writes that wait for room, and the timer that tries them again.
 */
#include "io/room.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/sometimes.h"
#include "io/device_shared.h"

#define RETRY_NS UINT64_C(500000000)
#define PATIENCE_NS UINT64_C(30000000000)	/* ROOM-3 */

struct room_wait {
	struct write_order order;
	struct device *device;
	struct list_link link;		/* in room->waiting */
};

void room_init(struct room *room)
{
	*room = (struct room){ .until_ns = 0 };
	list_init(&room->waiting);
}

static void room_step(struct op *op)
{
	struct room *room = container_of(op, struct room, op);
	bool is_over = clock_ns(op->home) >= room->until_ns;
	struct list all;
	struct list_link *link;

	list_init(&all);
	list_take_all(&all, &room->waiting);
	while ((link = list_take_first(&all))) {
		struct room_wait *wait = container_of(link, struct room_wait, link);

		if (is_over)
			room->writes--;
		else
			device_write_start(wait->device, &wait->order);
		op_arrive(wait->order.op, is_over ? -ENOSPC : 0);
		free(wait);
	}
}

static void room_counts(struct room *room, struct device *device, bool is_again, bool waits,
			int error)
{
	if (!is_again && waits && !room->writes++)
		room->shortages++;
	if (is_again && !waits && !--room->writes && !error)
		log_info("%s: there is room again", device_path(device));
}

static bool has_patience(const struct room *room, uint64_t now_ns)
{
	return now_ns < room->until_ns &&
	       (!room->writes || now_ns - room->short_since_ns < PATIENCE_NS);
}

bool room_takes(struct device *device, const struct write_order *order, int error)
{
	struct room *room = &device_shared(device)->room;
	struct reactor *reactor = order->op->home;
	struct room_wait *wait;
	bool waits = error == -ENOSPC && has_patience(room, clock_ns(reactor));

	assert(order->is_metadata);
	wait = waits ? calloc(1, sizeof(*wait)) : NULL;
	if (!room->writes)
		room->short_since_ns = clock_ns(reactor);
	room_counts(room, device, order->is_again, wait, error);
	if (!wait)
		return false;
	SIM_SOMETIMES("a write of metadata waits for room");
	wait->order = *order;
	wait->order.is_again = true;
	wait->device = device;
	if (list_empty(&room->waiting)) {
		op_init(&room->op, reactor, room_step);
		timer_start(&room->timer, RETRY_NS, &room->op);
	}
	list_add_last(&room->waiting, &wait->link);
	return true;
}

/* ---- the public part ---- */

void device_write(struct device *device, const void *data, uint64_t sector, unsigned sectors,
		  bool fua, struct op *op)
{
	device_write_start(device, &(struct write_order){
		.data = data, .sector = sector, .sectors = sectors, .fua = fua, .op = op });
}

void device_write_metadata(struct device *device, const void *data, uint64_t sector,
			   unsigned sectors, bool fua, struct op *op)
{
	device_write_start(device, &(struct write_order){
		.data = data, .sector = sector, .sectors = sectors, .fua = fua,
		.is_metadata = true, .op = op });
}

void device_wait_for_room(struct device *device, uint64_t until_ns)
{
	struct room *room = &device_shared(device)->room;

	room->until_ns = until_ns;
	if (!until_ns)
		timer_cancel(&room->timer);
}

bool device_is_short_of_room(struct device *device)
{
	return device_shared(device)->room.writes;
}

uint64_t device_shortages(struct device *device)
{
	return device_shared(device)->room.shortages;
}
