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

static void insert_step(struct op *op);

uint64_t insert_add_holes(struct insert *insert, unsigned volume, uint64_t start, uint64_t end)
{
	while (start < end && insert->count < INSERT_KEYS_MAX) {
		uint64_t to = min_u64(end, start + BKEY_HOLE_SECTORS_MAX);

		insert->keys[insert->count++] = bkey_of(volume, to, to - start);
		start = to;
	}
	return start;
}

/*
 * Only queues the op: the caller may hold the set lock, and `parent` must not arrive in this call.
 */
void insert_start(struct insert *insert)
{
	assert(insert->count <= INSERT_KEYS_MAX);
	assert(!insert->expected || !insert->is_journaled);
	insert->had_plan = false;
	insert->waits = 0;
	insert->sequence = 0;
	insert->inserted_sectors = 0;
	insert->collisions = 0;
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
		if (!insert->expected)
			return true;
		replaceable = leaf_replaceable(leaf, part, &insert->expected[insert->next]);
		if (replaceable) {
			bkey_cut_back(part, bkey_start(part) + replaceable);
			return true;
		}
		insert->collisions++;
		insert->next++;
	}
	return false;
}

void insert_advance(struct insert *insert, const struct bkey *part, unsigned inserted_sectors)
{
	struct bkey *k = &insert->keys[insert->next];

	SIM_SOMETIMES_IF(bkey_end(part) != bkey_end(k), "an extent goes into two leaves");
	insert->inserted_sectors += inserted_sectors;
	if (insert->expected || bkey_end(part) == bkey_end(k))
		insert->next++;	/* a replace inserts the first matching part only */
	else
		bkey_cut_front(k, bkey_end(part));
}

/*
 * Journal first, then the leaf, which pins the entry until the key is durable in it (INDEX-1,
 * JOURNAL-1).
 */
static LOCKED void insert_commit(struct insert *insert, struct node *leaf, const struct bkey *part)
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

/* -EAGAIN: the op waits in `list`.  -ECANCELED: a fill that waited too often gives up. */
static LOCKED int drop_or_wait(struct insert *insert, struct waitlist *list)
{
	if (insert->may_drop && insert->waits++ == WAITS_OF_A_FILL_MAX) {
		SIM_RARELY("the keys of a fill are dropped",
			   "test_index_insert/of_a_fill_is_given_up_when_it_has_waited_too_often");
		return -ECANCELED;
	}
	waitlist_join(list, &insert->op);
	return -EAGAIN;
}

/* The part needs a bset of its own.  0: the write of the open run was started. */
static LOCKED int write_leaf_first(struct insert *insert, struct node *leaf)
{
	struct index *index = insert->index;

	if (!leaf->write) {
		if (leaf_write_start(index, leaf))
			return 0;
		SIM_RARELY("an insert finds all leaf writes in use",
			   "test_index_insert/waits_while_all_leaf_writes_are_in_use");
		return drop_or_wait(insert, &index->write_slots);
	}
	SIM_SOMETIMES("an insert waits for the write of its leaf");
	return drop_or_wait(insert, &leaf->waiting);
}

/*
 * 0: the leaf has room for so many words.  -EAGAIN: the op waits for a write of the leaf, or for
 * another plan.  -ENOSPC: it is full, and must be replaced.  -ECANCELED: a fill gives up.
 */
static LOCKED int make_room(struct insert *insert, struct node *leaf, unsigned words)
{
	int error = 0;

	SIM_SOMETIMES_IF(leaf->is_frozen, "an insert finds its leaf being replaced");
	if (leaf->is_frozen)
		return drop_or_wait(insert, &leaf->waiting);
	while (!error) {
		switch (leaf_room(insert->index, leaf, words)) {
		case LEAF_FITS:
			return 0;
		case LEAF_WRITE_FIRST:
			error = write_leaf_first(insert, leaf);
			break;
		case LEAF_FULL:
			if (insert->may_drop && (insert->had_plan || insert->may_not_plan)) {
				insert->had_plan = true;
				return -ECANCELED;
			}
			insert->had_plan = true;
			return -ENOSPC;
		}
	}
	return error;
}

/* 0: leaf and journal have room for the part.  Else as make_room(), or the set failed. */
static LOCKED int insert_prepare(struct insert *insert, struct node *leaf,
				 const struct bkey *part)
{
	struct index *index = insert->index;
	int error = make_room(insert, leaf, bkey_words(part) + TAIL_WORDS);

	assert(!index->setup.memory_only);
	if (!error && insert->is_journaled)
		error = journal_room(index->setup.journal, bkey_words(part), &insert->op);
	return error;
}

static LOCKED void insert_end(struct insert *insert, int error)
{
	insert->state = INSERT_DONE;
	op_arrive(insert->parent, error);
}

static struct position position_of(const struct bkey *k)
{
	return (struct position){ bkey_volume(k), bkey_start(k) };
}

static LOCKED void replace_leaf(struct insert *insert, const struct bkey *part)
{
	SIM_SOMETIMES_IF(insert->replayed, "a replay finds a leaf full");
	SIM_SOMETIMES_IF(insert->may_drop, "a fill finds its leaf full");
	insert->state = INSERT_PLAN;
	plan_start(insert->index, position_of(part), insert, &insert->op);
}

/*
 * The next part, unless there is none for its leaf.  0: it is in.  -EAGAIN: the op waits, perhaps
 * for the plan that it has started.  -ECANCELED: a fill gives up.
 */
static LOCKED int insert_next(struct insert *insert)
{
	struct node *leaf;
	struct bkey part;
	int error = index_leaf(insert->index, position_of(&insert->keys[insert->next]), &leaf,
			       &insert->op);

	if (error)
		return error;
	if (insert->cancelled && *insert->cancelled) {
		SIM_SOMETIMES("a fill is cancelled before all its keys are in");
		return -ECANCELED;
	}
	if (!insert_next_part(insert, leaf, &part))
		return 0;
	error = insert_prepare(insert, leaf, &part);
	if (!error)
		insert_commit(insert, leaf, &part);
	if (error != -ENOSPC || health_error(insert->index->setup.health))
		return error;
	replace_leaf(insert, &part);
	return -EAGAIN;
}

/* One critical section for as many parts as possible; it ends when the op must wait. */
static LOCKED void insert_go(struct insert *insert)
{
	int error = 0;

	while (!error && insert->next < insert->count)
		error = insert_next(insert);
	if (error != -EAGAIN)
		insert_end(insert, error == -ECANCELED ? 0 : error);
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
		insert_end(insert, error);
	else
		insert_go(insert);
	lock_release(lock);
}
