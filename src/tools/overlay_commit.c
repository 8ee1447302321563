/*
 * Brings an overlay file into its members, such that being killed at any moment does no harm.
 *
 *	IN_USE ----> SPOILING ----> COPYING ---------------------------> COMMITTED
 *	     all members     each superblock    all data, then each
 *	     are as they     is made invalid    superblock
 *	     were
 *
 * Halfway, members are a mixture of old and new that nobody may mount.  So their superblocks are
 * made invalid first, in one sector: the magic is inverted, the UUID stays.  The superblocks from
 * the overlay are written when all else is durable.
 *
 * (COMMIT-1) FILE has the superblock of each member before that is made invalid.
 * (COMMIT-2) The state is durable before the first change that belongs to it.
 * (COMMIT-3) In state COPYING, a member with a valid superblock is complete, and may be in use
 *     again: it is not written any more.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/numbers.h"
#include "base/units.h"
#include "bcachefuse/superblock.h"
#include "io/buffer.h"
#include "io/device.h"
#include "io/shadow.h"
#include "tools/overlay.h"
#include "tools/tools.h"

enum {
	PIECE_BYTES = 1 << 20,
	SUPERBLOCK_OFFSET = SUPERBLOCK_SECTOR * 512,
	SUPERBLOCK_END = SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES,
};
_Static_assert(SUPERBLOCK_OFFSET % SHADOW_UNIT_BYTES == 0 &&
	       SUPERBLOCK_BYTES == (int)SHADOW_UNIT_BYTES, "the superblock is a unit");

static const uint8_t superblock_magic[16] = SUPERBLOCK_MAGIC_BYTES;

struct target {
	const char *path;
	struct device *device;
	struct shadow_member *member;
	bool is_checked;		/* what is to be overwritten is as it was */
	bool is_spoiled;		/* its superblock is invalid, by us */
};

struct commit {
	struct shadow *shadow;
	struct target *targets;		/* one for each member of the overlay */
	unsigned count;
	void *piece;
	struct error *error;
};

static int failed_on(struct commit *commit, const char *path, const char *what, int error)
{
	return error_set(commit->error, -error, "%s: %s: %s; run this command again to go on", path,
			 what, strerror(-error));
}

/* ---- which members ---- */

static bool magic_is(const struct superblock_disk *disk, uint8_t mask)
{
	for (unsigned i = 0; i < sizeof(disk->magic); i++)
		if (disk->magic[i] != (superblock_magic[i] ^ mask))
			return false;
	return true;
}

static int target_identify(struct commit *commit, struct target *target)
{
	struct superblock_disk disk;
	int failed = device_read_now(target->device, &disk, SUPERBLOCK_SECTOR,
				     SUPERBLOCK_BYTES / 512);

	if (failed)
		return failed_on(commit, target->path, "the superblock cannot be read", failed);
	target->is_spoiled = magic_is(&disk, 0xff);
	for (unsigned i = 0; i < shadow_members(commit->shadow); i++) {
		struct shadow_member *member = shadow_member(commit->shadow, i);

		if (!memcmp(shadow_uuid(member), disk.uuid, sizeof(disk.uuid)))
			target->member = member;
	}
	if (!target->member)
		return error_set(commit->error, EINVAL, "%s: is none of the members of %s",
				 target->path, shadow_path(commit->shadow));
	if (shadow_sectors(target->member) != device_sectors(target->device))
		return error_set(commit->error, ESTALE,
				 "%s: has not the size that it had when %s was made",
				 target->path, shadow_path(commit->shadow));
	return 0;
}

static int target_open(struct commit *commit, struct target *target, const char *path)
{
	int failed;

	target->path = path;
	failed = device_open(&target->device, path, DEVICE_READ_WRITE, commit->error);
	if (!failed)
		failed = target_identify(commit, target);
	for (unsigned i = 0; i < commit->count && !failed; i++)
		if (commit->targets[i].member == target->member)
			failed = error_set(commit->error, EINVAL, "%s and %s have the same UUID",
					   commit->targets[i].path, path);
	commit->count++;
	return failed;
}

static int check_complete(struct commit *commit)
{
	for (unsigned i = 0; i < shadow_members(commit->shadow); i++) {
		const struct shadow_member *member = shadow_member(commit->shadow, i);
		bool is_there = false;
		char uuid[40];

		for (unsigned k = 0; k < commit->count; k++)
			is_there |= commit->targets[k].member == member;
		if (!is_there)
			return error_set(commit->error, EINVAL, "wanted all members of %s: the one "
					 "with UUID %s, which was %s, is not among them",
					 shadow_path(commit->shadow),
					 units_print_uuid(uuid, shadow_uuid(member)),
					 shadow_member_path(member));
	}
	return 0;
}

