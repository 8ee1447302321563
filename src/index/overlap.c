/*
 * A newer extent N cuts each older one K that it overlaps:
 *
 *	A  K  |-----------|	B  K     |------|	C  K |------|	     D  K   |--|
 *	   N      |---|		   N  |------|		   N     |------|      N |--------|
 *	      K' N    tail	      N      K'		     K'  N		  N
 *
 * Keys on disk (`keys`) are cut in memory only: when the node is read again, the merge
 * does the same, since N is newer.  A tail goes into the open run, to be written with N.
 * A key of `keys` that is hidden entirely keeps its place, with size 0.
 *
 * The dirty counts of volumes are updated here: a dirty extent counts while it is usable.
 */
#include "base/sometimes.h"
#include "index/internal.h"

/* Dirty sectors of `old` that a newer key hides; gc will find less to keep in its bucket. */
static LOCKED void count_hidden(struct index *index, const struct bkey *old, uint64_t start,
				uint64_t end)
{
	if (!bkey_is_dirty(old) || !index_key_is_usable(index, old))
		return;
	index_dirty_changed(index, bkey_volume(old), start, -(int64_t)(end - start));
	space_hidden(index->setup.space, end - start);
}

/* Cuts `old` by `k`.  True: `k` lies inside it, and *tail is the part after k's end. */
static LOCKED bool cut(struct index *index, struct bkey *old, const struct bkey *k,
		       struct bkey *tail)
{
	bool starts_before = bkey_start(old) < bkey_start(k);
	bool ends_after = bkey_end(old) > bkey_end(k);
	uint64_t hidden_from = starts_before ? bkey_start(k) : bkey_start(old);
	uint64_t hidden_to = ends_after ? bkey_end(k) : bkey_end(old);

	count_hidden(index, old, hidden_from, hidden_to);
	SIM_SOMETIMES_IF(starts_before && ends_after, "an extent is cut in two");
	SIM_SOMETIMES_IF(bkey_is_dirty(old) && !bkey_is_dirty(k), "clean keys hide dirty data");
	SIM_SOMETIMES_IF(!bkey_pointers(k) && bkey_is_dirty(old), "a hole hides dirty data");
	if (starts_before && ends_after) {
		*tail = *old;
		bkey_cut_front(tail, bkey_end(k));
		bkey_cut_back(old, bkey_start(k));
		return true;
	}
	if (starts_before)
		bkey_cut_back(old, bkey_start(k));
	else if (ends_after)
		bkey_cut_front(old, bkey_end(k));
	else
		bkey_set_sectors(old, 0);
	return false;
}

/* Keys are sorted by their ends, so the first key that starts after `k` ends the search. */
static bool reaches_into(const struct bkey *old, const struct bkey *k)
{
	return bkey_volume(old) == bkey_volume(k) && bkey_start(old) < bkey_end(k);
}

static LOCKED bool cut_keys(struct index *index, struct node *leaf, const struct bkey *k,
			    struct bkey *tail)
{
	struct run *run = &leaf->keys;
	unsigned at = run_find(run, bkey_volume(k), bkey_start(k));
	bool have_tail = false;

	for (; at < run->count && reaches_into(&run->key[at], k); at++) {
		if (bkey_sectors(&run->key[at]))
			have_tail |= cut(index, &run->key[at], k, tail);
	}
	return have_tail;
}

static LOCKED bool cut_open(struct index *index, struct node *leaf, const struct bkey *k,
			    struct bkey *tail)
{
	struct run *run = &leaf->open;
	unsigned at = run_find(run, bkey_volume(k), bkey_start(k));
	bool have_tail = false;

	while (at < run->count && reaches_into(&run->key[at], k)) {
		have_tail |= cut(index, &run->key[at], k, tail);
		if (bkey_sectors(&run->key[at])) {
			at++;
		} else {
			leaf->open_words -= bkey_words(&run->key[at]);
			run_remove_at(run, at);
		}
	}
	return have_tail;
}

static void add_open(struct node *leaf, const struct bkey *k)
{
	unsigned at = run_find(&leaf->open, bkey_volume(k), bkey_start(k));

	run_insert_at(&leaf->open, at, k);
	leaf->open_words += bkey_words(k);
}

/* The caller has made sure that the key and a tail fit (leaf_room()). */
void leaf_insert(struct index *index, struct node *leaf, const struct bkey *k)
{
	struct bkey tail, open_tail;
	bool was_clean = !leaf->open.count;
	bool have_tail = cut_keys(index, leaf, k, &tail);
	bool have_open_tail = cut_open(index, leaf, k, &open_tail);

	assert(bkey_sectors(k) && node_covers(leaf, k) && !leaf->level);
	assert(!(have_tail && have_open_tail));		/* extents never overlap across the runs */
	if (was_clean)
		leaf->dirty_since_ns = clock_ns(index->setup.reactor);
	add_open(leaf, k);
	if (have_tail)
		add_open(leaf, &tail);
	SIM_SOMETIMES_IF(have_open_tail, "an extent is cut in two that is not written yet");
	if (have_open_tail)
		add_open(leaf, &open_tail);
	index_count_dirty(index, k, 1);
	leaf->flush_ticket = device_flush_ticket(index->setup.device);
	leaf->inserted++;
}

/* Do `k` and `expected`, which overlap, say the same of the sectors that they share? */
static bool shows(const struct bkey *k, const struct bkey *expected)
{
	uint64_t start = bkey_start(k) > bkey_start(expected) ? bkey_start(k) :
								bkey_start(expected);

	if ((k->high & BKEY_HEADER_MASK) != (expected->high & BKEY_HEADER_MASK))
		return false;
	return !bkey_pointers(k) || pointer_advance(k->ptr, start - bkey_start(k)) ==
					    pointer_advance(expected->ptr,
							    start - bkey_start(expected));
}

unsigned leaf_replaceable(const struct node *leaf, const struct bkey *k,
			  const struct bkey *expected)
{
	uint64_t matched = bkey_start(k);
	struct node_walk walk;
	const struct bkey *old;

	node_walk_begin_at(&walk, leaf, (struct position){ bkey_volume(k), bkey_start(k) });
	while (matched < bkey_end(k) && (old = node_walk_next(&walk))) {
		if (!bkey_sectors(old))
			continue;
		if (!reaches_into(old, k) || bkey_start(old) > matched || !shows(old, expected))
			break;
		matched = bkey_end(old);
	}
	return (matched < bkey_end(k) ? matched : bkey_end(k)) - bkey_start(k);
}
