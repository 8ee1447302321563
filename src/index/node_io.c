/*
 * Reading a node: its log of bsets becomes one run.
 *
 *	bset 0 | bset 1 | bset 2 | what was there before
 *	  all with the same sequence, each newer than those before it
 *
 * Damage is found here: every checksum, the order of keys, pointers that lead
 * nowhere.  A bad node ends the set, with the kernel's words for it.
 */
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "format/bset.h"
#include "index/internal.h"

struct node_read {
	struct op op;
	struct index *index;
	struct node *node;		/* NULL: the slot is free */
	unsigned char *buffer;
	unsigned buffer_bytes;
	uint64_t began_ns;
	struct run set;			/* keys of one bset */
	struct run merged;
};

static void node_read_step(struct op *op);

void node_reads_init(struct index *index)
{
	index->reads = calloc(NODE_READS_MAX, sizeof(*index->reads));
	assert(index->reads);
	for (unsigned i = 0; i < NODE_READS_MAX; i++) {
		struct node_read *read = &index->reads[i];

		read->index = index;
		read->buffer_bytes = index->setup.node_sectors * 512;
		read->buffer = buffer_new(read->buffer_bytes);
		op_init(&read->op, index->setup.reactor, node_read_step);
	}
}

void node_reads_done(struct index *index)
{
	for (unsigned i = 0; i < NODE_READS_MAX; i++) {
		buffer_free(index->reads[i].buffer);
		run_done(&index->reads[i].set);
		run_done(&index->reads[i].merged);
	}
	free(index->reads);
}

static struct node_read *free_slot(struct index *index)
{
	for (unsigned i = 0; i < NODE_READS_MAX; i++) {
		if (!index->reads[i].node)
			return &index->reads[i];
	}
	return NULL;
}

bool node_reads_are_idle(const struct index *index)
{
	for (unsigned i = 0; i < NODE_READS_MAX; i++) {
		if (index->reads[i].node)
			return false;
	}
	return true;
}

/* Nodes that another kernel made may be larger than ours. */
static void fit_buffer(struct node_read *read, unsigned bytes)
{
	if (bytes <= read->buffer_bytes)
		return;
	buffer_free(read->buffer);
	read->buffer = buffer_new(bytes);
	read->buffer_bytes = bytes;
}

bool node_read_start(struct index *index, struct node *node, struct op *op)
{
	struct node_read *read = free_slot(index);

	if (!read) {
		waitlist_join(&index->read_slots, op);
		return false;
	}
	read->node = node;
	read->began_ns = clock_ns(index->setup.reactor);
	fit_buffer(read, node->sectors * 512);
	device_read(index->setup.device, read->buffer, pointer_sector(node->key.ptr), node->sectors,
		    &read->op);
	return true;
}

/* ---- bytes to runs ---- */

static IN_SET int check_leaf_key(const struct index *index, const struct bkey *k,
				 struct error *error)
{
	char text[BKEY_TEXT_BYTES];

	if (bkey_sectors(k) > bkey_end(k))
		return error_set(error, EINVAL, "spotted extent %s: it is longer than its end",
				 bkey_print(text, k));
	if (bkey_sectors(k) && bkey_end(k) > BKEY_END_MAX)
		return error_set(error, EINVAL, "spotted extent %s: it ends where no volume does",
				 bkey_print(text, k));
	if (bkey_pointers(k) && bkey_sectors(k) && pointer_device(k->ptr) == 0 &&
	    !space_pointer_is_valid(index->setup.space, k->ptr, bkey_sectors(k)))
		return error_set(error, EINVAL, "spotted extent %s: it points outside the buckets",
				 bkey_print(text, k));
	return 0;
}

static IN_SET int check_child_key(const struct index *index, const struct bkey *k,
				  struct error *error)
{
	char text[BKEY_TEXT_BYTES];

	if (bkey_pointers(k) && bkey_sectors(k) && !bkey_is_dirty(k) &&
	    space_pointer_is_valid(index->setup.space, k->ptr, bkey_sectors(k)))
		return 0;
	return error_set(error, EINVAL, "spotted btree ptr %s", bkey_print(text, k));
}

