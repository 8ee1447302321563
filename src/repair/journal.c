/*
 * Goes on with the journal behind what is left of it.
 *
 *	   entries that are left    lost, or full
 *	[====================][####?????????????]
 *	                      [+++]  new entries: all keys that are left, and what they name
 *
 * The new entries need no older one, so gaps before them do no harm.  Their sequence is beyond all
 * that the ring has, and they lie in the bucket that comes next, so that kernels, which search the
 * ring by its order, find them.
 */
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "format/journal_entry.h"
#include "io/buffer.h"
#include "repair/roots.h"

struct new_journal {
	struct repair *repair;
	struct roots roots;
	struct run *keys;
	uint64_t sequence;		/* of the first new entry */
	unsigned bucket;		/* in the ring */
};

/* ---- where ---- */

static uint64_t bucket_sector(const struct repair *repair, unsigned index)
{
	const struct superblock *sb = &repair->check.cache->sb;

	return sb->journal_bucket[index] * sb->bucket_sectors;
}

/* The highest sequence that any block says, whole or not. */
static uint64_t highest_in(const struct repair *repair, unsigned index, unsigned char *block)
{
	const struct superblock *sb = &repair->check.cache->sb;
	const struct journal_entry_disk *entry = (const void *)block;
	uint64_t highest = 0;

	for (unsigned at = 0; at < sb->bucket_sectors; at += sb->block_sectors) {
		uint64_t sequence;

		if (device_read_now(repair->check.cache->device, block,
				    bucket_sector(repair, index) + at, sb->block_sectors) ||
		    le64_get(entry->magic) != (superblock_set_magic(sb) ^ JOURNAL_MAGIC))
			continue;
		sequence = le64_get(entry->sequence);
		if (sequence < JOURNAL_SEQUENCE_MAX / 2)
			highest = max_u64(highest, sequence);
	}
	return highest;
}

static uint64_t highest_sequence(const struct repair *repair)
{
	const struct superblock *sb = &repair->check.cache->sb;
	unsigned char *block = buffer_new(sb->block_sectors * 512);
	uint64_t highest = 0;

	for (unsigned i = 0; i < sb->journal_buckets; i++)
		highest = max_u64(highest, highest_in(repair, i, block));
	buffer_free(block);
	return highest;
}

/* ---- writing ---- */

static void fill_header(const struct new_journal *new, struct journal_entry_disk *entry,
			uint64_t sequence)
{
	entry->sequence = le64_of(sequence);
	entry->last_sequence = le64_of(new->sequence);
	bkey_slot_encode(&entry->uuid_bucket, &new->roots.uuid_bucket);
	bkey_slot_encode(&entry->btree_root, &new->roots.root);
	entry->btree_level = le16_of(new->roots.level);
	entry->prio_bucket[new->repair->check.cache->sb.member] =
		le64_of(new->roots.prio_bucket);
}

/* As many keys as fit into `room` bytes; words of them. */
static unsigned put_keys(const struct new_journal *new, struct journal_entry_disk *entry,
			 unsigned room, unsigned *next)
{
	unsigned words = 0;

	for (; *next < new->keys->count; ++*next) {
		const struct bkey *k = &new->keys->key[*next];

		if (journal_entry_bytes(words + bkey_words(k)) > room)
			break;
		words += bkey_encode(k, entry->keys + words);
	}
	return words;
}

/* A bucket of entries; behind them it has zeros. */
static int write_bucket(struct new_journal *new, unsigned char *bytes, unsigned *next,
			uint64_t *sequence, struct error *error)
{
	const struct superblock *sb = &new->repair->check.cache->sb;
	unsigned size = sb->bucket_sectors * 512, at = 0;

	memset(bytes, 0, size);
	do {
		struct journal_entry_disk *entry = (void *)(bytes + at);
		unsigned room = min_u64(size - at, JOURNAL_ENTRY_BYTES_MAX), words;

		words = put_keys(new, entry, room, next);
		fill_header(new, entry, (*sequence)++);
		journal_entry_seal(entry, words, superblock_set_magic(sb));
		at += round_up(journal_entry_bytes(words), sb->block_sectors * 512);
	} while (*next < new->keys->count && at + 1024 <= size);
	return repair_add_write(new->repair, repair_cache(new->repair),
				bucket_sector(new->repair, new->bucket), bytes,
				sb->bucket_sectors, error);
}

static int write_entries(struct new_journal *new, struct error *error)
{
	const struct superblock *sb = &new->repair->check.cache->sb;
	unsigned char *bytes = buffer_try_new(sb->bucket_sectors * 512);
	uint64_t sequence = new->sequence;
	unsigned next = 0, written = 0;
	int failed = bytes ? 0 : repair_no_memory(error);

	do {
		if (!failed && ++written >= sb->journal_buckets)
			failed = repair_refuse(error, "the journal's %u keys do not fit into its "
					       "buckets", new->keys->count);
		if (!failed)
			failed = write_bucket(new, bytes, &next, &sequence, error);
		new->bucket = (new->bucket + 1) % sb->journal_buckets;
	} while (!failed && next < new->keys->count);
	buffer_free(bytes);
	return failed;
}

