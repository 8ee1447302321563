/*
 * Finds journal entries, priorities, volumes and btree nodes of a set that is known to be sound.
 */
#include "layout.h"

#include <stdlib.h>
#include <string.h>

#include "../sim/sim.h"
#include "bcachefuse/bset.h"
#include "bcachefuse/journal_entry.h"
#include "bcachefuse/prio.h"
#include "bcachefuse/superblock.h"
#include "bcachefuse/uuid.h"

enum { SECTOR = 512, AREAS_MAX = 1 << 16, NODES_MAX = 4096, CHILDREN_MAX = 4096 };

struct finder {
	const uint8_t *cache;
	struct layout *layout;
	const struct journal_entry_disk *newest;
};

/* ---- checksums ---- */

uint64_t layout_crc64(uint64_t crc, const void *data, size_t bytes)
{
	static uint64_t table[256];
	const uint8_t *at = data;

	/* From the last to the second, by which it is known that all are there. */
	for (unsigned i = 0; !table[1] && i < 256; i++) {
		uint64_t value = (uint64_t)(255 - i) << 56;

		for (int bit = 0; bit < 8; bit++)
			value = value << 1 ^ (value >> 63 ? UINT64_C(0x42f0e1eba9ea3693) : 0);
		table[255 - i] = value;
	}
	while (bytes--)
		crc = crc << 8 ^ table[crc >> 56 ^ *at++];
	return ~crc;
}

static size_t at_most(size_t bytes, size_t room)
{
	return bytes < room ? bytes : room;
}

void layout_seal_superblock(uint8_t *superblock)
{
	struct superblock_disk *sb = (void *)superblock;
	size_t bytes = offsetof(struct superblock_disk, journal_buckets) +
		       8 * (size_t)le16_get(sb->keys);

	sb->checksum = le64_of(layout_crc64(UINT64_MAX, superblock + 8,
					    at_most(bytes, SUPERBLOCK_BYTES) - 8));
}

static void seal_entry(struct journal_entry_disk *entry, unsigned room)
{
	size_t bytes = sizeof(*entry) + 8 * (size_t)le32_get(entry->words);

	entry->checksum = le64_of(layout_crc64(UINT64_MAX, &entry->magic,
					       at_most(bytes, room) - 8));
}

static void seal_bset(struct bset_disk *set, unsigned room, uint64_t seed)
{
	size_t bytes = sizeof(*set) + 8 * (size_t)le32_get(set->words);

	if (!le32_get(set->version))
		seed = UINT64_MAX;
	set->checksum = le64_of(layout_crc64(seed, &set->magic, at_most(bytes, room) - 8));
}

void layout_seal(const struct layout *layout, uint8_t *cache, const struct area *area,
		 uint64_t seed)
{
	uint8_t *at = cache + area->offset;
	struct prio_part_disk *part = (void *)at;

	switch (area->kind) {
	case AREA_SUPERBLOCK:
		layout_seal_superblock(at);
		return;
	case AREA_ENTRY:
		seal_entry((void *)at, area->room);
		return;
	case AREA_PART:
		part->checksum = le64_of(layout_crc64(UINT64_MAX, &part->magic,
						      layout->meta_bytes - 8));
		return;
	case AREA_BSET:
		seal_bset((void *)at, area->room, seed);
		return;
	default:
		return;
	}
}

/* ---- keys ---- */

static unsigned key_sectors(const le64 *key) { return le64_get(key[0]) >> 20 & 0xffff; }
static unsigned key_pointers(const le64 *key) { return le64_get(key[0]) >> 60 & 7; }
static unsigned key_volume(const le64 *key) { return le64_get(key[0]) & 0xfffff; }
static uint64_t key_offset(const le64 *key)
{
	return (le64_get(key[2]) >> 8 & ((UINT64_C(1) << 43) - 1)) * SECTOR;
}

/* ---- areas ---- */

static struct area *area_add(struct layout *layout, enum area_kind kind, uint64_t offset,
			     unsigned room)
{
	struct area *area;

	if (layout->count[kind] == AREAS_MAX)
		sim_fail("a base set has more than %d areas of a kind", AREAS_MAX);
	if (!layout->area[kind])
		layout->area[kind] = sim_map(AREAS_MAX * sizeof(*area));
	area = &layout->area[kind][layout->count[kind]++];
	*area = (struct area){ .kind = kind, .offset = offset, .room = room };
	return area;
}

