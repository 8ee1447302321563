/*
 * Drops all clean data, where changes of the index are lost (REPAIR-5).
 *
 * The table of priorities is built anew as if it were lost, which drops the clean data of buckets
 * that have no dirty ones.  Before that, leaves are written without the clean keys into the others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc64.h"
#include "base/numbers.h"
#include "format/bset.h"
#include "io/buffer.h"
#include "repair/scan.h"

static struct check_fault fault_here(const struct repair *repair)
{
	struct check_fault fault = { .id = CHECK_JOURNAL_GAP, .path = repair->check.cache->path };

	error_set(&fault.error, EIO, "changes of the index are lost: clean data may be older than "
		  "those of the backing devices");
	return fault;
}

static bool is_mixed(const struct repair *repair, const struct bkey *k)
{
	return !bkey_is_dirty(k) && bkey_has_usable_pointer(k) &&
	       repair->keeps[space_bucket_of(&repair->check.space, k->ptr)];
}

static bool has_mixed(const struct repair *repair, const struct run *keys)
{
	for (unsigned i = 0; i < keys->count; i++)
		if (is_mixed(repair, &keys->key[i]))
			return true;
	return false;
}

/* ---- leaves ---- */

static int rewrite_leaf(struct repair *repair, const struct scan_node *leaf, struct error *error)
{
	unsigned sectors = bkey_sectors(&leaf->key), words = 0;
	uint64_t magic = superblock_set_magic(&repair->check.cache->sb);
	struct bset_disk *set = buffer_try_new(sectors * 512);
	int failed = 0;

	if (!set)
		return repair_no_memory(error);
	memset(set, 0, sectors * 512);
	for (unsigned i = 0; i < leaf->all.count && !failed; i++) {
		const struct bkey *k = &leaf->all.key[i];

		if (is_mixed(repair, k))
			continue;
		if (bset_bytes(words + bkey_words(k)) > sectors * 512)
			failed = repair_refuse(error, "the keys of a leaf do not fit into it");
		else
			words += bkey_encode(k, set->keys + words);
	}
	if (!failed) {
		bset_seal(set, words, (crc64(&leaf->key, sizeof(leaf->key)) ^ magic) | 1, magic,
			  leaf->key.ptr);
		failed = repair_add_write(repair, repair_cache(repair),
					  pointer_sector(leaf->key.ptr), set, sectors, error);
	}
	buffer_free(set);
	return failed;
}

static int rewrite_leaves(struct repair *repair, struct error *error)
{
	struct check_fault fault = fault_here(repair);
	struct scan scan;
	int failed;

	if (!repair_step_new(repair, &fault, "write leaves without clean keys into buckets that "
			     "have dirty data, too"))
		return repair_no_memory(error);
	failed = scan_nodes(&scan, repair, error);
	for (unsigned i = 0; i < scan.nodes && !failed; i++) {
		const struct scan_node *node = &scan.node[i];
		uint64_t bucket = space_bucket_of(&repair->check.space, node->key.ptr);

		if (!node->is_interior && check_has_visited(&repair->check, bucket) &&
		    has_mixed(repair, &node->all))
			failed = rewrite_leaf(repair, node, error);
	}
	scan_done(&scan);
	return failed;
}

/* ---- the table ---- */

static int raise_generations(struct repair *repair, struct error *error)
{
	struct position from = { 0, 0 }, to = { BKEY_VOLUME_MAX, BKEY_END_MAX };
	struct check_fault fault;
	int failed;

	repair->without_priorities = true;
	failed = repair_look(repair, error);
	repair->without_priorities = false;
	if (failed)
		return failed;
	fault = fault_here(repair);
	failed = repair_priorities(repair, &fault, error);
	return failed ? failed : repair_add_losses(repair, from, to, error);
}

/* First the leaves; when a look has seen them, the table. */
int repair_drop_clean(struct repair *repair, struct error *error)
{
	int failed;

	if (has_mixed(repair, &repair->clean) && !repair->has_new_leaves) {
		repair->has_new_leaves = true;
		return rewrite_leaves(repair, error);
	}
	failed = raise_generations(repair, error);
	repair->drops_clean = false;
	repair->is_rid_of_clean = true;
	return failed;
}
