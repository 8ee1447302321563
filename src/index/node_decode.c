/*
 * Takes the bsets of a node one by one, and merges those of a leaf (see node_decode.h).
 *
 * The sentences of the faults are the kernel's, as far as it has one.
 */
#include "index/node_decode.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"

static unsigned node_bytes(const struct node_decode *decode)
{
	return bkey_sectors(&decode->key) * 512;
}

static unsigned block_bytes(const struct node_decode *decode)
{
	return decode->block_sectors * 512;
}

static const struct bset_disk *set_at(const struct node_decode *decode, unsigned at)
{
	return (const void *)(decode->bytes + at);
}

/* The place, as a kernel says it, with the number of keys decoded so far. */
int node_decode_fault(struct node_decode *decode, struct error *error)
{
	bool has_keys = decode->level || decode->extents.count;
	const struct run *found = decode->level ? &decode->children : &decode->extents.run[0];

	error_set(error, error->code, "%s at bucket %llu, block %u, %u keys", strdupa(error->text),
		  (unsigned long long)(pointer_sector(decode->key.ptr) / decode->range.sectors),
		  decode->at / block_bytes(decode), has_keys ? found->count : 0);
	return decode->faults->take(decode->faults, error);
}

/* The size of the node comes from a pointer on disk, so this is an error, not an assert. */
int node_decode_no_memory(struct node_decode *decode)
{
	struct error error;

	error_set(&error, ENOMEM, "no memory for a node of %u sectors", bkey_sectors(&decode->key));
	return node_decode_fault(decode, &error) ?: -ENOMEM;
}

void node_decode_begin(struct node_decode *decode)
{
	unsigned sectors = bkey_sectors(&decode->key);

	assert(sectors && sectors % decode->block_sectors == 0);
	decode->sequence = le64_get(set_at(decode, 0)->sequence);
	decode->at = 0;
	decode->is_cut = false;
	decode->children.count = 0;
	run_stack_clear(&decode->extents);
}

/* ---- one bset ---- */

/* The keys before the one that is checked. */
struct before {
	struct bkey key;
	struct bkey extent;	/* the last with a size */
};

/*
 * In a leaf, keys must not overlap; but a key of size 0, the remainder of an extent that a later
 * key hid, may end inside that key.  `at` is the word after the key.
 */
static int check_key(const struct node_decode *decode, const struct bkey *k,
		     const struct before *before, unsigned at, struct error *error)
{
	const struct bkey *extent = &before->extent;
	int failed = decode->level ? bkey_check_child(k, &decode->range, error) :
				     bkey_check(k, &decode->range, error);

	if (failed)
		return failed;
	if (bkey_compare(k, &before->key) < 0)
		return error_set(error, EINVAL, "keys out of order at word %u", at);
	if (!decode->level && bkey_sectors(k) && bkey_sectors(extent) &&
	    bkey_volume(k) == bkey_volume(extent) && bkey_start(k) < bkey_end(extent))
		return error_set(error, EINVAL, "keys overlap at word %u", at);
	return 0;
}

/* Decodes the keys of one bset into decode->set. */
static int decode_keys(struct node_decode *decode, const struct bset_disk *set)
{
	unsigned words = le32_get(set->words);
	struct before before = { .key = { .high = 0 } };
	struct error error;
	struct bkey k;

	decode->set.count = 0;
	if (!run_try_reserve(&decode->set, words / 2))
		return node_decode_no_memory(decode);
	for (unsigned at = 0, taken; at < words;) {
		int failed;

		taken = bkey_decode(&k, set->keys + at, words - at);
		if (!taken) {
			error_set(&error, EINVAL, "bad key at word %u of %u", at, words);
			return node_decode_fault(decode, &error);
		}
		at += taken;
		if (check_key(decode, &k, &before, at, &error)) {
			failed = node_decode_fault(decode, &error);
			if (failed)
				return failed;
			continue;
		}
		run_add(&decode->set, &k);
		if (decode->faults->see)
			decode->faults->see(decode->faults, &k);
		before.key = k;
		if (bkey_sectors(&k))
			before.extent = k;
	}
	return 0;
}