/*
 * The keys of one bset into `run`; in a leaf they must not overlap.  One of size 0 is what is
 * left of an extent that a later key hid: its end may lie inside that key.
 */
static IN_SET int decode_set(const struct node_read *read, const struct bset_disk *set,
			     struct run *run, struct error *error)
{
	unsigned words = le32_get(set->words);
	struct bkey k, last = { .high = 0 }, last_extent = last;

	run->count = 0;
	run_reserve(run, words / 2);
	for (unsigned at = 0; at < words;) {
		unsigned taken = bkey_decode(&k, set->keys + at, words - at);
		int failed;

		if (!taken)
			return error_set(error, EINVAL, "bad key at word %u of %u", at, words);
		at += taken;
		failed = read->node->level ? check_child_key(read->index, &k, error) :
					     check_leaf_key(read->index, &k, error);
		if (failed)
			return failed;
		if (run->count && bkey_compare(&k, &last) < 0)
			return error_set(error, EINVAL, "keys out of order at word %u", at);
		if (!read->node->level && bkey_sectors(&k) && bkey_sectors(&last_extent) &&
		    bkey_volume(&k) == bkey_volume(&last_extent) &&
		    bkey_start(&k) < bkey_end(&last_extent))
			return error_set(error, EINVAL, "keys overlap at word %u", at);
		run_add(run, &k);
		last = k;
		if (bkey_sectors(&k))
			last_extent = k;
	}
	return 0;
}

static void exchange(struct run *a, struct run *b)
{
	struct run kept = *a;

	*a = *b;
	*b = kept;
}

static IN_SET void take_leaf_set(struct node_read *read)
{
	struct index *index = read->index;

	run_merge(&read->merged, &read->set, &index->scratch);
	exchange(&read->merged, &index->scratch);
}

/* Children are kept in the order in which they came; sorted out when all are known. */
static IN_SET int take_child_set(struct node_read *read, struct error *error)
{
	struct space *space = read->index->setup.space;

	run_reserve(&read->merged, read->merged.count + read->set.count);
	for (unsigned i = 0; i < read->set.count; i++) {
		int failed = space_survey(space, read->set.key[i].ptr, error);	/* R24 */

		if (failed)
			return failed;
		run_add(&read->merged, &read->set.key[i]);
	}
	return 0;
}

static bool is_dead(const struct index *index, const struct bkey *k) IN_SET;
static bool is_dead(const struct index *index, const struct bkey *k)
{
	return bkey_is_zero_position(k) || space_staleness(index->setup.space, k->ptr);
}

static int compare_children(const void *a, const void *b)
{
	return bkey_compare(a, b);
}

/* The live children, in order, into `keys`; dead pointers into `open`, for gc. */
static IN_SET int sort_children(struct node_read *read, struct error *error)
{
	struct node *node = read->node;
	const struct run *all = &read->merged;

	run_reserve(&node->keys, all->count);
	run_reserve(&node->open, all->count);
	for (unsigned i = 0; i < all->count; i++)
		run_add(is_dead(read->index, &all->key[i]) ? &node->open : &node->keys,
			&all->key[i]);
	if (!node->keys.count)
		return error_set(error, EINVAL, "no live child");
	qsort(node->keys.key, node->keys.count, sizeof(struct bkey), compare_children);
	for (unsigned i = 1; i < node->keys.count; i++) {
		if (!bkey_compare(&node->keys.key[i - 1], &node->keys.key[i]))
			return error_set(error, EINVAL, "two live children end at %u:%llu",
					 bkey_volume(&node->keys.key[i]),
					 (unsigned long long)node->keys.key[i].low);
	}
	if (bkey_compare(&node->keys.key[node->keys.count - 1], &node->key))
		return error_set(error, EINVAL, "short btree key: the last child ends at %u:%llu",
				 bkey_volume(&node->keys.key[node->keys.count - 1]),
				 (unsigned long long)node->keys.key[node->keys.count - 1].low);
	return 0;
}

static IN_SET int finish_leaf(struct node_read *read, struct error *error)
{
	struct node *node = read->node;

	run_drop_holes(&read->merged);
	node->keys.count = 0;
	run_reserve(&node->keys, read->merged.count);
	for (unsigned i = 0; i < read->merged.count; i++)
		run_add(&node->keys, &read->merged.key[i]);
	if (node->keys.count && bkey_compare(&node->keys.key[node->keys.count - 1], &node->key) > 0)
		return error_set(error, EINVAL, "short btree key");
	return 0;
}

