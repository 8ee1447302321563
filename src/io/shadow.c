/*
 * Reads and writes members with an overlay: from the file what it has, from the member the rest.
 *
 * (SHADOW-6) Reads see a unit in the file from the moment when all of it was written there, and
 *     its bit is written later, by shadow_settle().
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "base/numbers.h"
#include "io/shadow_internal.h"

static void lock(struct shadow *shadow)
{
	int error = pthread_mutex_lock(&shadow->mutex);

	assert(!error);
}

static void unlock(struct shadow *shadow)
{
	int error = pthread_mutex_unlock(&shadow->mutex);

	assert(!error);
}

/* ---- the file ---- */

int shadow_read_at(int fd, void *data, uint64_t offset, uint64_t bytes)
{
	while (bytes) {
		ssize_t got = pread(fd, data, bytes, offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			return -EIO;
		data = (char *)data + got;
		offset += got;
		bytes -= got;
	}
	return 0;
}

int shadow_write_at(int fd, const void *data, uint64_t offset, uint64_t bytes)
{
	while (bytes) {
		ssize_t done = pwrite(fd, data, bytes, offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -EIO;
		data = (const char *)data + done;
		offset += done;
		bytes -= done;
	}
	return 0;
}

int shadow_sync(struct shadow *shadow)
{
	if (!shadow->sync_error && fdatasync(shadow->fd)) {
		shadow->sync_error = -errno;
		log_error("%s: sync failed, so what was written last may be lost: %s",
			  shadow->path, strerror(errno));
	}
	return shadow->sync_error;
}

/* A full file system is the likely trouble here, so it is told; once, until writes succeed. */
static int note_write(struct shadow_member *member, int failed)
{
	struct shadow *shadow = member->shadow;

	if (!failed) {
		shadow->is_full = false;
	} else if (failed == -ENOSPC || failed == -EDQUOT) {
		if (!shadow->is_full)
			log_error("%s: its file system is full, so writes to %s fail; make room "
				  "there, the members are untouched", shadow->path, member->path);
		shadow->is_full = true;
	}
	return failed;
}

/* ---- under the mutex ---- */

/* What the member has there; behind its end, zeros. */
static int read_base(const struct shadow_member *member, void *data, uint64_t offset,
		     uint64_t bytes)
{
	uint64_t end = member->sectors * 512;
	uint64_t there = offset < end ? min_u64(bytes, end - offset) : 0;

	memset((char *)data + there, 0, bytes - there);
	return shadow_read_at(member->base_fd, data, offset, there);
}

static int read_locked(struct shadow_member *member, char *data, uint64_t offset, uint64_t bytes)
{
	int failed = 0;

	while (bytes && !failed) {
		uint64_t unit = offset / SHADOW_UNIT_BYTES, inside = offset % SHADOW_UNIT_BYTES;
		uint64_t max = divide_up(inside + bytes, SHADOW_UNIT_BYTES);
		uint64_t run = shadow_map_run(member, unit, max);
		uint64_t part = min_u64(bytes, run * SHADOW_UNIT_BYTES - inside);

		failed = shadow_map_has(member, unit)
			 ? shadow_read_at(member->shadow->fd, data, member->data_offset + offset,
					  part)
			 : read_base(member, data, offset, part);
		data += part;
		offset += part;
		bytes -= part;
	}
	return failed;
}

/* The unit of which a write covers only a part: the rest comes from the member. */
static int copy_unit(struct shadow_member *member, uint64_t unit)
{
	uint64_t offset = unit * SHADOW_UNIT_BYTES;
	char bytes[SHADOW_UNIT_BYTES];
	int failed;

	if (shadow_map_has(member, unit))
		return 0;
	failed = read_base(member, bytes, offset, sizeof(bytes));
	return failed ? failed : shadow_write_at(member->shadow->fd, bytes,
						 member->data_offset + offset, sizeof(bytes));
}

/* The last unit of a member may reach behind its end, where there is nothing to copy. */
static bool ends_within_unit(const struct shadow_member *member, uint64_t end)
{
	return end % SHADOW_UNIT_BYTES && end != member->sectors * 512;
}

static int write_locked(struct shadow_member *member, const void *data, uint64_t offset,
			uint64_t bytes)
{
	uint64_t first = offset / SHADOW_UNIT_BYTES;
	uint64_t last = (offset + bytes - 1) / SHADOW_UNIT_BYTES;
	int failed = 0;

	if (offset % SHADOW_UNIT_BYTES)
		failed = copy_unit(member, first);
	if (!failed && ends_within_unit(member, offset + bytes))
		failed = copy_unit(member, last);
	if (!failed)
		failed = shadow_sums_take(member, first, last - first + 1);
	if (!failed)
		failed = shadow_write_at(member->shadow->fd, data, member->data_offset + offset,
					 bytes);
	if (!failed)
		shadow_map_set(member, first, last - first + 1);	/* SHADOW-6 */
	return note_write(member, failed);
}

/* Zeroes for less than a unit. */
static int zero_part(struct shadow_member *member, uint64_t offset, uint64_t bytes)
{
	static const char zeros[SHADOW_UNIT_BYTES];

	return bytes ? write_locked(member, zeros, offset, bytes) : 0;
}

/* A hole in the file reads as zeros, and takes no room. */
static int zero_locked(struct shadow_member *member, uint64_t offset, uint64_t bytes)
{
	uint64_t end = offset + bytes;
	uint64_t from = min_u64(round_up(offset, SHADOW_UNIT_BYTES), end);
	uint64_t to = max_u64(round_down(end, SHADOW_UNIT_BYTES), from);
	int failed = 0;

	if (to - from <= SHADOW_ZERO_BYTES)
		failed = shadow_sums_take(member, from / SHADOW_UNIT_BYTES,
					  (to - from) / SHADOW_UNIT_BYTES);
	if (failed)
		return note_write(member, failed);
	if (from < to && fallocate(member->shadow->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   member->data_offset + from, to - from))
		return errno == ENOSYS ? -EOPNOTSUPP : -errno;
	shadow_map_set(member, from / SHADOW_UNIT_BYTES, (to - from) / SHADOW_UNIT_BYTES);
	return zero_part(member, offset, from - offset) ?: zero_part(member, to, end - to);
}

/* A block whose write failed stays in the list, for the next time. */
static int settle_locked(struct shadow *shadow)
{
	int failed = list_empty(&shadow->unsettled) ? 0 : shadow_sync(shadow);	/* SHADOW-1, -2 */

	while (!failed && !list_empty(&shadow->unsettled)) {
		struct shadow_map *map = container_of(list_first(&shadow->unsettled),
						      struct shadow_map, link);

		failed = note_write(map->member, shadow_map_write(map));
		if (!failed)
			list_remove(&map->link);
	}
	return failed;
}

/* ---- for all threads ---- */

static bool is_inside(const struct shadow_member *member, uint64_t offset, uint64_t bytes)
{
	uint64_t end = member->sectors * 512;

	assert(offset % 512 == 0 && bytes % 512 == 0 && bytes);
	return bytes <= end && offset <= end - bytes;
}

int shadow_read(struct shadow_member *member, void *data, uint64_t offset, uint64_t bytes)
{
	int failed;

	if (!is_inside(member, offset, bytes))
		return -EIO;
	lock(member->shadow);
	failed = read_locked(member, data, offset, bytes);
	unlock(member->shadow);
	return failed;
}

int shadow_write(struct shadow_member *member, const void *data, uint64_t offset, uint64_t bytes)
{
	int failed;

	assert(member->shadow->mode != SHADOW_READ_ONLY);
	if (!is_inside(member, offset, bytes))
		return -EIO;
	lock(member->shadow);
	failed = write_locked(member, data, offset, bytes);
	unlock(member->shadow);
	return failed;
}

int shadow_zero(struct shadow_member *member, uint64_t offset, uint64_t bytes)
{
	int failed;

	assert(member->shadow->mode != SHADOW_READ_ONLY);
	if (!is_inside(member, offset, bytes))
		return -EIO;
	lock(member->shadow);
	failed = zero_locked(member, offset, bytes);
	unlock(member->shadow);
	return failed;
}

int shadow_settle(struct shadow *shadow)
{
	int failed;

	lock(shadow);
	failed = settle_locked(shadow);
	unlock(shadow);
	return failed;
}

int shadow_flush(struct shadow *shadow)
{
	int failed;

	lock(shadow);
	failed = settle_locked(shadow);
	if (!failed)
		failed = shadow_sync(shadow);
	unlock(shadow);
	return failed;
}

bool shadow_next(const struct shadow_member *member, uint64_t *offset, uint64_t bytes_max,
		 uint64_t *bytes)
{
	uint64_t end = member->sectors * 512, units = divide_up(end, SHADOW_UNIT_BYTES);
	uint64_t unit = divide_up(*offset, SHADOW_UNIT_BYTES);

	if (unit < units && !shadow_map_has(member, unit))
		unit += shadow_map_run(member, unit, units - unit);
	if (unit >= units)
		return false;
	*offset = unit * SHADOW_UNIT_BYTES;
	*bytes = shadow_map_run(member, unit, min_u64(units - unit,
						      bytes_max / SHADOW_UNIT_BYTES));
	*bytes = min_u64(*bytes * SHADOW_UNIT_BYTES, end - *offset);
	return true;
}

uint64_t shadow_changed_bytes(const struct shadow_member *member)
{
	uint64_t units = 0;

	for (unsigned i = 0; i < member->map_count; i++)
		units += member->maps[i] ? member->maps[i]->units : 0;
	return units * SHADOW_UNIT_BYTES;
}
