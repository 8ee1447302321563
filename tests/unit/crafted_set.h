/*
 * A cache device made by hand, in memory, of whatever geometry and content; and a
 * daemon that registers it.
 *
 *	superblock | journal ... | root | table of volumes | priority table ... | data
 *	             first_bucket
 */
#pragma once

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "awaiter.h"
#include "base/numbers.h"
#include "format/bset.h"
#include "format/journal_entry.h"
#include "format/prio.h"
#include "format/superblock.h"
#include "format/uuid.h"
#include "lifecycle/daemon.h"

enum { CRAFTED_ENTRY_BYTES = 32768 };

struct crafted {
	char path[64];
	int fd;
	struct superblock sb;
	struct bkey root, table;
	unsigned root_sectors;		/* of its log, used */
	uint64_t sequence, journal_sector;	/* of the next entry; in the ring */
};

static inline uint64_t crafted_bucket_sector(const struct crafted *c, uint64_t bucket)
{
	return bucket * c->sb.bucket_sectors;
}

static inline void crafted_write(const struct crafted *c, uint64_t sector, const void *data,
				 size_t bytes)
{
	cr_assert(eq(i64, pwrite(c->fd, data, bytes, sector * 512), (ssize_t)bytes));
}

/* A sparse file in memory, which is gone once it is closed. */
static inline void crafted_make_file(struct crafted *c, uint64_t sectors)
{
	c->fd = memfd_create("crafted", 0);
	cr_assert(ge(int, c->fd, 0));
	cr_assert(zero(int, ftruncate(c->fd, sectors * 512)));
	snprintf(c->path, sizeof(c->path), "/proc/self/fd/%d", c->fd);
}

static inline void crafted_write_superblock(struct crafted *c)
{
	superblock_encode(&c->sb);
	crafted_write(c, SUPERBLOCK_SECTOR, &c->sb.disk, SUPERBLOCK_BYTES);
}

/* Sizes are the caller's, in `sb`: buckets, first_bucket, block, bucket, journal_buckets. */
static inline void crafted_make(struct crafted *c, const struct superblock *sb)
{
	*c = (struct crafted){ .sb = *sb, .sequence = 1 };
	crafted_make_file(c, crafted_bucket_sector(c, sb->buckets));
	c->sb.version = SUPERBLOCK_CACHE;
	c->sb.members = 1;
	memset(c->sb.uuid, 1, sizeof(c->sb.uuid));
	memset(c->sb.set_uuid, 2, sizeof(c->sb.set_uuid));
	if (sb->bucket_sectors > UINT16_MAX) {
		c->sb.version = SUPERBLOCK_CACHE_WITH_FEATURES;
		c->sb.feature_incompatible = FEATURE_LOG2_BUCKET_SIZE;
	}
	for (unsigned i = 0; i < sb->journal_buckets; i++)
		c->sb.journal_bucket[i] = sb->first_bucket + i;
	crafted_write_superblock(c);
}

static inline void crafted_done(struct crafted *c)
{
	close(c->fd);
}

static inline uint64_t crafted_root_bucket(const struct crafted *c)
{
	return c->sb.first_bucket + c->sb.journal_buckets;
}

static inline uint64_t crafted_data_bucket(const struct crafted *c)
{
	return crafted_root_bucket(c) + 2 + superblock_prio_parts(&c->sb);
}

static inline void crafted_write_prio(const struct crafted *c)
{
	unsigned bytes = superblock_meta_bucket_sectors(&c->sb) * 512;
	struct prio_part_disk *part = calloc(1, bytes);

	for (unsigned i = superblock_prio_parts(&c->sb); i--;) {
		uint64_t bucket = crafted_root_bucket(c) + 2 + i;

		memset(part, 0, bytes);
		prio_part_seal(part, bytes, bytes, superblock_set_magic(&c->sb), 1,
			       i + 1 < superblock_prio_parts(&c->sb) ? bucket + 1 : 0);
		crafted_write(c, crafted_bucket_sector(c, bucket), part, bytes);
	}
	free(part);
}

/* The first `volumes` slots are flash-only volumes of 1 MiB. */
static inline void crafted_write_volumes(const struct crafted *c, unsigned volumes)
{
	struct uuid_entry_disk disk;
	struct uuid_entry entry = { .flags = UUID_FLASH_ONLY, .sectors = 2048 };
	uint64_t at = crafted_bucket_sector(c, crafted_root_bucket(c) + 1) * 512;

	for (unsigned i = 0; i < volumes; i++, at += sizeof(disk)) {
		memset(entry.uuid, 3, sizeof(entry.uuid));
		memcpy(entry.uuid, &i, sizeof(i));
		uuid_entry_encode(&disk, &entry);
		cr_assert(eq(i64, pwrite(c->fd, &disk, sizeof(disk), at), sizeof(disk)));
	}
}

