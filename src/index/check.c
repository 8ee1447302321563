/*
 * Checks the invariants of all nodes in memory, for tests and the simulator.
 */
#include <errno.h>

#include "index/internal.h"
#include "space/space.h"

/* Both runs together must be sorted, without overlaps, and inside the leaf. */
static LOCKED int check_leaf_run(const struct index *index, const struct node *leaf,
				 struct error *error)
{
	struct bkey last = { .high = 0 };	/* all keys with a size lie behind this */
	struct bucket_range range = space_range(index->setup.space);
	struct node_walk walk;
	const struct bkey *k;
	char text[2][BKEY_TEXT_BYTES];
	int failed;

	node_walk_begin(&walk, leaf);
	while ((k = node_walk_next(&walk))) {
		if (!bkey_sectors(k))
			continue;
		if (!node_covers(leaf, k))
			return error_set(error, EINVAL, "%s lies behind the end of its leaf",
					 bkey_print(text[0], k));
		if (bkey_compare(k, &last) <= 0 ||
		    (bkey_volume(k) == bkey_volume(&last) && bkey_start(k) < bkey_end(&last)))
			return error_set(error, EINVAL, "%s overlaps or precedes %s",
					 bkey_print(text[0], k), bkey_print(text[1], &last));
		failed = bkey_check(k, &range, error);
		if (failed)
			return failed;
		last = *k;
	}
	return 0;
}

/* Children must be sorted and live, and the last must end where the node ends. */
static LOCKED int check_children(const struct index *index, const struct node *node,
				 struct error *error)
{
	for (unsigned i = 0; i < node->keys.count; i++) {
		const struct bkey *k = &node->keys.key[i];
		char text[BKEY_TEXT_BYTES];

		if (i && bkey_compare(k, &node->keys.key[i - 1]) <= 0)
			return error_set(error, EINVAL, "child %s is out of order",
					 bkey_print(text, k));
		if (space_staleness(index->setup.space, k->ptr))
			return error_set(error, EINVAL, "child %s is stale", bkey_print(text, k));
	}
	if (!node->keys.count || bkey_compare(&node->keys.key[node->keys.count - 1], &node->key))
		return error_set(error, EINVAL, "the last child is not where the node ends");
	return 0;
}

static LOCKED int check_node(const struct index *index, const struct node *node,
			     struct error *error)
{
	unsigned words;
	int failed;

	if (node->state != NODE_READY)
		return 0;
	if (node->written_sectors > node->sectors)
		return error_set(error, EINVAL, "a log of %u sectors in a node of %u",
				 node->written_sectors, node->sectors);
	failed = node->level ? check_children(index, node, error) :
			       check_leaf_run(index, node, error);
	if (failed)
		return failed;
	words = run_words(&node->open);
	if (words != node->open_words)
		return error_set(error, EINVAL, "open run of %u words, counted %u", words,
				 node->open_words);
	return 0;
}

int index_check(struct index *index, struct error *error)
{
	struct list_link *link;

	for (link = list_first(&index->lru); link; link = list_next(&index->lru, link)) {
		const struct node *node = container_of(link, struct node, lru_link);
		int failed = check_node(index, node, error);

		if (failed)
			return error_prefix(error, "btree node at sector %llu, level %u",
					    (unsigned long long)pointer_sector(node->key.ptr),
					    node->level);
	}
	return 0;
}
