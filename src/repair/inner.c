/*
 * Builds an inner node, or the root, from the nodes below it, which are still there.
 *
 *	lost      [ ? | ? | ? ]  up to its parent's key
 *	below     a     b     c        found by what their buckets begin with (scan.h)
 *	built     [ a | b | c ]
 *
 * A leaf does not say where it ends, but any place behind its last key and before the first one of
 * the next leaf will do.  A leaf without a key is not needed.
 *
 * Nodes that were replaced may still be there, if nothing tells that their bucket has become newer.
 * Then two of one range are found.  The younger one began with what the older one ended with; if
 * that does not tell which it is, nothing does, and the set is refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc64.h"
#include "base/numbers.h"
#include "io/buffer.h"
#include "repair/scan.h"

struct inner {
	struct repair *repair;
	struct scan *scan;
	bool takes_all;			/* also those that check came to */
	struct check_fault fault;
	struct scan_node **below;	/* the nodes below it, in their order */
	unsigned count;
};

static struct position end_of(const struct scan_node *node)
{
	return (struct position){ bkey_volume(&node->key), bkey_end(&node->key) };
}

static bool is_behind(struct position a, struct position b)
{
	return a.volume != b.volume ? a.volume > b.volume : a.sector > b.sector;
}

static bool has_keys(const struct scan_node *node)
{
	return node->is_interior || is_behind(end_of(node), node->from);
}

/* ---- nodes that were replaced ---- */

/* Of the keys of `all` in the range of `node`: how many it did not have when it was new. */
static unsigned count_missing(const struct run *all, const struct scan_node *node, unsigned *of)
{
	unsigned missing = 0;

	*of = 0;
	for (unsigned i = 0; i < all->count; i++) {
		const struct bkey *k = &all->key[i];
		struct position from = { bkey_volume(k), bkey_start(k) };
		struct position to = { bkey_volume(k), bkey_end(k) };
		unsigned at;

		if (is_behind(node->from, from) || is_behind(to, end_of(node)))
			continue;
		at = run_find_key(&node->first, k);
		++*of;
		missing += at == node->first.count ||
			   memcmp(&node->first.key[at], k, sizeof(*k));
	}
	return missing;
}

/* Did `a` begin with nearly all that `b` had there in the end, and far less the other way round? */
static bool follows(const struct scan_node *a, const struct scan_node *b)
{
	uint64_t of_b, of_a, b_missing, a_missing;
	unsigned of;

	b_missing = count_missing(&b->all, a, &of);
	of_b = of;
	a_missing = count_missing(&a->all, b, &of);
	of_a = of;
	return of_b && b_missing <= of_b / 4 && 4 * b_missing * of_a < a_missing * of_b;
}

/* -EOPNOTSUPP: nothing tells which of two was replaced. */
static int decide(struct inner *inner, struct scan_node *a, struct scan_node *b,
		  struct error *error)
{
	bool a_follows = !a->is_interior && !b->is_interior && follows(a, b);
	bool b_follows = !a->is_interior && !b->is_interior && follows(b, a);

	if (a_follows != b_follows) {
		(a_follows ? b : a)->is_replaced = true;
		return 0;
	}
	return repair_refuse(error, "bucket %llu: %s; the nodes in buckets %llu and %llu overlap, "
			     "and nothing tells which of them was replaced",
			     (unsigned long long)inner->fault.bucket, inner->fault.error.text,
			     (unsigned long long)space_bucket_of(&inner->repair->check.space,
								 a->key.ptr),
			     (unsigned long long)space_bucket_of(&inner->repair->check.space,
								 b->key.ptr));
}

/* ---- which nodes ---- */

static bool is_below(const struct inner *inner, const struct scan_node *node)
{
	const struct check_fault *fault = &inner->fault;
	uint64_t bucket = space_bucket_of(&inner->repair->check.space, node->key.ptr);

	return node->level == fault->level - 1 && node->is_interior == (fault->level > 1) &&
	       !node->is_replaced && has_keys(node) && bucket != fault->bucket &&
	       (inner->takes_all || !check_has_visited(&inner->repair->check, bucket)) &&
	       !is_behind(fault->from, node->from) && !is_behind(end_of(node), fault->to);
}

static int compare_places(const void *a, const void *b)
{
	const struct scan_node *x = *(struct scan_node *const *)a;
	const struct scan_node *y = *(struct scan_node *const *)b;

	return is_behind(x->from, y->from) ? 1 : is_behind(y->from, x->from) ? -1 : 0;
}

