/*
 * A volume, bcacheN: a backing device, attached to a set or not, or a flash-only
 * volume, which is stored in a set alone.
 *
 * Freezing: to attach, detach or stop a volume, lifecycle freezes it, so that
 * new requests wait, and then waits until no request is in flight
 * (volume_freeze(), volume_quiesce()).  volume_thaw() lets requests go on.
 *
 * (VOLUME-1) `set` and everything that lifecycle changes with it change only while
 *     the volume is frozen.  A request enters by volume_request_begin() before it reads
 *     `set`, and counts as in flight until volume_request_end(), so for it `set` is constant.
 * (VOLUME-2) State DIRTY is durable in the backing superblock before the first dirty
 *     write is answered (ORDER-17).
 * (VOLUME-3) After its set has failed, a volume that has no dirty data in it needs it no more:
 *     reads and writes use the backing device alone, and nothing is answered as written or
 *     flushed before state NONE is durable in the superblock (ORDER-18).  Nothing becomes dirty
 *     in a failed set, so that does not change again.  A volume with dirty data stays in the set.
 * (VOLUME-4) After a failed flush the backing device may have lost every write that was answered
 *     since the last successful flush, and the next flush may succeed all the same.  So each
 *     failed flush or FUA write of the backing device is reported, whoever has started it: once
 *     to a user, by the next fsync, and once to the next detach.  (As errseq_t in the kernel.)
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/history.h"
#include "cache/ranges.h"
#include "cache/sequential.h"
#include "cache/stats.h"
#include "base/error.h"
#include "base/numbers.h"
#include "cache/traffic.h"
#include "cache/writeback.h"
#include "format/superblock.h"
#include "io/device.h"

struct cache_set;
struct daemon;
struct stripes;
struct watch;

enum { STRIPE_SECTORS_MIN = 8192 };

/* The fields of a backing superblock that change. */
enum superblock_field {
	CHANGE_STATE = 1 << 0,
	CHANGE_SET = 1 << 1,
	CHANGE_MODE = 1 << 2,
	CHANGE_LABEL = 1 << 3,
};

struct superblock_change {
	unsigned fields;			/* of enum superblock_field: those that it sets */
	enum backing_state state;
	uint8_t set_uuid[16];
	enum cache_mode mode;
	char label[SUPERBLOCK_LABEL_BYTES + 1];
};

/* Writes the superblock; private to volume_superblock.c. */
struct superblock_writer {
	struct op op;
	unsigned char *buffer;
	bool is_writing;
	bool state_in_doubt;			/* CHANGE-3 */
	struct superblock_change writing,	/* the write in flight makes it durable */
		pending;			/* the next one */
	struct waitlist now, next;		/* those who wait for these two */
};

/*
 * Only steps on the daemon's reactor touch a volume: no field is guarded by the set lock.  What
 * else restricts a field stands first in its comment:
 *	const	set before the volume is registered, never changed afterwards
 *	frozen	changes only while the volume is frozen (VOLUME-1)
 */
struct volume {
	/* identity */
	struct list_link daemon_link;		/* in daemon->volumes */
	struct daemon *daemon;			/* const */
	struct reactor *reactor;		/* const: runs all its requests */
	uint64_t birth;				/* const: no other volume or set has it */
	unsigned number;			/* const: the N of bcacheN */
	char name[16];				/* const: "bcacheN" */
	char member_name[64];			/* const: DIR/sys/block/<member_name> */
	uint8_t uuid[16];			/* const */
	uint64_t sectors;			/* the size that users see; smaller: frozen */
	unsigned block_sectors;			/* const */
	uint64_t data_offset;			/* const: added to a volume's sector */
	bool is_flash;				/* const */
	bool is_mounted_read_only;		/* const: -o ro */

	/* the backing device and its superblock; not for a flash-only volume */
	struct device *backing;			/* const: NULL for a flash-only volume */
	struct superblock superblock;		/* as it is on the device (CHANGE-1) */
	struct superblock_writer writer;
	char label[SUPERBLOCK_LABEL_BYTES + 1];	/* of the superblock; flash-only: of the set */
	enum cache_mode mode;			/* of the superblock; flash-only: writeback */

	/* attachment */
	struct cache_set *set;			/* frozen: NULL while not attached */
	struct list_link set_link;		/* frozen: in set->volumes, while attached */
	unsigned slot;				/* frozen: index in the set's table of volumes */
	bool is_detaching;			/* a detach has begun and has not ended */
	bool detach_is_final;			/* and it cannot be cancelled any more */
	uint64_t dirty_end;			/* of dirty data behind the end; 0: none */
	struct error attach_error;		/* why the set refused it; code 0: it did not */

	/* VOLUME-4: the value of device_counts()->flush_failures that was last reported ... */
	uint64_t users_heard;			/* ... to a user, by a failed fsync */
	uint64_t detach_heard;			/* ... to a detach; a failed fsync sets it, too */

	/* admission: which requests may run (VOLUME-1) */
	bool is_exported;			/* bcacheN exists: attached, or runs uncached */
	unsigned opens;				/* open handles */
	bool is_stopping;			/* stops at the last close, */
	bool is_doomed;				/* and then is destroyed: flash-only */
	bool is_frozen;
	unsigned in_flight;			/* requests, and fills that they left behind */
	struct list requests;			/* all that are not answered, the oldest first */
	struct waitlist thawed;			/* requests that wait for volume_thaw() */
	struct waitlist drained;		/* lifecycle waits for in_flight == 0 */
	struct ranges ranges;			/* sectors of the requests in flight */

