/*
 * Devices on Linux, block devices and files: opens them, and starts their transfers.
 *
 * (DEVICE-3) With the page cache, a failed flush may have dropped the data, while the next
 *     flush would succeed.  So the first failure of a flush is kept, and all later flushes
 *     report it.  A FUA write is a write and a sync there: a write that is refused, as by a full
 *     file system, has dropped nothing.
 */
#include "io/device_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/numbers.h"
#include "io/buffer.h"
#include "io/path.h"
#include "io/transfer.h"

enum {
	BLOCK_SECTORS_DEFAULT = 8,
	/* A daemon that was just unmounted may take a moment to close the device. */
	BUSY_TRIES = 40,
	BUSY_PAUSE_NS = 50000000,
};

/* ---- O_DIRECT or the page cache ---- */

static bool device_ask_alignment(const struct device *device, unsigned *memory, unsigned *offset)
{
#ifdef STATX_DIOALIGN
	struct statx answer;

	if (!statx(device->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &answer) &&
	    answer.stx_mask & STATX_DIOALIGN) {
		*memory = answer.stx_dio_mem_align;
		*offset = answer.stx_dio_offset_align;
		return true;
	}
#endif
	*memory = SECTOR_BYTES;
	*offset = device->logical_block_bytes;
	return device_is_block_device(device);
}

static bool device_turn_direct(struct device *device, bool on)
{
	int flags = fcntl(device->fd, F_GETFL);

	if (flags < 0)
		return false;
	flags = on ? flags | O_DIRECT : flags & ~O_DIRECT;
	device->direct = !fcntl(device->fd, F_SETFL, flags) && on;
	return device->direct == on;
}

/* Final test: read one block into memory aligned to 512 bytes, the worst case we submit. */
static bool device_try_direct(struct device *device, unsigned block_bytes)
{
	uint64_t offset = device->sectors * SECTOR_BYTES >= 2 * block_bytes ? block_bytes : 0;
	char *memory = buffer_new(block_bytes + SECTOR_BYTES);
	ssize_t got = pread(device->fd, memory + SECTOR_BYTES, block_bytes, offset);

	buffer_free(memory);
	return got >= 0;
}

void device_set_block(struct device *device, unsigned block_sectors)
{
	unsigned block_bytes = block_sectors * SECTOR_BYTES;
	unsigned memory, offset;
	bool known = device_ask_alignment(device, &memory, &offset);

	assert(is_power_of_two(block_sectors));
	if (device->shadow)		/* the overlay goes through the page cache */
		return;
	device->direct_bytes = block_bytes;
	if (known && offset)
		device->direct_bytes = max_u64(offset, SECTOR_BYTES);
	if ((known && (!offset || offset > block_bytes || memory > SECTOR_BYTES)) ||
	    device->sectors * SECTOR_BYTES % device->direct_bytes ||
	    !device_turn_direct(device, true) || !device_try_direct(device, block_bytes))
		device_turn_direct(device, false);
}

/* ---- opening and closing ---- */

static int device_cannot_open(const struct device *device, struct error *error)
{
	if (errno == EBUSY)
		return device_busy(device, error, "something else (is it mounted?)");
	return error_set(error, errno, "%s cannot be opened: %s", device->path, strerror(errno));
}

static int device_is_no_device(const struct device *device, struct error *error)
{
	return error_set(error, ENOTBLK, "%s is neither a block device nor a file", device->path);
}

/*
 * Looks at the path before opening it: to know how to open it, and not to open files that act when
 * they are opened, like tape devices.  It may be replaced in between, so the open file counts.
 */
static int device_open_path(struct device *device, struct error *error)
{
	bool write = device->mode == DEVICE_READ_WRITE;
	int flags = device_is_written(device) ? O_RDWR : O_RDONLY;
	mode_t expected;
	int fd;

	if (stat(device->path, &device->stat))
		return device_cannot_open(device, error);
	expected = device->stat.st_mode;
	if (!S_ISBLK(expected) && !S_ISREG(expected))
		return device_is_no_device(device, error);
	if (S_ISBLK(expected) && write)
		flags |= O_EXCL;
	fd = path_open(device->path, flags, &device->stat);
	if (fd == -ENOTBLK)
		return device_is_no_device(device, error);
	errno = fd == -EWOULDBLOCK ? EBUSY : -fd;	/* another process has a lease on it */
	if (fd < 0)
		return device_cannot_open(device, error);
	device->fd = fd;
	if (S_ISBLK(device->stat.st_mode) != S_ISBLK(expected))
		return error_set(error, EBUSY, "%s was exchanged while it was opened",
				 device->path);
	return 0;
}

static void device_close_files(struct device *device)
{
	if (device->fd >= 0)
		close(device->fd);
	if (device->below_fd >= 0)
		close(device->below_fd);
	device->fd = device->below_fd = -1;
}

static int device_try_open(struct device *device, struct error *error)
{
	int failed;

	device_close_files(device);
	failed = device_open_path(device, error);
	if (!failed)
		failed = device_claim(device, error);
	return failed ? failed : device_look(device, error);
}

/* A look at a member that is not in the overlay yet leaves it so. */
static int device_join_overlay(struct device *device, struct error *error)
{
	struct shadow_base base = {
		.fd = device->fd, .path = device->path, .sectors = device->sectors
	};

	return device->overlay ? shadow_join(device->overlay, &device->shadow, &base,
					     device->mode == DEVICE_READ_WRITE, error) : 0;
}

