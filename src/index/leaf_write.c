/*
 * Writes leaves: the open run of a leaf becomes the next bset of its log.
 *
 *	FLUSH -----------------> (TAIL) -------------> HEAD --------> free
 *	makes the data of its     all blocks but        the first
 *	keys durable (INDEX-2)    the first             block
 *
 * TAIL and HEAD are FUA writes.  The first block of a bset is written last: it holds the
 * header, so until then the bset does not exist, and a power cut cannot leave half of
 * it, which no kernel would accept.  (The format assumes that a block is written
 * atomically.)
 *
 * The write works on a copy.  The run itself is merged into `keys` when the write starts,
 * so that the next inserts find an empty open run at once.  A leaf has one write in
 * flight at a time, so its log grows without gaps.
 *
 * Leaves are written for inserts that lack room, for eviction, gc and stop, under
 * pressure of the journal, and when they have been dirty for LEAF_AGE_MAX_NS.
 */
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "format/bset.h"
#include "index/internal.h"

#define LEAF_AGE_MAX_NS UINT64_C(30000000000)
#define AGEING_PERIOD_NS UINT64_C(5000000000)

enum leaf_write_state {
	LEAF_WRITE_FREE,
	LEAF_WRITE_FLUSH,
	LEAF_WRITE_TAIL,
	LEAF_WRITE_HEAD,
};

struct node_write {
	struct op op;
	struct index *index;
	enum leaf_write_state state;
	struct node *node;
	unsigned char *buffer;		/* OPEN_RUN_BYTES_MAX */
	unsigned sectors;
	uint64_t at;			/* sector on the device */
	uint64_t flush_ticket;		/* of the leaf, when the write started */
	uint64_t inserted;		/* leaf->inserted then: these keys are in it */
	struct journal_pin pin;		/* taken over from the leaf */
};

static void leaf_write_step(struct op *op);

void leaf_writes_init(struct index *index)
{
	index->writes = calloc(LEAF_WRITES_MAX, sizeof(*index->writes));
	assert(index->writes);
	for (unsigned i = 0; i < LEAF_WRITES_MAX; i++) {
		struct node_write *write = &index->writes[i];

		write->index = index;
		write->buffer = buffer_new(OPEN_RUN_BYTES_MAX);
		write->pin.is_busy = true;
		op_init(&write->op, index->setup.reactor, leaf_write_step);
		write->op.when_idle = index->setup.when_idle;
	}
}

void leaf_writes_done(struct index *index)
{
	for (unsigned i = 0; i < LEAF_WRITES_MAX; i++)
		buffer_free(index->writes[i].buffer);
	free(index->writes);
}

/*
 * Each bset is padded to whole blocks, so keys need less room together than in a bset of their
 * own.
 */
enum leaf_room leaf_room(const struct index *index, const struct node *leaf, unsigned words)
{
	unsigned left = leaf->sectors - leaf->written_sectors;
	unsigned alone = index_set_sectors(index, words);
	unsigned together = index_set_sectors(index, leaf->open_words + words);

	assert(bset_bytes(words) <= OPEN_RUN_BYTES_MAX);
	if (together <= left && bset_bytes(leaf->open_words + words) <= OPEN_RUN_BYTES_MAX)
		return LEAF_FITS;
	if (leaf->open.count && index_set_sectors(index, leaf->open_words) + alone <= left)
		return LEAF_WRITE_FIRST;
	return LEAF_FULL;
}

/* ---- the write ---- */

static struct node_write *free_slot(struct index *index)
{
	for (unsigned i = 0; i < LEAF_WRITES_MAX; i++) {
		if (index->writes[i].state == LEAF_WRITE_FREE)
			return &index->writes[i];
	}
	return NULL;
}

bool leaf_writes_are_idle(const struct index *index)
{
	for (unsigned i = 0; i < LEAF_WRITES_MAX; i++) {
		if (index->writes[i].state != LEAF_WRITE_FREE)
			return false;
	}
	return true;
}

