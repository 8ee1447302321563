/*
 * Walks over all nodes, leaf by leaf from left to right.
 *
 *	         root               the path to the third leaf: root, b, 3
 *	       /      \             new on it: b, 3
 *	     a          b
 *	   /   \      /   \
 *	  1     2    3     4
 *
 * Between two leaves the set lock may be dropped and nodes may be replaced: a walk knows
 * a position, and by their pointers the interior nodes that it has passed last.
 */
#include "index/internal.h"

void index_walk_begin(struct index_walk *walk)
{
	*walk = (struct index_walk){ .is_complete = false };
}

int index_walk_leaf(struct index *index, struct index_walk *walk, struct op *op)
{
	assert(!walk->is_complete);
	walk->levels = index->root->level + 1;
	return index_path(index, walk->at, walk->path, op);
}

bool index_walk_is_new(const struct index_walk *walk, unsigned level)
{
	return !level || walk->seen[level] != walk->path[level]->key.ptr;
}

void index_walk_next(struct index_walk *walk)
{
	const struct bkey *end = &walk->path[0]->key;
	struct bkey last = bkey_max();

	for (unsigned level = 1; level < walk->levels; level++)
		walk->seen[level] = walk->path[level]->key.ptr;
	walk->is_complete = bkey_compare(end, &last) == 0;
	walk->at = (struct position){ bkey_volume(end), bkey_end(end) };
}
