/*
 * Checks all members of a mount before any is opened for writing, so that members that
 * do not fit together are refused before anything is written.
 *
 * All of it blocks, and runs on the blocking thread: it reads all superblocks and
 * compares them; for backing devices that need their set, it also reads the newest
 * table of volumes of that set.
 */
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "base/log.h"
#include "base/units.h"
#include "io/buffer.h"
#include "lifecycle/internal.h"

enum { BUCKETS_MIN = 513, BUCKETS_MAX = 1 << 28, BTREE_BUCKETS_FIRST = 32 };

typedef unsigned long long ull;

/* ---- one member ---- */

int member_read_superblock(struct device *device, struct superblock *sb, struct error *error)
{
	uint64_t sectors = device_sectors(device);
	uint64_t wanted = SUPERBLOCK_SECTOR + SUPERBLOCK_BYTES / 512;
	struct superblock_disk disk;
	int failed;

	if (sectors < wanted)
		return error_set(error, EINVAL,
				 "Not a bcache superblock: found %llu sectors, wanted %llu or more",
				 (ull)sectors, (ull)wanted);
	failed = device_read_now(device, &disk, SUPERBLOCK_SECTOR, SUPERBLOCK_BYTES / 512);
	if (failed)
		return error_set(error, -failed, "IO error reading the superblock: %s",
				 strerror(-failed));
	return superblock_decode(sb, &disk, sectors, device_logical_block_bytes(device), error);
}

int member_say_duplicate(const char *path, struct error *error)
{
	return error_set(error, EEXIST,
			 "%s: duplicate cache set member: found a second cache device of a set "
			 "that has one",
			 path);
}

/* Buckets that the journal and the superblock leave. */
static uint64_t usable_buckets(const struct superblock *sb)
{
	return sb->buckets - sb->first_bucket - superblock_fresh_journal_buckets(sb);
}

enum { BTREE_BUCKETS_TO_START = 8 };

/* Buckets that a fresh set needs: two priority tables, root, table of volumes, and a btree list. */
static uint64_t fresh_buckets(const struct superblock *sb)
{
	return 2 * (uint64_t)superblock_prio_parts(sb) + BTREE_BUCKETS_TO_START +
	       BTREE_BUCKETS_FIRST;
}

int member_check_cache(const char *path, const struct superblock *sb, struct error *error)
{
	if (sb->members > 1)
		return error_set(error, EINVAL, "%s: found a set of %u cache devices, wanted one",
				 path, sb->members);
	if (sb->buckets < BUCKETS_MIN)
		return error_set(error, EINVAL,
				 "%s: ca->sb.nbuckets is too small: found %llu buckets, wanted at "
				 "least %d",
				 path, (ull)sb->buckets, BUCKETS_MIN);
	if (sb->buckets > BUCKETS_MAX)	/* each takes some 30 bytes of memory */
		return error_set(error, EFBIG, "%s: found %llu buckets, wanted at most %d", path,
				 (ull)sb->buckets, BUCKETS_MAX);
	if (sb->first_bucket + (uint64_t)superblock_fresh_journal_buckets(sb) >= sb->buckets)
		return error_set(error, EINVAL,
				 "%s: Invalid superblock: found first bucket %u of %llu, which "
				 "leaves no room",
				 path, sb->first_bucket, (ull)sb->buckets);
	if (!superblock_is_sync(sb) && usable_buckets(sb) < fresh_buckets(sb))
		return error_set(error, EINVAL,
				 "%s: Invalid superblock: found %llu buckets behind the first and "
				 "the journal, wanted %llu or more",
				 path, (ull)usable_buckets(sb), (ull)fresh_buckets(sb));
	if (superblock_is_sync(sb) && !sb->journal_buckets)
		return error_set(error, EINVAL,
				 "%s: found a set in use without journal buckets, wanted 2 or more",
				 path);
	return 0;
}

static const char *state_name(const struct superblock *sb)
{
	static const char *const names[] = { "not attached", "clean", "dirty", "inconsistent" };

	return names[superblock_state(sb)];
}

int member_say_missing(const char *path, const struct superblock *sb, struct error *error)
{
	char set[40];

	return error_set(error, ENOENT,
			 "%s: is %s and needs cache set %s: no cache device of it with content is "
			 "among the members",
			 path, state_name(sb), units_print_uuid(set, sb->set_uuid));
}

void member_warn_uncached(const char *path, const struct superblock *sb)
{
	char set[40];

	log_warning("%s: runs without a cache: no cache device of its set %s is in use here",
		    path, units_print_uuid(set, sb->set_uuid));
}

