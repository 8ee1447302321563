/*
 * The cache of nodes in memory: a hash table by location, with lru eviction.
 *
 * (NODE-1) A node is evicted only if it is clean, is not the root, is not lost, is not being
 *     read, written, replaced or appended to, and no op waits for it.
 */
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "index/internal.h"

static struct list *hash_of(struct index *index, uint64_t ptr)
{
	uint64_t bucket = pointer_sector(ptr) / index->setup.node_sectors;

	return &index->hash[(bucket * UINT64_C(0x9e3779b97f4a7c15)) >> 52];
}
_Static_assert(NODE_HASH_SIZE == 1 << 12, "hash_of() takes the upper 12 bits");

static struct node *find(struct index *index, uint64_t ptr)
{
	struct list *list = hash_of(index, ptr);

	for (struct list_link *link = list_first(list); link; link = list_next(list, link)) {
		struct node *node = container_of(link, struct node, hash_link);

		if (node->key.ptr == ptr)
			return node;
	}
	return NULL;
}

struct node *node_peek(struct index *index, const struct bkey *key, unsigned level)
{
	struct node *node = find(index, key->ptr);

	return node && node->state != NODE_READING && node->level == level &&
		       !bkey_compare(&node->key, key) ? node : NULL;
}

/* Reuses an evicted struct, whose arrays are still allocated. */
static struct node *unused_node(struct index *index)
{
	struct list_link *link = list_take_first(&index->unused);
	struct node *node;

	if (link)
		return container_of(link, struct node, lru_link);
	node = calloc(1, sizeof(*node));
	assert(node);
	return node;
}

struct node *node_new(struct index *index, const struct bkey *key, unsigned level)
{
	struct node *node = unused_node(index);
	struct run keys = node->keys, open = node->open, dead = node->dead;

	keys.count = open.count = dead.count = 0;
	*node = (struct node){
		.key = *key,
		.level = level,
		.state = NODE_READY,
		.sectors = bkey_sectors(key),
		.keys = keys,
		.open = open,
		.dead = dead,
	};
	waitlist_init(&node->waiting);
	list_add_last(hash_of(index, key->ptr), &node->hash_link);
	list_add_last(&index->lru, &node->lru_link);
	index->nodes++;
	return node;
}

/* A replaced node is not found any more, but lives on until its plan has ended. */
void node_unhash(struct index *index, struct node *node)
{
	(void)index;
	if (list_linked(&node->hash_link))
		list_remove(&node->hash_link);
}

void node_forget(struct index *index, struct node *node)
{
	assert(!node->write && !node->pin.sequence && waitlist_empty(&node->waiting));
	assert(!node->counted_sectors && !node->is_appended);
	node_unhash(index, node);
	list_remove(&node->lru_link);
	list_add_first(&index->unused, &node->lru_link);
	index->nodes--;
	waitlist_wake_all(&index->memory, 0);
}

/* Makes it the most recently used, unless it is already. */
void node_touch(struct index *index, struct node *node)
{
	if (list_next(&index->lru, &node->lru_link)) {
		list_remove(&node->lru_link);
		list_add_last(&index->lru, &node->lru_link);
	}
}

static bool may_be_forgotten(const struct index *index, const struct node *node)
{
	return node != index->root && node->state == NODE_READY && !node->is_lost &&
	       !node->is_frozen &&
	       !node->is_appended && !node->counted_sectors && !node->write &&
	       !node_is_dirty(node) && waitlist_empty(&node->waiting);
}

/*
 * Evicts the least recently used nodes until there are at most `most`; but where changed leaves
 * cannot be written, and may fill all memory, a path of the latest nodes stays: else a leaf and the
 * parent by which it is found drive each other out for ever.
 */
static LOCKED void forget_down_to(struct index *index, unsigned most)
{
	unsigned newer = index->nodes, spared = index->setup.memory_only ? INDEX_LEVELS_MAX : 0;
	struct list_link *link, *next;

	for (link = list_first(&index->lru); link && index->nodes > most; link = next) {
		struct node *node = container_of(link, struct node, lru_link);

		if (newer-- <= spared)
			return;
		next = list_next(&index->lru, link);
		SIM_SOMETIMES_IF(node->level && may_be_forgotten(index, node),
				 "an interior node is forgotten");
		if (may_be_forgotten(index, node))
			node_forget(index, node);
	}
}

