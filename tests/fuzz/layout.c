/*
 * Finds journal entries, priorities, volumes and btree nodes of a set that is known to be sound.
 */
#include "layout.h"

#include <stdlib.h>
#include <string.h>

#include "../sim/sim.h"
#include "bcachefuse/uuid.h"

enum { SECTOR = 512, AREAS_MAX = 1 << 16, NODES_MAX = 4096, CHILDREN_MAX = 4096 };

struct finder {
	const uint8_t *cache;
	struct layout *layout;
	const struct journal_entry_disk *newest;
};

/* ---- checksums ---- */

void layout_seal(const struct layout *layout, uint8_t *cache, const struct area *area,
		 uint64_t seed)
{
	uint8_t *at = cache + area->offset;

	switch (area->kind) {
	case AREA_SUPERBLOCK:
		sound_seal_superblock((void *)at);
		return;
	case AREA_ENTRY:
		sound_seal_entry((void *)at, area->room);
		return;
	case AREA_PART:
		sound_seal_part((void *)at, layout->sizes.meta_bytes);
		return;
	case AREA_BSET:
		sound_seal_bset((void *)at, area->room, seed);
		return;
	default:
		return;
	}
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

/* ---- the journal ---- */

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
	const struct sound_sizes *sizes = &layout->sizes;

	for (unsigned i = 0; i < le16_get(sb->keys); i++) {
		uint64_t start = le64_get(sb->journal_buckets[i]) * sizes->bucket_bytes;
		unsigned at = 0, room = sizes->bucket_bytes;

		while (room - at >= sizeof(struct journal_entry_disk) &&
		       sound_entry_is_valid(sizes, (void *)(finder->cache + start + at),
					    room - at)) {
			const struct journal_entry_disk *entry =
				(void *)(finder->cache + start + at);

			area_add(layout, AREA_ENTRY, start + at, room - at);
			at += sound_round_to_block(sizes,
						   sizeof(*entry) + 8 * le32_get(entry->words));
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
	unsigned each = sound_prios_per_part(&layout->sizes);
	uint64_t bucket = le64_get(finder->newest->prio_bucket[0]);

	layout->generations = sim_alloc(layout->sizes.buckets);
	for (uint64_t done = 0; done < layout->sizes.buckets; done += each) {
		uint64_t offset = bucket * layout->sizes.bucket_bytes;
		const struct prio_part_disk *part = (const void *)(finder->cache + offset);

		area_add(layout, AREA_PART, offset, layout->sizes.meta_bytes);
		for (unsigned i = 0; i < each && done + i < layout->sizes.buckets; i++)
			layout->generations[done + i] = part->buckets[i].generation;
		bucket = le64_get(part->next);
	}
}

static void find_uuids(struct finder *finder)
{
	const struct bkey_disk *key = (const void *)&finder->newest->uuid_bucket;

	area_add(finder->layout, AREA_UUIDS, sound_key_offset(key),
		 sound_key_sectors(key) * SECTOR);
}

/* ---- the btree ---- */

/* Its bsets become areas; the keys of all of them go into `keys`. */
static unsigned take_bsets(struct finder *finder, unsigned number, struct bkey_disk **keys)
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
		     key += sound_key_words(keys[count - 1]))
			keys[count++] = (struct bkey_disk *)(set->keys + key);
		at += sound_round_to_block(&layout->sizes, sizeof(*set) + 8 * words);
	}
	return count;
}

static void find_nodes(struct finder *finder, const struct bkey_disk *key, unsigned level)
{
	struct layout *layout = finder->layout;
	struct bkey_disk **keys = sim_alloc(CHILDREN_MAX * sizeof(*keys));
	unsigned number = layout->nodes++, count;

	if (layout->nodes > NODES_MAX)
		sim_fail("a base set has more than %d nodes", NODES_MAX);
	layout->node[number] = (struct node_place){ sound_key_offset(key),
						    sound_key_sectors(key) * SECTOR, level,
						    le64_get(key->pointers[0]) };
	count = sound_live_children(&layout->sizes, layout->generations, keys,
				    take_bsets(finder, number, keys));
	for (unsigned i = 0; level && i < count; i++)
		find_nodes(finder, keys[i], level - 1);
	sim_free(keys);
}

/* ---- all ---- */

struct layout *layout_find(const uint8_t *cache, uint64_t bytes)
{
	struct layout *layout = sim_alloc(sizeof(*layout));
	struct finder finder = { .cache = cache, .layout = layout };
	const struct superblock_disk *sb = (const void *)(cache + SUPERBLOCK_SECTOR * SECTOR);

	layout->bytes = bytes;
	sound_take_sizes(&layout->sizes, sb);
	layout->journal_buckets = le16_get(sb->keys);
	layout->journal_offset = le64_get(sb->journal_buckets[0]) * layout->sizes.bucket_bytes;
	area_add(layout, AREA_SUPERBLOCK, SUPERBLOCK_SECTOR * SECTOR, SUPERBLOCK_BYTES);
	if (!(le64_get(sb->flags) & 1))
		return layout;
	layout->node = sim_map(NODES_MAX * sizeof(layout->node[0]));
	find_entries(&finder, sb);
	find_parts(&finder);
	find_uuids(&finder);
	find_nodes(&finder, (const void *)&finder.newest->btree_root,
		   le16_get(finder.newest->btree_level));
	return layout;
}