	/* errors */
	struct watch *watch;			/* of lifecycle: for errors of the backing device */
	bool io_disable;			/* all requests fail */
	bool stops_with_set;			/* stop_when_cache_set_failed: always */

	/* counters and tunables */
	struct stats stats;
	struct traffic traffic;			/* counted by src/fuse */
	struct history history;
	struct sequential sequential;		/* streams of its requests, for bypass_decide() */
	uint32_t sequential_cutoff;		/* bytes; longer streams are bypassed; 0: none is */

	/* dirty data */
	struct writeback_tunables writeback_tunables;
	struct writeback writeback;
	uint64_t stripe_sectors;		/* 0: the device has no stripes */
	bool partial_stripes_expensive;
	struct stripes *stripes;		/* counted for the set; NULL: not wanted */
	unsigned dirty_writes;			/* dirty writes in flight: WRITEBACK-3 */
};

/* Where a byte of the volume, a multiple of the sector, is in the keys of the index. */
static inline uint64_t volume_key_sector(const struct volume *volume, uint64_t offset)
{
	return offset / 512 + volume->data_offset;
}
/*
 * Are these key sectors whole blocks of the volume?  The last block of a backing device may be
 * short, so its end counts as aligned.
 */
static inline bool volume_has_blocks(const struct volume *volume, uint64_t start, uint64_t sectors)
{
	uint64_t from = start - volume->data_offset, to = from + sectors;

	return from % volume->block_sectors == 0 &&
	       (to % volume->block_sectors == 0 || to == volume->sectors);
}
/* Small stripes are counted by several together, of 4 MiB or a little more: as the kernel does. */
static inline uint64_t volume_stripe_sectors(uint64_t device_stripe_sectors)
{
	return device_stripe_sectors && device_stripe_sectors < STRIPE_SECTORS_MIN ?
	       round_up(STRIPE_SECTORS_MIN, device_stripe_sectors) : device_stripe_sectors;
}
static inline enum backing_state volume_state(const struct volume *volume)
{
	return superblock_state(&volume->superblock);
}
/*
 * Must writes be refused?  True if it is mounted read-only, or attached to a set with an obsolete
 * layout, or shorter than its dirty data.  An attach can change the answer while handles are
 * open, so requests ask after they have entered.
 */
bool volume_is_read_only(const struct volume *volume);
/* Amount of dirty data, which only the cache holds. */
uint64_t volume_dirty_bytes(const struct volume *volume);
/*
 * No dirty data are older (dirty_age.h); 0: there are none.  UINT64_MAX: some may be from before
 * the volume was attached or mounted.  Not of a flash-only volume.
 */
uint64_t volume_dirty_age_ns(const struct volume *volume);

/* Is the volume in a set that has failed? */
bool volume_set_has_failed(const struct volume *volume);
/* Is there anything of it that only its set has? */
bool volume_needs_set(const struct volume *volume);
/* Is the failed set, which has data of the volume, still read (FAILURE_READONLY)? */
bool volume_reads_failed_set(const struct volume *volume);
/* 0, or the error of requests that only the failed set of the volume could serve. */
int volume_lost_error(const struct volume *volume);

/* -EIO: since the count that was heard a flush of the backing device has failed (VOLUME-4). */
int volume_flush_error(const struct volume *volume, uint64_t heard) MUST_CHECK;
/* A flush by a user ends with `error`, 0 or not: with what error is it answered? */
int volume_tell_users(struct volume *volume, int error) MUST_CHECK;
/* A detach ends, and has told. */
void volume_tell_detach(struct volume *volume);

/* Initializes a volume that is not attached; `backing` is NULL for a flash-only volume. */
void volume_init(struct volume *volume, struct daemon *daemon, struct reactor *reactor,
		 struct device *backing);
void volume_done(struct volume *volume);

/* ---- volume_superblock.c ---- */

void volume_superblock_init(struct volume *volume);
void volume_superblock_done(struct volume *volume);
/*
 * Makes the change durable, and then part of the volume; `op` awaits that.  With an error, nothing
 * has changed (CHANGE-1).
 */
void volume_change_superblock(struct volume *volume, const struct superblock_change *change,
			      struct op *op);
/* Is state DIRTY surely on the device?  A flash-only volume needs no such mark. */
bool volume_is_marked_dirty(const struct volume *volume);
/* 0: state DIRTY is durable.  -EAGAIN: `op` waits for it; ask again. */
int volume_make_dirty(struct volume *volume, struct op *op);

/*
 * Of a volume that needs its failed set no more (VOLUME-3).  0: state NONE is durable.  -EAGAIN:
 * `op` waits for it; ask again.
 */
int volume_make_alone(struct volume *volume, struct op *op) MUST_CHECK;

/* Adds to a counter of the volume and of its set; does nothing for a flash-only volume. */
void volume_count(struct volume *volume, enum stats_counter counter, uint64_t n);

/* Freezing and thawing; see the head. */
void volume_freeze(struct volume *volume);
void volume_thaw(struct volume *volume);
/* After volume_freeze(): `op` awaits the moment when no request is in flight. */
void volume_quiesce(struct volume *volume, struct op *op);
/* 0: the request counts as in flight.  -EAGAIN: the volume is frozen, and `op` waits; ask again. */
int volume_request_begin(struct volume *volume, struct op *op) MUST_CHECK;
/* One more, for work that outlives its request (a fill); volume_request_end() ends it. */
void volume_request_ref(struct volume *volume);
/* The request, or that work, has ended. */
void volume_request_end(struct volume *volume);
