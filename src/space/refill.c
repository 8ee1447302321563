/*
 * Refill: makes buckets free for reuse.  Chooses victims, raises their generations, makes
 * a table with these durable, and puts the buckets on the free lists.
 *
 *	IDLE --a list is low--> CHOOSE --> SWEEP --victims--> ENCODE --> TABLE --written--> ENTRY
 *	  ^                      ^          |                                                |
 *	  |                      |       too few                                             |
 *	  |   gc ended, a bucket |          v                                                |
 *	  |   was freed, or time +------ STARVED                                             |
 *	  |   (STARVED_WAIT_NS)                                                              |
 *	  +----------------- lists filled <--------------------------------------------------+
 *
 * SWEEP and ENCODE handle a slice of buckets a step, TABLE some parts (SPACE-6).
 *
 * Refill never waits for a bucket: those for the table are in free[PRIO], which is
 * refilled before all other lists (SPACE-5, LESSON-6).
 */
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "space/internal.h"

#define STARVED_WAIT_NS UINT64_C(200000000)

/*
 * Lists are refilled when they are half empty; that of PRIO at once, since a table takes all of
 * it.
 */
static bool is_low(const struct space *space)
{
	const struct bucket_ring *free_ring = space->free;

	return !waitlist_empty(&space->waiting[USE_BTREE]) ||
	       free_ring[USE_PRIO].count < free_ring[USE_PRIO].size ||
	       free_ring[USE_BTREE].count * 2 < free_ring[USE_BTREE].size ||
	       (space->data_is_wanted &&
		free_ring[USE_DATA].count * 2 < space->data_target);
}

static bool somebody_waits(const struct space *space)
{
	for (unsigned use = 0; use < USES; use++) {
		if (!waitlist_empty(&space->waiting[use]))
			return true;
	}
	return false;
}

void space_kick(struct space *space)
{
	if (space->refill_state != REFILL_IDLE || !space->is_running || !is_low(space) ||
	    health_error(space->setup.health))
		return;
	space->refill_state = REFILL_CHOOSE;
	op_queue(&space->refill);
}

void space_wake_starved(struct space *space)
{
	if (space->refill_state == REFILL_STARVED)
		timer_cancel(&space->starved_timer);
}

/* Ends a round: ops that waited for its end look again. */
static void rest(struct space *space, enum refill_state state)
{
	space->refill_state = state;
	waitlist_wake_all(&space->refilled, 0);
}

/* Wakes all: each takes what it needs, or waits again. */
static void wake_served(struct space *space)
{
	for (unsigned use = 0; use < USES; use++) {
		if (space->free[use].count)
			waitlist_wake_all(&space->waiting[use], 0);
	}
}

/* Moves `incoming` to the free lists, those of metadata first; what does not fit stays. */
static void distribute(struct space *space)
{
	uint32_t bucket;

	assert(space->incoming_is_durable);
	while (ring_pop(&space->incoming, &bucket)) {
		enum bucket_use use = USE_PRIO;

		while (use < USES && !ring_push(&space->free[use], bucket))
			use++;
		if (use == USES) {
			ring_push(&space->incoming, bucket);
			break;
		}
	}
	wake_served(space);
}

/* There are too few victims: gives the free buckets of data to metadata. */
static void lend_to_metadata(struct space *space)
{
	uint32_t bucket;

	for (enum bucket_use use = USE_PRIO; use < USE_DATA; use++) {
		struct bucket_ring *ring = &space->free[use];

		while (ring->count < ring->size && ring_pop(&space->free[USE_DATA], &bucket))
			ring_push(ring, bucket);
	}
	wake_served(space);
}

/* Empty buckets, but for those on the lists; some may be pinned by reads in flight. */
static uint64_t count_empty(const struct space *space)
{
	uint64_t listed = space->incoming.count;

	for (unsigned use = 0; use < USES; use++)
		listed += space->free[use].count;
	return space->unmarked - min_u64(space->unmarked, listed);
}

/*
 * Adapts the target for data: doubled if they ran out, lowered by 1/8 otherwise, at most half of
 * `most`, since freeing buckets evicts their data.  Empty buckets cost nothing, so it is at least
 * half of their number.  `most` is a quarter of what is available: metadata may need the rest.
 */