/* Adds the keys of a bset to those of the bsets before it. */
static int join_set(struct node_decode *decode)
{
	const struct run *set = &decode->set;

	if (!decode->level)
		return run_stack_push(&decode->extents, set) ? 0 : node_decode_no_memory(decode);
	run_reserve(&decode->children, decode->children.count + set->count);
	for (unsigned i = 0; i < set->count; i++)
		run_add(&decode->children, &set->key[i]);
	return 0;
}

/* Takes the bset at decode->at. */
static int take_set(struct node_decode *decode)
{
	const struct bset_disk *set = set_at(decode, decode->at);
	struct error error;
	int failed;

	if (bset_check(set, node_bytes(decode) - decode->at, decode->at == 0, decode->set_magic,
		       decode->key.ptr, &error)) {
		decode->is_cut = true;
		return node_decode_fault(decode, &error);
	}
	failed = decode_keys(decode, set) ?: join_set(decode);
	if (!failed)
		decode->at += round_up(bset_bytes(le32_get(set->words)), block_bytes(decode));
	return failed;
}

/* ---- the whole node ---- */

static bool is_set_of_node(const struct node_decode *decode, unsigned at)
{
	const struct bset_disk *set = set_at(decode, at);

	return le64_get(set->sequence) == decode->sequence &&
	       le64_get(set->magic) == (decode->set_magic ^ BSET_MAGIC);
}

static bool has_set(const struct node_decode *decode)
{
	if (decode->is_cut || decode->at >= node_bytes(decode))
		return false;
	return decode->at == 0 || is_set_of_node(decode, decode->at);
}

/* A bset of this node after the end of its log: a torn or misplaced write. */
static int check_behind(struct node_decode *decode)
{
	unsigned at = decode->at + (decode->is_cut ? block_bytes(decode) : 0);
	struct error error;

	for (; at < node_bytes(decode); at += block_bytes(decode)) {
		if (is_set_of_node(decode, at)) {
			error_set(&error, EINVAL, "corrupted btree");
			return node_decode_fault(decode, &error);
		}
	}
	return 0;
}

static int end_leaf(struct node_decode *decode)
{
	struct run *merged = &decode->extents.run[0];
	struct error error;

	if (!run_stack_collapse(&decode->extents))
		return node_decode_no_memory(decode);
	run_drop_holes(merged);
	if (!merged->count || bkey_compare(&merged->key[merged->count - 1], &decode->key) <= 0)
		return 0;
	error_set(&error, EINVAL, "short btree key");
	return node_decode_fault(decode, &error);
}

int node_decode(struct node_decode *decode, unsigned most_bytes)
{
	unsigned end = min_u64(decode->at + (uint64_t)most_bytes, node_bytes(decode));
	int failed = 0;

	while (!failed && decode->at < end && has_set(decode))
		failed = take_set(decode);
	if (!failed && has_set(decode))
		return -EAGAIN;
	failed = failed ?: check_behind(decode);
	return failed || decode->level ? failed : end_leaf(decode);
}

/* ---- interior nodes ---- */

static int compare_children(const void *a, const void *b)
{
	return bkey_compare(a, b);
}

/* Two live children must not end at the same position. */
static int check_ends(struct node_decode *decode, const struct run *live)
{
	struct error error;
	int failed = 0;

	for (unsigned i = 1; i < live->count && !failed; i++) {
		const struct bkey *k = &live->key[i];

		if (bkey_compare(&live->key[i - 1], k))
			continue;
		error_set(&error, EINVAL, "two live children end at %u:%llu", bkey_volume(k),
			  (unsigned long long)k->low);
		failed = node_decode_fault(decode, &error);
	}
	return failed;
}

int node_decode_live(struct node_decode *decode, struct run *live)
{
	const struct bkey *last;
	struct error error;
	int failed;

	if (!live->count) {
		error_set(&error, EINVAL, "no live child");
		return node_decode_fault(decode, &error);
	}
	qsort(live->key, live->count, sizeof(struct bkey), compare_children);
	failed = check_ends(decode, live);
	last = &live->key[live->count - 1];
	if (failed || !bkey_compare(last, &decode->key))
		return failed;
	error_set(&error, EINVAL, "short btree key: the last child ends at %u:%llu",
		  bkey_volume(last), (unsigned long long)last->low);
	return node_decode_fault(decode, &error);
}

void node_decode_done(struct node_decode *decode)
{
	run_done(&decode->set);
	run_done(&decode->children);
	run_stack_done(&decode->extents);
}
