/* Writes of metadata that find no space: they wait, and are tried again. */
#include "awaiter.h"

#include <errno.h>
#include <string.h>

#include "io/buffer.h"
#include "io/device_shared.h"

enum { SECTORS = 64, AT = 8, SECTOR_BYTES = 512 };
#define FOR_EVER UINT64_MAX

static struct reactor *reactor;
static struct device *device;
static struct awaiter awaiter;
static unsigned char *memory;
static struct write_order order;

static void setup(void)
{
	reactor = test_reactor();
	device = test_device(SECTORS);
	memory = buffer_new(2 * SECTOR_BYTES * AT);
	memset(memory, 7, SECTOR_BYTES * AT);
	awaiter_init(&awaiter, reactor);
	order = (struct write_order){ .data = memory, .sector = AT, .sectors = AT,
				      .is_metadata = true, .op = &awaiter.op };
}

static void teardown(void)
{
	buffer_free(memory);
	device_close(device);
	reactor_free(reactor);
}

TestSuite(room, .init = setup, .fini = teardown, .timeout = 60);

/* As if the device had answered the write so. */
static bool is_taken(int error)
{
	return room_takes(device, &order, error);
}

static bool is_written(void)
{
	cr_assert(zero(int, device_read_now(device, memory + SECTOR_BYTES * AT, AT, AT)));
	return !memcmp(memory, memory + SECTOR_BYTES * AT, SECTOR_BYTES * AT);
}

Test(room, is_waited_for)
{
	device_wait_for_room(device, FOR_EVER);
	op_await(&awaiter.op);
	cr_assert(is_taken(-ENOSPC));
	cr_expect(device_is_short_of_room(device));
	cr_expect(not(is_written()));
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	cr_expect(is_written());
	cr_expect(not(device_is_short_of_room(device)));
	cr_expect(eq(u64, device_shortages(device), 1));
}

Test(room, is_no_matter_for_other_errors)
{
	device_wait_for_room(device, FOR_EVER);
	cr_expect(not(is_taken(0)));
	cr_expect(not(is_taken(-EIO)));
	cr_expect(zero(u64, device_shortages(device)));
}

Test(room, is_not_waited_for_before_the_set_runs)
{
	cr_expect(not(is_taken(-ENOSPC)));
}

Test(room, is_waited_for_until_the_set_ends)
{
	device_wait_for_room(device, 1);
	op_await(&awaiter.op);
	cr_expect(not(is_taken(-ENOSPC)));
	device_wait_for_room(device, clock_ns(reactor) + UINT64_C(100000000));
	cr_assert(is_taken(-ENOSPC));
	cr_expect(eq(int, awaiter_wait(&awaiter), -ENOSPC));
	cr_expect(not(is_written()));
	cr_expect(not(device_is_short_of_room(device)));
}

/* ROOM-3 */
Test(room, is_waited_for_half_a_minute)
{
	struct room *room = &device_shared(device)->room;
	const uint64_t half_minute = UINT64_C(30000000000), now = clock_ns(reactor);

	device_wait_for_room(device, FOR_EVER);
	room->writes = 1;
	room->short_since_ns = now - half_minute;
	cr_expect(not(is_taken(-ENOSPC)));
	room->short_since_ns = now - half_minute + 1;
	op_await(&awaiter.op);
	cr_expect(is_taken(-ENOSPC));
	cr_expect(zero(int, awaiter_wait(&awaiter)));
	cr_expect(is_written());
}

Test(room, is_waited_for_no_longer_when_the_set_fails)
{
	uint64_t began = clock_ns(reactor);

	device_wait_for_room(device, FOR_EVER);
	op_await(&awaiter.op);
	cr_assert(is_taken(-ENOSPC));
	device_wait_for_room(device, 0);
	cr_expect(eq(int, awaiter_wait(&awaiter), -ENOSPC));
	cr_expect(lt(u64, clock_ns(reactor) - began, UINT64_C(400000000)));
}

/* ROOM-2: the first failure is counted, what follows is one and the same. */
Test(room, counts_a_write_once)
{
	struct transfer_end end = { .kind = TRANSFER_WRITE, .error = -ENOSPC };

	device_transfer_ended(device, &end);
	end.is_again = true;
	device_transfer_ended(device, &end);
	cr_expect(eq(u64, device_errors(device), 1));
}
