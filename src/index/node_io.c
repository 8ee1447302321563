/*
 * Reads nodes into memory.
 *
 *	(device) --> parse some bsets --> parse more ... --> ready
 *
 * node_decode.c makes keys of the bytes.  A large log is parsed in several steps, so that
 * other ops get their turn.  A damaged node makes the set fail, with the kernel's error
 * message, or is lost (INDEX-6).
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/numbers.h"
#include "base/sometimes.h"
#include "index/internal.h"
#include "index/node_decode.h"
#include "space/space.h"

enum { PARSE_BYTES_A_STEP = 256 << 10, NODES_LOST_TOLD = 10 };

struct node_read {
	struct op op;
	struct index *index;
	struct node *node;		/* NULL: the slot is free */
	unsigned char *buffer;
	unsigned buffer_bytes;
	uint64_t began_ns;
	bool is_parsing;
	struct node_decode decode;
	struct node_faults faults;
	struct error fault;		/* the first */
};

static void node_read_step(struct op *op);
static int take_fault(struct node_faults *faults, const struct error *fault);

void node_reads_init(struct index *index)
{
	index->reads = calloc(NODE_READS_MAX, sizeof(*index->reads));
	assert(index->reads);
	for (unsigned i = 0; i < NODE_READS_MAX; i++) {
		struct node_read *read = &index->reads[i];

		read->index = index;
		read->buffer_bytes = index->setup.node_sectors * 512;
		read->buffer = buffer_new(read->buffer_bytes);
		read->faults.take = take_fault;
		op_init(&read->op, index->setup.reactor, node_read_step);
		read->op.when_idle = index->setup.when_idle;
	}
}

void node_reads_done(struct index *index)
{
	for (unsigned i = 0; i < NODE_READS_MAX; i++) {
		buffer_free(index->reads[i].buffer);
		node_decode_done(&index->reads[i].decode);
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

/* ---- bytes to a node ---- */

/* The first fault is fatal: the set fails with it. */
static int take_fault(struct node_faults *faults, const struct error *fault)
{
	struct node_read *read = container_of(faults, struct node_read, faults);

	read->fault = *fault;
	return -fault->code;
}

static LOCKED void parse_begin(struct node_read *read)
{
	const struct index *index = read->index;
	struct node_decode *decode = &read->decode;

	decode->bytes = read->buffer;
	decode->key = read->node->key;
	decode->level = read->node->level;
	decode->set_magic = index->setup.set_magic;
	decode->block_sectors = index->setup.block_sectors;
	decode->range = space_range(index->setup.space);
	decode->faults = &read->faults;
	node_decode_begin(decode);
	read->is_parsing = true;
}

/* Each pointer says how far its bucket's generation is at least (ORDER-24). */
static LOCKED int survey_children(struct node_read *read)
{
	const struct run *all = &read->decode.children;
	struct error error;

	for (unsigned i = 0; i < all->count; i++)
		if (space_survey(read->index->setup.space, all->key[i].ptr, &error))
			return node_decode_fault(&read->decode, &error);
	return 0;
}

static LOCKED bool is_dead(const struct index *index, const struct bkey *k)
{
	return bkey_is_zero_position(k) || space_staleness(index->setup.space, k->ptr);
}

/* Puts live children into `keys`, sorted, and the others into `dead`. */
static LOCKED int take_children(struct node_read *read)
{
	struct node *node = read->node;
	const struct run *all = &read->decode.children;
	int failed = survey_children(read);

	if (failed)
		return failed;
	run_reserve(&node->keys, all->count);
	run_reserve(&node->dead, all->count);
	for (unsigned i = 0; i < all->count; i++)
		run_add(is_dead(read->index, &all->key[i]) ? &node->dead : &node->keys,
			&all->key[i]);
	return node_decode_live(&read->decode, &node->keys);
}

/* Copies the merged run, so that the node's array has no spare room. */
static LOCKED int take_extents(struct node_read *read)
{
	struct node *node = read->node;
	const struct run *merged = &read->decode.extents.run[0];

	node->keys.count = 0;
	if (!run_try_reserve(&node->keys, merged->count))
		return node_decode_no_memory(&read->decode);
	for (unsigned i = 0; i < merged->count; i++)
		run_add(&node->keys, &merged->key[i]);
	return 0;
}

/* Parses some more bsets.  -EAGAIN: there are others left. */
static LOCKED int parse(struct node_read *read)
{
	struct node *node = read->node;
	int failed = node_decode(&read->decode, PARSE_BYTES_A_STEP);

	if (failed)
		return failed;
	node->sequence = read->decode.sequence;
	node->written_sectors = read->decode.at / 512;
	return node->level ? take_children(read) : take_extents(read);
}

static LOCKED void count_read(struct node_read *read)
{
	struct index *index = read->index;

	index->nodes_read++;
	time_stats_add(&index->read_times, read->began_ns, clock_ns(index->setup.reactor));
}

/* Wakes the ops that wait for the node, before the node is gone. */
static LOCKED void read_failed(struct node_read *read)
{
	struct index *index = read->index;
	struct node *node = read->node;

	health_fail(index->setup.health, read->fault.code, "%s", read->fault.text);
	node->state = NODE_READY;
	waitlist_wake_all(&node->waiting, health_error(index->setup.health));
	node_forget(index, node);
}

/* INDEX-6 */
static LOCKED void node_is_lost(struct node_read *read)
{
	struct index *index = read->index;
	struct node *node = read->node;

	assert(index->setup.memory_only);
	if (index->nodes_lost < NODES_LOST_TOLD)
		log_warning("%s: index node lost: %s", device_path(index->setup.device),
			    read->fault.text);
	node->keys.count = node->dead.count = 0;
	node->is_lost = true;
	index->nodes_lost++;
}

/* After a node larger than ours, frees the memory it needed. */
static void give_memory_back(struct node_read *read)
{
	if (read->node->sectors > read->index->setup.node_sectors)
		node_decode_done(&read->decode);
}

static LOCKED void read_ended(struct node_read *read, int failed)
{
	struct index *index = read->index;
	struct node *node = read->node;

	give_memory_back(read);
	SIM_SOMETIMES_IF(failed, "a node cannot be read");
	SIM_SOMETIMES_IF(!failed && node->level, "an interior node is read");
	if (failed && (!index->setup.rescues || read->fault.code == ENOMEM)) {
		read_failed(read);
	} else {
		if (failed)
			node_is_lost(read);
		else
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
	int failed = op_take_error(op);

	lock_acquire(index->setup.lock);
	if (failed) {
		error_set(&read->fault, -failed, "io error reading bucket %llu: %s",
			  (unsigned long long)space_bucket_of(index->setup.space,
							      read->node->key.ptr),
			  strerror(-failed));
	} else {
		if (!read->is_parsing)
			parse_begin(read);
		failed = parse(read);
	}
	if (failed == -EAGAIN)
		op_queue(op);
	else
		read_ended(read, failed);
	lock_release(index->setup.lock);
}
