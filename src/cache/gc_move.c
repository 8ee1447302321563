/*
 * The steps of moving gc.
 */
#include "cache/gc_move.h"

#include <errno.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "cache/cache_set.h"

#define MOVE_PAUSE_NS UINT64_C(10000000)

enum { REWRITES_MAX = 8 };	/* of full leaves for the keys of one insert */

bool gc_move_begin(struct gc *gc)
{
	struct space *space = &gc->set->cache.space;
	struct gc_move *move = &gc->move;

	if (!move->is_enabled && !space_is_short(space))
		return false;
	move->buffer = buffer_try_new(MOVE_SECTORS_MAX * 512);
	if (!move->buffer)
		return false;
	move->state = MOVE_SWEEP;
	move->is_complete = move->has_moved = false;
	move->at = (struct position){ 0, 0 };
	move->count = move->sectors = move->done = move->rewrites = 0;
	space_move_begin(space, !move->is_enabled);
	op_queue(&gc->op);
	return true;
}

/* ---- COLLECT ---- */

/* Cuts the part off that is moved at a time; its end suits the blocks of every volume. */
static void cut_to_fit(struct bkey *k)
{
	uint64_t end = round_down(bkey_start(k), MOVE_SECTORS_MAX) + MOVE_SECTORS_MAX;

	if (bkey_end(k) > end && bkey_sectors(k) > MOVE_SECTORS_MAX)
		bkey_cut_back(k, end);
}

static LOCKED void take_key(struct gc *gc, const struct bkey *k)
{
	struct gc_move *move = &gc->move;

	move->from[move->count++] = *k;
	move->sectors += bkey_sectors(k);
	space_pin(&gc->set->cache.space, k->ptr);		/* MOVE-1 */
}

/*
 * Takes keys of the leaf that begin where the move is, or behind.  False: there is no room.  One
 * that is no whole blocks stays: behind it, nothing would be aligned.
 */
static LOCKED bool collect_leaf(struct gc *gc, const struct node *leaf)
{
	struct cache_set *set = gc->set;
	struct gc_move *move = &gc->move;
	struct node_walk walk;
	const struct bkey *found;

	node_walk_begin_at(&walk, leaf, move->at);
	while ((found = node_walk_next(&walk))) {
		struct bkey k = *found;

		if (!index_key_is_usable(&set->index, &k) || bkey_pointers(&k) != 1 ||
		    !cache_device_has_blocks(cache_device_of(set, k.ptr), k.ptr,
					     bkey_sectors(&k)) ||
		    !space_move_wants(&set->cache.space, &k))
			continue;
		if (bkey_volume(&k) == move->at.volume && bkey_start(&k) < move->at.sector)
			bkey_cut_front(&k, move->at.sector);
		cut_to_fit(&k);
		if (move->count == INSERT_KEYS_MAX ||
		    move->sectors + bkey_sectors(&k) > MOVE_SECTORS_MAX)
			return false;
		take_key(gc, &k);
		move->at = (struct position){ bkey_volume(&k), bkey_end(&k) };
		if (bkey_end(&k) < bkey_end(found))
			return false;
	}
	return true;
}

/* So that a move is a small part of the load, unless somebody waits for what it brings. */
static LOCKED bool somebody_waits(const struct space *space)
{
	return space_has_waiters(space) || !waitlist_empty(&space->gc_ended);
}

/* Both places: the index knows one of them by now, and the other is of no use. */
static LOCKED void unpin_keys(struct gc *gc, bool have_places)
{
	struct space *space = &gc->set->cache.space;
	struct gc_move *move = &gc->move;

	for (unsigned i = 0; i < move->count; i++) {
		space_unpin(space, move->from[i].ptr);
		if (have_places)
			space_unpin(space, move->to[i].ptr);
	}
	move->count = move->sectors = move->done = move->rewrites = 0;
}

static LOCKED bool move_ends(struct gc *gc)
{
	struct gc_move *move = &gc->move;
	struct space *space = &gc->set->cache.space;

	assert(!move->count);
	space_move_end(space);
	buffer_free(move->buffer);
	move->buffer = NULL;
	if (move->has_moved && space_is_short(space))
		space_want_gc(space);		/* it finds the old buckets empty */
	return false;
}

static void read_data(struct gc *gc)
{
	struct gc_move *move = &gc->move;
	unsigned at = 0;

	move->state = MOVE_READ;
	for (unsigned i = 0; i < move->count; i++) {
		const struct bkey *k = &move->from[i];

		device_read(cache_device_of(gc->set, k->ptr)->device, move->buffer + at * 512,
			    pointer_sector(k->ptr), bkey_sectors(k), &gc->op);
		at += bkey_sectors(k);
	}
}

/* One leaf in a step. */
static LOCKED bool collect(struct gc *gc)
{
	struct gc_move *move = &gc->move;
	struct bkey last = bkey_max();
	struct node *leaf;
	int error;

	if (move->is_complete && !move->count)
		return move_ends(gc);
	if (!move->is_complete) {
		error = index_leaf(&gc->set->index, move->at, &leaf, &gc->op);
		if (error == -EAGAIN)
			return true;
		if (error) {
			unpin_keys(gc, false);
			return move_ends(gc);
		}
		if (collect_leaf(gc, leaf)) {
			move->at = (struct position){ bkey_volume(&leaf->key),
						      bkey_end(&leaf->key) };
			move->is_complete = !bkey_compare(&leaf->key, &last);
			op_queue(&gc->op);
			return true;
		}
	}
	read_data(gc);
	return true;
}