int member_say_not_taken(const char *path, const struct superblock *sb, const char *why,
			 struct error *error)
{
	char set[40];

	return error_set(error, ENOENT,
			 "%s: is %s and belongs to cache set %s, which could not take it: %s", path,
			 state_name(sb), units_print_uuid(set, sb->set_uuid), why);
}

/* ---- all of them ---- */

struct looking {
	struct job job;
	struct blocking_job blocking;
	struct error blocking_error;
	const char *const *paths;
	unsigned count;
	bool read_only, is_begun;
	struct shadow *overlay;		/* of the mount; may be NULL */
	struct superblock *superblocks;
};

/* In state CLEAN or DIRTY the cache may be newer than the backing device. */
static bool needs_its_set(const struct superblock *sb)
{
	return superblock_is_backing(sb) && (superblock_state(sb) == STATE_CLEAN ||
					     superblock_state(sb) == STATE_DIRTY);
}

/* Opens the member read-only, so that this look excludes nobody and writes nothing. */
static int look_at(const struct looking *job, const char *path, struct superblock *sb,
		   struct error *error)
{
	struct device *device;
	int failed = device_open_below(&device, path, DEVICE_READ_ONLY, job->overlay, error);

	if (failed)
		return failed;
	failed = member_read_superblock(device, sb, error);
	device_close(device);
	if (failed)
		return error_prefix(error, "%s", path);
	return superblock_is_backing(sb) ? 0 : member_check_cache(path, sb, error);
}

/* Do two members have the same UUID, or are they caches of one set? */
static int check_twins(const struct looking *job, unsigned i, struct error *error)
{
	const struct superblock *a = &job->superblocks[i];

	for (unsigned k = 0; k < i; k++) {
		const struct superblock *b = &job->superblocks[k];

		if (superblock_is_backing(a) != superblock_is_backing(b))
			continue;
		if (!superblock_is_backing(a) && uuid_is_equal(a->set_uuid, b->set_uuid))
			return member_say_duplicate(job->paths[i], error);
		if (superblock_is_backing(a) && uuid_is_equal(a->uuid, b->uuid))
			return error_set(error, EEXIST,
					 "%s: duplicate UUID: found that of %s, wanted another",
					 job->paths[i], job->paths[k]);
	}
	return 0;
}

/* The index of the cache device of the volume's set; job->count if there is none. */
static unsigned find_cache(const struct looking *job, const struct superblock *sb)
{
	unsigned k = 0;

	for (; k < job->count; k++) {
		const struct superblock *other = &job->superblocks[k];

		if (!superblock_is_backing(other) &&
		    uuid_is_equal(other->set_uuid, sb->set_uuid) &&
		    (superblock_is_sync(other) || !job->read_only))
			break;
	}
	return k;
}

/* The entry for a UUID in a set's table of volumes. */
enum knowledge {
	KNOWN_NOT_READ,		/* it cannot be read; starting the set will report why */
	KNOWN_NOT_AT_ALL,
	KNOWN_AS_BACKED,
	KNOWN_AS_FLASH_ONLY,
};

/* Looks at the first slot with the UUID, as uuids_find() does. */
static enum knowledge table_knows(const unsigned char *table, unsigned bytes,
				  unsigned journal_version, const uint8_t uuid[16])
{
	struct uuid_entry entry;
	unsigned each = journal_version ? sizeof(struct uuid_entry_disk) :
					  sizeof(struct uuid_entry_v0_disk);

	if (uuid_is_retired(uuid))
		return KNOWN_NOT_AT_ALL;
	for (unsigned at = 0; at + each <= bytes; at += each) {
		if (journal_version)
			uuid_entry_decode(&entry, (const struct uuid_entry_disk *)(table + at));
		else
			uuid_entry_decode_v0(&entry,
					     (const struct uuid_entry_v0_disk *)(table + at));
		if (uuid_is_equal(entry.uuid, uuid))
			return entry.flags & UUID_FLASH_ONLY ? KNOWN_AS_FLASH_ONLY
							     : KNOWN_AS_BACKED;
	}
	return KNOWN_NOT_AT_ALL;
}

