/*
 * Inserts keys into the index, leaf by leaf.
 *
 *	ASK --leaf and room--> insert part --more--> ASK ... --> DONE
 *	 |  ^                   (journal and leaf in one critical section, INDEX-1)
 *	 |  +---- waited for a node, for room in the journal, or for a leaf write
 *	 +--leaf full--> PLAN --> ASK
 *
 * A fill (may_drop) waits for nodes; for one plan, if its leaf is full; and at most
 * WAITS_OF_A_FILL_MAX times for a leaf that is being written or replaced.  If anything
 * else is missing, its keys are dropped, since the backing device has the data.
 */
#include <errno.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "index/internal.h"

enum {
	TAIL_WORDS = BKEY_WORDS_MAX,	/* a key that cuts an extent in two adds a tail */
	WAITS_OF_A_FILL_MAX = 8,
};

enum insert_answer {
	INSERTED,	/* the part is in; or a leaf write made room for it: ask again */
	INSERT_WAITS,
	INSERT_FULL,	/* the leaf must be replaced */
	INSERT_DROPPED,	/* a fill gives up, or the set failed */
};

static void insert_step(struct op *op);

/*
 * Only queues the op: the caller may hold the set lock, and `parent` must not arrive in this call.
 */
void insert_start(struct insert *insert)
{
	assert(insert->count <= INSERT_KEYS_MAX);
	assert(!insert->is_replace || !insert->is_journaled);
	insert->had_plan = false;
	insert->waits = 0;
	insert->sequence = 0;
	insert->inserted_sectors = 0;
	insert->next = 0;
	insert->state = INSERT_ASK;
	op_init(&insert->op, insert->index->setup.reactor, insert_step);
	op_await(insert->parent);
	op_queue(&insert->op);
}

bool insert_next_part(struct insert *insert, const struct node *leaf, struct bkey *part)
{
	unsigned replaceable;

	while (insert->next < insert->count) {
		const struct bkey *k = &insert->keys[insert->next];

		*part = *k;
		if (bkey_volume(k) > bkey_volume(&leaf->key) ||
		    (bkey_volume(k) == bkey_volume(&leaf->key) &&
		     bkey_start(k) >= bkey_end(&leaf->key)))
			return false;
		if (!node_covers(leaf, k))
			bkey_cut_back(part, bkey_end(&leaf->key));
		if (!insert->is_replace)
			return true;
		replaceable = leaf_replaceable(leaf, part, &insert->expected);
		if (replaceable) {
			bkey_cut_back(part, bkey_start(part) + replaceable);
			return true;
		}
		insert->next++;	/* a collision: `expected` is gone */
	}
	return false;
}

void insert_advance(struct insert *insert, const struct bkey *part, unsigned inserted_sectors)
{
	struct bkey *k = &insert->keys[insert->next];

	SIM_SOMETIMES_IF(bkey_end(part) != bkey_end(k), "an extent goes into two leaves");
	insert->inserted_sectors += inserted_sectors;
	if (insert->is_replace || bkey_end(part) == bkey_end(k))
		insert->next++;	/* a replace inserts the first matching part only */
	else
		bkey_cut_front(k, bkey_end(part));
}

/*
 * Journal first, then the leaf, which pins the entry until the key is durable in it (INDEX-1,
 * JOURNAL-1).
 */
static LOCKED void insert_part(struct insert *insert, struct node *leaf, const struct bkey *part)
{
	struct journal *journal = insert->index->setup.journal;

	if (insert->is_journaled) {
		insert->sequence = journal_add(journal, part);
		journal_pin(journal, &leaf->pin, insert->sequence);
	} else if (insert->replayed) {
		journal_pin(journal, &leaf->pin, insert->replayed);
	}
	leaf_insert(insert->index, leaf, part);
	insert_advance(insert, part, bkey_sectors(part));
}

/* A fill that waited too often gives up; all others wait. */
static LOCKED enum insert_answer drop_or_wait(struct insert *insert, struct waitlist *list)
{
	if (insert->may_drop && insert->waits++ == WAITS_OF_A_FILL_MAX) {
		SIM_RARELY("the keys of a fill are dropped",
			   "test_index_insert/of_a_fill_is_given_up_when_it_has_waited_too_often");
		return INSERT_DROPPED;
	}
	waitlist_join(list, &insert->op);
	return INSERT_WAITS;
}