/* In the order in which they begin, a node can overlap only with those that follow it. */
static int drop_replaced(struct inner *inner, struct error *error)
{
	unsigned kept = 0;
	int failed = 0;

	for (unsigned i = 0; i < inner->count; i++)
		for (unsigned k = i + 1; k < inner->count && !failed &&
		     is_behind(end_of(inner->below[i]), inner->below[k]->from); k++)
			if (!inner->below[i]->is_replaced && !inner->below[k]->is_replaced)
				failed = decide(inner, inner->below[i], inner->below[k], error);
	for (unsigned i = 0; i < inner->count; i++)
		if (!inner->below[i]->is_replaced)
			inner->below[kept++] = inner->below[i];
	inner->count = kept;
	return failed;
}

static int gather_all(struct inner *inner, struct error *error)
{

	inner->below = calloc(max_u64(inner->scan->nodes, 1), sizeof(struct scan_node *));
	if (!inner->below)
		return repair_no_memory(error);
	for (unsigned i = 0; i < inner->scan->nodes; i++)
		if (is_below(inner, &inner->scan->node[i]))
			inner->below[inner->count++] = &inner->scan->node[i];
	qsort(inner->below, inner->count, sizeof(*inner->below), compare_places);
	return drop_replaced(inner, error);
}

static int gather(struct inner *inner, struct error *error)
{
	int failed = gather_all(inner, error);

	if (failed || inner->count)
		return failed;
	return repair_refuse(error, "bucket %llu: %s; no node below it was found",
			     (unsigned long long)inner->fault.bucket, inner->fault.error.text);
}

/* ---- the step ---- */

/* The last one ends where the lost node does. */
static unsigned encode_children(const struct inner *inner, struct bset_disk *set, unsigned room)
{
	unsigned words = 0;

	for (unsigned i = 0; i < inner->count; i++) {
		struct bkey k = inner->below[i]->key;

		if (i + 1 == inner->count)
			k = bkey_with_pointer(bkey_of(inner->fault.to.volume,
						      inner->fault.to.sector, bkey_sectors(&k)),
					      k.ptr);
		if (bset_bytes(words + bkey_words(&k)) > room)
			return 0;
		words += bkey_encode(&k, set->keys + words);
	}
	return words;
}

static int plan_inner(struct inner *inner, struct error *error)
{
	const struct bkey *key = &inner->fault.node;
	uint64_t magic = superblock_set_magic(&inner->repair->check.cache->sb);
	struct bset_disk *set = buffer_try_new(bkey_sectors(key) * 512);
	unsigned words;
	int failed;

	if (!set)
		return repair_no_memory(error);
	memset(set, 0, bkey_sectors(key) * 512);
	words = encode_children(inner, set, bkey_sectors(key) * 512);
	if (!words)
		failed = repair_refuse(error, "bucket %llu: found %u nodes below it, which do not "
				       "fit", (unsigned long long)inner->fault.bucket,
				       inner->count);
	else if (!repair_step_new(inner->repair, &inner->fault, "build the node of level %u anew, "
				  "from the %u below it that are found", inner->fault.level,
				  inner->count))
		failed = repair_no_memory(error);
	else
		failed = 0;
	if (!failed) {
		bset_seal(set, words, (crc64(key, sizeof(*key)) ^ magic) | 1, magic, key->ptr);
		failed = repair_add_write(inner->repair, repair_cache(inner->repair),
					  pointer_sector(key->ptr), set, bkey_sectors(key), error);
	}
	buffer_free(set);
	return failed;
}

int repair_inner(struct repair *repair, const struct check_fault *fault, struct error *error)
{
	struct scan scan;
	struct inner inner = { .repair = repair, .scan = &scan, .fault = *fault };
	int failed;

	if (!repair->check.has_priorities)
		return repair_refuse(error, "bucket %llu: %s; the table of priorities is lost, too",
				     (unsigned long long)fault->bucket, fault->error.text);
	failed = scan_nodes(&scan, repair, error) ?: gather(&inner, error) ?:
		 plan_inner(&inner, error);
	free(inner.below);
	scan_done(&scan);
	return failed;
}

int scan_leaves(struct scan *scan, struct run *leaves, struct error *error)
{
	struct bkey last = bkey_max();
	struct inner inner = {
		.repair = scan->repair, .scan = scan, .takes_all = true,
		.fault = {
			.level = 1, .bucket = UINT64_MAX,
			.to = { bkey_volume(&last), bkey_end(&last) },
			.error.text = "the root is lost",
		},
	};
	int failed = gather_all(&inner, error);

	if (!failed && !run_try_reserve(leaves, max_u64(inner.count, 1)))
		failed = repair_no_memory(error);
	for (unsigned i = 0; i < inner.count && !failed; i++)
		run_add(leaves, &inner.below[i]->key);
	free(inner.below);
	return failed;
}
