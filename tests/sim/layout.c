/*
 * Follows the journal's newest entry to the tables and nodes that it names.
 */
#include "layout.h"

#include <string.h>

#include "base/numbers.h"
#include "format/bset.h"
#include "format/journal_entry.h"
#include "format/prio.h"

enum { SECTOR = 512 };

static void add_piece(struct layout *layout, const char *what, uint64_t sector, unsigned from,
		      unsigned bytes)
{
	if (layout->count == layout->room) {
		struct layout_piece *old = layout->pieces;

		layout->room = layout->room ? layout->room * 2 : 64;
		layout->pieces = sim_alloc(layout->room * sizeof(*old));
		if (old)
			memcpy(layout->pieces, old, layout->count * sizeof(*old));
		sim_free(old);
	}
	layout->pieces[layout->count++] = (struct layout_piece){ what, sector, from, bytes };
}

static uint64_t bucket_of(const struct layout *layout, uint64_t ptr)
{
	return pointer_sector(ptr) / layout->superblock.bucket_sectors;
}

static void see_pointer(struct layout *layout, uint64_t ptr)
{
	uint64_t bucket = bucket_of(layout, ptr);

	if (pointer_device(ptr) || bucket >= layout->superblock.buckets)
		return;
	layout->referenced[bucket] = true;
}

/* A pointer proves a generation at least as new. */
static void raise_generation(struct layout *layout, uint64_t ptr)
{
	uint8_t *generation = &layout->generation[bucket_of(layout, ptr)];

	if ((int8_t)(pointer_generation(ptr) - *generation) > 0)
		*generation = pointer_generation(ptr);
}

static void see_keys(struct layout *layout, const le64 *keys, unsigned words)
{
	struct bkey k;

	for (unsigned at = 0; at < words; at += bkey_words(&k)) {
		if (!bkey_decode(&k, keys + at, words - at))
			sim_fail("layout: a key cannot be decoded");
		if (bkey_pointers(&k))
			see_pointer(layout, k.ptr);
	}
}

/* ---- the journal ---- */

struct ring {
	unsigned char *bucket;
	uint64_t newest, needed_from;
	unsigned newest_index;
	struct bkey root, uuids;
	unsigned root_level;
};

static void visit_entries(struct layout *layout, struct ring *ring,
			  void (*visit)(struct layout *layout, struct ring *ring, unsigned index,
					uint64_t sector, const struct journal_entry_disk *entry))
{
	const struct superblock *sb = &layout->superblock;
	unsigned bytes = sb->bucket_sectors * SECTOR, block = sb->block_sectors * SECTOR;

	for (unsigned i = 0; i < sb->journal_buckets; i++) {
		uint64_t sector = sb->journal_bucket[i] * sb->bucket_sectors;

		sim_disk_read(layout->cache, ring->bucket, sector, sb->bucket_sectors);
		for (unsigned at = 0; at + sizeof(struct journal_entry_disk) <= bytes;) {
			const struct journal_entry_disk *entry = (void *)(ring->bucket + at);

			if (!journal_entry_is_valid(entry, bytes - at, superblock_set_magic(sb)))
				break;
			visit(layout, ring, i, sector + at / SECTOR, entry);
			at += round_up(journal_entry_bytes(le32_get(entry->words)), block);
		}
	}
}

static void find_newest(struct layout *layout, struct ring *ring, unsigned index,
			uint64_t sector UNUSED, const struct journal_entry_disk *entry)
{
	see_keys(layout, entry->keys, le32_get(entry->words));
	if (le64_get(entry->sequence) <= ring->newest)
		return;
	ring->newest = le64_get(entry->sequence);
	ring->needed_from = le64_get(entry->last_sequence);
	ring->newest_index = index;
	ring->root_level = le16_get(entry->btree_level);
	layout->prio_bucket = le64_get(entry->prio_bucket[layout->superblock.member]);
	if (!bkey_slot_decode(&ring->root, &entry->btree_root) ||
	    !bkey_slot_decode(&ring->uuids, &entry->uuid_bucket))
		sim_fail("layout: the newest entry has no root");
}

/* Where buckets are discarded, the first ones of those needed may be missing. */
static void add_entry(struct layout *layout, struct ring *ring, unsigned index, uint64_t sector,
		      const struct journal_entry_disk *entry)
{
	if (index != ring->newest_index && le64_get(entry->sequence) > ring->needed_from)
		add_piece(layout, "a journal entry", sector, 0,
			  journal_entry_bytes(le32_get(entry->words)));
}

/* ---- tables and nodes ---- */

static void add_prio_table(struct layout *layout)
{
	const struct superblock *sb = &layout->superblock;
	unsigned meta = superblock_meta_bucket_sectors(sb);
	unsigned per_part = superblock_prio_per_part(sb);
	struct prio_part_disk *part = sim_alloc(meta * SECTOR);
	uint64_t number = layout->prio_bucket;

	for (unsigned i = 0; i < superblock_prio_parts(sb); i++) {
		layout->referenced[number] = true;
		add_piece(layout, "the priority table", number * sb->bucket_sectors, 0,
			  meta * SECTOR);
		sim_disk_read(layout->cache, part, number * sb->bucket_sectors, meta);
		for (uint64_t b = 0; b < per_part && i * per_part + b < sb->buckets; b++)
			layout->generation[i * per_part + b] = part->buckets[b].generation;
		number = le64_get(part->next);
	}
	sim_free(part);
}