/* Merges the open run into `keys`, below which there are no older keys, so holes are dropped. */
static void join_runs(struct index *index, struct node *leaf)
{
	uint64_t now = clock_ns(index->setup.reactor);
	struct run kept;

	time_stats_add(&index->merge_times, now, now);
	run_merge(&leaf->keys, &leaf->open, &index->scratch);
	run_drop_holes(&index->scratch);
	kept = leaf->keys;
	leaf->keys = index->scratch;
	index->scratch = kept;
	leaf->open.count = 0;
	leaf->open_words = 0;
}

/* JOURNAL-1: the keys are now the write's, and so is the pin. */
static LOCKED void move_pin(struct index *index, struct node *leaf, struct node_write *write)
{
	if (!leaf->pin.sequence)
		return;
	journal_pin(index->setup.journal, &write->pin, leaf->pin.sequence);
	journal_unpin(index->setup.journal, &leaf->pin);
}

static void write_head(struct node_write *write)
{
	struct index *index = write->index;

	write->state = LEAF_WRITE_HEAD;
	device_write_metadata(index->setup.device, write->buffer, write->at,
			      index->setup.block_sectors, true, &write->op);
}

/* Starts the next part of the write, after what it waited for. */
static void leaf_write_go_on(struct node_write *write)
{
	struct index *index = write->index;
	unsigned head = index->setup.block_sectors;

	if (write->state != LEAF_WRITE_TAIL &&
	    !device_flush_covers(index->setup.device, write->flush_ticket)) {
		SIM_SOMETIMES("a leaf's write flushes its data first");
		write->state = LEAF_WRITE_FLUSH;
		device_flush_wait(index->setup.device, write->flush_ticket, &write->op);
		return;
	}
	if (write->state == LEAF_WRITE_TAIL || write->sectors == head) {
		write_head(write);
		return;
	}
	SIM_SOMETIMES("a bset of several blocks");
	write->state = LEAF_WRITE_TAIL;
	device_write_metadata(index->setup.device, write->buffer + head * 512, write->at + head,
			      write->sectors - head, true, &write->op);
}

bool leaf_write_start(struct index *index, struct node *leaf)
{
	struct node_write *write = free_slot(index);

	assert(leaf_may_be_written(leaf));
	assert(!index->setup.memory_only);
	SIM_SOMETIMES_IF(!write, "all leaf writes are in use");
	if (!write)
		return false;
	assert(run_words(&leaf->open) == leaf->open_words);
	write->sectors = node_encode(index, leaf, &leaf->open, write->buffer, OPEN_RUN_BYTES_MAX);
	write->node = leaf;
	write->at = pointer_sector(leaf->key.ptr) + leaf->written_sectors;
	write->flush_ticket = leaf->flush_ticket;
	write->inserted = leaf->inserted;
	leaf->written_sectors += write->sectors;
	assert(leaf->written_sectors <= leaf->sectors);		/* INDEX-4 */
	leaf->write = write;
	leaf->write_wanted = false;
	move_pin(index, leaf, write);
	join_runs(index, leaf);
	leaf_write_go_on(write);
	return true;
}

/* Wakes all ops that wait for something that the end of a write may provide. */
static LOCKED void wake_waiters(struct index *index)
{
	waitlist_wake_all(&index->write_slots, 0);
	waitlist_wake_all(&index->memory, 0);
	if (journal_is_under_pressure(index->setup.journal))
		waitlist_wake_all(&index->setup.journal->pressure, 0);
}

/* The keys are durable, or the set has failed: in both cases the pin is of no use any more. */
static LOCKED void write_ended(struct node_write *write, int error)
{
	struct index *index = write->index;
	struct node *leaf = write->node;

	journal_unpin(index->setup.journal, &write->pin);
	write->state = LEAF_WRITE_FREE;
	write->node = NULL;
	leaf->write = NULL;
	if (!error)
		leaf->settled = write->inserted;
	index->leaves_written++;
	index->sectors_written += write->sectors;
	assert(!leaf->is_frozen);	/* a plan waits for the write before it freezes the leaf */
	SIM_SOMETIMES_IF(node_is_dirty(leaf), "keys come to a leaf that is being written");
	if (!error && leaf->write_wanted && node_is_dirty(leaf))
		leaf_write_start(index, leaf);
	waitlist_wake_all(&leaf->waiting, error);
	wake_waiters(index);
}

