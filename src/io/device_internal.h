/*
 * The parts of a device on Linux, by job; private to device*.c.
 *
 *	device.c	opens and closes it, and starts its transfers
 *	device_claim.c	makes sure that it has one user
 *	device_loop.c	the same, for loop devices above and below it
 *	device_facts.c	its size, kind and capabilities
 *	device_now.c	blocking reads and writes
 */
#pragma once

#include <stdatomic.h>
#include <sys/stat.h>

#include "io/device_shared.h"
#include "io/patches.h"
#include "io/shadow.h"

enum {
	SECTOR_BYTES = 512,
	BACKING_FILE_BYTES = 4096 + 1,	/* a path, and its end */
};

struct device {
	struct device_shared shared;
	char *path;
	int fd;
	int below_fd;			/* of a device below it (LOOP-2); -1: none */
	enum device_mode mode;
	struct shadow *overlay;		/* as it was opened with; may be NULL */
	struct shadow_member *shadow;	/* its section there; NULL: no overlay, or none yet */
	const struct patches *patches;	/* seen by blocking reads; NULL: none */
	struct stat stat;
	uint64_t sectors;
	unsigned logical_block_bytes;
	uint64_t stripe_sectors;
	bool has_parity;
	struct device_disk disk;	/* partition 0: not a partition */
	bool can_discard;		/* false once a discard failed with EOPNOTSUPP */
	bool is_in_memory;		/* on tmpfs */
	bool direct;
	unsigned direct_bytes;		/* alignment that O_DIRECT requires */
	_Atomic int flush_error;	/* DEVICE-3 */
};

/* Is the device itself written?  With an overlay it is only read. */
static inline bool device_is_written(const struct device *device)
{
	return device->mode == DEVICE_READ_WRITE && !device->overlay;
}

static inline bool device_reaches(const struct device *device, uint64_t sector, uint64_t sectors)
{
	return sectors <= device->sectors && sector <= device->sectors - sectors;
}

/*
 * Refuses a device that has another user, and locks it if it is a file (DEVICE-1): -EBUSY, or
 * -errno if it cannot be locked.
 */
int device_claim(struct device *device, struct error *error) MUST_CHECK;
/* Sets the error "in use by `who`"; returns -EBUSY. */
int device_busy(const struct device *device, struct error *error, const char *who);

/* Finds out its size, kind and capabilities. */
int device_look(struct device *device, struct error *error) MUST_CHECK;

/* A part of a disk, in sectors. */
struct disk_part {
	dev_t disk;
	uint64_t start, end;
};
/* The part that a loop device of so many sectors (0: unknown) covers of the one below it. */
struct disk_part disk_part_of_loop(const struct disk_part *below, uint64_t offset_bytes,
				   uint64_t sectors);
bool disk_parts_overlap(const struct disk_part *a, const struct disk_part *b);

/* -EBUSY if a loop device uses it, or a part of it (LOOP-1). */
int device_refuse_loop_above(const struct device *device, struct error *error) MUST_CHECK;
/* -EBUSY if it is a loop device, and something below it has another user (LOOP-2). */
int device_refuse_use_below(struct device *device, struct error *error) MUST_CHECK;
/* The path of what is below a loop device, or below that of a partition; false: nothing. */
bool device_read_below(dev_t number, char path[BACKING_FILE_BYTES]);

/* The result of a flush: its own error, or the earlier one that is kept (DEVICE-3). */
int device_flush_result(struct device *device, int error);