void nodes_trim(struct index *index)
{
	if (!index->setup.memory_only)
		forget_down_to(index, index->nodes_max);
}

void index_prune(struct index *index, uint64_t count)
{
	if (!index->setup.memory_only)
		forget_down_to(index, index->nodes - min_u64(index->nodes, count));
}

/*
 * The longest unused node is a dirty leaf: it is written, so that it may be forgotten later.  Else
 * dirty leaves take all memory but for a place or two, in which a leaf and the parent by which it
 * is found drive each other out for ever.
 */
static LOCKED void write_if_oldest_is_dirty(struct index *index)
{
	for (struct list_link *link = list_first(&index->lru); link;
	     link = list_next(&index->lru, link)) {
		struct node *node = container_of(link, struct node, lru_link);

		if (may_be_forgotten(index, node))
			return;
		if (leaf_may_be_written(node)) {
			SIM_SOMETIMES("the longest unused leaf is written to make room");
			leaf_write_start(index, node);
			return;
		}
	}
}

/* Makes room for one more node.  False: starts to write dirty nodes, so that there will be. */
static LOCKED bool make_room(struct index *index)
{
	struct list_link *link;

	if (index->nodes >= index->nodes_max && !index->setup.memory_only)
		write_if_oldest_is_dirty(index);
	forget_down_to(index, index->nodes_max - 1);
	if (index->nodes < index->nodes_max)
		return true;
	if (index->setup.memory_only)	/* replayed leaves cannot be written, so they stay */
		return true;
	for (link = list_first(&index->lru); link; link = list_next(&index->lru, link)) {
		struct node *node = container_of(link, struct node, lru_link);

		if (leaf_may_be_written(node) && !leaf_write_start(index, node))
			break;
	}
	return false;
}

static bool key_is_of_a_node(const struct index *index, const struct bkey *key)
{
	return bkey_pointers(key) == 1 && bkey_sectors(key) &&
	       bkey_sectors(key) % index->setup.block_sectors == 0;
}

/* The op waits in any case: for memory, for a free read, or for this read to end. */
static LOCKED int begin_read(struct index *index, const struct bkey *key, unsigned level,
			     struct op *op)
{
	struct node *node;

	if (!key_is_of_a_node(index, key) ||
	    !space_pointer_is_valid(index->setup.space, key->ptr, bkey_sectors(key)) ||
	    pointer_sector(key->ptr) % index->setup.space->setup.bucket_sectors) {
		char text[BKEY_TEXT_BYTES];

		health_fail(index->setup.health, EINVAL, "spotted btree ptr %s",
			    bkey_print(text, key));
		return health_error(index->setup.health);
	}
	if (!make_room(index)) {
		SIM_SOMETIMES("a node waits for memory");
		waitlist_join(&index->memory, op);
		return -EAGAIN;
	}
	node = node_new(index, key, level);
	node->state = NODE_READING;
	if (node_read_start(index, node, op)) {
		node->state = NODE_READY;
		node_forget(index, node);
	} else {
		waitlist_join(&node->waiting, op);
	}
	return -EAGAIN;
}

/* Two pointers to one node would make walks of the tree loop. */
static LOCKED int check_name(const struct index *index, const struct node *found,
			     const struct bkey *key, unsigned level)
{
	char text[2][BKEY_TEXT_BYTES];

	if (found->level != level)
		health_fail(index->setup.health, EINVAL,
			    "btree node at sector %llu is at level %u and at level %u",
			    (unsigned long long)pointer_sector(key->ptr), found->level, level);
	else if (bkey_compare(&found->key, key) ||
		 bkey_sectors(&found->key) != bkey_sectors(key))
		health_fail(index->setup.health, EINVAL,
			    "two btree pointers to one node: %s and %s",
			    bkey_print(text[0], &found->key), bkey_print(text[1], key));
	return health_error(index->setup.health);
}

int node_get(struct index *index, const struct bkey *key, unsigned level, struct node **node,
	     struct op *op)
{
	struct node *found = find(index, key->ptr);
	int error = health_error(index->setup.health);

	if (error)
		return error;
	if (!found)
		return begin_read(index, key, level, op);
	if (found->state == NODE_READING) {
		SIM_SOMETIMES("two want a node that is being read");
		waitlist_join(&found->waiting, op);
		return -EAGAIN;
	}
	error = check_name(index, found, key, level);
	if (error)
		return error;
	node_touch(index, found);
	*node = found;
	return 0;
}
