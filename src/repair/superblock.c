/*
 * Rebuilds the superblock of a cache device from its journal.
 *
 * All that matters in it follows from the size of a bucket: where the journal begins, how long it
 * is, and how many buckets there are.  The journal's entries have a checksum and the magic of the
 * set, so each size is tried: the right one is that with which the newest entry names a table of
 * priorities, or a root, whose checksum is right (REPAIR-4).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "format/bset.h"
#include "format/journal_entry.h"
#include "format/prio.h"
#include "io/buffer.h"
#include "repair/internal.h"

enum { RESERVED_SECTORS = 23, BLOCK_SECTORS_MAX = 8, META_SECTORS_MAX = 8192 };

/* How much is known for the sizes. */
enum proof { PROOF_NONE, PROOF_ROOT, PROOF_PRIORITIES };

struct guess {
	struct superblock sb;
	enum proof proof;
	uint64_t newest;		/* sequence of the newest entry */
};

/* ---- the set ---- */

bool repair_is_faulty(const struct repair *repair, unsigned member)
{
	for (unsigned i = 0; i < repair->faults; i++) {
		const struct check_fault *fault = &repair->fault[i];

		if ((fault->id == CHECK_SUPERBLOCK_BAD ||
		     fault->id == CHECK_SUPERBLOCK_UNREADABLE) &&
		    !strcmp(fault->path, repair->member[member].path))
			return true;
	}
	return false;
}

/* Of a backing device that is attached; NULL: none has it. */
static const uint8_t *set_uuid_of_others(const struct repair *repair)
{
	for (unsigned i = 0; i < repair->members; i++) {
		const struct check_member *member = &repair->member[i];

		if (member->is_known && superblock_is_backing(&member->sb) &&
		    superblock_state(&member->sb) != STATE_NONE && !repair_is_faulty(repair, i))
			return member->sb.set_uuid;
	}
	return NULL;
}

/* ---- one size ---- */

static void guess_sizes(struct guess *guess, const struct check_member *member,
			unsigned bucket_sectors, unsigned block_sectors)
{
	struct superblock *sb = &guess->sb;

	sb->version = SUPERBLOCK_CACHE_WITH_UUIDS;
	if (bucket_sectors > UINT16_MAX) {
		sb->version = SUPERBLOCK_CACHE_WITH_FEATURES;
		sb->feature_incompatible = FEATURE_LOG2_BUCKET_SIZE;
	}
	sb->bucket_sectors = bucket_sectors;
	sb->block_sectors = block_sectors;
	sb->buckets = device_sectors(member->device) / bucket_sectors;
	sb->members = 1;
	sb->first_bucket = RESERVED_SECTORS / bucket_sectors + 1;
	sb->journal_buckets = superblock_fresh_journal_buckets(sb);
	for (unsigned i = 0; i < sb->journal_buckets; i++)
		sb->journal_bucket[i] = sb->first_bucket + i;
}

/* All faults are passed over: what is found proves the guess, or does not. */
static int pass_journal_fault(struct journal_faults *faults, enum journal_fault kind,
			      const struct error *error)
{
	(void)faults;
	return kind == JOURNAL_FAULT_NONE ? -error->code : 0;
}

static bool proves_priorities(const struct superblock *sb, struct device *device, uint64_t bucket,
			      void *room)
{
	unsigned sectors = superblock_meta_bucket_sectors(sb);
	struct error error;

	return bucket >= sb->first_bucket + sb->journal_buckets && bucket < sb->buckets &&
	       !device_read_now(device, room, bucket * sb->bucket_sectors, sectors) &&
	       !prio_part_check(room, sectors * 512, superblock_set_magic(sb), &error);
}

static bool proves_root(const struct superblock *sb, struct device *device, const struct bkey *root,
			void *room)
{
	unsigned sectors = bkey_sectors(root);
	struct error error;

	return bkey_has_usable_pointer(root) && sectors == superblock_node_sectors(sb) &&
	       pointer_sector(root->ptr) % sb->bucket_sectors == 0 &&
	       !device_read_now(device, room, pointer_sector(root->ptr), sectors) &&
	       !bset_check(room, sectors * 512, true, superblock_set_magic(sb), root->ptr, &error);
}

static void guess_prove(struct guess *guess, struct device *device,
			const struct journal_entry_disk *entry)
{
	void *room = buffer_try_new(META_SECTORS_MAX * 512);
	struct bkey root;

	guess->newest = le64_get(entry->sequence);
	guess->proof = PROOF_NONE;
	if (room && proves_priorities(&guess->sb, device, le64_get(entry->prio_bucket[0]), room))
		guess->proof = PROOF_PRIORITIES;
	else if (room && bkey_slot_decode(&root, &entry->btree_root) &&
		 proves_root(&guess->sb, device, &root, room))
		guess->proof = PROOF_ROOT;
	buffer_free(room);
}

/* Is there a journal, with these sizes? */
static void guess_try(struct guess *guess, struct device *device)
{
	struct journal_faults faults = { .take = pass_journal_fault };
	struct journal_setup setup = {
		.device = device,
		.set_magic = superblock_set_magic(&guess->sb),
		.block_sectors = guess->sb.block_sectors,
		.bucket_sectors = guess->sb.bucket_sectors,
		.bucket_count = guess->sb.journal_buckets,
		.buckets = guess->sb.journal_bucket,
	};
	struct journal_found found;
	struct error error;

	if (journal_read_all(&found, &setup, true, &faults, &error))
		return;
	if (found.count)
		guess_prove(guess, device, found.entries[found.count - 1]);
	journal_found_done(&found);
}

