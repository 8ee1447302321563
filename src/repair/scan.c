/*
 * Reads all buckets, and decodes those that begin with a bset; see scan.h.
 */
#include "repair/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "io/buffer.h"

struct sink {
	struct node_faults faults;
	unsigned count;			/* of the faults */
	bool has_key;
	struct position from, to;	/* of all keys, whether later ones hide them or not */
};

static int sink_take(struct node_faults *faults, const struct error *fault)
{
	container_of(faults, struct sink, faults)->count++;
	return fault->code == ENOMEM ? -ENOMEM : -EINVAL;
}

static bool is_before(struct position a, struct position b)
{
	return a.volume != b.volume ? a.volume < b.volume : a.sector < b.sector;
}

static void sink_see(struct node_faults *faults, const struct bkey *k)
{
	struct sink *sink = container_of(faults, struct sink, faults);
	struct position from = { bkey_volume(k), bkey_start(k) };
	struct position to = { bkey_volume(k), bkey_end(k) };

	if (!sink->has_key || is_before(from, sink->from))
		sink->from = from;
	if (!sink->has_key || is_before(sink->to, to))
		sink->to = to;
	sink->has_key = true;
}

/* ---- one node ---- */

static const struct check *check_of(const struct scan *scan) { return &scan->repair->check; }

static void decode_begin(struct scan *scan, const struct bkey *key, unsigned level,
			 struct sink *sink)
{
	const struct superblock *sb = &check_of(scan)->cache->sb;
	struct node_decode *decode = &scan->decode;

	*sink = (struct sink){ .faults = { .take = sink_take, .see = sink_see } };
	decode->bytes = scan->bytes;
	decode->key = bkey_with_pointer(bkey_of(BKEY_VOLUME_MAX, BKEY_END_MAX, bkey_sectors(key)),
					key->ptr);	/* its end is not known */
	decode->level = level;
	decode->set_magic = superblock_set_magic(sb);
	decode->block_sectors = sb->block_sectors;
	decode->range = space_range(&check_of(scan)->space);
	decode->faults = &sink->faults;
	node_decode_begin(decode);
}

static int decode_all(struct scan *scan)
{
	int result;

	do
		result = node_decode(&scan->decode, INT32_MAX);
	while (result == -EAGAIN);
	return result;
}

static bool copy_run(struct run *to, const struct run *from)
{
	if (!run_try_reserve(to, max_u64(from->count, 1)))
		return false;
	for (unsigned i = 0; i < from->count; i++)
		run_add(to, &from->key[i]);
	return true;
}

/* Are all its keys pointers to nodes, or records of freed ones? */
static bool looks_interior(const struct scan *scan, const struct bkey *key)
{
	const struct superblock *sb = &check_of(scan)->cache->sb;
	const struct run *children = &scan->decode.children;

	for (unsigned i = 0; i < children->count; i++) {
		const struct bkey *k = &children->key[i];

		if (!bkey_has_usable_pointer(k) || bkey_sectors(k) != bkey_sectors(key) ||
		    pointer_sector(k->ptr) % sb->bucket_sectors || bkey_is_dirty(k))
			return false;
	}
	return children->count;
}

/* 0: it is one, and `node` has its children.  1: it is none. */
static int take_interior(struct scan *scan, struct scan_node *node)
{
	struct sink sink;
	int failed;

	decode_begin(scan, &node->key, 1, &sink);
	failed = decode_all(scan);
	if (failed == -ENOMEM)
		return failed;
	if (failed || sink.count || !looks_interior(scan, &node->key))
		return 1;
	node->is_interior = true;
	return copy_run(&node->children, &scan->decode.children) ? 0 : -ENOMEM;
}

/* Of a leaf, also what it had when it was new. */
static int take_leaf(struct scan *scan, struct scan_node *node)
{
	struct sink sink;
	int failed;

	decode_begin(scan, &node->key, 0, &sink);
	failed = node_decode(&scan->decode, 1);
	if (!failed || failed == -EAGAIN) {
		const struct run *first = scan->decode.extents.count ?
			&scan->decode.extents.run[0] : NULL;
		static const struct run none;

		if (!copy_run(&node->first, first ? first : &none))
			return -ENOMEM;
	}
	if (failed == -EAGAIN)
		failed = decode_all(scan);
	if (failed == -ENOMEM)
		return failed;
	if (failed || sink.count)
		return 1;
	node->from = sink.from;
	node->key = bkey_with_pointer(bkey_of(sink.to.volume, sink.to.sector,
					      bkey_sectors(&node->key)), node->key.ptr);
	return copy_run(&node->all, &scan->decode.extents.run[0]) ? 0 : -ENOMEM;
}

static void node_done(struct scan_node *node)
{
	run_done(&node->children);
	run_done(&node->first);
	run_done(&node->all);
}

