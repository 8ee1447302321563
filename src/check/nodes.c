/*
 * Walks over all nodes from the root down, leaf by leaf from left to right.
 *
 * A node with a fault is taken as far as it can be read, and the walk goes on.  No walk reads a
 * bucket twice (VERIFY-2): the survey refuses a second pointer to a node, too.
 *
 *	WALK_LEARN     takes generations from pointers (generations.c)
 *	WALK_JUDGE     looks for faults, and is the one that reports them
 *	WALK_COMPARE   goes where that one was, and compares data (against.c)
 */
#include <errno.h>
#include <string.h>

#include "check/internal.h"
#include "io/buffer.h"

/* A node on the path of the walk. */
struct looked_at {
	struct node_faults faults;
	struct check *check;
	struct bkey key;
	unsigned level;
	struct position from;		/* where its range begins */
	struct run live, freed;		/* its children, and the records of freed nodes */
};

static void walk(struct check *check, const struct bkey *key, unsigned level,
		 struct position *from);

static void node_fault(const struct looked_at *node, enum check_id id, const struct error *error)
{
	struct check_fault fault = check_fault_of(node->check, id, error);

	fault.has_bucket = fault.has_range = true;
	fault.bucket = space_bucket_of(&node->check->space, node->key.ptr);
	fault.node = node->key;
	fault.level = node->level;
	fault.from = node->from;
	fault.to = (struct position){ bkey_volume(&node->key), bkey_end(&node->key) };
	fault.loss = LOSS_POSSIBLE;
	check_report(node->check, &fault);
}

static int take_node_fault(struct node_faults *faults, const struct error *error)
{
	const struct looked_at *node = container_of(faults, struct looked_at, faults);

	if (error->code == ENOMEM) {
		check_say(node->check, CHECK_NO_MEMORY, "%s", error->text);
		return -ENOMEM;
	}
	node_fault(node, CHECK_NODE_BAD, error);
	return 0;
}

/* Copies on other devices count where there is none on the set's own. */
static void see_key(struct node_faults *faults, const struct bkey *k)
{
	const struct looked_at *node = container_of(faults, struct looked_at, faults);
	char text[BKEY_TEXT_BYTES];
	struct error error;

	if (!check_points_elsewhere(k))
		return;
	error_set(&error, EINVAL, "leaf in bucket %llu: extent %s: the set has no such device",
		  (unsigned long long)space_bucket_of(&node->check->space, node->key.ptr),
		  bkey_print(text, k));
	check_report_extent(node->check, CHECK_EXTENT_ELSEWHERE, k, &error);
}

/* ---- one node ---- */

static bool was_walked(struct looked_at *node, enum check_walk walk)
{
	unsigned char bit = BUCKET_WALKED << walk;

	return node->check->bucket[space_bucket_of(&node->check->space, node->key.ptr)] & bit;
}

bool check_has_visited(const struct check *check, uint64_t bucket)
{
	return check->bucket[bucket] & BUCKET_WALKED << WALK_JUDGE;
}

/* Does this walk come to the bucket for the first time, and may a node be there? */
static bool is_to_be_visited(struct looked_at *node)
{
	struct check *check = node->check;
	struct error error;

	if (check->walk == WALK_JUDGE && check_survey_metadata(check, &node->key, &error)) {
		node_fault(node, CHECK_NODE_POINTER_BAD, &error);
		return false;
	}
	if (was_walked(node, check->walk) ||
	    (check->walk == WALK_COMPARE && !was_walked(node, WALK_JUDGE)))
		return false;
	check->bucket[space_bucket_of(&check->space, node->key.ptr)] |=
		BUCKET_WALKED << check->walk;
	return true;
}

/* All of it, as far as it can be had. */
static int decode_node(struct looked_at *node)
{
	const struct superblock *sb = &node->check->cache->sb;
	struct node_decode *decode = &node->check->decode;
	int result;

	node->faults.take = take_node_fault;
	node->faults.see = node->level ? NULL : see_key;
	decode->bytes = node->check->node_bytes;
	decode->key = node->key;
	decode->level = node->level;
	decode->set_magic = superblock_set_magic(sb);
	decode->block_sectors = sb->block_sectors;
	decode->range = space_range(&node->check->space);
	decode->faults = &node->faults;
	node_decode_begin(decode);
	do
		result = node_decode(decode, INT32_MAX);
	while (result == -EAGAIN);
	return result;
}