/* ---- what a bucket begins with ---- */

enum begin { BEGINS_WITH_ENTRY, BEGINS_WITH_ZEROS, BEGINS_WITH_NOISE };

static enum begin begin_of(const struct repair *repair, unsigned index, unsigned char *block)
{
	const struct superblock *sb = &repair->check.cache->sb;
	const struct journal_entry_disk *entry = (const void *)block;
	unsigned bytes = sb->block_sectors * 512;

	if (device_read_now(repair->check.cache->device, block, bucket_sector(repair, index),
			    sb->block_sectors))
		return BEGINS_WITH_NOISE;
	if (le64_get(entry->magic) == (superblock_set_magic(sb) ^ JOURNAL_MAGIC))
		return BEGINS_WITH_ENTRY;
	return *block || memcmp(block, block + 1, bytes - 1) ? BEGINS_WITH_NOISE :
							       BEGINS_WITH_ZEROS;
}

/* So that nothing that is left of a bucket looks like an end that is lost. */
static int clear_noise(struct repair *repair, struct error *error)
{
	const struct superblock *sb = &repair->check.cache->sb;
	unsigned char *block = buffer_new(sb->block_sectors * 512);
	int failed = 0;

	for (unsigned i = 0; i < sb->journal_buckets && !failed; i++) {
		if (begin_of(repair, i, block) != BEGINS_WITH_NOISE)
			continue;
		memset(block, 0, sb->block_sectors * 512);
		failed = repair_add_write(repair, repair_cache(repair), bucket_sector(repair, i),
					  block, sb->block_sectors, error);
	}
	buffer_free(block);
	return failed;
}

/* ---- the step ---- */

static int plan_entries(struct new_journal *new, const struct check_fault *fault,
			struct error *error)
{
	struct repair *repair = new->repair;
	int failed;

	if (!repair_step_new(repair, fault, "go on with the journal at entry %llu, with the %u "
			     "keys that are left of it%s", (unsigned long long)new->sequence,
			     new->keys->count, repair->drops_clean ?
			     "; what other entries had is lost" : ""))
		return repair_no_memory(error);
	failed = roots_find(&new->roots, repair, error);
	if (!failed)
		failed = write_entries(new, error) ?: clear_noise(repair, error);
	roots_done(&new->roots);
	return failed;
}

/* REPAIR-5: in the place of clean keys, since they hide what the leaves have. */
static void make_holes(struct run *keys)
{
	for (unsigned i = 0; i < keys->count; i++) {
		struct bkey *k = &keys->key[i];

		if (bkey_is_dirty(k))
			continue;
		bkey_set_pointers(k, 0);
		k->ptr = 0;
	}
}

int repair_journal(struct repair *repair, const struct check_fault *fault, struct error *error)
{
	const struct journal_found *found = &repair->check.journal;
	struct new_journal new = {
		.repair = repair, .keys = &repair->check.replayed,
		.sequence = highest_sequence(repair) + 1,
	};

	if (!repair->check.has_space)
		return repair_no_memory(error);
	if (found->count)
		new.bucket = (found->current + 1) % repair->check.cache->sb.journal_buckets;
	if (!repair->check.has_priorities ||
	    (fault->id != CHECK_JOURNAL_FULL && fault->id != CHECK_ROOT_BAD &&
	     fault->id != CHECK_UUIDS_BAD)) {
		repair->drops_clean = true;
		make_holes(new.keys);
	}
	return plan_entries(&new, fault, error);
}

/* ---- an end that is lost ---- */

/*
 * The bucket behind the newest entry has older entries, or zeros if it was never used.  It may have
 * noise, too, on a device that had other content: then others that were never used do as well.
 */
enum repair_end repair_end_of_journal(const struct repair *repair)
{
	const struct journal_found *found = &repair->check.journal;
	unsigned count, next, noisy = 0;
	unsigned char *block;
	bool is_noisy;

	if (!found->count)
		return END_IS_SOUND;
	count = repair->check.cache->sb.journal_buckets;
	next = (found->current + 1) % count;
	block = buffer_new(repair->check.cache->sb.block_sectors * 512);
	is_noisy = begin_of(repair, next, block) == BEGINS_WITH_NOISE;
	for (unsigned i = 0; i < count && is_noisy; i++)
		noisy += begin_of(repair, i, block) == BEGINS_WITH_NOISE;
	buffer_free(block);
	return !is_noisy ? END_IS_SOUND : noisy > 1 ? END_MAY_BE_LOST : END_IS_LOST;
}