static bool is_set_of_node(const struct node_read *read, unsigned at)
{
	const struct bset_disk *set = (const void *)(read->buffer + at);

	return le64_get(set->sequence) == read->node->sequence &&
	       le64_get(set->magic) == (read->index->setup.set_magic ^ BSET_MAGIC);
}

/* A bset of this node behind the end of its log: a torn or misplaced write. */
static int check_behind(const struct node_read *read, unsigned at, struct error *error)
{
	for (; at < read->node->sectors * 512; at += read->index->setup.block_sectors * 512) {
		if (is_set_of_node(read, at))
			return error_set(error, EINVAL, "corrupted btree");
	}
	return 0;
}

static IN_SET int take_sets(struct node_read *read, unsigned *at, struct error *error)
{
	struct node *node = read->node;
	unsigned bytes = node->sectors * 512;
	unsigned block_bytes = read->index->setup.block_sectors * 512;

	node->sequence = le64_get(((const struct bset_disk *)read->buffer)->sequence);
	read->merged.count = 0;
	for (*at = 0; *at < bytes && (*at == 0 || is_set_of_node(read, *at));) {
		const struct bset_disk *set = (const void *)(read->buffer + *at);
		int failed = bset_check(set, bytes - *at, *at == 0, read->index->setup.set_magic,
					node->key.ptr, error);

		failed = failed ?: decode_set(read, set, &read->set, error);
		if (failed)
			return failed;
		if (node->level)
			failed = take_child_set(read, error);
		else
			take_leaf_set(read);
		if (failed)
			return failed;
		*at += round_up(bset_bytes(le32_get(set->words)), block_bytes);
	}
	return 0;
}

static IN_SET int parse(struct node_read *read, struct error *error)
{
	struct node *node = read->node;
	unsigned at = 0;
	int failed = take_sets(read, &at, error) ?: check_behind(read, at, error);

	if (!failed)
		failed = node->level ? sort_children(read, error) : finish_leaf(read, error);
	if (failed)
		return error_set(error, EINVAL, "%s at bucket %llu, block %u, %u keys",
				 strdupa(error->text),
				 (unsigned long long)space_bucket_of(read->index->setup.space,
								     node->key.ptr),
				 at / 512 / read->index->setup.block_sectors, read->merged.count);
	node->written_sectors = at / 512;
	return 0;
}

static IN_SET void count_read(struct node_read *read)
{
	struct index *index = read->index;
	uint64_t took = clock_ns(index->setup.reactor) - read->began_ns;

	index->nodes_read++;
	index->read_average_ns = index->read_average_ns ?
				 (index->read_average_ns * 7 + took) / 8 : took;
	index->read_max_ns = max_u64(index->read_max_ns, took);
}

static IN_SET void read_failed(struct node_read *read, const struct error *error)
{
	struct index *index = read->index;
	struct node *node = read->node;

	health_fail(index->setup.health, error->code, "%s", error->text);
	node->state = NODE_READY;
	waitlist_wake_all(&node->waiting, health_error(index->setup.health));
	node_forget(index, node);
}

static void node_read_step(struct op *op)
{
	struct node_read *read = container_of(op, struct node_read, op);
	struct index *index = read->index;
	struct node *node = read->node;
	struct error error = { .code = 0 };
	int failed = op_take_error(op);

	lock_acquire(index->setup.lock);
	if (failed)
		error_set(&error, -failed, "io error reading bucket %llu: %s",
			  (unsigned long long)space_bucket_of(index->setup.space, node->key.ptr),
			  strerror(-failed));
	else
		failed = parse(read, &error);
	if (failed) {
		read_failed(read, &error);
	} else {
		count_read(read);
		node->state = NODE_READY;
		waitlist_wake_all(&node->waiting, 0);
	}
	read->node = NULL;
	waitlist_wake_all(&index->read_slots, 0);	/* some may find that they need none */
	waitlist_wake_all(&index->memory, 0);
	lock_release(index->setup.lock);
}
