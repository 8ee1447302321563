/*
 * Blocking reads and writes of a device, for registration and tools.
 *
 * (DEVICE-2) With O_DIRECT, the *_now functions copy misaligned data through a buffer of
 *     whole blocks.  Transfers of ops are aligned as device_set_block() was told.
 */
#include "io/device_internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "io/buffer.h"

static int device_move_all(struct device *device, bool write, char *data, uint64_t offset,
			   size_t bytes)
{
	while (bytes) {
		ssize_t moved = write ? pwrite(device->fd, data, bytes, offset)
				      : pread(device->fd, data, bytes, offset);

		if (moved < 0 && errno == EINTR)
			continue;
		if (moved <= 0)
			return moved ? -errno : -EIO;
		data += moved;
		offset += moved;
		bytes -= moved;
	}
	return 0;
}

/* Is the transfer aligned as O_DIRECT requires? */
static bool device_is_aligned(const struct device *device, const void *data, uint64_t offset,
			      size_t bytes)
{
	return !device->direct || ((uintptr_t)data % SECTOR_BYTES == 0 &&
				   offset % device->direct_bytes == 0 &&
				   bytes % device->direct_bytes == 0);
}

/* Copies through a buffer of whole blocks (DEVICE-2). */
static int device_move_bounced(struct device *device, bool write, char *data, uint64_t offset,
			       size_t bytes)
{
	uint64_t first = round_down(offset, device->direct_bytes);
	uint64_t end = min_u64(round_up(offset + bytes, device->direct_bytes),
			       device->sectors * SECTOR_BYTES);
	char *blocks = buffer_new(end - first);
	int error = device_move_all(device, false, blocks, first, end - first);

	if (!error && write) {
		memcpy(blocks + (offset - first), data, bytes);
		error = device_move_all(device, true, blocks, first, end - first);
	} else if (!error) {
		memcpy(data, blocks + (offset - first), bytes);
	}
	buffer_free(blocks);
	return error;
}

/* With an overlay: a write is answered as that of an op (SHADOW-3). */
static int device_move_shadowed(struct device *device, bool write, char *data, uint64_t offset,
				size_t bytes)
{
	int failed;

	if (!bytes)
		return 0;
	if (!write)
		return shadow_read(device->shadow, data, offset, bytes);
	failed = shadow_write(device->shadow, data, offset, bytes);
	return failed ? failed : shadow_settle(device->overlay);
}

static int device_move_now(struct device *device, bool write, char *data, uint64_t sector,
			   unsigned sectors)
{
	uint64_t offset = sector * SECTOR_BYTES;
	size_t bytes = (size_t)sectors * SECTOR_BYTES;

	if (!device_reaches(device, sector, sectors))
		return -EIO;
	if (device->shadow)
		return device_move_shadowed(device, write, data, offset, bytes);
	if (device_is_aligned(device, data, offset, bytes))
		return device_move_all(device, write, data, offset, bytes);
	return device_move_bounced(device, write, data, offset, bytes);
}

static int device_read_itself(struct device *device, void *data, uint64_t sector, unsigned sectors)
{
	return device_move_now(device, false, data, sector, sectors);
}

int device_read_now(struct device *device, void *data, uint64_t sector, unsigned sectors)
{
	if (!device->patches)
		return device_read_itself(device, data, sector, sectors);
	return patches_read(device->patches, data, sector, sectors, device_read_itself, device);
}

void device_set_patches(struct device *device, const struct patches *patches)
{
	device->patches = patches;
}

int device_write_now(struct device *device, const void *data, uint64_t sector, unsigned sectors)
{
	assert(device->mode == DEVICE_READ_WRITE);
	return device_move_now(device, true, (char *)data, sector, sectors);
}

int device_flush_now(struct device *device)
{
	int failed = device->shadow ? shadow_flush(device->overlay)
				    : fdatasync(device->fd) ? -errno : 0;

	return device_flush_result(device, failed);
}