/* With the block of the wrong size, the reader loses the journal's end before the newest entry. */
static bool guess_is_better(const struct guess *guess, const struct guess *best)
{
	if (guess->proof != best->proof)
		return guess->proof > best->proof;
	return guess->newest >= best->newest;
}

/* The magic of the set, as far as that is in an entry: half of its UUID. */
static bool has_entry(struct device *device, uint64_t sector, const uint8_t set_uuid[16])
{
	struct superblock sb = { .version = 0 };
	struct journal_entry_disk *entry = buffer_new(8 * 512);
	bool has;

	memcpy(sb.set_uuid, set_uuid, 16);
	has = !device_read_now(device, entry, sector, 8) &&
	      le64_get(entry->magic) == (superblock_set_magic(&sb) ^ JOURNAL_MAGIC);
	buffer_free(entry);
	return has;
}

static bool has_journal(const struct guess *guess, struct device *device)
{
	for (unsigned i = 0; i < guess->sb.journal_buckets; i++)
		if (has_entry(device, guess->sb.journal_bucket[i] * guess->sb.bucket_sectors,
			      guess->sb.set_uuid))
			return true;
	return false;
}

static void guess_all(const struct check_member *member, const uint8_t set_uuid[16],
		      struct guess *best)
{
	uint64_t sectors = device_sectors(member->device);

	*best = (struct guess){ .proof = PROOF_NONE };
	for (unsigned bucket = 8; bucket <= 1 << 22 && sectors / bucket >= 128; bucket *= 2) {
		for (unsigned block = 1; block <= BLOCK_SECTORS_MAX; block *= 2) {
			struct guess guess = { .proof = PROOF_NONE };

			guess_sizes(&guess, member, bucket, block);
			memcpy(guess.sb.set_uuid, set_uuid, 16);
			if (block * 512 < device_logical_block_bytes(member->device) ||
			    (block == 1 && !has_journal(&guess, member->device)))
				continue;
			guess_try(&guess, member->device);
			if (guess.proof && guess_is_better(&guess, best))
				*best = guess;
		}
	}
}

/* ---- the step ---- */

/* Has the superblock at its place the same sizes, and only its frame is damaged? */
static bool is_the_same(const struct superblock *there, const struct superblock *sb)
{
	return !superblock_is_backing(there) && uuid_is_equal(there->set_uuid, sb->set_uuid) &&
	       there->bucket_sectors == sb->bucket_sectors && there->buckets == sb->buckets &&
	       there->first_bucket == sb->first_bucket && there->members == sb->members &&
	       there->journal_buckets == sb->journal_buckets;
}

static int plan_cache(struct repair *repair, const struct check_fault *fault, unsigned number,
		      struct guess *best, struct error *error)
{
	const struct check_member *member = &repair->member[number];
	bool is_there = member->is_known && is_the_same(&member->sb, &best->sb);
	struct superblock sb = is_there ? member->sb : best->sb;

	if (!is_there)
		memcpy(sb.uuid, repair->new_uuid, 16);
	superblock_set_sync(&sb, true);
	superblock_encode(&sb);
	if (!repair_step_new(repair, fault, "rebuild the superblock of the cache device from its "
			     "journal: %llu buckets of %u sectors, blocks of %u%s",
			     (unsigned long long)sb.buckets, sb.bucket_sectors, sb.block_sectors,
			     is_there ? ", as it says" : "; it gets a new UUID, and its settings "
			     "those of a new one"))
		return repair_no_memory(error);
	return repair_add_write(repair, number, SUPERBLOCK_SECTOR, &sb.disk, SUPERBLOCK_BYTES / 512,
				error);
}

static const struct check_fault *fault_of(const struct repair *repair, unsigned number)
{
	for (unsigned i = 0; i < repair->faults; i++)
		if (!strcmp(repair->fault[i].path ?: "", repair->member[number].path))
			return &repair->fault[i];
	return NULL;
}

/* The first member with a fault that has a journal.  -ENOENT: none has. */
static int find_cache(struct repair *repair, struct error *error)
{
	const uint8_t *known = set_uuid_of_others(repair);

	for (unsigned i = 0; i < repair->members; i++) {
		const struct check_member *member = &repair->member[i];
		const uint8_t *uuid = known;
		struct check_fault fault;
		struct guess best;

		if (!member->device || !repair_is_faulty(repair, i))
			continue;
		if (!uuid && check_member_is_cache(member))
			uuid = member->sb.set_uuid;
		if (!uuid)
			continue;
		guess_all(member, uuid, &best);
		if (!best.proof)
			continue;
		fault = *fault_of(repair, i);
		return plan_cache(repair, &fault, i, &best, error);
	}
	return -ENOENT;
}

int repair_superblock(struct repair *repair, const struct check_fault *fault, struct error *error)
{
	int failed;

	for (unsigned i = 0; i < repair->members; i++)
		if (repair_is_faulty(repair, i) && !repair->member[i].device)
			return repair_refuse(error, "%s: %s", repair->member[i].path,
					     repair->member[i].error.text);
	for (unsigned i = 0; i < repair->members; i++)
		if (check_member_is_cache(&repair->member[i]) && !repair_is_faulty(repair, i))
			return repair_backing(repair, fault, error);
	failed = find_cache(repair, error);
	if (failed != -ENOENT)
		return failed;
	return repair_refuse(error, "%s: %s; it has no journal of a set%s", fault->path,
			     fault->error.text, set_uuid_of_others(repair) ? "" :
			     " whose UUID is known: name its backing devices, too");
}