static void adapt_data_target(struct space *space)
{
	unsigned most = max_u64(space->data_min,
				min_u64(space->free[USE_DATA].size, space->available / 4));
	unsigned target = space->data_was_short ? space->data_target * 2
						: space->data_target - space->data_target / 8;

	target = min_u64(target, most / 2);
	if (space->setup.replacement == REPLACEMENT_LRU)	/* only lru prefers empty ones */
		target = max_u64(target, count_empty(space) / 2);
	space->data_target = clamp_u64(target, space->data_min, most);
	space->data_was_short = false;
}

/* How many buckets are missing from a list. */
static unsigned lacks(const struct bucket_ring *ring, unsigned wanted)
{
	return wanted - min_u64(wanted, ring->count);
}

/* The number of buckets to make free; if no data were written yet, only what metadata lack. */
static unsigned batch_size(const struct space *space)
{
	const struct bucket_ring *ring = space->free;
	unsigned room = space->incoming.size - space->incoming.count;
	/* The table will take all of free[PRIO]. */
	unsigned metadata = ring[USE_PRIO].size + lacks(&ring[USE_BTREE], ring[USE_BTREE].size);
	unsigned all = max_u64(space->batch_min,
			       metadata + lacks(&ring[USE_DATA], space->data_target));

	return min_u64(room, space->data_is_wanted ? lacks(&space->incoming, all) : metadata);
}

/* ---- the op ---- */

/* Without gc (during replay) nothing can free a bucket: if an op waits, the set fails. */
static LOCKED void starve(struct space *space)
{
	if (!space->has_gc && somebody_waits(space)) {
		health_fail(space->setup.health, ENOSPC,
			    "no bucket can be reused while the journal is replayed");
		rest(space, REFILL_IDLE);
		return;
	}
	SIM_SOMETIMES("refill finds no bucket to reuse");
	SIM_SOMETIMES_IF(!space->marks_valid, "refill waits for the gc under way");
	if (space->marks_valid) {	/* otherwise the running gc may find some */
		if (!space->gc_was_useless || somebody_waits(space))
			space_want_gc_again(space);
		space->gc_was_useless = true;
	}
	rest(space, REFILL_STARVED);
	timer_start(&space->starved_timer, STARVED_WAIT_NS, &space->refill);
}

static LOCKED void raise_victims(struct space *space)
{
	unsigned count = space->choice.count;

	/* SPACE-5: the table empties free[PRIO], so the batch must refill that, and bring more. */
	if (!count || space->incoming.count + count <= space->setup.prio_parts) {
		lend_to_metadata(space);
		starve(space);
		return;
	}
	assert(space->marks_valid);	/* SPACE-8 */
	space->gc_was_useless = false;
	for (unsigned i = 0; i < count; i++) {
		space_raise(space, space->victims[i].bucket);
		ring_push(&space->incoming, space->victims[i].bucket);
	}
	SIM_SOMETIMES_IF(count < space->choice.wanted, "refill finds fewer buckets than it wants");
	if (count < space->choice.wanted / 2)
		space_want_gc_again(space);
	space->incoming_is_durable = false;
	space->refill_state = REFILL_ENCODE;
	space_begin_table(space);
	op_queue(&space->refill);
}

/* One slice; after the last one, or if a gc has begun, the choice is what it is. */
static LOCKED void look_for_victims(struct space *space)
{
	struct choice *choice = &space->choice;

	SIM_RARELY_IF(!space->marks_valid && choice->tried, "a gc begins while refill chooses",
		      "test_space_refill/are_none_once_a_gc_has_begun");
	if (space->marks_valid && space->is_running && !space_sweep(space)) {
		op_queue(&space->refill);
		return;
	}
	space_check_victims(space);
	if (space->is_running)
		raise_victims(space);
	else
		rest(space, REFILL_IDLE);
	if (space->gc_is_wanted)	/* one may begin now (SPACE-9) */
		waitlist_wake_all(&space->gc_wanted, 0);
}

