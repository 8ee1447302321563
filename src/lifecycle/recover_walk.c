/*
 * WALK: marks every pointer of the leaves and of the keys to be replayed, and counts dirty
 * sectors.  Nothing is allocated before (RECOVER-1).
 */
#include "lifecycle/recover.h"

#include <errno.h>
#include <string.h>

#include "space/space.h"

/* An extent with a placeholder or without data has no bucket to mark. */
static LOCKED int mark_extent(struct recover *recover, const struct bkey *k)
{
	struct space *space = &recover->set->cache.space;
	struct error *error = recover->job.error;
	char text[BKEY_TEXT_BYTES];

	if (!bkey_sectors(k) || !bkey_pointers(k) ||
	    !space_pointer_is_valid(space, k->ptr, bkey_sectors(k)))
		return 0;
	if (!space_survey_extent(space, k->ptr, bkey_sectors(k), bkey_is_dirty(k), error))
		return 0;
	return error_prefix(error, "extent %s", bkey_print(text, k));
}

/* Does all of `k` lie before `from`? */
static bool lies_before(const struct bkey *k, struct position from)
{
	return bkey_volume(k) != from.volume ? bkey_volume(k) < from.volume :
					       bkey_end(k) <= from.sector && from.sector;
}

/* Marks the extents of a leaf, where the walk is, and counts the dirty ones. */
static LOCKED int mark_leaf(struct recover *recover, const struct node *leaf)
{
	struct cache_set *set = recover->set;
	char text[BKEY_TEXT_BYTES];
	unsigned long long bucket = space_bucket_of(&set->cache.space, leaf->key.ptr);
	struct node_walk walk;
	const struct bkey *k;

	node_walk_begin(&walk, leaf);
	while ((k = node_walk_next(&walk))) {
		if (lies_before(k, recover->walk.at))
			return error_set(recover->job.error, EINVAL,
					 "%s belongs to the leaf before that of bucket %llu",
					 bkey_print(text, k), bucket);
		if (mark_extent(recover, k))
			return error_prefix(recover->job.error, "leaf in bucket %llu", bucket);
		index_count_dirty(&set->index, k, 1);
	}
	return 0;
}

/* A second pointer to the bucket of a node is damage: the survey refuses it. */
static LOCKED int mark_node(struct recover *recover, const struct node *node)
{
	struct error *error = recover->job.error;
	char text[BKEY_TEXT_BYTES];

	if (space_survey_metadata(&recover->set->cache.space, node->key.ptr, node->sectors, error))
		return error_prefix(error, "btree node %s", bkey_print(text, &node->key));
	return 0;
}

/* Is there a record in the node that the bucket of `k` was freed, since `k` pointed to it? */
static LOCKED bool was_freed(const struct space *space, const struct node *node,
			     const struct bkey *k)
{
	for (unsigned i = 0; i < node->dead.count; i++) {
		const struct bkey *freed = &node->dead.key[i];

		if (bkey_is_zero_position(freed) &&
		    space_bucket_of(space, freed->ptr) == space_bucket_of(space, k->ptr) &&
		    space_staleness(space, freed->ptr) < space_staleness(space, k->ptr))
			return true;
	}
	return false;
}

/*
 * A child that was replaced leaves its pointer and, in the same bset, a record that its bucket was
 * freed.  A stale pointer without one is damage: that of a live child, whose keys would be lost.
 */
static LOCKED int check_dead_children(const struct recover *recover, const struct node *node)
{
	const struct space *space = &recover->set->cache.space;

	for (unsigned i = 0; i < node->dead.count; i++) {
		const struct bkey *k = &node->dead.key[i];
		char text[BKEY_TEXT_BYTES];

		if (bkey_is_zero_position(k) || was_freed(space, node, k))
			continue;
		return error_set(recover->job.error, EINVAL,
				 "btree node in bucket %llu: child %s is %u generations stale, and "
				 "was not replaced",
				 (unsigned long long)space_bucket_of(space, node->key.ptr),
				 bkey_print(text, k), space_staleness(space, k->ptr));
	}
	return 0;
}

/* Of a node that is lost (INDEX-6), no key is known. */
static LOCKED int mark_content(struct recover *recover, const struct node *node)
{
	if (node->is_lost)
		return 0;
	return node->level ? check_dead_children(recover, node) : mark_leaf(recover, node);
}

/* Marks the nodes of the path that are not marked yet, from the root down. */
static LOCKED int mark_path(struct recover *recover)
{
	const struct index_walk *walk = &recover->walk;

	for (unsigned level = walk->levels; level--;) {
		const struct node *node = walk->path[level];

		if (!index_walk_is_new(walk, level) || level < node->level)
			continue;
		if (mark_node(recover, node) || mark_content(recover, node))
			return -EINVAL;
	}
	return 0;
}

/* Visits the next leaf. */
static LOCKED int walk_on(struct recover *recover)
{
	struct cache_set *set = recover->set;
	int error = index_walk_leaf(&set->index, &recover->walk, &recover->job.op);

	error = error ?: mark_path(recover);
	if (error)
		return error;
	index_walk_next(&recover->walk);
	return health_error(&set->health);
}

/* Marks the extents of the keys to be replayed, so that their buckets count as used. */
static LOCKED int mark_journal(struct recover *recover)
{
	struct cache_set *set = recover->set;
	struct bucket_range range = space_range(&set->cache.space);

	for (unsigned i = 0; i < recover->found.count; i++) {
		const struct journal_entry_disk *entry = recover->found.entries[i];
		unsigned words = le32_get(entry->words);
		struct bkey k;

		for (unsigned at = 0, taken; at < words; at += taken) {
			taken = bkey_decode(&k, entry->keys + at, words - at);
			if (!taken)
				break;		/* cannot be: journal_read() has checked them */
			if (bkey_check(&k, &range, recover->job.error) || mark_extent(recover, &k))
				return error_prefix(recover->job.error, "journal entry %llu",
						    (unsigned long long)le64_get(entry->sequence));
		}
	}
	return health_error(&set->health);
}

/* From here on it is known which buckets are unused, so allocation may begin (RECOVER-1). */
static LOCKED int end_walk(struct recover *recover)
{
	struct cache_set *set = recover->set;
	int error = mark_journal(recover);

	if (error)
		return error;
	space_gc_end(&set->cache.space);
	return set->is_read_only ? 0 : space_bootstrap(&set->cache.space, recover->job.error);
}

/* One leaf at a time, so that other sets and volumes are served meanwhile. */
int recover_walk(struct job *base)
{
	struct recover *recover = recover_of(base);
	struct cache_set *set = recover->set;
	int error;

	assert(!set->cache.space.is_running);		/* RECOVER-1 */
	set_lock(set);
	error = walk_on(recover);
	if (!error && recover->walk.is_complete)
		error = end_walk(recover);
	set_unlock(set);
	if (error || recover->walk.is_complete)
		return error;
	op_queue(&base->op);
	return -EAGAIN;
}
