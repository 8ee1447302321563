/*
 * Replay in memory, for -o ro.
 *
 *	all keys of the journal, in order -----------> one run, newer keys hide older ones
 *	each leaf: its keys + its part of that run --> its open run
 *
 * Inserting key by key would take quadratic time: each key is inserted into a sorted
 * array, and the leaves cannot be split, since they cannot be written.
 *
 * All keys of such a leaf are then in its open run, so it counts as dirty and is never
 * evicted.  Holes are kept in it, so that the run is not empty.
 */
#include <errno.h>
#include <string.h>

#include "index/internal.h"

struct overlay {
	struct run_stack keys;
	unsigned at;			/* index in keys.run[0] of the first key not applied yet */
	struct run part;		/* the keys for one leaf */
};

struct overlay *overlay_new(void)
{
	return calloc(1, sizeof(struct overlay));
}

void overlay_free(struct overlay *overlay)
{
	if (!overlay)
		return;
	run_stack_done(&overlay->keys);
	run_done(&overlay->part);
	free(overlay);
}

int overlay_add(struct overlay *overlay, const struct bkey *k)
{
	struct bkey key = *k;
	const struct run one = { .key = &key, .count = 1, .capacity = 1 };

	return run_stack_push(&overlay->keys, &one) ? 0 : -ENOMEM;
}

int overlay_seal(struct overlay *overlay)
{
	overlay->at = 0;
	return run_stack_collapse(&overlay->keys) ? 0 : -ENOMEM;
}

bool overlay_is_applied(const struct overlay *overlay)
{
	return overlay->at == overlay->keys.run[0].count;
}

/* The number of keys from overlay->at on that belong to the leaf; the last may exceed it. */
static unsigned keys_in(const struct overlay *overlay, const struct node *leaf)
{
	const struct run *keys = &overlay->keys.run[0];
	unsigned at = overlay->at;

	for (; at < keys->count; at++) {
		const struct bkey *k = &keys->key[at];

		if (bkey_volume(k) > bkey_volume(&leaf->key) ||
		    (bkey_volume(k) == bkey_volume(&leaf->key) &&
		     bkey_start(k) >= bkey_end(&leaf->key)))
			break;
	}
	return at - overlay->at;
}

/* Moves the leaf's keys to overlay->part; the rest of the last one, after the leaf, stays. */
static int take_part(struct overlay *overlay, const struct node *leaf)
{
	struct bkey *keys = overlay->keys.run[0].key + overlay->at;
	unsigned count = keys_in(overlay, leaf);
	struct bkey *last = keys + count - 1;

	assert(count);
	overlay->part.count = 0;
	if (!run_try_reserve(&overlay->part, count))
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++)
		run_add(&overlay->part, &keys[i]);
	overlay->at += count;
	if (node_covers(leaf, last))
		return 0;
	bkey_cut_back(&overlay->part.key[count - 1], bkey_end(&leaf->key));
	bkey_cut_front(last, bkey_end(&leaf->key));
	overlay->at--;
	return 0;
}

static LOCKED void count_dirty(struct index *index, const struct run *run, int sign)
{
	for (unsigned i = 0; i < run->count; i++)
		index_count_dirty(index, &run->key[i], sign);
}

/* Nothing is journaled and nothing will be written, so only memory can be missing. */
static LOCKED int lay_over(struct index *index, struct node *leaf, const struct run *part)
{
	assert(index->setup.memory_only && !leaf->open.count);
	if (!run_try_reserve(&leaf->open, leaf->keys.count + 2 * part->count))
		return -ENOMEM;
	count_dirty(index, &leaf->keys, -1);
	run_merge(&leaf->keys, part, &leaf->open);
	count_dirty(index, &leaf->open, 1);
	run_done(&leaf->keys);
	leaf->open_words = run_words(&leaf->open);
	leaf->flush_ticket = device_flush_ticket(index->setup.device);
	leaf->inserted += part->count;
	return 0;
}

int overlay_apply(struct overlay *overlay, struct index *index, struct op *op)
{
	const struct bkey *k = &overlay->keys.run[0].key[overlay->at];
	struct position from = { bkey_volume(k), bkey_start(k) };
	struct node *leaf;
	int error = index_leaf(index, from, &leaf, op);

	return error ?: take_part(overlay, leaf) ?: lay_over(index, leaf, &overlay->part);
}