/* Looks the UUID up in the table that the newest journal entry names. */
static enum knowledge newest_table_knows(struct device *device, const struct superblock *cache,
					 const struct journal_found *found,
					 const uint8_t uuid[16])
{
	const struct journal_entry_disk *entry = found->entries[found->count - 1];
	uint64_t device_end = cache->buckets * cache->bucket_sectors;
	unsigned char *table;
	unsigned bytes;
	enum knowledge known = KNOWN_NOT_READ;
	struct bkey k;

	if (!bkey_slot_decode(&k, &entry->uuid_bucket) || !bkey_sectors(&k) ||
	    bkey_sectors(&k) > superblock_meta_bucket_sectors(cache) || !bkey_pointers(&k) ||
	    pointer_sector(k.ptr) + bkey_sectors(&k) > device_end)
		return KNOWN_NOT_READ;
	bytes = bkey_sectors(&k) * 512;
	table = buffer_new(bytes);
	if (!device_read_now(device, table, pointer_sector(k.ptr), bkey_sectors(&k)))
		known = table_knows(table, bytes, le32_get(entry->version), uuid);
	buffer_free(table);
	return known;
}

/* Uses a struct cache_set on the stack, of which only device and superblock are valid. */
static enum knowledge set_knows(const char *path, struct shadow *overlay,
				const struct superblock *cache, const uint8_t uuid[16])
{
	struct cache_set set = { .cache = { .superblock = *cache } };
	struct journal_setup setup;
	struct journal_found found;
	struct error error;
	enum knowledge known = KNOWN_NOT_READ;

	if (!superblock_is_sync(cache))
		return KNOWN_NOT_AT_ALL;
	if (device_open_below(&set.cache.device, path, DEVICE_READ_ONLY, overlay, &error))
		return KNOWN_NOT_READ;
	device_set_block(set.cache.device, cache->block_sectors);
	set_journal_setup(&set, &setup);
	if (!journal_read(&found, &setup, true, &error)) {
		known = newest_table_knows(set.cache.device, cache, &found, uuid);
		journal_found_done(&found);
	}
	device_close(set.cache.device);
	return known;
}

/* Everything for which attaching would refuse the volume later. */
static int check_volume(const struct looking *job, unsigned i, struct error *error)
{
	const struct superblock *sb = &job->superblocks[i];
	unsigned k = find_cache(job, sb);
	enum knowledge known;

	if (!needs_its_set(sb))
		return 0;
	if (k == job->count)
		return member_say_missing(job->paths[i], sb, error);
	if (sb->block_sectors < job->superblocks[k].block_sectors)
		return member_say_not_taken(job->paths[i], sb,
					    "block size less than set's block size", error);
	known = set_knows(job->paths[k], job->overlay, &job->superblocks[k], sb->uuid);
	if (known == KNOWN_AS_FLASH_ONLY)
		return member_say_not_taken(job->paths[i], sb,
					    "a flash-only volume of the set has its UUID", error);
	if (superblock_state(sb) == STATE_DIRTY && known == KNOWN_NOT_AT_ALL)
		return member_say_not_taken(job->paths[i], sb,
					    "it is not in the set's table of volumes", error);
	if (uuid_is_retired(sb->uuid))
		return member_say_not_taken(job->paths[i], sb,
					    "its UUID marks slots of detached volumes", error);
	return 0;
}

static int look_run(struct blocking_job *blocking)
{
	struct looking *job = container_of(blocking, struct looking, blocking);
	struct error *error = &job->blocking_error;
	int failed = 0;

	for (unsigned i = 0; i < job->count && !failed; i++)
		failed = look_at(job, job->paths[i], &job->superblocks[i], error) ?:
			 check_twins(job, i, error);
	for (unsigned i = 0; i < job->count && !failed; i++)
		failed = check_volume(job, i, error);
	return failed;
}

static void looking_step(struct job *base, int error)
{
	struct looking *job = container_of(base, struct looking, job);

	if (!job->is_begun) {
		job->is_begun = true;
		job->blocking.run = look_run;
		blocking_start(base->daemon->blocking, &job->blocking, &base->op);
		return;
	}
	if (error)
		*base->error = job->blocking_error;
	free(job->superblocks);
	job_end(base, error);
}

void daemon_look_at(struct daemon *daemon, const char *const *paths, unsigned count,
		    struct error *error, struct op *op)
{
	struct looking *job = job_new(daemon, sizeof(*job), looking_step, error, op);

	job->paths = paths;
	job->count = count;
	job->read_only = daemon->options.read_only;
	job->overlay = daemon->options.overlay;
	job->superblocks = calloc(count + 1, sizeof(*job->superblocks));
	assert(job->superblocks);
	job_begin_in_turn(&job->job, NULL, NULL);
}