static unsigned round_to_block(const struct layout *layout, unsigned bytes)
{
	return (bytes + layout->block_bytes - 1) / layout->block_bytes * layout->block_bytes;
}

/* ---- the journal ---- */

static bool entry_is_valid(const struct layout *layout, const struct journal_entry_disk *entry,
			   unsigned room)
{
	unsigned words = le32_get(entry->words);

	return le64_get(entry->magic) == (layout->magic ^ JOURNAL_MAGIC) &&
	       words <= (room - sizeof(*entry)) / 8 &&
	       le64_get(entry->checksum) == layout_crc64(UINT64_MAX, &entry->magic,
							 sizeof(*entry) + 8 * words - 8);
}

static int newest_first(const void *a, const void *b, void *context)
{
	const struct area *x = a, *y = b;
	const struct journal_entry_disk *p = (const void *)((const uint8_t *)context + x->offset);
	const struct journal_entry_disk *q = (const void *)((const uint8_t *)context + y->offset);
	uint64_t u = le64_get(p->sequence), v = le64_get(q->sequence);

	return u < v ? 1 : u > v ? -1 : 0;
}

/* Those that are not needed any more are among them: a damaged one may need them. */
static void find_entries(struct finder *finder, const struct superblock_disk *sb)
{
	struct layout *layout = finder->layout;

	for (unsigned i = 0; i < le16_get(sb->keys); i++) {
		uint64_t start = le64_get(sb->journal_buckets[i]) * layout->bucket_bytes;
		unsigned at = 0, room = layout->bucket_bytes;

		while (room - at >= sizeof(struct journal_entry_disk) &&
		       entry_is_valid(layout, (void *)(finder->cache + start + at), room - at)) {
			const struct journal_entry_disk *entry =
				(void *)(finder->cache + start + at);

			area_add(layout, AREA_ENTRY, start + at, room - at);
			at += round_to_block(layout, sizeof(*entry) + 8 * le32_get(entry->words));
		}
	}
	if (!layout->count[AREA_ENTRY])
		sim_fail("a base set has no journal entry");
	qsort_r(layout->area[AREA_ENTRY], layout->count[AREA_ENTRY], sizeof(struct area),
		newest_first, (void *)finder->cache);
	finder->newest = (const void *)(finder->cache + layout->area[AREA_ENTRY][0].offset);
}

/* ---- priorities, volumes ---- */

static void find_parts(struct finder *finder)
{
	struct layout *layout = finder->layout;
	unsigned each = (layout->meta_bytes - sizeof(struct prio_part_disk)) /
			sizeof(struct bucket_prio_disk);
	uint64_t bucket = le64_get(finder->newest->prio_bucket[0]);

	layout->generations = sim_alloc(layout->buckets);
	for (uint64_t done = 0; done < layout->buckets; done += each) {
		uint64_t offset = bucket * layout->bucket_bytes;
		const struct prio_part_disk *part = (const void *)(finder->cache + offset);

		area_add(layout, AREA_PART, offset, layout->meta_bytes);
		for (unsigned i = 0; i < each && done + i < layout->buckets; i++)
			layout->generations[done + i] = part->buckets[i].generation;
		bucket = le64_get(part->next);
	}
}

static void find_uuids(struct finder *finder)
{
	const le64 *key = finder->newest->uuid_bucket.words;

	area_add(finder->layout, AREA_UUIDS, key_offset(key), key_sectors(key) * SECTOR);
}

/* ---- the btree ---- */

static int child_order(const void *a, const void *b)
{
	const le64 *x = *(const le64 *const *)a, *y = *(const le64 *const *)b;

	if (key_volume(x) != key_volume(y))
		return key_volume(x) < key_volume(y) ? -1 : 1;
	return le64_get(x[1]) < le64_get(y[1]) ? -1 : le64_get(x[1]) > le64_get(y[1]);
}

