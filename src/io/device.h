/*
 * A block device or an image file: the only way to the bytes of a member.
 *
 * O_DIRECT where its alignment is no coarser than asked for, through the page
 * cache otherwise.  Block devices are opened O_EXCL, files are locked, so that
 * a member has one user.  Sectors are 512 bytes.
 *
 * Transfers are one contiguous piece of memory, aligned to 512 bytes, and must
 * stay in place until the op has arrived.  Errors arrive as -errno; a short
 * transfer is -EIO.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "io/op.h"

/*
 * Transfers that may be under way on a reactor.  Nobody is refused one: whoever starts many
 * knows how many he may come to, and asserts that they are fewer.
 */
enum { DEVICE_TRANSFERS_MAX = 1 << 22 };

enum device_mode {
	DEVICE_READ_ONLY,	/* O_RDONLY: nothing is ever written */
	DEVICE_READ_WRITE,
};

struct device;

/*
 * Opens `path`.  May block: call it before the reactor runs, or from a
 * blocking job (io/blocking.h).  EBUSY: somebody uses it, and
 * still did two seconds later.  -errno and the reason.
 */
int device_open(struct device **device, const char *path, enum device_mode mode,
		struct error *error) MUST_CHECK;
void device_close(struct device *device);

/*
 * Transfers will be multiples of `block_sectors` at multiples of it; without
 * this call, of 8 sectors.  Chooses O_DIRECT or the page cache.  May block: it
 * tries a read.
 */
void device_set_block(struct device *device, unsigned block_sectors);

/* Plain, blocking read and write for registration and tools; -errno. */
int device_read_now(struct device *device, void *data, uint64_t sector, unsigned sectors);
int device_write_now(struct device *device, const void *data, uint64_t sector, unsigned sectors);
int device_flush_now(struct device *device);

uint64_t device_sectors(const struct device *device);
unsigned device_logical_block_bytes(const struct device *device);	/* 512 for files */
bool device_is_block_device(const struct device *device);
uint64_t device_number(const struct device *device);	/* st_rdev, or 0 for a file */
bool device_is_same(const struct device *a, const struct device *b);
/* Is it what stands at `path`?  May block. */
bool device_is_at(const struct device *device, const char *path);

/* The disk of a partition, as sysfs tells it. */
struct device_disk {
	char name[32];
	unsigned partition;		/* number of the partition on it */
	uint64_t number, sectors;	/* of the disk */
};
/* NULL: it is no partition. */
const struct device_disk *device_disk(const struct device *device);

/* Does a file, or that below a loop device, lie on the file system of this st_dev?  May block. */
bool device_is_on(const struct device *device, uint64_t file_system);
const char *device_path(const struct device *device);	/* as given */
const char *device_name(const struct device *device);	/* the base name */
bool device_can_discard(const struct device *device);

/* `op` awaits the end of each.  `fua`: durable when it arrives. */
void device_read(struct device *device, void *data, uint64_t sector, unsigned sectors,
		 struct op *op);
void device_write(struct device *device, const void *data, uint64_t sector, unsigned sectors,
		  bool fua, struct op *op);
/* All writes that had arrived before this call are durable when it arrives. */
void device_flush(struct device *device, struct op *op);
/* Reads as zeros afterwards; -EOPNOTSUPP where the device cannot do that at once. */
void device_discard(struct device *device, uint64_t sector, uint64_t sectors, struct op *op);
