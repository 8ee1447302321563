/*
 * Chooses which buckets are reused: the cheapest ones (lru), the next ones (fifo), or any (random).
 *
 * A sweep looks at a slice of buckets a step (SPACE-6), into space->choice and space->victims.
 * Meanwhile others may use what it has chosen, so refill checks the victims before it
 * raises them (SPACE-8).
 */
#include "base/numbers.h"
#include "base/sometimes.h"
#include "space/internal.h"

/* One generation less than the limit: the bucket of a node is raised once more when it is freed. */
bool space_may_be_victim(const struct space *space, uint64_t number)
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

	if (!space_may_be_victim(space, number))
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
		if (space_may_be_victim(space, space->cursor))
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

		if (!space_may_be_victim(space, i) || space->bucket[i].is_chosen)
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

bool space_sweep(struct space *space)
{
	switch (space->choice.by) {
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
	return space->choice.by != REPLACEMENT_LRU || worth(space, bucket) <= most;
}

void space_check_victims(struct space *space)
{
	struct choice *choice = &space->choice;
	uint64_t most = choice->count ? space->victims[0].worth : 0;	/* lru: on top */
	unsigned kept = 0;

	for (unsigned i = 0; i < choice->count; i++) {
		uint32_t number = space->victims[i].bucket;
		struct bucket *bucket = &space->bucket[number];
		bool may = space->marks_valid && space_may_be_victim(space, number);

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