/* ---- in use --> spoiling ---- */

static bool is_interrupted(void)
{
	sigset_t pending;

	return !sigpending(&pending) && (sigismember(&pending, SIGINT) == 1 ||
					 sigismember(&pending, SIGTERM) == 1);
}

static int say_interrupted(struct commit *commit, const char *what)
{
	return error_set(commit->error, EINTR, "interrupted while %s was %s; run this command "
			 "again to go on", shadow_path(commit->shadow), what);
}

/* Of what is overwritten, nothing may have been written since (SHADOW-7). */
static int target_check_data(struct commit *commit, const struct target *target,
			     const struct shadow_base *base)
{
	uint64_t bytes;
	int failed = 0;

	for (uint64_t offset = 0;
	     !failed && shadow_next(target->member, &offset, PIECE_BYTES, &bytes);
	     offset += bytes) {
		if (is_interrupted())
			return say_interrupted(commit, "compared with its members");
		failed = shadow_check_range(target->member, base, offset, bytes, commit->error);
	}
	return failed;
}

/* device_*_now() are for those who hold the device; a checksum needs a descriptor of its own. */
static int target_check(struct commit *commit, struct target *target)
{
	autoclose int fd = open(target->path, O_RDONLY | O_CLOEXEC);
	struct shadow_base base = {
		.fd = fd, .path = target->path, .sectors = device_sectors(target->device)
	};
	int failed;

	if (fd < 0)
		return failed_on(commit, target->path, "cannot be opened", -errno);
	failed = shadow_check(target->member, &base, commit->error);
	if (!failed && !target->is_checked)
		failed = target_check_data(commit, target, &base);
	target->is_checked |= !failed;
	return failed;
}

/* The member's own superblock, if the overlay has none (COMMIT-1). */
static int keep_superblock(struct commit *commit, const struct target *target)
{
	uint64_t offset = SUPERBLOCK_OFFSET, bytes;
	int failed;

	if (shadow_next(target->member, &offset, SUPERBLOCK_BYTES, &bytes) &&
	    offset == SUPERBLOCK_OFFSET)
		return 0;
	failed = device_read_now(target->device, commit->piece, SUPERBLOCK_SECTOR,
				 SUPERBLOCK_BYTES / 512);
	if (!failed)
		failed = shadow_write(target->member, commit->piece, SUPERBLOCK_OFFSET,
				      SUPERBLOCK_BYTES);
	return failed ? failed_on(commit, target->path, "its superblock cannot be kept", failed)
		      : 0;
}

static int commit_prepare(struct commit *commit)
{
	int failed = 0;

	for (unsigned i = 0; i < commit->count && !failed; i++)
		failed = target_check(commit, &commit->targets[i]) ?:
			 keep_superblock(commit, &commit->targets[i]);
	if (failed)
		return failed;
	failed = shadow_flush(commit->shadow) ?: shadow_set_state(commit->shadow, SHADOW_SPOILING);
	return failed ? failed_on(commit, shadow_path(commit->shadow), "cannot be written", failed)
		      : 0;
}

/* ---- spoiling --> copying ---- */

static int target_spoil(struct commit *commit, struct target *target)
{
	struct superblock_disk *disk = commit->piece;
	int failed;

	if (target->is_spoiled)
		return 0;
	failed = target_check(commit, target);
	if (failed)
		return failed;
	failed = device_read_now(target->device, disk, SUPERBLOCK_SECTOR, 1);
	for (unsigned i = 0; i < sizeof(disk->magic); i++)
		disk->magic[i] = superblock_magic[i] ^ 0xff;
	if (!failed)
		failed = device_write_now(target->device, disk, SUPERBLOCK_SECTOR, 1);
	if (!failed)
		failed = device_flush_now(target->device);
	target->is_spoiled = !failed;
	return failed ? failed_on(commit, target->path, "cannot be written", failed) : 0;
}

static int commit_spoil(struct commit *commit)
{
	int failed = 0;

	for (unsigned i = 0; i < commit->count && !failed; i++)
		failed = target_spoil(commit, &commit->targets[i]);
	if (failed)
		return failed;
	failed = shadow_set_state(commit->shadow, SHADOW_COPYING);
	return failed ? failed_on(commit, shadow_path(commit->shadow), "cannot be written", failed)
		      : 0;
}

/* ---- copying --> committed ---- */

