/*
 * An overlay file: takes all that is written to the members of a mount, which stay as they are
 * (-o overlay=FILE).
 *
 *	FILE	[header A][header B] [map, checksums, data of member 0] [map of member 1]...
 *
 *	read	unit in the map?  --yes--> data in FILE
 *				  `--no--> member
 *
 * Each member has a section: a map with one bit for each unit of 4 KiB, a checksum of what the
 * member had in each (shadow_sums.c), and sparse data, where the unit n is at n * 4 KiB.  So there
 * is nothing to allocate: the file system that FILE is on does that.  Units are small so that a
 * write seldom has to copy the rest of a unit from the member, which may be unreadable there.
 *
 * The map is kept in blocks, two copies of each, written in turn.  A copy has a checksum and a
 * sequence number; the valid copy with the higher one counts, and zeros are an empty map of
 * sequence 0.  The header is kept likewise.
 *
 * (SHADOW-1) A bit is written only after a sync of FILE that began when the unit's data was
 *     written.  So a bit that is found is that of a whole unit, whatever was lost.
 * (SHADOW-2) Between two writes of a map block there is a sync, so at any moment one of the copies
 *     is whole and durable.
 * (SHADOW-3) A write is answered when its bits are written, so when the process is killed nothing
 *     is lost; a flush syncs FILE, so when the power is cut nothing is lost that was flushed.
 * (SHADOW-4) The members are those of the first use: FILE has for each its UUID, its size, and a
 *     checksum of its superblock and of the blocks that any use of it changes.  Others are
 *     refused, and so are members of which these were changed meanwhile.
 * (SHADOW-5) After a failed sync, data may be lost that another sync would not miss: all later
 *     ones fail.
 * (SHADOW-7) A backing device without a set can be used without a change of these blocks.  So FILE
 *     also has a checksum of each unit of the member that it replaces, taken before its bit is
 *     written.  The first use by a process checks some of them, `overlay --commit` all.
 *
 * Functions return -errno, and may be called from any thread; they block.  Offsets and lengths are
 * in bytes, multiples of 512, within the member.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum { SHADOW_UNIT_BYTES = 4096, SHADOW_MEMBERS_MAX = 31, SHADOW_PATH_BYTES = 80 };

enum shadow_mode {
	SHADOW_READ_ONLY,	/* must exist */
	SHADOW_READ_WRITE,	/* must exist */
	SHADOW_CREATE,		/* is made if it does not exist, or is empty */
};

/*
 * How far it has been brought into the members (src/tools/overlay_commit.c); only in the first
 * state can it be mounted.
 */
enum shadow_state {
	SHADOW_IN_USE,
	SHADOW_SPOILING,	/* superblocks of members are being made invalid */
	SHADOW_COPYING,		/* all were; a member with a valid one is complete */
	SHADOW_COMMITTED,
	SHADOW_STATES,
};

struct shadow;
struct shadow_member;
struct transfer;

int shadow_open(struct shadow **shadow, const char *path, enum shadow_mode mode,
		struct error *error) MUST_CHECK;
void shadow_close(struct shadow *shadow);	/* may be NULL */

/* A member as it is beneath its overlay. */
struct shadow_base {
	int fd;
	const char *path;
	uint64_t sectors;
};
/*
 * Finds the section of the member; *member is NULL if it has none yet, and may get one.  With
 * `add`, it gets one then.  -ESTALE: this member was changed; -EINVAL: it is none of FILE's.
 */
int shadow_join(struct shadow *shadow, struct shadow_member **member,
		const struct shadow_base *base, bool add, struct error *error) MUST_CHECK;

/* The device closes its descriptor. */
void shadow_leave(struct shadow_member *member, int fd);

int shadow_read(struct shadow_member *member, void *data, uint64_t offset, uint64_t bytes);
/* Two parts, so that many writes share one sync: shadow_settle() makes them safe (SHADOW-3). */
int shadow_write(struct shadow_member *member, const void *data, uint64_t offset, uint64_t bytes);
int shadow_zero(struct shadow_member *member, uint64_t offset, uint64_t bytes);
int shadow_settle(struct shadow *shadow);
/* Settles, and makes all durable. */
int shadow_flush(struct shadow *shadow);

/* Starts a transfer of a device on the overlay's own thread (shadow_queue.c). */
void shadow_start(struct shadow_member *member, struct transfer *transfer);

/* ---- for the command `overlay` ---- */

const char *shadow_path(const struct shadow *shadow);
enum shadow_state shadow_state(const struct shadow *shadow);
int shadow_set_state(struct shadow *shadow, enum shadow_state state) MUST_CHECK;
unsigned shadow_members(const struct shadow *shadow);
struct shadow_member *shadow_member(struct shadow *shadow, unsigned index);
const uint8_t *shadow_uuid(const struct shadow_member *member);
uint64_t shadow_sectors(const struct shadow_member *member);
uint64_t shadow_changed_bytes(const struct shadow_member *member);
const char *shadow_member_path(const struct shadow_member *member);	/* at its first use */
/*
 * The first changed range at or behind *offset, of at most `bytes_max`; false: there is none.
 */
bool shadow_next(const struct shadow_member *member, uint64_t *offset, uint64_t bytes_max,
		 uint64_t *bytes);
/* The UUID that a superblock has, valid or not; -errno. */
int shadow_read_uuid(const struct shadow_base *base, uint8_t uuid[16]);
/* Is the member as it was when FILE was first used?  -ESTALE, and what differs. */
int shadow_check(const struct shadow_member *member, const struct shadow_base *base,
		 struct error *error) MUST_CHECK;
/* The same for what FILE replaces, and shadow_next() has found (SHADOW-7). */
int shadow_check_range(const struct shadow_member *member, const struct shadow_base *base,
		       uint64_t offset, uint64_t bytes, struct error *error) MUST_CHECK;