static void add_node(struct layout *layout, const struct bkey *key, unsigned level);

/* One of all children is remembered, each with the same chance. */
static void add_child(struct layout *layout, const struct bkey *key, unsigned level)
{
	if (!sim_random(++layout->children))
		layout->child = bucket_of(layout, key->ptr);
	add_node(layout, key, level);
}

static void add_children(struct layout *layout, const struct bset_disk *set, unsigned level,
			 bool only_raise)
{
	unsigned words = le32_get(set->words);
	struct bkey k;

	for (unsigned at = 0; at < words; at += bkey_words(&k)) {
		bkey_decode(&k, set->keys + at, words - at);
		if (only_raise)
			raise_generation(layout, k.ptr);
		else if (!bkey_is_zero_position(&k) &&
			 !generation_after(layout->generation[bucket_of(layout, k.ptr)],
					   pointer_generation(k.ptr)))
			add_child(layout, &k, level - 1);
	}
}

/* The next run of the node; NULL: there is none. */
static const struct bset_disk *next_set(const struct layout *layout, const unsigned char *node,
					unsigned bytes, unsigned *at, const struct bset_disk *set)
{
	const struct superblock *sb = &layout->superblock;
	const struct bset_disk *first = (const void *)node, *next;

	*at += set ? round_up(bset_bytes(le32_get(set->words)), sb->block_sectors * SECTOR) : 0;
	next = (const void *)(node + *at);
	if (*at >= bytes || le64_get(next->magic) != (superblock_set_magic(sb) ^ BSET_MAGIC) ||
	    le64_get(next->sequence) != le64_get(first->sequence))
		return NULL;
	return next;
}

static void add_set(struct layout *layout, uint64_t sector, const struct bset_disk *set,
		    bool is_first)
{
	unsigned behind = offsetof(struct bset_disk, version);
	unsigned bytes = bset_bytes(le32_get(set->words));

	see_keys(layout, set->keys, le32_get(set->words));
	if (is_first)
		add_piece(layout, "the first run of a node", sector, 0, bytes);
	else
		add_piece(layout, "a run of a node", sector, behind, bytes - behind);
}

static void add_node(struct layout *layout, const struct bkey *key, unsigned level)
{
	unsigned sectors = bkey_sectors(key), bytes = sectors * SECTOR, at = 0;
	unsigned char *node = sim_alloc(bytes);
	const struct bset_disk *set = NULL;

	see_pointer(layout, key->ptr);
	sim_disk_read(layout->cache, node, pointer_sector(key->ptr), sectors);
	while ((set = next_set(layout, node, bytes, &at, set))) {
		add_set(layout, pointer_sector(key->ptr) + at / SECTOR, set, !at);
		if (level)
			add_children(layout, set, level, true);
	}
	for (at = 0; level && (set = next_set(layout, node, bytes, &at, set));)
		add_children(layout, set, level, false);
	sim_free(node);
}

/* ---- all ---- */

bool layout_read(struct layout *layout, struct sim_disk *cache)
{
	struct superblock_disk disk;
	struct superblock *sb = &layout->superblock;
	struct ring ring = { 0 };

	*layout = (struct layout){ .cache = cache };
	sim_disk_read(cache, &disk, SUPERBLOCK_SECTOR, SUPERBLOCK_BYTES / SECTOR);
	superblock_decode_unchecked(sb, &disk);
	if (!superblock_is_sync(sb))
		return false;
	layout->referenced = sim_alloc(sb->buckets * sizeof(layout->referenced[0]));
	layout->generation = sim_alloc(sb->buckets);
	for (unsigned i = 0; i < sb->first_bucket; i++)
		layout->referenced[i] = true;
	for (unsigned i = 0; i < sb->journal_buckets; i++)
		layout->referenced[sb->journal_bucket[i]] = true;
	add_piece(layout, "the superblock", SUPERBLOCK_SECTOR, 0,
		  offsetof(struct superblock_disk, journal_buckets) + 8 * sb->journal_buckets);
	ring.bucket = sim_alloc(sb->bucket_sectors * SECTOR);
	visit_entries(layout, &ring, find_newest);
	visit_entries(layout, &ring, add_entry);
	sim_free(ring.bucket);
	if (!ring.newest)
		sim_fail("layout: the journal has no entry");
	add_prio_table(layout);
	see_pointer(layout, ring.uuids.ptr);
	raise_generation(layout, ring.root.ptr);
	raise_generation(layout, ring.uuids.ptr);
	layout->root = bucket_of(layout, ring.root.ptr);
	layout->uuids = bucket_of(layout, ring.uuids.ptr);
	add_node(layout, &ring.root, ring.root_level);
	return true;
}

void layout_done(struct layout *layout)
{
	sim_free(layout->pieces);
	sim_free(layout->referenced);
	sim_free(layout->generation);
}
