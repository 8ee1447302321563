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
 * SWEEP and ENCODE handle a slice of buckets a step (SPACE-6).
 *
 * Refill never waits for a bucket: those for the table are in free[PRIO], which is
 * refilled before all other lists (SPACE-5, LESSON-6).
 */
#include <errno.h>

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

/* One generation less than the limit: the bucket of a node is raised once more when it is freed. */
static bool may_be_victim(const struct space *space, uint64_t number)
{
	const struct bucket *bucket = &space->bucket[number];

	return bucket->mark <= MARK_RECLAIMABLE && !bucket->pins && !bucket->is_listed &&
	       !bucket->freed_pending &&
	       (uint8_t)(bucket->generation - bucket->oldest) < GENERATIONS_BEHIND - 1;
}

/* ---- lru: a bounded heap of the cheapest buckets, the most valuable on top ---- */

/*
 * The kernel's formula: recently used buckets with much live data are kept.  Empty ones are worth
 * 0.
 */
static uint64_t worth(const struct space *space, const struct bucket *bucket)
{
	uint16_t prio_min = space->choice.prio_min;
	uint64_t base = (PRIO_INITIAL - min_u64(prio_min, PRIO_INITIAL)) / 8;

	return (bucket->prio - min_u64(prio_min, bucket->prio) + base) * bucket->used_sectors;
}

static void swap_victims(struct victim *a, struct victim *b)
{
	struct victim kept = *a;

	*a = *b;
	*b = kept;
}

static void sift_up(struct victim *heap, unsigned at)
{
	while (at && heap[(at - 1) / 2].worth < heap[at].worth) {
		swap_victims(&heap[(at - 1) / 2], &heap[at]);
		at = (at - 1) / 2;
	}
}

static void sift_down(struct victim *heap, unsigned count)
{
	unsigned at = 0;

	for (;;) {
		unsigned child = at * 2 + 1;

		if (child + 1 < count && heap[child + 1].worth > heap[child].worth)
			child++;
		if (child >= count || heap[child].worth <= heap[at].worth)
			return;
		swap_victims(&heap[child], &heap[at]);
		at = child;
	}
}

/* Keeps the `wanted` cheapest buckets seen so far in a heap, with the most valuable on top. */
static void try_lru(struct space *space, uint32_t number)
{
	struct choice *choice = &space->choice;
	struct victim *heap = space->victims;
	struct victim victim = { .bucket = number };

	if (!may_be_victim(space, number))
		return;
	victim.worth = worth(space, &space->bucket[number]);
	if (choice->count < choice->wanted) {
		heap[choice->count] = victim;
		sift_up(heap, choice->count++);
	} else if (victim.worth < heap[0].worth) {
		heap[0] = victim;
		sift_down(heap, choice->count);
	}
}

/* All sweeps below look at a slice of buckets, and return whether it was the last. */
static bool sweep_lru(struct space *space)
{
	uint64_t first = space->setup.first_bucket, all = space->setup.buckets - first;
	struct choice *choice = &space->choice;
	uint64_t end = min_u64(choice->tried + space->setup.slice_buckets, all);

	for (; choice->tried < end; choice->tried++)
		try_lru(space, first + choice->tried);
	return choice->tried == all;
}

static bool sweep_fifo(struct space *space)
{
	uint64_t buckets = space->setup.buckets;
	uint64_t round = buckets - space->setup.first_bucket;	/* no bucket twice */
	struct choice *choice = &space->choice;
	uint64_t end = min_u64(choice->tried + space->setup.slice_buckets, round);

	for (; choice->tried < end && choice->count < choice->wanted; choice->tried++) {
		if (++space->cursor >= buckets)
			space->cursor = space->setup.first_bucket;
		if (may_be_victim(space, space->cursor))
			space->victims[choice->count++].bucket = space->cursor;
	}
	return choice->tried == round || choice->count == choice->wanted;
}