/* False: no memory. */
static bool make_room(struct check *check, unsigned sectors)
{
	if (sectors <= check->node_room)
		return true;
	buffer_free(check->node_bytes);
	check->node_bytes = buffer_try_new(sectors * 512);
	check->node_room = check->node_bytes ? sectors : 0;
	if (!check->node_bytes)
		check_say(check, CHECK_NO_MEMORY, "no memory for a node of %u sectors", sectors);
	return check->node_bytes;
}

static int read_node(struct looked_at *node)
{
	unsigned sectors = bkey_sectors(&node->key);
	struct check *check = node->check;
	struct error error;
	int failed;

	if (sectors % check->cache->sb.block_sectors) {
		error_set(&error, EINVAL, "the node has %u sectors, wanted whole blocks of %u",
			  sectors, check->cache->sb.block_sectors);
		node_fault(node, CHECK_NODE_BAD, &error);
		return -EINVAL;
	}
	if (!make_room(check, sectors))
		return -ENOMEM;
	failed = device_read_now(check->cache->device, check->node_bytes,
				 pointer_sector(node->key.ptr), sectors);
	if (!failed)
		return decode_node(node);
	error_set(&error, -failed, "the node cannot be read: %s", strerror(-failed));
	node_fault(node, CHECK_NODE_UNREADABLE, &error);
	return failed;
}

/* ---- an interior node ---- */

/* By bucket; of a bucket, by generation. */
static int compare_places(const void *a, const void *b)
{
	uint64_t x = ((const struct bkey *)a)->ptr, y = ((const struct bkey *)b)->ptr;

	return x < y ? -1 : x > y;
}

/* Each record of a bucket and a generation once: so there are at most 256 of a bucket. */
static void sort_freed(struct run *freed)
{
	unsigned kept = 0;

	if (!freed->count)
		return;
	qsort(freed->key, freed->count, sizeof(struct bkey), compare_places);
	for (unsigned i = 1; i < freed->count; i++)
		if (freed->key[i].ptr != freed->key[kept].ptr)
			freed->key[++kept] = freed->key[i];
	freed->count = kept + 1;
}