/* May block for seconds; the daemon calls it on the blocking thread. */
int device_open_below(struct device **opened, const char *path, enum device_mode mode,
		      struct shadow *overlay, struct error *error)
{
	struct device *device = calloc(1, sizeof(*device));
	int failed;

	if (!device || !(device->path = strdup(path))) {
		free(device);
		return error_set(error, ENOMEM, "no memory for a device");
	}
	device_shared_init(&device->shared, device);
	device->fd = device->below_fd = -1;
	device->mode = mode;
	device->overlay = overlay;
	failed = device_try_open(device, error);
	for (int tries = 1; failed == -EBUSY && tries < BUSY_TRIES; tries++) {
		nanosleep(&(struct timespec){ .tv_nsec = BUSY_PAUSE_NS }, NULL);
		failed = device_try_open(device, error);
	}
	if (!failed)
		failed = device_join_overlay(device, error);
	if (failed) {
		device_close(device);
		return failed;
	}
	device_set_block(device, BLOCK_SECTORS_DEFAULT);
	*opened = device;
	return 0;
}

int device_open(struct device **opened, const char *path, enum device_mode mode,
		struct error *error)
{
	return device_open_below(opened, path, mode, NULL, error);
}

void device_close(struct device *device)
{
	if (!device)
		return;
	flush_done(&device->shared.flush);
	if (device->shadow)
		shadow_leave(device->shadow, device->fd);
	device_close_files(device);
	free(device->path);
	free(device);
}

/* ---- transfers of ops ---- */

struct device_shared *device_shared(struct device *device)
{
	return &device->shared;
}

int device_flush_result(struct device *device, int error)
{
	/* An overlay keeps the errors of its syncs itself (SHADOW-5). */
	if (error && !device->direct && !device->shadow)
		device->flush_error = error;
	return device->flush_error ? device->flush_error : error;
}

static void device_transfer(struct device *device, struct transfer *transfer, uint64_t sector,
			    uint64_t sectors)
{
	transfer->at_once = device->is_in_memory;
	transfer->fd = device->fd;
	transfer->shadow = device->shadow;
	transfer->offset = sector * SECTOR_BYTES;
	transfer->left = sectors * SECTOR_BYTES;
	if (!sectors || !device_reaches(device, sector, sectors))
		transfer_refuse(transfer, -EIO);
	else
		transfer_start(transfer);
}

void device_read(struct device *device, void *data, uint64_t sector, unsigned sectors,
		 struct op *op)
{
	struct transfer *transfer = transfer_new(device, op, TRANSFER_READ);

	assert((uintptr_t)data % SECTOR_BYTES == 0);
	transfer->data = data;
	device_transfer(device, transfer, sector, sectors);
}

static int device_flush_ended(struct transfer *transfer, int error)
{
	return device_flush_result(transfer->device, error);
}

/* Only its sync may have lost something; a file in memory is never written back. */
static int device_fua_ended(struct transfer *transfer, int error)
{
	if (error && transfer->syncs_after && !transfer->is_syncing)
		return error;
	if (error == -ENOSPC && transfer->device->is_in_memory)
		return error;
	return device_flush_ended(transfer, error);
}

void device_write_start(struct device *device, const struct write_order *order)
{
	struct transfer *transfer = transfer_new(device, order->op, TRANSFER_WRITE);

	assert((uintptr_t)order->data % SECTOR_BYTES == 0);
	assert(device->mode == DEVICE_READ_WRITE);
	transfer->data = (char *)order->data;
	transfer->bytes = (uint64_t)order->sectors * SECTOR_BYTES;
	transfer->fua = order->fua;
	transfer->syncs_after = order->fua && !device->direct && !device->is_in_memory &&
				!device->shadow;
	transfer->is_metadata = order->is_metadata;
	transfer->is_again = order->is_again;
	transfer->ended = order->fua ? device_fua_ended : NULL;
	device_transfer(device, transfer, order->sector, order->sectors);
}

void device_flush_start(struct device *device, struct op *op)
{
	struct transfer *transfer = transfer_new(device, op, TRANSFER_FLUSH);

	transfer->at_once = device->is_in_memory;
	transfer->fd = device->fd;
	transfer->shadow = device->shadow;
	transfer->ended = device_flush_ended;
	transfer_start(transfer);
}

/* Once refused, never asked again: the caller then writes zeros where it must. */
static int device_punch_ended(struct transfer *transfer, int error)
{
	if (error == -ENOSYS)
		error = -EOPNOTSUPP;
	if (error == -EOPNOTSUPP)
		transfer->device->can_discard = false;
	return error;
}

/* Also for block devices: there the kernel unmaps or zeroes, or fails; it does not write zeros. */
void device_discard(struct device *device, uint64_t sector, uint64_t sectors, struct op *op)
{
	struct transfer *transfer = transfer_new(device, op, TRANSFER_DISCARD);

	if (!device->can_discard) {
		transfer_refuse(transfer, -EOPNOTSUPP);
		return;
	}
	transfer->ended = device_punch_ended;
	device_transfer(device, transfer, sector, sectors);
}