static int add_node(struct scan *scan, const struct scan_node *node)
{
	if (scan->nodes == scan->room) {
		unsigned room = scan->room * 2 + 64;
		struct scan_node *grown = realloc(scan->node, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		scan->node = grown;
		scan->room = room;
	}
	scan->node[scan->nodes++] = *node;
	return 0;
}

/* ---- all buckets ---- */

static bool begins_with_bset(const struct scan *scan)
{
	const struct bset_disk *set = (const void *)scan->bytes;

	return le64_get(set->magic) ==
	       (superblock_set_magic(&check_of(scan)->cache->sb) ^ BSET_MAGIC);
}

static int take_bucket(struct scan *scan, uint64_t number)
{
	const struct superblock *sb = &check_of(scan)->cache->sb;
	uint64_t sector = number * sb->bucket_sectors;
	unsigned sectors = superblock_node_sectors(sb);
	uint8_t generation = check_of(scan)->space.bucket[number].generation;
	struct scan_node node = {
		.key = bkey_with_pointer(bkey_of(0, 0, sectors),
					 pointer_of(0, sector, generation)),
	};
	int failed;

	if (device_read_now(check_of(scan)->cache->device, scan->bytes, sector,
			    sb->block_sectors) || !begins_with_bset(scan) ||
	    device_read_now(check_of(scan)->cache->device, scan->bytes, sector, sectors))
		return 0;
	failed = take_interior(scan, &node);
	if (failed == 1)
		failed = take_leaf(scan, &node);
	if (!failed)
		failed = add_node(scan, &node);
	if (failed)
		node_done(&node);
	return failed == 1 ? 0 : failed;
}

/* They are in the order of their buckets. */
static struct scan_node *node_at(const struct scan *scan, uint64_t sector)
{
	unsigned low = 0, high = scan->nodes;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (pointer_sector(scan->node[middle].key.ptr) < sector)
			low = middle + 1;
		else
			high = middle;
	}
	return low < scan->nodes && pointer_sector(scan->node[low].key.ptr) == sector ?
	       &scan->node[low] : NULL;
}

struct scan_node *scan_find(const struct scan *scan, uint64_t ptr)
{
	struct scan_node *node = node_at(scan, pointer_sector(ptr));

	return node && node->key.ptr == ptr ? node : NULL;
}

/* SCAN-1: a node is replaced if any pointer to its bucket is newer. */
static void find_replaced(struct scan *scan)
{
	for (unsigned i = 0; i < scan->nodes; i++) {
		const struct run *children = &scan->node[i].children;

		for (unsigned c = 0; c < children->count; c++) {
			uint64_t ptr = children->key[c].ptr;
			struct scan_node *node = node_at(scan, pointer_sector(ptr));

			if (node && generation_after(pointer_generation(ptr),
						     pointer_generation(node->key.ptr)))
				node->is_replaced = true;
		}
	}
}

/* From its last child, in order of their ends. */
static void place_interior(struct scan *scan, struct scan_node *node)
{
	const struct bkey *last = NULL, *first = NULL;

	for (unsigned i = 0; i < node->children.count; i++) {
		const struct bkey *k = &node->children.key[i];
		const struct scan_node *child = scan_find(scan, k->ptr);

		if (bkey_is_zero_position(k) || !child || child->is_replaced)
			continue;
		node->level = max_u64(node->level, child->level + 1);
		if (!last || bkey_compare(k, last) > 0)
			last = k;
		if (!first || bkey_compare(k, first) < 0) {
			first = k;
			node->from = child->from;
		}
	}
	if (last)
		node->key = bkey_with_pointer(bkey_of(bkey_volume(last), bkey_end(last),
						      bkey_sectors(&node->key)), node->key.ptr);
}

/* From the leaves up: each pass finds the level of the nodes above those of the one before. */
static void find_levels(struct scan *scan)
{
	for (unsigned pass = 0; pass < INDEX_LEVELS_MAX; pass++)
		for (unsigned i = 0; i < scan->nodes; i++)
			if (scan->node[i].is_interior)
				place_interior(scan, &scan->node[i]);
	for (unsigned i = 0; i < scan->nodes; i++)
		if (scan->node[i].is_interior && !scan->node[i].level)
			scan->node[i].is_replaced = true;	/* none of its children is left */
}

int scan_nodes(struct scan *scan, struct repair *repair, struct error *error)
{
	const struct check *check = &repair->check;
	struct bucket_range range = space_range(&check->space);
	int failed = 0;

	*scan = (struct scan){ .repair = repair };
	scan->bytes = buffer_try_new(superblock_node_sectors(&check->cache->sb) * 512);
	if (!scan->bytes)
		return repair_no_memory(error);
	for (uint64_t i = range.first; i < range.end && !failed; i++)
		failed = take_bucket(scan, i);
	if (failed)
		return repair_no_memory(error);
	find_replaced(scan);
	find_levels(scan);
	return 0;
}

void scan_done(struct scan *scan)
{
	for (unsigned i = 0; i < scan->nodes; i++)
		node_done(&scan->node[i]);
	free(scan->node);
	buffer_free(scan->bytes);
	node_decode_done(&scan->decode);
	*scan = (struct scan){ .nodes = 0 };
}
