/*
 * Collects the dirty extents of a volume, in the order of their addresses: state SCAN of
 * writeback.c.
 *
 * A batch is either of full stripes or of everything, so that its extents are in order.
 */
#include "base/numbers.h"
#include "base/sometimes.h"
#include "cache/cache_set.h"
#include "cache/volume.h"

enum { SCAN_KEYS_MAX = 2000 };		/* of one step, dirty or not */

/* The keys that are scanned: all of them, or those of full stripes. */
struct part {
	uint64_t *at, end;
};

/* Adds the extent in pieces that one copy can hold.  False: the batch is full. */
static bool add_extent(struct writeback *writeback, const struct part *part, struct bkey key)
{
	struct writeback_batch *batch = writeback->batch;
	uint64_t most = writeback_copy_sectors_max(writeback);

	if (bkey_start(&key) < *part->at)
		bkey_cut_front(&key, *part->at);
	assert(bkey_sectors(&key));
	while (batch->count < WRITEBACK_KEYS_MAX) {
		struct bkey piece = key;
		bool is_last = bkey_sectors(&key) <= most;

		if (!is_last) {
			bkey_cut_back(&piece, bkey_start(&piece) + most);
			bkey_cut_front(&key, bkey_end(&piece));
		}
		batch->key[batch->count++] = (struct writeback_key){ .key = piece };
		*part->at = bkey_end(&piece);
		if (is_last)
			return true;
	}
	return false;
}

/* The rest of the leaf.  True: all of it was seen, false: the batch is full, or the step long. */
static LOCKED bool scan_leaf(struct writeback *writeback, const struct part *part,
			     const struct node *leaf)
{
	struct volume *volume = writeback->volume;
	struct index *index = &volume->set->index;
	struct node_walk walk;
	const struct bkey *k;
	unsigned seen = 0;

	node_walk_begin_at(&walk, leaf, (struct position){ volume->slot, *part->at });
	while ((k = node_walk_next(&walk)) && bkey_volume(k) == volume->slot) {
		/* A hidden key may stand before the one that hides it, with the same end. */
		if (!bkey_sectors(k))
			continue;
		if (bkey_start(k) >= part->end)
			break;
		if (seen++ == SCAN_KEYS_MAX)
			return false;
		if (bkey_is_dirty(k) && index_key_is_usable(index, k)) {
			writeback->found_dirty = true;
			if (!add_extent(writeback, part, *k))
				return false;
		}
		*part->at = max_u64(*part->at, bkey_end(k));
	}
	return true;
}

/*
 * The stripes that are scanned, or the next ones; they begin with a block of the volume.  An extent
 * that crosses the end of the last ones was added whole, so the scan goes on behind it.
 */
static LOCKED bool find_full_stripes(struct writeback *writeback)
{
	const struct volume *volume = writeback->volume;
	uint64_t start;

	while (writeback->full_at >= writeback->full_end) {
		if (!volume->stripes ||
		    !stripes_next_full(volume->stripes, writeback->full_end, &start,
				       &writeback->full_end))
			return false;
		start = max_u64(start, volume->data_offset);
		start -= (start - volume->data_offset) % volume->block_sectors;
		writeback->full_at = max_u64(writeback->full_at, start);
	}
	return true;
}

int writeback_scan(struct writeback *writeback)
{
	struct volume *volume = writeback->volume;
	struct writeback_batch *batch = writeback->batch;
	struct part part = { &writeback->at, BKEY_END_MAX };
	struct node *leaf;
	int error;

	if (!batch->has_kind)
		batch->is_of_full_stripes = find_full_stripes(writeback);
	batch->has_kind = true;
	if (batch->is_of_full_stripes) {
		batch->is_complete = !find_full_stripes(writeback);
		if (batch->is_complete)
			return 0;
		SIM_SOMETIMES("full stripes are written back first");
		part = (struct part){ &writeback->full_at, writeback->full_end };
	}
	error = index_leaf(&volume->set->index, (struct position){ volume->slot, *part.at }, &leaf,
			   &writeback->op);
	if (error || !scan_leaf(writeback, &part, leaf))
		return error;
	if (batch->is_of_full_stripes)
		*part.at = max_u64(*part.at, bkey_volume(&leaf->key) > volume->slot ?
					     part.end : bkey_end(&leaf->key));
	else if (bkey_volume(&leaf->key) > volume->slot)
		writeback->is_at_end = true;
	else
		writeback->at = bkey_end(&leaf->key);
	return 0;
}
