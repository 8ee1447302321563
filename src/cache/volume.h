/*
 * A volume: what users see as bcacheN.  A backing device, attached to a set or
 * to none, or a flash-only volume that lives in a set alone.
 *
 * (VOLUME-1) A request passes the gate before it reads `set` and is counted until its
 *     end; lifecycle closes the gate, waits for the count to reach zero, changes what
 *     it wants, opens it.
 * (VOLUME-2) State DIRTY is durable before the first dirty write is answered
 *     (ORDER-17).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/ranges.h"
#include "cache/stats.h"
#include "base/error.h"
#include "cache/traffic.h"
#include "format/superblock.h"
#include "io/device.h"
#include "io/flush.h"

struct cache_set;
struct daemon;

enum dirty_state {
	DIRTY_NO,		/* the superblock says CLEAN (or NONE, STALE) */
	DIRTY_WRITING,		/* DIRTY is on its way; dirty writes wait for it */
	DIRTY_YES,
};

struct volume {
	struct list_link daemon_link;		/* in daemon->volumes */
	struct list_link set_link;		/* in set->volumes, when attached */
	struct daemon *daemon;
	uint64_t birth;				/* unlike that of any other volume or set */
	unsigned number;			/* the N of bcacheN */
	char name[16];				/* "bcacheN" */
	uint8_t uuid[16];
	char label[33];
	uint64_t sectors;			/* as users see it */
	unsigned block_sectors;
	bool is_exported;			/* bcacheN exists */
	bool is_flash;
	bool is_mounted_read_only;		/* nothing may be written: all of its life */
	unsigned opens;				/* handles */
	bool is_stopping;			/* goes away at the last close */

	/* a backing device: */
	struct device *backing;			/* NULL for flash */
	struct flush backing_flush;
	struct superblock superblock;
	char member_name[64];			/* DIR/sys/block/<member_name> */
	uint64_t data_offset;			/* key sector = volume sector + data_offset */

	/* attachment */
	struct cache_set *set;			/* NULL: none */
	unsigned slot;				/* in the set's uuid table */
	enum cache_mode mode;
	enum dirty_state dirty;
	bool is_detaching;
	struct error attach_error;		/* why its set did not take it; code 0: none */

	/* the one writer of the backing superblock */
	struct op superblock_op;
	unsigned char *superblock_buffer;
	bool superblock_is_writing;
	enum backing_state superblock_writes_state;
	struct waitlist superblock_now,
		superblock_next; /* for the write under way, for the one after */

	/* the gate (VOLUME-1) */
	bool gate_closed;
	unsigned in_flight;
	struct waitlist gate;			/* requests wait for it to open */
	struct waitlist drained;		/* lifecycle waits for in_flight == 0 */

	struct ranges ranges;
	struct stats stats;
	struct traffic traffic;			/* counted by src/fuse */
	uint64_t io_errors;
	/* tunables as the kernel has them; those without effect yet keep their value */
	unsigned writeback_percent, writeback_delay;
};

static inline enum backing_state volume_state(const struct volume *volume)
{
	return superblock_state(&volume->superblock);
}
/*
 * Does it refuse what changes its content?  Mounted read-only, or as long as it is in a set that
 * is not written to.  It may come to be so while handles are open: requests ask behind the gate.
 */
bool volume_is_read_only(const struct volume *volume);
/* Bytes that are only in the cache. */
uint64_t volume_dirty_bytes(const struct volume *volume);

/* A volume without a backing device or a set yet; `backing` may be NULL (flash). */
void volume_init(struct volume *volume, struct daemon *daemon, struct reactor *reactor,
		 struct device *backing);
void volume_done(struct volume *volume);

/*
 * The superblock as it is in memory becomes durable; `op` awaits it.  Several
 * who ask at once share a write.
 */
void volume_write_superblock(struct volume *volume, struct op *op);
/* 0: the superblock says DIRTY, durably. -EAGAIN: `op` waits for that; ask again. */
int volume_make_dirty(struct volume *volume, struct op *op);

/* Adds to a statistic of the volume and of its set; flash-only volumes have none. */
void volume_count(struct volume *volume, enum stats_counter counter, uint64_t n);

void volume_gate_close(struct volume *volume);
void volume_gate_open(struct volume *volume);
/* `op` arrives when no request is in flight; the gate is closed. */
void volume_drain(struct volume *volume, struct op *op);
/* By requests: past the gate, or `op` waits for it to open. */
bool volume_enter(struct volume *volume, struct op *op);
/* By work that a request leaves behind: counted like one, until volume_leave(). */
void volume_hold(struct volume *volume);
void volume_leave(struct volume *volume);
