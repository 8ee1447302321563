/*
 * Walks from the root to a leaf, looks up a position, and iterates over keys.
 */
#include <errno.h>

#include "base/numbers.h"
#include "index/internal.h"

bool index_key_is_usable(const struct index *index, const struct bkey *k)
{
	return bkey_sectors(k) && bkey_pointers(k) &&
	       bkey_volume(k) < index->setup.volumes && !index->is_gone[bkey_volume(k)] &&
	       space_pointer_is_valid(index->setup.space, k->ptr, bkey_sectors(k)) &&
	       !space_staleness(index->setup.space, k->ptr);
}

static void lost_path(struct node *lost, struct node *path[INDEX_LEVELS_MAX])
{
	for (unsigned level = lost->level; level--;)
		path[level] = lost;
}

/* Nodes cannot change while the set lock is held, so the path is consistent as a whole. */
int index_path(struct index *index, struct position from, struct node *path[INDEX_LEVELS_MAX],
	       struct op *op)
{
	struct node *node = index->root;
	int error = health_error(index->setup.health);

	if (error)
		return error;
	for (;;) {
		unsigned at;

		path[node->level] = node;
		if (node->is_lost)
			lost_path(node, path);
		if (!node->level || node->is_lost)
			return 0;
		at = run_find(&node->keys, from.volume, from.sector);
		if (at == node->keys.count) {
			health_fail(index->setup.health, EINVAL,
				    "btree node at sector %llu, level %u, has no child for %u:%llu",
				    (unsigned long long)pointer_sector(node->key.ptr), node->level,
				    from.volume, (unsigned long long)from.sector);
			return health_error(index->setup.health);
		}
		error = node_get(index, &node->keys.key[at], node->level - 1, &node, op);
		if (error)
			return error;
	}
}

int index_leaf(struct index *index, struct position from, struct node **leaf, struct op *op)
{
	struct node *path[INDEX_LEVELS_MAX];
	int error = index_path(index, from, path, op);

	if (!error)
		*leaf = path[0];
	return error;
}

void node_walk_begin(struct node_walk *walk, const struct node *node)
{
	*walk = (struct node_walk){ .node = node };
}

void node_walk_begin_at(struct node_walk *walk, const struct node *node, struct position at)
{
	*walk = (struct node_walk){
		.node = node,
		.at_keys = run_find(&node->keys, at.volume, at.sector),
		.at_open = run_find(&node->open, at.volume, at.sector),
	};
}

const struct bkey *node_walk_next(struct node_walk *walk)
{
	const struct run *keys = &walk->node->keys;
	const struct run *open = &walk->node->open;
	bool have_open = walk->at_open < open->count;

	if (walk->at_keys == keys->count)
		return have_open ? &open->key[walk->at_open++] : NULL;
	if (have_open && bkey_compare(&open->key[walk->at_open], &keys->key[walk->at_keys]) < 0)
		return &open->key[walk->at_open++];
	return &keys->key[walk->at_keys++];
}

/* Limits `sectors` to the end of the leaf: it knows nothing beyond. */
static uint64_t sectors_in_leaf(const struct node *leaf, struct position from, uint64_t sectors)
{
	if (bkey_volume(&leaf->key) != from.volume)
		return sectors;
	return min_u64(sectors, bkey_end(&leaf->key) - from.sector);
}

/* The answer of the leaf in which the range begins. */
static LOCKED void look_up_in_leaf(const struct index *index, const struct node *leaf,
				   unsigned volume, uint64_t start, uint64_t sectors,
				   struct lookup *answer)
{
	struct position from = { volume, start };
	struct node_walk walk;
	const struct bkey *k;

	answer->is_hit = false;
	answer->is_lost = leaf->is_lost;
	node_walk_begin_at(&walk, leaf, from);
	sectors = sectors_in_leaf(leaf, from, sectors);
	while ((k = node_walk_next(&walk))) {
		/* A hidden key keeps its place, perhaps before the key that hides it. */
		if (!bkey_sectors(k))
			continue;
		if (bkey_volume(k) != volume || bkey_start(k) >= start + sectors)
			break;
		if (!index_key_is_usable(index, k))
			continue;
		if (bkey_start(k) > start) {
			answer->sectors = bkey_start(k) - start;
			return;
		}
		answer->is_hit = true;
		answer->is_lost = false;
		answer->key = *k;
		bkey_cut_front(&answer->key, start);
		if (bkey_end(&answer->key) > start + sectors)
			bkey_cut_back(&answer->key, start + sectors);
		answer->sectors = bkey_sectors(&answer->key);
		return;
	}
	answer->sectors = sectors;
}

int index_lookup(struct index *index, unsigned volume, uint64_t start, uint64_t sectors,
		 struct lookup *answer, struct op *op)
{
	struct node *leaf;
	int error = index_leaf(index, (struct position){ volume, start }, &leaf, op);

	if (!error)
		look_up_in_leaf(index, leaf, volume, start, sectors, answer);
	return error;
}

int index_peek(struct index *index, unsigned volume, uint64_t start, uint64_t sectors,
	       struct lookup *answer)
{
	const struct node *node = index->root;

	while (node && node->level) {
		unsigned at = run_find(&node->keys, volume, start);

		node = at < node->keys.count ? node_peek(index, &node->keys.key[at],
							       node->level - 1) : NULL;
	}
	if (!node)
		return -EIO;
	look_up_in_leaf(index, node, volume, start, sectors, answer);
	return 0;
}
