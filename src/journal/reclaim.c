/*
 * Tracks the oldest entry that is still needed, and which buckets of the ring are free.
 *
 *	 ring:   [ 7 ][ 8 ][ 9 ][ 3 ][ 4 ][ 5 ][ 6 ]
 *	                    ^current  ^ durable_last = 4: the bucket of 3 is free
 *
 * A bucket is free if the newest *durable* entry needs none of its entries (JOURNAL-3).
 * `oldest` in memory may exceed the durable last_sequence; only the latter frees buckets.
 */
#include "base/sometimes.h"
#include "journal/internal.h"

static struct list *pins_of(struct journal *journal, uint64_t sequence)
{
	return &journal->entries[sequence & journal->entries_mask].pins;
}

void journal_advance(struct journal *journal)
{
	uint64_t before = journal->oldest;

	if (!journal->accepts)	/* replay has not inserted, and so pinned, all keys yet */
		return;
	while (journal->oldest < journal->open && journal->oldest != journal->replaying &&
	       list_empty(pins_of(journal, journal->oldest)))
		journal->oldest++;
	if (journal->oldest != before)
		waitlist_wake_all(&journal->reclaimed, 0);
}

void journal_pin(struct journal *journal, struct journal_pin *pin, uint64_t sequence)
{
	assert(sequence >= journal->oldest && sequence <= journal->open);	/* JOURNAL-1 */
	if (pin->sequence && pin->sequence <= sequence)
		return;
	SIM_RARELY_IF(pin->sequence, "a leaf's pin moves to an older entry",
		      "test_journal_ring/moves_a_pin_to_an_older_entry");
	if (pin->sequence)
		list_remove(&pin->link);
	pin->sequence = sequence;
	list_add_last(pins_of(journal, sequence), &pin->link);
}

void journal_unpin(struct journal *journal, struct journal_pin *pin)
{
	if (!pin->sequence)
		return;
	list_remove(&pin->link);
	pin->sequence = 0;
	journal_advance(journal);
}

static bool is_free(const struct journal *journal, unsigned index, uint64_t needed_from)
{
	return journal->bucket_newest[index] < needed_from;
}

/* Is a bucket other than `next` free where entries from `needed_from` on are needed? */
static bool another_is_free(const struct journal *journal, unsigned next, uint64_t needed_from)
{
	for (unsigned i = 0; i < journal->setup.bucket_count; i++) {
		if (i != next && is_free(journal, i, needed_from))
			return true;
	}
	return false;
}

/* The first test bounds the ring of pin lists; the others the ring of buckets. */
bool journal_may_write(const struct journal *journal, unsigned sectors, unsigned *index)
{
	unsigned next = (journal->current + 1) % journal->setup.bucket_count;

	if (journal->open + 1 - journal->oldest > journal->entries_mask)
		return false;
	*index = journal->current;
	if (journal->current_sectors + sectors <= journal->setup.bucket_sectors)
		return true;
	*index = next;
	/* After JOURNAL-4 only in a ring that another implementation left full. */
	SIM_RARELY_IF(!is_free(journal, next, journal->durable_last) &&
		      is_free(journal, next, journal->oldest),
		      "a bucket is free in memory and not yet durably",
		      "test_journal_ring/enters_no_bucket_that_the_newest_durable_entry_needs");
	if (!is_free(journal, next, journal->durable_last))
		return false;
	SIM_SOMETIMES_IF(!another_is_free(journal, next, journal->durable_last) &&
			 another_is_free(journal, next, journal->oldest),
			 "an entry enters the last free journal bucket");
	SIM_RARELY_IF(!another_is_free(journal, next, journal->oldest) && journal->replaying,
		      "a replay enters the last free journal bucket",
		      "test_journal_ring/enters_its_last_free_bucket_for_a_replay");
	SIM_SOMETIMES_IF(!another_is_free(journal, next, journal->oldest) && !journal->replaying,
			 "the last free journal bucket is kept");
	/*
	 * JOURNAL-4: if no other is free yet, the entry itself frees one, by its last_sequence.
	 * The last free bucket is kept for replay, which may enter it (LESSON-8).
	 */
	return journal->replaying || another_is_free(journal, next, journal->oldest);
}

bool journal_can_go_on(const struct journal *journal)
{
	unsigned next = (journal->current + 1) % journal->setup.bucket_count;

	return is_free(journal, next, journal->durable_last);
}

bool journal_has_place(const struct journal *journal)
{
	unsigned index;

	return journal_may_write(journal, journal->setup.block_sectors, &index);
}

/* More than half of the entries or of the buckets are needed, or the writer waits. */
bool journal_is_under_pressure(const struct journal *journal)
{
	unsigned needed = 0;

	if (journal->state == JOURNAL_BUCKET && !waitlist_empty(&journal->reclaimed))
		return true;
	if ((journal->open - journal->oldest) * 2 > journal->entries_mask)
		return true;
	for (unsigned i = 0; i < journal->setup.bucket_count; i++)
		needed += journal->bucket_newest[i] >= journal->oldest;
	return needed * 2 > journal->setup.bucket_count;
}

struct list *journal_front(struct journal *journal)
{
	if (!journal_is_under_pressure(journal) || journal->oldest >= journal->open)
		return NULL;
	return pins_of(journal, journal->oldest);
}

void journal_press(struct journal *journal)
{
	if (journal_is_under_pressure(journal)) {
		journal->pressure_rounds++;
		waitlist_wake_all(&journal->pressure, 0);
	}
}

uint64_t journal_active_entries(const struct journal *journal)
{
	return journal->open - journal->oldest;
}