static LOCKED void begin_choice(struct space *space)
{
	adapt_data_target(space);
	space->choice = (struct choice){ .wanted = batch_size(space),
					 .by = space->setup.replacement,
					 .prio_min = space->prio_min };
	space->refill_state = REFILL_SWEEP;
	look_for_victims(space);
}

static LOCKED void encode_table(struct space *space)
{
	if (!space_encode_table(space)) {
		op_queue(&space->refill);
		return;
	}
	space->refill_state = REFILL_TABLE;
	space_write_table(space, &space->refill);
}

static LOCKED void look_for_work(struct space *space)
{
	if (!space->is_running) {
		rest(space, REFILL_IDLE);
		return;
	}
	if (space->incoming.count)
		distribute(space);
	if (is_low(space))
		begin_choice(space);
	else
		rest(space, REFILL_IDLE);
}

/* The writes have ended; the flush before the entry makes them durable (ORDER-5). */
static LOCKED void parts_are_written(struct space *space)
{
	if (!space_table_is_written(space)) {
		SIM_RARELY("a priority table is written in several steps",
			   "test_space_prio/of_many_parts_is_written_slice_by_slice");
		space_write_table(space, &space->refill);
		return;
	}
	space->refill_state = REFILL_ENTRY;
	journal_set_prio_bucket(space->setup.journal, space->table[0]);
	journal_roots_change(space->setup.journal);
	journal_commit(space->setup.journal, &space->refill);
}

static LOCKED void entry_is_durable(struct space *space)
{
	space_finish_table(space);
	space->incoming_is_durable = true;
	distribute(space);
	rest(space, REFILL_IDLE);
	space_kick(space);
}

static void refill_failed(struct space *space, int error)
{
	SIM_SOMETIMES_IF(space->refill_state == REFILL_TABLE, "a set dies at its priority table");
	SIM_SOMETIMES_IF(space->refill_state == REFILL_ENTRY,
			 "a set dies before its priority table is named");
	if (space->refill_state == REFILL_TABLE)
		health_fail(space->setup.health, -error, "accessing priorities: %s",
			    strerror(-error));
	rest(space, REFILL_IDLE);
}

void space_refill_step(struct op *op)
{
	struct space *space = container_of(op, struct space, refill);
	int error;

	lock_acquire(space->setup.lock);
	error = op_take_error(op) ?: health_error(space->setup.health);
	if (error) {
		refill_failed(space, error);
	} else {
		switch (space->refill_state) {
		case REFILL_IDLE:
		case REFILL_STARVED:
			space->refill_state = REFILL_CHOOSE;
			/* fall through */
		case REFILL_CHOOSE:
			look_for_work(space);
			break;
		case REFILL_SWEEP:
			look_for_victims(space);
			break;
		case REFILL_ENCODE:
			encode_table(space);
			break;
		case REFILL_TABLE:
			parts_are_written(space);
			break;
		case REFILL_ENTRY:
			entry_is_durable(space);
			break;
		}
	}
	lock_release(space->setup.lock);
}

/*
 * If many buckets are empty, free some at the start, so that the first write need not wait.  This
 * may look at all buckets: the set does not run yet (SPACE-6).
 */
static bool many_hold_nothing(const struct space *space)
{
	unsigned left = space->batch_min;

	for (uint64_t i = space->setup.first_bucket; i < space->setup.buckets && left; i++)
		left -= space->bucket[i].mark == MARK_NONE && space_may_be_victim(space, i);
	return !left;
}

void space_run(struct space *space)
{
	space->is_running = true;
	space->data_is_wanted = space->marks_valid && many_hold_nothing(space);
	space->cursor = space->setup.first_bucket;
	space_kick(space);
}

void space_stop(struct space *space)
{
	space->is_running = false;
	timer_cancel(&space->starved_timer);
}

void space_abort(struct space *space, int error)
{
	for (unsigned use = 0; use < USES; use++)
		waitlist_wake_all(&space->waiting[use], error);
	waitlist_wake_all(&space->refilled, error);
	waitlist_wake_all(&space->gc_wanted, error);
	waitlist_wake_all(&space->gc_ended, error);
	timer_cancel(&space->starved_timer);
}

bool space_is_idle(const struct space *space)
{
	return op_is_idle(&space->refill);
}