/* ---- WRITE, INSERT ---- */

static enum move_kind kind_of(const struct cache_set *set, const struct bkey *k)
{
	if (set->uuids[bkey_volume(k)].flags & UUID_FLASH_ONLY)
		return MOVE_FLASH;
	return bkey_is_dirty(k) ? MOVE_DIRTY : MOVE_CLEAN;
}

/* Finds places for as many keys as there are, and writes them: not FUA (INDEX-2). */
static LOCKED bool write_data(struct gc *gc)
{
	struct cache_set *set = gc->set;
	struct gc_move *move = &gc->move;
	unsigned count = 0, at = 0;

	move->state = MOVE_WRITE;
	for (; count < move->count; count++) {
		const struct bkey *k = &move->from[count];
		struct bkey *to = &move->to[count];

		*to = *k;
		if (space_move_allocate(&set->cache.space, kind_of(set, k), k, &to->ptr))
			break;
		device_write(set->cache.device, move->buffer + at * 512, pointer_sector(to->ptr),
			     bkey_sectors(k), false, &gc->op);
		at += bkey_sectors(k);
	}
	SIM_SOMETIMES_IF(count < move->count, "moving gc runs out of buckets");
	move->is_complete |= count < move->count;	/* MOVE-3 */
	while (move->count > count)
		space_unpin(&set->cache.space, move->from[--move->count].ptr);
	return count || move_ends(gc);
}

static void insert_keys(struct gc *gc)
{
	struct gc_move *move = &gc->move;
	struct insert *insert = &move->insert;

	move->state = MOVE_INSERT;
	insert->count = move->count - move->done;
	for (unsigned i = 0; i < insert->count; i++)
		insert->keys[i] = move->to[move->done + i];
	insert->index = &gc->set->index;
	insert->parent = &gc->op;
	insert->is_journaled = false;
	insert->expected = move->from + move->done;	/* MOVE-1 */
	insert->may_drop = insert->may_not_plan = true;	/* MOVE-3 */
	insert->cancelled = NULL;
	insert->replayed = 0;
	insert_start(insert);
}

/* The leaf of the next key was full: true if gc's own plan rewrites it. */
static LOCKED bool rewrite_leaf(struct gc *gc)
{
	struct gc_move *move = &gc->move;
	struct bkey alone = bkey_of(0, 0, 0);		/* no sibling ends there */
	const struct bkey *k = &move->from[move->done];
	struct position from = { bkey_volume(k), bkey_start(k) };

	move->state = MOVE_LEAF;
	return move->rewrites++ < REWRITES_MAX &&
	       !index_merge(&gc->set->index, from, &alone, 0, true, &gc->op);
}

/* A key that has changed since it was read keeps its new value: a collision. */
static LOCKED bool keys_were_inserted(struct gc *gc)
{
	struct gc_move *move = &gc->move;
	const struct insert *insert = &move->insert;

	move->done += insert->next;
	move->collisions += insert->collisions;
	move->moved_sectors += insert->inserted_sectors;
	move->has_moved |= insert->inserted_sectors > 0;
	SIM_SOMETIMES_IF(insert->inserted_sectors, "data are moved");
	SIM_SOMETIMES_IF(insert->collisions, "data change while they are moved");
	SIM_SOMETIMES_IF(insert->had_plan, "moving gc finds a leaf full");
	if (move->done < move->count && insert->had_plan && !gc->is_stopping && rewrite_leaf(gc))
		return true;
	unpin_keys(gc, true);
	move->state = MOVE_COLLECT;
	if (gc->is_stopping || somebody_waits(&gc->set->cache.space))
		op_queue(&gc->op);
	else
		timer_start(&gc->pause, MOVE_PAUSE_NS, &gc->op);
	return true;
}

bool gc_move_step(struct gc *gc, int error)
{
	struct gc_move *move = &gc->move;
	bool is_written = move->state >= MOVE_WRITE;

	if (error || health_error(&gc->set->health) || (gc->is_stopping && !is_written)) {
		SIM_SOMETIMES_IF(error && !is_written, "data to be moved cannot be read");
		SIM_SOMETIMES_IF(error && is_written, "moved data cannot be written");
		unpin_keys(gc, is_written);
		return move_ends(gc);
	}
	switch (move->state) {
	case MOVE_SWEEP:
		if (space_move_sweep(&gc->set->cache.space)) {
			if (!space_move_is_worth(&gc->set->cache.space))
				return move_ends(gc);
			move->state = MOVE_COLLECT;
		}
		op_queue(&gc->op);
		return true;
	case MOVE_COLLECT:
		return collect(gc);
	case MOVE_READ:
		return write_data(gc);
	case MOVE_WRITE:
	case MOVE_LEAF:
		insert_keys(gc);
		return true;
	case MOVE_INSERT:
		return keys_were_inserted(gc);
	}
	return false;
}