/* The part needs a bset of its own: the open run must be written first. */
static LOCKED enum insert_answer write_leaf_first(struct insert *insert, struct node *leaf)
{
	struct index *index = insert->index;

	if (!leaf->write) {
		if (leaf_write_start(index, leaf))
			return INSERTED;	/* not yet: but now there is room, so ask again */
		SIM_RARELY("an insert finds all leaf writes in use",
			   "test_index_insert/waits_while_all_leaf_writes_are_in_use");
		return drop_or_wait(insert, &index->write_slots);
	}
	SIM_SOMETIMES("an insert waits for the write of its leaf");
	leaf->write_wanted = true;
	return drop_or_wait(insert, &leaf->waiting);
}

/* Inserts the part into the leaf, or makes room for it. */
static LOCKED enum insert_answer insert_into(struct insert *insert, struct node *leaf,
					     const struct bkey *part)
{
	struct index *index = insert->index;
	unsigned words = bkey_words(part) + TAIL_WORDS;
	int error;

	assert(!index->setup.memory_only);
	SIM_SOMETIMES_IF(leaf->is_frozen, "an insert finds its leaf being replaced");
	if (leaf->is_frozen)
		return drop_or_wait(insert, &leaf->waiting);
	switch (leaf_room(index, leaf, words)) {
	case LEAF_FULL:
		if (insert->may_drop && insert->had_plan)
			return INSERT_DROPPED;
		insert->had_plan = true;
		return INSERT_FULL;
	case LEAF_WRITE_FIRST:
		return write_leaf_first(insert, leaf);
	case LEAF_FITS:
		break;
	}
	if (insert->is_journaled) {
		error = journal_room(index->setup.journal, bkey_words(part), &insert->op);
		if (error == -EAGAIN)
			return INSERT_WAITS;
		if (error)
			return INSERT_DROPPED;	/* the set failed; finish() gets the error */
	}
	insert_part(insert, leaf, part);
	return INSERTED;
}

static LOCKED void finish(struct insert *insert, int error)
{
	insert->state = INSERT_DONE;
	op_arrive(insert->parent, error);
}

static struct position position_of(const struct bkey *k)
{
	return (struct position){ bkey_volume(k), bkey_start(k) };
}

/* One critical section for as many parts as possible; it ends when the op must wait. */
static LOCKED void insert_go(struct insert *insert)
{
	struct index *index = insert->index;

	while (insert->next < insert->count) {
		struct position from = position_of(&insert->keys[insert->next]);
		enum insert_answer answer;
		struct node *leaf;
		struct bkey part;
		int error = index_leaf(index, from, &leaf, &insert->op);

		if (error == -EAGAIN)
			return;
		if (error) {
			finish(insert, error);
			return;
		}
		if (insert->cancelled && *insert->cancelled) {
			SIM_SOMETIMES("a fill is cancelled before all its keys are in");
			break;
		}
		if (!insert_next_part(insert, leaf, &part))
			continue;
		answer = insert_into(insert, leaf, &part);
		if (answer == INSERT_WAITS)
			return;
		if (answer == INSERT_FULL) {
			SIM_SOMETIMES_IF(insert->replayed, "a replay finds a leaf full");
			SIM_SOMETIMES_IF(insert->may_drop, "a fill finds its leaf full");
			insert->state = INSERT_PLAN;
			plan_start(index, position_of(&part), 0, insert, &insert->op);
			return;
		}
		if (answer == INSERT_DROPPED) {
			finish(insert, health_error(index->setup.health));
			return;
		}
	}
	finish(insert, 0);
}

static void insert_step(struct op *op)
{
	struct insert *insert = container_of(op, struct insert, op);
	struct lock *lock = insert->index->setup.lock;
	int error;

	lock_acquire(lock);
	error = op_take_error(op);
	insert->state = INSERT_ASK;
	if (error)
		finish(insert, error);
	else
		insert_go(insert);
	lock_release(lock);
}
