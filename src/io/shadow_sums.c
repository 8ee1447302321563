/*
 * Checksums of the units of a member that an overlay replaces, as the member had them when they
 * were first written to: so that nothing that was written to it since is overwritten (SHADOW-7).
 *
 * They lie between map and data, 8 bytes for each unit; zero: none was taken.  A unit that the
 * member cannot read has none, and neither have large ranges that were zeroed at once: reading
 * all of a disk, because a file system has discarded it, would take too long.
 */
#include <errno.h>
#include <string.h>

#include "base/crc64.h"
#include "base/numbers.h"
#include "io/shadow_internal.h"

enum { PART_UNITS = 16 };		/* are read at once */

static uint64_t sums_offset(const struct shadow_member *member, uint64_t unit)
{
	return member->map_offset + shadow_map_bytes(member->sectors) + unit * sizeof(le64);
}

uint64_t shadow_sums_bytes(uint64_t sectors)
{
	return divide_up(sectors * 512, SHADOW_UNIT_BYTES) * sizeof(le64);
}

/* Of the bytes of the last unit that lie behind the end of the member, none count. */
static le64 sum_unit(int fd, uint64_t sectors, uint64_t unit)
{
	uint64_t offset = unit * SHADOW_UNIT_BYTES;
	uint64_t length = min_u64(SHADOW_UNIT_BYTES, sectors * 512 - offset);
	char bytes[SHADOW_UNIT_BYTES];

	if (shadow_read_at(fd, bytes, offset, length))
		return le64_of(0);
	return le64_of(max_u64(crc64(bytes, length), 1));
}

int shadow_sums_take(struct shadow_member *member, uint64_t unit, uint64_t count)
{
	uint64_t end = unit + count;
	int failed = 0;

	while (unit < end && !failed && member->base_fd >= 0) {
		uint64_t run = shadow_map_run(member, unit, min_u64(end - unit, PART_UNITS));
		bool has = shadow_map_has(member, unit);
		le64 sums[PART_UNITS];

		for (uint64_t i = 0; i < run && !has; i++)
			sums[i] = sum_unit(member->base_fd, member->sectors, unit + i);
		if (!has)
			failed = shadow_write_at(member->shadow->fd, sums,
						 sums_offset(member, unit), run * sizeof(le64));
		unit += run;
	}
	return failed;
}

static int say_changed(const struct shadow_member *member, const struct shadow_base *base,
		       uint64_t unit, struct error *error)
{
	return error_set(error, ESTALE, "%s: was changed at sector %llu since %s was written "
			 "there, so that does not fit any more", base->path,
			 (unsigned long long)unit * SHADOW_UNIT_BYTES / 512, member->shadow->path);
}

int shadow_check_range(const struct shadow_member *member, const struct shadow_base *base,
		       uint64_t offset, uint64_t bytes, struct error *error)
{
	uint64_t unit = offset / SHADOW_UNIT_BYTES;
	uint64_t end = divide_up(offset + bytes, SHADOW_UNIT_BYTES);

	for (; unit < end; unit++) {
		le64 taken;
		int failed = shadow_read_at(member->shadow->fd, &taken, sums_offset(member, unit),
					    sizeof(taken));
		uint64_t found;

		if (failed)
			return error_set(error, -failed, "%s: its checksums cannot be read: %s",
					 member->shadow->path, strerror(-failed));
		if (!le64_get(taken))
			continue;
		found = le64_get(sum_unit(base->fd, base->sectors, unit));
		if (found && found != le64_get(taken))
			return say_changed(member, base, unit, error);
	}
	return 0;
}

int shadow_check_some(const struct shadow_member *member, const struct shadow_base *base,
		      uint64_t units_max, struct error *error)
{
	uint64_t step = shadow_changed_bytes(member) / SHADOW_UNIT_BYTES / units_max + 1;
	uint64_t offset = 0, bytes, passed = 0;
	int failed = 0;

	while (!failed && shadow_next(member, &offset, UINT64_MAX, &bytes)) {
		uint64_t units = divide_up(bytes, SHADOW_UNIT_BYTES);
		uint64_t at = (step - passed % step) % step;

		for (; at < units && !failed; at += step)
			failed = shadow_check_range(member, base,
						    offset + at * SHADOW_UNIT_BYTES, 1, error);
		passed += units;
		offset += bytes;
	}
	return failed;
}