/* The first record of the bucket, or of one behind it. */
static unsigned find_freed(const struct space *space, const struct run *freed, uint64_t bucket)
{
	unsigned low = 0, high = freed->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (space_bucket_of(space, freed->key[middle].ptr) < bucket)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Is there a record that the bucket of `k` was freed, since `k` pointed to it? */
static bool was_freed(const struct looked_at *node, const struct bkey *k)
{
	const struct space *space = &node->check->space;
	uint64_t bucket = space_bucket_of(space, k->ptr);
	unsigned at = find_freed(space, &node->freed, bucket);

	for (; at < node->freed.count; at++) {
		uint64_t ptr = node->freed.key[at].ptr;

		if (space_bucket_of(space, ptr) != bucket)
			break;
		if (check_staleness(node->check, ptr) < check_staleness(node->check, k->ptr))
			return true;
	}
	return false;
}

/* As recovery has it: a stale pointer to a node that was not replaced is damage. */
static void look_at_dead_children(const struct looked_at *node)
{
	const struct run *all = &node->check->decode.children;
	char text[BKEY_TEXT_BYTES];
	struct error error;

	for (unsigned i = 0; i < all->count && node->check->walk == WALK_JUDGE; i++) {
		const struct bkey *k = &all->key[i];

		if (bkey_is_zero_position(k) || !check_staleness(node->check, k->ptr) ||
		    was_freed(node, k))
			continue;
		error_set(&error, EINVAL, "child %s is %u generations stale, and was not replaced",
			  bkey_print(text, k), check_staleness(node->check, k->ptr));
		node_fault(node, CHECK_NODE_POINTER_STALE, &error);
	}
}

static void take_generations(const struct looked_at *node)
{
	const struct run *all = &node->check->decode.children;
	struct error error;

	for (unsigned i = 0; i < all->count; i++) {
		uint64_t ptr = all->key[i].ptr;

		if (node->check->walk == WALK_LEARN)
			check_learn_pointer(node->check, ptr);
		else if (node->check->walk == WALK_JUDGE && check_survey(node->check, ptr, &error))
			node_fault(node, CHECK_NODE_POINTER_BAD, &error);
	}
}

/* The children that count, in order. */
static int take_children(struct looked_at *node)
{
	const struct run *all = &node->check->decode.children;

	take_generations(node);
	if (!run_try_reserve(&node->live, all->count) || !run_try_reserve(&node->freed, all->count))
		return node_decode_no_memory(&node->check->decode);
	for (unsigned i = 0; i < all->count; i++) {
		const struct bkey *k = &all->key[i];

		if (bkey_is_zero_position(k))
			run_add(&node->freed, k);
		else if (!check_staleness(node->check, k->ptr))
			run_add(&node->live, k);
	}
	sort_freed(&node->freed);
	look_at_dead_children(node);
	run_done(&node->freed);
	return node_decode_live(&node->check->decode, &node->live);
}

/* Their memory is all that a node keeps while the nodes below it are visited. */
static void walk_interior(struct looked_at *node, bool is_read, struct position *from)
{
	if (is_read && !take_children(node))
		for (unsigned i = 0; i < node->live.count && !node->check->is_stopped; i++)
			walk(node->check, &node->live.key[i], node->level - 1, from);
	run_done(&node->live);
	run_done(&node->freed);
}

/* ---- the walk ---- */

static void learn_leaf(struct check *check)
{
	const struct run *keys = &check->decode.extents.run[0];

	for (unsigned i = 0; i < keys->count; i++)
		if (check_has_place(check, &keys->key[i]))
			check_learn_pointer(check, keys->key[i].ptr);
}

/* Of a leaf that could not be read there is what the journal knows. */
static void walk_leaf(struct looked_at *node, bool is_read)
{
	static const struct run nothing = { .key = NULL };
	struct check *check = node->check;

	if (check->walk != WALK_LEARN)
		check_leaf(check, is_read ? &check->decode.extents.run[0] : &nothing, node->from,
			   &node->key);
	else if (is_read)
		learn_leaf(check);
}

static void tell_node(const struct looked_at *node, bool is_read)
{
	const struct node_decode *decode = &node->check->decode;
	const struct run *keys = node->level ? &decode->children : &decode->extents.run[0];
	struct check_node told = { .key = node->key, .level = node->level };
	struct check *check = node->check;

	if (check->walk != WALK_JUDGE || !check->watch->node)
		return;
	told.keys = is_read ? keys->count : 0;
	check->watch->node(check->watch, check, &told);
}

/* The range of a node begins where that of the one before ends, whatever lies between. */
static void walk(struct check *check, const struct bkey *key, unsigned level,
		 struct position *from)
{
	struct looked_at node = { .check = check, .key = *key, .level = level, .from = *from };
	bool is_read;

	if (check->walk != WALK_COMPARE &&
	    !check_goes_on(check, PHASE_INDEX, check->index_done, check->index_bytes))
		return;
	if (is_to_be_visited(&node)) {
		if (check->walk == WALK_JUDGE)
			check_tell_place(check, PLACE_NODE, pointer_sector(key->ptr),
					 bkey_sectors(key), key->ptr);
		check->nodes += check->walk == WALK_JUDGE;
		check->index_done += bkey_sectors(key) * 512;
		is_read = !read_node(&node);
		tell_node(&node, is_read);
		if (level)
			walk_interior(&node, is_read, from);
		else
			walk_leaf(&node, is_read);
	}
	*from = (struct position){ bkey_volume(key), bkey_end(key) };
}

void check_nodes(struct check *check, enum check_walk kind)
{
	struct position from = { 0, 0 };

	check->walk = kind;
	check_leaves_begin(check);
	if (check->has_root)
		walk(check, &check->root, check->root_level, &from);
	if (kind != WALK_LEARN && !check->is_stopped)
		check_leaves_end(check);
	check->walk = WALK_JUDGE;
}
