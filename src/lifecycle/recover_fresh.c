/*
 * ERASE and TABLES: makes a set on a cache device that was formatted and never used.
 */
#include "lifecycle/recover.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

enum { JOURNAL_WINDOW_SECTORS = 2048 };
#define FRESH_SEQUENCE_MAX (UINT64_C(1) << 62)	/* no set gets that far in a century */

/*
 * Entries of an older set with the same uuid look valid (LESSON-46), also in the tail of a bucket.
 * The sequences of the fresh set therefore begin after the highest of them.  They are not erased,
 * so a start that a power cut interrupted finds them again.  Entries with sequences that no set
 * can have reached are erased.
 */
static int look_for_entries(struct recover *recover, uint64_t sector, unsigned sectors,
			    unsigned char *window)
{
	struct cache_set *set = recover->set;
	unsigned block = set->cache.superblock.block_sectors;
	uint64_t magic = superblock_set_magic(&set->cache.superblock) ^ JOURNAL_MAGIC;
	int failed = device_read_now(set->cache.device, window, sector, sectors);

	for (unsigned at = 0; at < sectors && !failed; at += block) {
		struct journal_entry_disk *entry = (void *)(window + at * 512);
		uint64_t sequence = le64_get(entry->sequence);

		if (le64_get(entry->magic) != magic)
			continue;
		if (sequence < FRESH_SEQUENCE_MAX) {
			recover->older_sequence = max_u64(recover->older_sequence, sequence);
			continue;
		}
		memset(entry, 0, block * 512);
		failed = device_write_now(set->cache.device, entry, sector + at, block);
	}
	return failed;
}

/* Reads all of the journal: old entries may be anywhere in a bucket. */
static int look_through_journal(struct recover *recover)
{
	const struct superblock *sb = &recover->set->cache.superblock;
	unsigned sectors = min_u64(sb->bucket_sectors, JOURNAL_WINDOW_SECTORS);
	unsigned char *window = buffer_new(sectors * 512);
	int failed = 0;

	for (unsigned i = 0; i < sb->journal_buckets; i++) {
		uint64_t start = sb->journal_bucket[i] * sb->bucket_sectors;

		for (unsigned at = 0; at < sb->bucket_sectors && !failed; at += sectors)
			failed = look_for_entries(recover, start + at, sectors, window);
	}
	buffer_free(window);
	return failed;
}

/*
 * The list of journal buckets extends beyond the first sector of the superblock.  Write it now,
 * with a bucket count of 0; the write that makes the set valid then changes a single sector, and a
 * power cut cannot tear it.
 */
static int write_journal_list(const struct cache_set *set, void *buffer)
{
	struct superblock sb = set->cache.superblock;
	struct superblock_disk *disk = buffer;

	superblock_encode(&sb);
	*disk = sb.disk;
	disk->keys = le16_of(0);
	disk->version = set->cache.superblock.disk.version;
	disk->sequence = set->cache.superblock.disk.sequence;
	disk->checksum = le64_of(superblock_checksum(disk));
	return device_write_now(set->cache.device, disk, SUPERBLOCK_SECTOR, SUPERBLOCK_BYTES / 512);
}

/* Flushes at the end: no old entry may come back after the first one of this set. */
static int erase_run(struct blocking_job *blocking)
{
	struct recover *recover = container_of(blocking, struct recover, blocking);
	struct cache_set *set = recover->set;
	int failed = look_through_journal(recover) ?:
		     write_journal_list(set, set->cache.superblock_buffer) ?:
		     device_flush_now(set->cache.device);

	return failed ? error_set(recover->job.error, -failed, "clearing the journal: %s",
				  strerror(-failed)) : 0;
}

int recover_erase(struct job *base)
{
	struct recover *recover = recover_of(base);

	assert(!superblock_is_sync(&recover->set->cache.superblock));
	assert(!recover->set->is_read_only);
	log_info("invalidating existing data");
	recover->blocking.run = erase_run;
	blocking_start(base->daemon->blocking, &recover->blocking, &base->op);
	return 0;
}

/*
 * Takes buckets for root and table of volumes, for the first priority table, for the next one, and
 * last what is left for the btree list: no more than member_check_cache() has counted.
 */
static LOCKED int write_fresh_tables(struct recover *recover)
{
	struct cache_set *set = recover->set;
	unsigned parts = set->cache.space.setup.prio_parts;
	int error;

	space_gc_end(&set->cache.space);
	error = space_take(&set->cache.space, USE_BTREE, 2, recover->fresh, NULL);
	if (error)
		return error;
	if (space_unused(&set->cache.space, USE_PRIO) < parts)
		return error_set(recover->job.error, ENOSPC,
				 "only %u unused buckets for a table of %u",
				 space_unused(&set->cache.space, USE_PRIO), parts);
	space_write_first_table(&set->cache.space, &recover->job.op);
	error = space_bootstrap(&set->cache.space, recover->job.error);	/* for the next table */
	assert(!error);
	index_create_root(&set->index, recover->fresh[0], &recover->job.op);
	set->uuid_bucket = bkey_with_pointer(
		bkey_of(0, 0, superblock_meta_bucket_sectors(&set->cache.superblock)),
		space_pointer(&set->cache.space, recover->fresh[1]));
	journal_set_uuid_bucket(&set->journal, &set->uuid_bucket);
	device_write(set->cache.device, recover->table, pointer_sector(set->uuid_bucket.ptr),
		     bkey_sectors(&set->uuid_bucket), false, &recover->job.op);
	return 0;
}

int recover_make_fresh(struct job *base)
{
	struct recover *recover = recover_of(base);
	struct cache_set *set = recover->set;
	int error;

	recover->table = buffer_new(superblock_meta_bucket_sectors(&set->cache.superblock) * 512);
	uuids_encode(set, recover->table);
	set_lock(set);
	error = write_fresh_tables(recover);
	set_unlock(set);
	return error;
}

/* The buckets are referenced by this entry, so they need no pins any more. */
int recover_commit_fresh(struct job *base)
{
	struct recover *recover = recover_of(base);
	struct cache_set *set = recover->set;

	set_lock(set);
	space_unpin_bucket(&set->cache.space, recover->fresh[0]);
	space_unpin_bucket(&set->cache.space, recover->fresh[1]);
	journal_begin(&set->journal, recover->older_sequence, recover->older_sequence, 0, NULL);
	journal_accept(&set->journal);
	journal_commit_always(&set->journal, &base->op);
	set_unlock(set);
	return 0;
}