/* Its bsets become areas; the keys of all of them go into `keys`. */
static unsigned take_bsets(struct finder *finder, unsigned number, const le64 **keys)
{
	struct layout *layout = finder->layout;
	const struct node_place *node = &layout->node[number];
	const struct bset_disk *first = (const void *)(finder->cache + node->offset);
	unsigned at = 0, count = 0;

	while (at < node->bytes) {
		const struct bset_disk *set = (const void *)(finder->cache + node->offset + at);
		unsigned words = le32_get(set->words), key = 0;

		if (le64_get(set->sequence) != le64_get(first->sequence))
			break;
		area_add(layout, AREA_BSET, node->offset + at, node->bytes - at)->node = number;
		for (; node->level && key < words && count < CHILDREN_MAX;
		     key += 2 + key_pointers(set->keys + key))
			keys[count++] = set->keys + key;
		at += round_to_block(layout, sizeof(*set) + 8 * words);
	}
	return count;
}

/* A pointer in a parent raises its bucket's generation; who is behind then is dead. */
static unsigned live_children(struct layout *layout, const le64 **keys, unsigned count)
{
	unsigned live = 0;

	for (unsigned i = 0; i < count; i++) {
		uint8_t *now = &layout->generations[key_offset(keys[i]) / layout->bucket_bytes];
		uint8_t generation = le64_get(keys[i][2]);

		if ((uint8_t)(generation - *now) < 128)
			*now = generation;
	}
	for (unsigned i = 0; i < count; i++)
		if (le64_get(keys[i][1]) &&
		    layout->generations[key_offset(keys[i]) / layout->bucket_bytes] ==
			    (uint8_t)le64_get(keys[i][2]))
			keys[live++] = keys[i];
	qsort(keys, live, sizeof(*keys), child_order);
	return live;
}

static void find_nodes(struct finder *finder, const le64 *key, unsigned level)
{
	struct layout *layout = finder->layout;
	const le64 **keys = sim_alloc(CHILDREN_MAX * sizeof(*keys));
	unsigned number = layout->nodes++, count;

	if (layout->nodes > NODES_MAX)
		sim_fail("a base set has more than %d nodes", NODES_MAX);
	layout->node[number] = (struct node_place){ key_offset(key), key_sectors(key) * SECTOR,
						    level, le64_get(key[2]) };
	count = live_children(layout, keys, take_bsets(finder, number, keys));
	for (unsigned i = 0; level && i < count; i++)
		find_nodes(finder, keys[i], level - 1);
	sim_free(keys);
}

/* ---- all ---- */

static void take_geometry(struct layout *layout, const struct superblock_disk *sb)
{
	memcpy(&layout->magic, sb->set_uuid, sizeof(layout->magic));
	layout->magic = le64toh(layout->magic);
	layout->buckets = le64_get(sb->buckets_or_data_offset);
	layout->first_bucket = le16_get(sb->first_bucket);
	layout->block_bytes = le16_get(sb->block_sectors) * SECTOR;
	layout->bucket_bytes = le16_get(sb->bucket_sectors) * SECTOR;
	if (le64_get(sb->version) >= SUPERBLOCK_CACHE_WITH_FEATURES &&
	    le64_get(sb->feature_incompatible) & FEATURE_LOG2_BUCKET_SIZE)
		layout->bucket_bytes = SECTOR << le16_get(sb->bucket_sectors);
	layout->meta_bytes = layout->bucket_bytes < 4 << 20 ? layout->bucket_bytes : 4 << 20;
	layout->journal_buckets = le16_get(sb->keys);
	layout->journal_offset = le64_get(sb->journal_buckets[0]) * layout->bucket_bytes;
}

struct layout *layout_find(const uint8_t *cache, uint64_t bytes)
{
	struct layout *layout = sim_alloc(sizeof(*layout));
	struct finder finder = { .cache = cache, .layout = layout };
	const struct superblock_disk *sb = (const void *)(cache + SUPERBLOCK_SECTOR * SECTOR);

	layout->bytes = bytes;
	take_geometry(layout, sb);
	area_add(layout, AREA_SUPERBLOCK, SUPERBLOCK_SECTOR * SECTOR, SUPERBLOCK_BYTES);
	if (!(le64_get(sb->flags) & 1))
		return layout;
	layout->node = sim_map(NODES_MAX * sizeof(layout->node[0]));
	find_entries(&finder, sb);
	find_parts(&finder);
	find_uuids(&finder);
	find_nodes(&finder, finder.newest->btree_root.words, le16_get(finder.newest->btree_level));
	return layout;
}