static int copy_piece(struct commit *commit, struct target *target, uint64_t offset, uint64_t bytes)
{
	int failed;

	if (!bytes)
		return 0;
	failed = shadow_read(target->member, commit->piece, offset, bytes);
	if (failed)
		return failed_on(commit, shadow_path(commit->shadow), "cannot be read", failed);
	failed = device_write_now(target->device, commit->piece, offset / 512, bytes / 512);
	return failed ? failed_on(commit, target->path, "cannot be written", failed) : 0;
}

/* All but the superblock. */
static int copy_data(struct commit *commit, struct target *target)
{
	uint64_t bytes;
	int failed = 0;

	for (uint64_t offset = 0;
	     !failed && shadow_next(target->member, &offset, PIECE_BYTES, &bytes);
	     offset += bytes) {
		uint64_t end = offset + bytes, after = max_u64(offset, SUPERBLOCK_END);

		if (is_interrupted())
			return say_interrupted(commit, "copied to its members");
		if (offset < SUPERBLOCK_OFFSET)
			failed = copy_piece(commit, target, offset,
					    min_u64(end, SUPERBLOCK_OFFSET) - offset);
		if (!failed && end > after)
			failed = copy_piece(commit, target, after, end - after);
	}
	return failed;
}

static int target_flush(struct commit *commit, struct target *target)
{
	int failed = device_flush_now(target->device);

	return failed ? failed_on(commit, target->path, "cannot be flushed", failed) : 0;
}

static int copy_superblock(struct commit *commit, struct target *target)
{
	int failed = copy_piece(commit, target, SUPERBLOCK_OFFSET, SUPERBLOCK_BYTES);

	return failed ? failed : target_flush(commit, target);
}

/* COMMIT-3: only those that are spoiled. */
static int for_spoiled(struct commit *commit, int (*act)(struct commit *, struct target *))
{
	int failed = 0;

	for (unsigned i = 0; i < commit->count && !failed; i++)
		if (commit->targets[i].is_spoiled)
			failed = act(commit, &commit->targets[i]);
	return failed;
}

static int commit_copy(struct commit *commit)
{
	int failed = for_spoiled(commit, copy_data);

	if (!failed)
		failed = for_spoiled(commit, target_flush);
	if (!failed)
		failed = for_spoiled(commit, copy_superblock);
	if (failed)
		return failed;
	failed = shadow_set_state(commit->shadow, SHADOW_COMMITTED);
	return failed ? failed_on(commit, shadow_path(commit->shadow), "cannot be written", failed)
		      : 0;
}

/* ---- all of it ---- */

static int commit_run(struct commit *commit, char **paths, unsigned count)
{
	int failed = 0;

	for (unsigned i = 0; i < count && !failed; i++)
		failed = target_open(commit, &commit->targets[i], paths[i]);
	if (!failed)
		failed = check_complete(commit);
	if (!failed && shadow_state(commit->shadow) == SHADOW_IN_USE)
		failed = commit_prepare(commit);
	if (!failed && shadow_state(commit->shadow) == SHADOW_SPOILING)
		failed = commit_spoil(commit);
	if (!failed && shadow_state(commit->shadow) == SHADOW_COPYING)
		failed = commit_copy(commit);
	return failed;
}

static int commit_open(struct shadow *shadow, char **paths, unsigned count, struct error *error)
{
	struct commit commit = { .shadow = shadow, .error = error };
	int failed;

	if (shadow_state(shadow) == SHADOW_COMMITTED) {
		tool_say(stdout, "%s is in its members already", shadow_path(shadow));
		return 0;
	}
	commit.targets = calloc(count, sizeof(*commit.targets));
	assert(commit.targets);
	commit.piece = buffer_new(PIECE_BYTES);
	failed = commit_run(&commit, paths, count);
	for (unsigned i = 0; i < commit.count; i++)
		device_close(commit.targets[i].device);
	buffer_free(commit.piece);
	free(commit.targets);
	if (!failed)
		tool_say(stdout, "%s is in its members now; it can be removed",
			 shadow_path(shadow));
	return failed;
}

/* Signals are looked at between two pieces, so they stay pending until then. */
int overlay_commit(const char *path, char **members, unsigned count, struct error *error)
{
	struct shadow *shadow;
	sigset_t stop;
	int failed;

	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	failed = shadow_open(&shadow, path, SHADOW_READ_WRITE, error);
	if (failed)
		return failed;
	failed = commit_open(shadow, members, count, error);
	shadow_close(shadow);
	return failed;
}
