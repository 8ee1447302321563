/*
 * A volume: freezing and thawing, and the writes of its superblock.
 */
#include "cache/volume.h"

#include <errno.h>
#include <string.h>

#include "base/sometimes.h"
#include "cache/cache_set.h"
#include "io/buffer.h"

enum {
	WRITEBACK_PERCENT = 10,
	WRITEBACK_DELAY = 30,
};

static void superblock_step(struct op *op);

void volume_init(struct volume *volume, struct daemon *daemon, struct reactor *reactor,
		 struct device *backing)
{
	*volume = (struct volume){
		.daemon = daemon,
		.backing = backing,
		.is_flash = !backing,
		.writeback_percent = WRITEBACK_PERCENT,
		.writeback_delay = WRITEBACK_DELAY,
	};
	waitlist_init(&volume->thawed);
	waitlist_init(&volume->drained);
	waitlist_init(&volume->superblock_now);
	waitlist_init(&volume->superblock_next);
	ranges_init(&volume->ranges);
	op_init(&volume->superblock_op, reactor, superblock_step);
	if (backing) {
		flush_init(&volume->backing_flush, backing, reactor);
		volume->superblock_buffer = buffer_new(SUPERBLOCK_BYTES);
	}
}

void volume_done(struct volume *volume)
{
	assert(!volume->in_flight && !volume->superblock_is_writing);
	buffer_free(volume->superblock_buffer);
}

bool volume_is_read_only(const struct volume *volume)
{
	return volume->is_mounted_read_only || (volume->set && set_is_obsolete(volume->set));
}

uint64_t volume_dirty_bytes(const struct volume *volume)
{
	return volume->set ? volume->set->index.dirty_sectors[volume->slot] * 512 : 0;
}

/* ---- the superblock ---- */

/* Remembers the state in this write, since it may change before the write ends. */
static void write_superblock(struct volume *volume)
{
	volume->superblock_is_writing = true;
	volume->superblock_writes_state = volume_state(volume);
	list_take_all(&volume->superblock_now.ops, &volume->superblock_next.ops);
	superblock_encode(&volume->superblock);
	memcpy(volume->superblock_buffer, &volume->superblock.disk, SUPERBLOCK_BYTES);
	device_write(volume->backing, volume->superblock_buffer, SUPERBLOCK_SECTOR,
		     SUPERBLOCK_BYTES / 512, true, &volume->superblock_op);
}

void volume_write_superblock(struct volume *volume, struct op *op)
{
	waitlist_join(&volume->superblock_next, op);
	if (!volume->superblock_is_writing)
		write_superblock(volume);
}

/* If the write with DIRTY failed, the dirty writes that wait for it get the error. */
static void superblock_step(struct op *op)
{
	struct volume *volume = container_of(op, struct volume, superblock_op);
	int error = op_take_error(op);

	volume->superblock_is_writing = false;
	if (error) {
		volume->io_errors++;
		if (volume->dirty == DIRTY_WRITING) {
			SIM_SOMETIMES("the superblock that says dirty cannot be written");
			superblock_set_state(&volume->superblock, STATE_CLEAN);
			volume->dirty = DIRTY_NO;
		}
	} else if (volume->superblock_writes_state == STATE_DIRTY &&
		   volume->dirty == DIRTY_WRITING) {
		volume->dirty = DIRTY_YES;
	}
	waitlist_wake_all(&volume->superblock_now, error);
	if (!waitlist_empty(&volume->superblock_next))
		write_superblock(volume);
}

/* Joins the write in flight only if that says DIRTY already; otherwise the next one. */
int volume_make_dirty(struct volume *volume, struct op *op)
{
	if (volume->dirty == DIRTY_YES)
		return 0;
	if (volume->dirty == DIRTY_NO) {
		superblock_set_state(&volume->superblock, STATE_DIRTY);
		volume->dirty = DIRTY_WRITING;
		volume_write_superblock(volume, op);
	} else if (volume->superblock_is_writing &&
		   volume->superblock_writes_state == STATE_DIRTY) {
		SIM_SOMETIMES("two dirty writes wait for one write of the superblock");
		waitlist_join(&volume->superblock_now, op);
	} else {
		SIM_SOMETIMES("dirty is to be said while another superblock is written");
		waitlist_join(&volume->superblock_next, op);
	}
	return -EAGAIN;
}

/* ---- statistics ---- */

void volume_count(struct volume *volume, enum stats_counter counter, uint64_t n)
{
	if (!volume->set || volume->is_flash)
		return;
	stats_count(&volume->stats, counter, n);
	stats_count(&volume->set->stats, counter, n);
}

/* ---- freezing ---- */

void volume_freeze(struct volume *volume)
{
	assert(!volume->is_frozen);
	volume->is_frozen = true;
}

void volume_thaw(struct volume *volume)
{
	assert(volume->is_frozen);
	volume->is_frozen = false;
	waitlist_wake_all(&volume->thawed, 0);
}

/* Fills count as in flight, too (volume_request_ref()). */
void volume_quiesce(struct volume *volume, struct op *op)
{
	assert(volume->is_frozen);
	if (volume->in_flight) {
		SIM_SOMETIMES("a volume that is frozen has requests in flight");
		waitlist_join(&volume->drained, op);
		return;
	}
	op_await(op);
	op_arrive(op, 0);
}

bool volume_request_begin(struct volume *volume, struct op *op)
{
	if (volume->is_frozen) {
		SIM_SOMETIMES("a request waits for its volume to thaw");
		waitlist_join(&volume->thawed, op);
		return false;
	}
	volume->in_flight++;
	return true;
}

void volume_request_ref(struct volume *volume)
{
	assert(volume->in_flight);
	volume->in_flight++;
}

void volume_request_end(struct volume *volume)
{
	assert(volume->in_flight);
	if (!--volume->in_flight)
		waitlist_wake_all(&volume->drained, 0);
}
