/*
 * Removes the keys of a volume in a range, some at a time.
 *
 * It looks for extents, and inserts holes over them, so a range without keys costs only lookups.
 * Nobody may write to the range meanwhile.
 *
 * (PURGE-1) At its end the holes are durable: a key that a power cut brings back would be found
 *     by whoever uses the range next.
 */
#include "lifecycle/internal.h"

#include <errno.h>

#include "base/numbers.h"

enum { LOOKUPS_A_STEP = 256 };		/* then other ops get their turn */

void purge_begin(struct purge *purge, struct cache_set *set, unsigned slot, uint64_t start,
		 uint64_t end, bool keeps_dirty)
{
	*purge = (struct purge){ .set = set, .slot = slot, .at = start, .end = end,
				 .keeps_dirty = keeps_dirty };
	purge->insert.index = &set->index;
	purge->insert.is_journaled = true;
}

/* Where the hole over an extent ends: it may cover what follows, unless that may be kept. */
static uint64_t hole_end(const struct purge *purge, const struct lookup *found)
{
	uint64_t most = purge->keeps_dirty ? found->sectors : BKEY_HOLE_SECTORS_MAX;

	return min_u64(purge->end, purge->at + most);
}

/* Adds holes to the insert, until it is full or the step has looked long enough. */
static LOCKED int purge_collect(struct purge *purge, struct op *op)
{
	struct lookup found;

	for (unsigned left = LOOKUPS_A_STEP; left && purge->at < purge->end; left--) {
		int error = index_lookup(&purge->set->index, purge->slot, purge->at,
					 purge->end - purge->at, &found, op);

		if (error)
			return error;
		if (!found.is_hit || (purge->keeps_dirty && bkey_is_dirty(&found.key)))
			purge->at += found.sectors;
		else if (purge->insert.count == INSERT_KEYS_MAX)
			break;
		else
			purge->at = insert_add_holes(&purge->insert, purge->slot, purge->at,
						     hole_end(purge, &found));
	}
	return 0;
}

/* PURGE-1 */
static int purge_commit(struct purge *purge, struct op *op)
{
	if (!purge->has_inserted)
		return 0;
	purge->has_inserted = false;
	op_await(op);
	set_lock(purge->set);
	journal_commit(&purge->set->journal, op);
	set_unlock(purge->set);
	op_arrive(op, 0);
	return -EAGAIN;
}

int purge_go_on(struct purge *purge, struct op *op)
{
	int error;

	purge->has_inserted |= purge->is_inserting;
	if (purge->is_inserting)
		purge->insert.count = 0;
	purge->is_inserting = false;
	set_lock(purge->set);
	error = purge_collect(purge, op);
	set_unlock(purge->set);
	if (error)
		return error;
	if (!purge->insert.count && purge->at == purge->end)
		return purge_commit(purge, op);
	if (purge->insert.count) {
		purge->insert.parent = op;
		purge->is_inserting = true;
		insert_start(&purge->insert);
	} else {
		op_queue(op);
	}
	return -EAGAIN;
}
