/*
 * Reads a node: merges the bsets of its log into one run.
 *
 *	bset 0 | bset 1 | bset 2 | older content of the bucket
 *	  all with the same sequence, each newer than those before it
 *
 *	(device) --> parse some bsets --> parse more ... --> ready
 *
 * A large log is parsed in several steps, so that other ops get their turn.
 *
 * Damage is found here: bad checksums, keys out of order, invalid pointers.  A damaged
 * node makes the set fail, with the kernel's error message.
 */
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "format/bset.h"
#include "index/internal.h"

enum { PARSE_BYTES_A_STEP = 256 << 10 };

struct node_read {
	struct op op;
	struct index *index;
	struct node *node;		/* NULL: the slot is free */
	unsigned char *buffer;
	unsigned buffer_bytes;
	uint64_t began_ns;
	bool is_parsing;
	unsigned at;			/* bytes parsed so far */
	struct run set;			/* keys of one bset */
	struct run_stack extents;	/* leaf: keys of its bsets so far */
	struct run children;		/* interior node: keys of its bsets so far */
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
		read->op.when_idle = index->setup.when_idle;
	}
}

void node_reads_done(struct index *index)
{
	for (unsigned i = 0; i < NODE_READS_MAX; i++) {
		buffer_free(index->reads[i].buffer);
		run_done(&index->reads[i].set);
		run_stack_done(&index->reads[i].extents);
		run_done(&index->reads[i].children);
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

/* A node of another implementation may be larger than ours.  False: no memory. */
static bool fit_buffer(struct node_read *read, unsigned bytes)
{
	unsigned char *larger;

	if (bytes <= read->buffer_bytes)
		return true;
	larger = buffer_try_new(bytes);
	if (!larger)
		return false;
	buffer_free(read->buffer);
	read->buffer = larger;
	read->buffer_bytes = bytes;
	return true;
}

/* Reads the whole node at once: where its log ends is only known from its content. */
int node_read_start(struct index *index, struct node *node, struct op *op)
{
	struct node_read *read = free_slot(index);

	if (!read) {
		SIM_SOMETIMES("all node reads are in use");
		waitlist_join(&index->read_slots, op);
		return -EAGAIN;
	}
	read->node = node;
	read->began_ns = clock_ns(index->setup.reactor);
	if (!fit_buffer(read, node->sectors * 512)) {
		op_await(&read->op);
		op_arrive(&read->op, -ENOMEM);
		return 0;
	}
	device_read(index->setup.device, read->buffer, pointer_sector(node->key.ptr), node->sectors,
		    &read->op);
	return 0;
}

/* ---- bytes to runs ---- */

/* The size of the node comes from a pointer on disk, so this is an error, not an assert. */
static int no_memory(const struct node_read *read, struct error *error)
{
	return error_set(error, ENOMEM, "no memory for a node of %u sectors", read->node->sectors);
}

/* Limits that all later arithmetic relies on. */
static LOCKED int check_leaf_key(const struct index *index, const struct bkey *k,
				 struct error *error)
{
	char text[BKEY_TEXT_BYTES];

	if (bkey_sectors(k) > bkey_end(k))
		return error_set(error, EINVAL, "spotted extent %s: it is longer than its end",
				 bkey_print(text, k));
	if (bkey_sectors(k) && bkey_end(k) > BKEY_END_MAX)
		return error_set(error, EINVAL, "spotted extent %s: it ends where no volume does",
				 bkey_print(text, k));
	if (bkey_has_usable_pointer(k) && bkey_sectors(k) &&
	    !space_pointer_is_valid(index->setup.space, k->ptr, bkey_sectors(k)))
		return error_set(error, EINVAL, "spotted extent %s: it points outside the buckets",
				 bkey_print(text, k));
	return 0;
}

static LOCKED int check_child_key(const struct index *index, const struct bkey *k,
				  struct error *error)
{
	char text[BKEY_TEXT_BYTES];

	if (bkey_pointers(k) && bkey_sectors(k) && !bkey_is_dirty(k) &&
	    space_pointer_is_valid(index->setup.space, k->ptr, bkey_sectors(k)))
		return 0;
	return error_set(error, EINVAL, "spotted btree ptr %s", bkey_print(text, k));
}

/*
 * Decodes the keys of one bset into `run`.  In a leaf they must not overlap; but a key of size 0,
 * the remainder of an extent that a later key hid, may end inside that key.
 */
static LOCKED int decode_set(const struct node_read *read, const struct bset_disk *set,
			     struct run *run, struct error *error)
{
	unsigned words = le32_get(set->words);
	struct bkey k, last = { .high = 0 }, last_extent = last;

	run->count = 0;
	if (!run_try_reserve(run, words / 2))
		return no_memory(read, error);
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

/* Collects the keys of an interior node; sort_children() sorts them when all are known. */
static LOCKED int take_child_set(struct node_read *read, struct error *error)
{
	struct space *space = read->index->setup.space;

	run_reserve(&read->children, read->children.count + read->set.count);
	for (unsigned i = 0; i < read->set.count; i++) {
		int failed = space_survey(space, read->set.key[i].ptr, error);	/* ORDER-24 */

		if (failed)
			return failed;
		run_add(&read->children, &read->set.key[i]);
	}
	return 0;
}

static bool is_dead(const struct index *index, const struct bkey *k) LOCKED;
static bool is_dead(const struct index *index, const struct bkey *k)
{
	return bkey_is_zero_position(k) || space_staleness(index->setup.space, k->ptr);
}

static int compare_children(const void *a, const void *b)
{
	return bkey_compare(a, b);
}

/* Puts live children into `keys`, sorted, and dead pointers into `open`, for gc. */
static LOCKED int sort_children(struct node_read *read, struct error *error)
{
	struct node *node = read->node;
	const struct run *all = &read->children;

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

/* Copies the merged run, so that the node's array has no spare room. */
static LOCKED int finish_leaf(struct node_read *read, struct error *error)
{
	struct node *node = read->node;
	struct run *merged = &read->extents.run[0];

	if (!run_stack_collapse(&read->extents))
		return no_memory(read, error);
	run_drop_holes(merged);
	node->keys.count = 0;
	if (!run_try_reserve(&node->keys, merged->count))
		return no_memory(read, error);
	for (unsigned i = 0; i < merged->count; i++)
		run_add(&node->keys, &merged->key[i]);
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

/* Fails if there is a bset of this node after the end of its log: a torn or misplaced write. */
static int check_behind(const struct node_read *read, unsigned at, struct error *error)
{
	for (; at < read->node->sectors * 512; at += read->index->setup.block_sectors * 512) {
		if (is_set_of_node(read, at))
			return error_set(error, EINVAL, "corrupted btree");
	}
	return 0;
}

/* Takes the bset at read->at. */
static LOCKED int take_set(struct node_read *read, struct error *error)
{
	struct node *node = read->node;
	const struct bset_disk *set = (const void *)(read->buffer + read->at);
	int failed = bset_check(set, node->sectors * 512 - read->at, read->at == 0,
				read->index->setup.set_magic, node->key.ptr, error) ?:
		     decode_set(read, set, &read->set, error);

	if (!failed && node->level)
		failed = take_child_set(read, error);
	else if (!failed && !run_stack_push(&read->extents, &read->set))
		failed = no_memory(read, error);
	if (!failed)
		read->at += round_up(bset_bytes(le32_get(set->words)),
				     read->index->setup.block_sectors * 512);
	return failed;
}

static void parse_begin(struct node_read *read)
{
	read->node->sequence = le64_get(((const struct bset_disk *)read->buffer)->sequence);
	read->is_parsing = true;
	read->at = 0;
	read->children.count = 0;
	run_stack_clear(&read->extents);
}

static LOCKED int parse_end(struct node_read *read, struct error *error)
{
	struct node *node = read->node;

	node->written_sectors = read->at / 512;
	return check_behind(read, read->at, error) ?:
	       node->level ? sort_children(read, error) : finish_leaf(read, error);
}

/* Adds the location, as a kernel does, with the number of keys parsed so far. */
static LOCKED int say_where(const struct node_read *read, struct error *error)
{
	const struct index *index = read->index;
	const struct run *found = read->node->level ? &read->children : &read->extents.run[0];
	unsigned keys = read->node->level || read->extents.count ? found->count : 0;

	return error_set(error, error->code, "%s at bucket %llu, block %u, %u keys",
			 strdupa(error->text),
			 (unsigned long long)space_bucket_of(index->setup.space,
							     read->node->key.ptr),
			 read->at / 512 / index->setup.block_sectors, keys);
}

/* Parses some more bsets.  -EAGAIN: there are others left. */
static LOCKED int parse(struct node_read *read, struct error *error)
{
	unsigned end = read->node->sectors * 512;
	unsigned step_end = min_u64(read->at + PARSE_BYTES_A_STEP, end);
	int failed = 0;

	while (!failed && read->at < step_end && (read->at == 0 || is_set_of_node(read, read->at)))
		failed = take_set(read, error);
	if (!failed && read->at < end && is_set_of_node(read, read->at))
		return -EAGAIN;
	failed = failed ?: parse_end(read, error);
	return failed ? say_where(read, error) : 0;
}

static LOCKED void count_read(struct node_read *read)
{
	struct index *index = read->index;
	uint64_t took = clock_ns(index->setup.reactor) - read->began_ns;

	index->nodes_read++;
	index->read_average_ns = index->read_average_ns ?
				 (index->read_average_ns * 7 + took) / 8 : took;
	index->read_max_ns = max_u64(index->read_max_ns, took);
}

/* Wakes the ops that wait for the node, before the node is gone. */
static LOCKED void read_failed(struct node_read *read, const struct error *error)
{
	struct index *index = read->index;
	struct node *node = read->node;

	health_fail(index->setup.health, error->code, "%s", error->text);
	node->state = NODE_READY;
	waitlist_wake_all(&node->waiting, health_error(index->setup.health));
	node_forget(index, node);
}

/* After a node larger than ours, frees the memory it needed. */
static void give_memory_back(struct node_read *read)
{
	if (read->node->sectors <= read->index->setup.node_sectors)
		return;
	run_done(&read->set);
	run_done(&read->children);
	run_stack_done(&read->extents);
}

static LOCKED void read_ended(struct node_read *read, int failed, const struct error *error)
{
	struct index *index = read->index;
	struct node *node = read->node;

	give_memory_back(read);
	SIM_SOMETIMES_IF(failed, "a node cannot be read");
	SIM_SOMETIMES_IF(!failed && node->level, "an interior node is read");
	if (failed) {
		read_failed(read, error);
	} else {
		count_read(read);
		node->state = NODE_READY;
		waitlist_wake_all(&node->waiting, 0);
	}
	read->is_parsing = false;
	read->node = NULL;
	waitlist_wake_all(&index->read_slots, 0);	/* all: some may find their node read */
	waitlist_wake_all(&index->memory, 0);
}

static void node_read_step(struct op *op)
{
	struct node_read *read = container_of(op, struct node_read, op);
	struct index *index = read->index;
	struct error error = { .code = 0 };
	int failed = op_take_error(op);

	lock_acquire(index->setup.lock);
	if (failed) {
		error_set(&error, -failed, "io error reading bucket %llu: %s",
			  (unsigned long long)space_bucket_of(index->setup.space,
							      read->node->key.ptr),
			  strerror(-failed));
	} else {
		if (!read->is_parsing)
			parse_begin(read);
		failed = parse(read, &error);
	}
	if (failed == -EAGAIN)
		op_queue(op);
	else
		read_ended(read, failed, &error);
	lock_release(index->setup.lock);
}