/* The next set in the log of the root, which is a leaf. */
static inline void crafted_add_set(struct crafted *c, const struct bkey *keys, unsigned count)
{
	unsigned bytes = round_up(bset_bytes(count * BKEY_WORDS_MAX), c->sb.block_sectors * 512);
	struct bset_disk *set = calloc(1, bytes);
	unsigned words = 0;

	for (unsigned i = 0; i < count; i++)
		words += bkey_encode(&keys[i], set->keys + words);
	bset_seal(set, words, 77, superblock_set_magic(&c->sb), c->root.ptr);
	bytes = round_up(bset_bytes(words), c->sb.block_sectors * 512);
	cr_assert(le(u32, c->root_sectors + bytes / 512, bkey_sectors(&c->root)));
	crafted_write(c, pointer_sector(c->root.ptr) + c->root_sectors, set, bytes);
	c->root_sectors += bytes / 512;
	free(set);
}

/* The next entry of the journal, none of which is in the root yet. */
static inline void crafted_add_entry(struct crafted *c, const struct bkey *keys, unsigned count)
{
	struct journal_entry_disk *entry = calloc(1, CRAFTED_ENTRY_BYTES);
	unsigned words = 0, sectors, left;

	for (unsigned i = 0; i < count; i++)
		words += bkey_encode(&keys[i], entry->keys + words);
	cr_assert(le(u32, journal_entry_bytes(words), CRAFTED_ENTRY_BYTES));
	entry->sequence = le64_of(c->sequence++);
	entry->last_sequence = le64_of(1);
	bkey_slot_encode(&entry->uuid_bucket, &c->table);
	bkey_slot_encode(&entry->btree_root, &c->root);
	entry->prio_bucket[0] = le64_of(crafted_root_bucket(c) + 2);
	journal_entry_seal(entry, words, superblock_set_magic(&c->sb));
	sectors = round_up(journal_entry_bytes(words), c->sb.block_sectors * 512) / 512;
	left = c->sb.bucket_sectors - c->journal_sector % c->sb.bucket_sectors;
	if (sectors > left)
		c->journal_sector += left;
	crafted_write(c, crafted_bucket_sector(c, c->sb.first_bucket) + c->journal_sector, entry,
		      sectors * 512);
	c->journal_sector += sectors;
	cr_assert(le(u64, c->journal_sector,
		     (uint64_t)c->sb.journal_buckets * c->sb.bucket_sectors));
	free(entry);
}

/* A set in use whose root is an empty leaf of `root_sectors`: sets and entries are to follow. */
static inline void crafted_make_used(struct crafted *c, const struct superblock *sb,
				     unsigned root_sectors, unsigned volumes)
{
	struct bkey max = bkey_max();

	crafted_make(c, sb);
	superblock_set_sync(&c->sb, true);
	crafted_write_superblock(c);
	c->root = max;
	bkey_set_sectors(&c->root, root_sectors);
	c->root = bkey_with_pointer(
		c->root, pointer_of(0, crafted_bucket_sector(c, crafted_root_bucket(c)), 0));
	c->table = bkey_with_pointer(
		bkey_of(0, 0, superblock_meta_bucket_sectors(&c->sb)),
		pointer_of(0, crafted_bucket_sector(c, crafted_root_bucket(c) + 1), 0));
	crafted_write_volumes(c, volumes);
	crafted_write_prio(c);
}

/* ---- the daemon ---- */

static struct reactor *crafted_reactor;
static struct blocking *crafted_blocking;
static struct daemon crafted_daemon;
static struct awaiter crafted_awaiter;

static inline void crafted_daemon_begin(bool read_only)
{
	struct daemon_options options = { .read_only = read_only };
	struct error error = { .code = 0 };

	crafted_reactor = test_reactor();
	crafted_blocking = blocking_new(&error);
	cr_assert(crafted_blocking != NULL, "%s", error.text);
	daemon_init(&crafted_daemon, crafted_reactor, crafted_blocking, &options);
	awaiter_init(&crafted_awaiter, crafted_reactor);
}

static inline void crafted_daemon_end(void)
{
	struct error error = { .code = 0 };

	daemon_stop(&crafted_daemon, &error, &crafted_awaiter.op);
	cr_expect(eq(int, awaiter_wait(&crafted_awaiter), 0), "%s", error.text);
	daemon_done(&crafted_daemon);
	blocking_free(crafted_blocking);
	reactor_free(crafted_reactor);
}

static inline int crafted_register(const struct crafted *c, struct error *error)
{
	*error = (struct error){ .code = 0 };
	daemon_register(&crafted_daemon, c->path, error, &crafted_awaiter.op);
	return awaiter_wait(&crafted_awaiter);
}