static void leaf_write_step(struct op *op)
{
	struct node_write *write = container_of(op, struct node_write, op);
	struct index *index = write->index;
	int error = op_take_error(op);

	lock_acquire(index->setup.lock);
	if (error)
		health_fail(index->setup.health, -error, "io error writing bucket %llu: %s",
			    (unsigned long long)space_bucket_of(index->setup.space,
								write->node->key.ptr),
			    strerror(-error));
	error = error ?: health_error(index->setup.health);
	if (error || write->state == LEAF_WRITE_HEAD)
		write_ended(write, error);
	else
		leaf_write_go_on(write);
	lock_release(index->setup.lock);
}

/* ---- reasons to write leaves ---- */

int index_clean_leaf(struct index *index, struct node *leaf, struct op *op)
{
	int error = health_error(index->setup.health);

	if (error)
		return error;
	SIM_SOMETIMES_IF(leaf->is_frozen, "a leaf to be cleaned is being replaced");
	if (leaf->is_frozen || leaf->write) {
		leaf->write_wanted = true;
		waitlist_join(&leaf->waiting, op);
		return -EAGAIN;
	}
	if (!node_is_dirty(leaf))
		return 0;
	if (leaf_write_start(index, leaf))
		waitlist_join(&leaf->waiting, op);
	else
		waitlist_join(&index->write_slots, op);
	return -EAGAIN;
}

int index_clean_all(struct index *index, struct op *op)
{
	struct node *busy = NULL;
	struct list_link *link;
	int error = health_error(index->setup.health);

	if (error)
		return error;
	for (link = list_first(&index->lru); link; link = list_next(&index->lru, link)) {
		struct node *node = container_of(link, struct node, lru_link);

		if (leaf_may_be_written(node))
			leaf_write_start(index, node);
		if (node_is_dirty(node) || node->write || node->is_frozen)
			busy = node;
	}
	return busy ? index_clean_leaf(index, busy, op) : 0;
}

/* Writes the leaves that pin the oldest entry, as many as there are slots (LESSON-10). */
void pressure_step(struct op *op)
{
	struct index *index = container_of(op, struct index, pressure);
	struct list *pins;

	op_take_error(op);
	lock_acquire(index->setup.lock);
	if (!health_error(index->setup.health) && !index->is_stopping) {
		pins = journal_front(index->setup.journal);
		for (struct list_link *link = pins ? list_first(pins) : NULL, *next; link;
		     link = next) {
			struct journal_pin *pin = container_of(link, struct journal_pin, link);
			struct node *leaf;

			next = list_next(pins, link);
			if (pin->is_busy)
				continue;
			leaf = container_of(pin, struct node, pin);
			leaf->write_wanted = true;
			if (leaf->write || leaf->is_frozen)
				continue;
			if (!leaf_write_start(index, leaf))
				break;
			index->pressure_writes++;
		}
		waitlist_join(&index->setup.journal->pressure, op);
	}
	lock_release(index->setup.lock);
}

/* Bounds the time that keys need the journal, and so the length of a replay. */
void ageing_step(struct op *op)
{
	struct index *index = container_of(op, struct index, ageing);
	uint64_t now = clock_ns(index->setup.reactor);
	struct list_link *link;

	op_take_error(op);
	lock_acquire(index->setup.lock);
	if (!health_error(index->setup.health) && !index->is_stopping) {
		for (link = list_first(&index->lru); link; link = list_next(&index->lru, link)) {
			struct node *leaf = container_of(link, struct node, lru_link);

			if (leaf_may_be_written(leaf) &&
			    now - leaf->dirty_since_ns > LEAF_AGE_MAX_NS &&
			    !leaf_write_start(index, leaf))
				break;
		}
		timer_start(&index->ageing_timer, AGEING_PERIOD_NS, op);
	}
	lock_release(index->setup.lock);
}
