/*
 * Collects the dirty extents of a volume, in the order of their addresses: state SCAN of
 * writeback.c.
 */
#include "base/numbers.h"
#include "cache/cache_set.h"
#include "cache/volume.h"

enum { SCAN_KEYS_MAX = 2000 };		/* of one step, dirty or not */

/* Adds the extent in parts that one copy can hold.  False: the batch is full. */
static bool add_extent(struct writeback *writeback, struct bkey key)
{
	struct writeback_batch *batch = writeback->batch;
	uint64_t most = writeback_copy_sectors_max(writeback);

	if (bkey_start(&key) < writeback->at)
		bkey_cut_front(&key, writeback->at);
	assert(bkey_sectors(&key));
	while (batch->count < WRITEBACK_KEYS_MAX) {
		struct bkey part = key;
		bool is_last = bkey_sectors(&key) <= most;

		if (!is_last) {
			bkey_cut_back(&part, bkey_start(&part) + most);
			bkey_cut_front(&key, bkey_end(&part));
		}
		batch->key[batch->count++] = (struct writeback_key){ .key = part };
		writeback->at = bkey_end(&part);
		if (is_last)
			return true;
	}
	return false;
}

/* The rest of the leaf.  True: all of it was seen, false: the batch is full, or the step long. */
static LOCKED bool scan_leaf(struct writeback *writeback, const struct node *leaf)
{
	struct volume *volume = writeback->volume;
	struct index *index = &volume->set->index;
	struct node_walk walk;
	const struct bkey *k;
	unsigned seen = 0;

	node_walk_begin_at(&walk, leaf, (struct position){ volume->slot, writeback->at });
	while ((k = node_walk_next(&walk)) && bkey_volume(k) == volume->slot) {
		/* A hidden key may stand before the one that hides it, with the same end. */
		if (!bkey_sectors(k))
			continue;
		if (seen++ == SCAN_KEYS_MAX)
			return false;
		if (bkey_is_dirty(k) && index_key_is_usable(index, k)) {
			writeback->found_dirty = true;
			if (!add_extent(writeback, *k))
				return false;
		}
		writeback->at = max_u64(writeback->at, bkey_end(k));
	}
	return true;
}

int writeback_scan(struct writeback *writeback)
{
	struct volume *volume = writeback->volume;
	struct position from = { volume->slot, writeback->at };
	struct node *leaf;
	int error = index_leaf(&volume->set->index, from, &leaf, &writeback->op);

	if (error || !scan_leaf(writeback, leaf))
		return error;
	if (bkey_volume(&leaf->key) > volume->slot)
		writeback->is_at_end = true;
	else
		writeback->at = bkey_end(&leaf->key);
	return 0;
}