/* A draw takes longer than a look at the next bucket: a quarter of a slice is enough. */
static bool draw_some(struct space *space)
{
	uint64_t first = space->setup.first_bucket, most = space->setup.buckets / 2;
	struct choice *choice = &space->choice;
	uint64_t end = min_u64(choice->tried + divide_up(space->setup.slice_buckets, 4), most);

	for (; choice->tried < end && choice->count < choice->wanted; choice->tried++) {
		uint64_t i = first + random_below(&space->random, space->setup.buckets - first);

		if (!may_be_victim(space, i) || space->bucket[i].is_chosen)
			continue;
		space->bucket[i].is_chosen = 1;
		space->victims[choice->count++].bucket = i;
	}
	return choice->tried == most || choice->count == choice->wanted;
}

static bool sweep_random(struct space *space)
{
	struct choice *choice = &space->choice;

	if (choice->takes_any)
		return sweep_fifo(space);
	if (!draw_some(space))
		return false;
	if (choice->count)
		return true;
	/* Few are left, and the draws missed them: take any. */
	choice->takes_any = true;
	choice->tried = 0;
	return false;
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

static bool sweep(struct space *space)
{
	switch (space->setup.replacement) {
	case REPLACEMENT_FIFO:
		return sweep_fifo(space);
	case REPLACEMENT_RANDOM:
		return sweep_random(space);
	case REPLACEMENT_LRU:
		break;
	}
	return sweep_lru(space);
}

/* A victim that was used since the sweep passed it is worth more than all others are. */
static bool is_still_cheap(const struct space *space, const struct bucket *bucket, uint64_t most)
{
	return space->setup.replacement != REPLACEMENT_LRU || worth(space, bucket) <= most;
}

/* Leaves out what may be no victim any more (SPACE-8); all, if a gc has begun. */
static LOCKED void check_victims(struct space *space)
{
	struct choice *choice = &space->choice;
	uint64_t most = choice->count ? space->victims[0].worth : 0;	/* lru: on top */
	unsigned kept = 0;

	for (unsigned i = 0; i < choice->count; i++) {
		uint32_t number = space->victims[i].bucket;
		struct bucket *bucket = &space->bucket[number];
		bool may = space->marks_valid && may_be_victim(space, number);

		bucket->is_chosen = 0;
		SIM_SOMETIMES_IF(space->marks_valid && !may, "a chosen bucket is taken by others");
		SIM_RARELY_IF(may && !is_still_cheap(space, bucket, most),
			      "a chosen bucket is used before it is raised",
			      "test_space_refill/of_lru_that_are_used_in_between_are_spared");
		if (may && is_still_cheap(space, bucket, most))
			space->victims[kept++].bucket = number;
	}
	choice->count = kept;
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
			space_want_gc(space);
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
		space_want_gc(space);
	space->incoming_is_durable = false;
	space->refill_state = REFILL_ENCODE;
	space_begin_table(space);
	op_queue(&space->refill);
}

/* One slice; after the last one, or if a gc has begun, the choice is what it is. */
static LOCKED void look_for_victims(struct space *space)
{
	struct choice *choice = &space->choice;

	SIM_SOMETIMES_IF(!space->marks_valid && choice->tried, "a gc begins while refill chooses");
	if (space->marks_valid && space->is_running && !sweep(space)) {
		op_queue(&space->refill);
		return;
	}
	check_victims(space);
	if (space->is_running)
		raise_victims(space);
	else
		rest(space, REFILL_IDLE);
}

static LOCKED void begin_choice(struct space *space)
{
	adapt_data_target(space);
	space->choice = (struct choice){ .wanted = batch_size(space),
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
static LOCKED void table_is_written(struct space *space)
{
	space->refill_state = REFILL_ENTRY;
	space->setup.journal->roots.prio_bucket = space->table[0];
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
		health_fail(space->setup.health, -error, "accessing priorities: error %d", -error);
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
			table_is_written(space);
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
		left -= space->bucket[i].mark == MARK_NONE && may_be_victim(space, i);
	return !left;
}

void space_run(struct space *space)
{
	space->is_running = true;
	space->data_is_wanted = space->marks_valid && many_hold_nothing(space);
	space->incoming_is_durable = true;
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
