/*
 * A device: a block device or a file, through which all I/O to a member goes.
 *
 * I/O uses O_DIRECT if the device allows the block that was asked for, the page cache
 * otherwise.  Block devices are opened with O_EXCL, files are locked, so that a member
 * has one user.  Sectors are 512 bytes.
 *
 * The memory of a transfer is one piece, aligned to 512 bytes, and must stay in place
 * until the op has arrived.  Errors are -errno; a short transfer is -EIO.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/latency.h"
#include "io/error_tally.h"
#include "io/op.h"

/*
 * The maximum number of transfers in flight on a reactor.  A transfer is never refused for lack of
 * room: code that starts many asserts that its maximum is far below this.
 */
enum { DEVICE_TRANSFERS_MAX = 1 << 22 };

enum device_mode {
	DEVICE_READ_ONLY,	/* O_RDONLY: nothing is ever written */
	DEVICE_READ_WRITE,
};

/* The kinds of transfers, which errors and latencies are counted by. */
enum transfer_kind { TRANSFER_READ, TRANSFER_WRITE, TRANSFER_FLUSH, TRANSFER_DISCARD };

enum { TRANSFER_KINDS = TRANSFER_DISCARD + 1 };

/*
 * What a device has done for ops, by kind.  Each transfer is counted where it ends, so an error
 * belongs to the device whose transfer ended with it, whatever else the op waits for.  The
 * blocking functions are not counted.
 */
struct device_counts {
	uint64_t errors[TRANSFER_KINDS];
	int last_error[TRANSFER_KINDS];		/* as -errno; 0: none yet */
	enum transfer_kind last_failed;		/* kind of the last one that failed */
	uint64_t flush_failures;		/* of flushes and FUA writes; never forgotten */
	struct latency latency[TRANSFER_KINDS];
};

struct congestion;
struct device;
struct shadow;

/*
 * Opens `path`.  May block: to be called before the reactor runs, or from a blocking job
 * (io/blocking.h).  -EBUSY: it is in use, and still was two seconds later.  -errno and the reason.
 */
int device_open(struct device **device, const char *path, enum device_mode mode,
		struct error *error) MUST_CHECK;
/*
 * As device_open(), beneath an overlay (io/shadow.h), which takes all writes: the device itself is
 * opened read-only.  NULL: without one.  `overlay` must stay until device_close().
 */
int device_open_below(struct device **device, const char *path, enum device_mode mode,
		      struct shadow *overlay, struct error *error) MUST_CHECK;
void device_close(struct device *device);

/*
 * Promises that all transfers are aligned to `block_sectors` (without this call, to 8 sectors), and
 * chooses O_DIRECT or the page cache accordingly.  May block: it tries a read.
 */
void device_set_block(struct device *device, unsigned block_sectors);

/* Blocking read and write, for registration and tools; -errno. */
int device_read_now(struct device *device, void *data, uint64_t sector, unsigned sectors);
int device_write_now(struct device *device, const void *data, uint64_t sector, unsigned sectors);
int device_flush_now(struct device *device);

uint64_t device_sectors(const struct device *device);
/* Measures the device: it may have grown.  Blocking; what device_sectors() says stays. */
int device_measure(const struct device *device, uint64_t *sectors, struct error *error) MUST_CHECK;
/* From now on it has so many, no less than before; on the thread of its transfers. */
void device_grow(struct device *device, uint64_t sectors);
unsigned device_logical_block_bytes(const struct device *device);	/* 512 for files */
/* Its optimal I/O size, if that is whole blocks of 4 KiB and not too much; 0: it has none. */
uint64_t device_stripe_sectors(const struct device *device);
bool device_has_parity(const struct device *device);	/* md, of level 4, 5 or 6 */
bool device_is_block_device(const struct device *device);
uint64_t device_number(const struct device *device);	/* st_rdev, or 0 for a file */
/* Is `path` this device?  May block. */
bool device_is_at(const struct device *device, const char *path);

/* The disk of a partition, from sysfs. */
struct device_disk {
	char name[32];
	unsigned partition;		/* number of the partition on it */
	uint64_t number, sectors;	/* of the disk */
};
/* NULL: the device is not a partition. */
const struct device_disk *device_disk(const struct device *device);

/* Is the file, or the file of the loop device, on the file system with this st_dev?  May block. */
bool device_is_on(const struct device *device, uint64_t file_system);
const char *device_path(const struct device *device);	/* as given */
const char *device_name(const struct device *device);	/* the base name */
bool device_can_discard(const struct device *device);

/* Transfers: `op` awaits the end.  With `fua`, the write is durable then. */
void device_read(struct device *device, void *data, uint64_t sector, unsigned sectors,
		 struct op *op);
void device_write(struct device *device, const void *data, uint64_t sector, unsigned sectors,
		  bool fua, struct op *op);
/* As device_write(); if there is no space, it waits for some (io/room.h). */
void device_write_metadata(struct device *device, const void *data, uint64_t sector,
			   unsigned sectors, bool fua, struct op *op);
/* Until when do these wait?  0, at the begin: they fail at once, those that wait, too. */
void device_wait_for_room(struct device *device, uint64_t until_ns);
bool device_is_short_of_room(struct device *device);	/* does any wait? */
uint64_t device_shortages(struct device *device);	/* how often this has begun */
/* Makes the range read as zeros; -EOPNOTSUPP if the device can only write zeros. */
void device_discard(struct device *device, uint64_t sector, uint64_t sectors, struct op *op);

/*
 * Flushes (io/flush.h).  Ops share them: one runs at a time, and all that ask meanwhile get the
 * next one together.  `op` awaits the end, and gets the error of the flush.
 */

/* Makes all writes durable that had completed before this call. */
void device_flush(struct device *device, struct op *op);
/* A ticket for all writes that have completed by now: only later flushes cover them. */
uint64_t device_flush_ticket(struct device *device);
/* Has a flush completed that began after the ticket was taken? */
bool device_flush_covers(struct device *device, uint64_t ticket);
/*
 * Makes the writes durable that had completed when the ticket was taken.  Never arrives within
 * this call, also if they are durable already.
 */
void device_flush_wait(struct device *device, uint64_t ticket, struct op *op);
/* Is one in flight?  Then the device must not be closed. */
bool device_is_flushing(struct device *device);

/* ---- what it has counted: only on the reactor of its transfers ---- */

const struct device_counts *device_counts(struct device *device);
/* The number of transfers that failed, of all kinds. */
uint64_t device_errors(struct device *device);
void device_forget_errors(struct device *device);
/* How congested it is (io/congestion.h), by reads and by writes without FUA.  As long as nobody
 * sets its thresholds, it never is. */
struct congestion *device_congestion(struct device *device);
/* The errors that count for its limit: all but ENOSPC, which is no fault of the device. */
const struct error_tally *device_tally(struct device *device);
/* Half of the errors are forgotten after `halflife` transfers; 0: none ever. */
void device_set_error_limit(struct device *device, uint64_t limit, uint64_t halflife);
/* `op` waits for the next transfer that fails. */
void device_await_error(struct device *device, struct op *op);
