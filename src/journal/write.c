/*
 * Writes entries, one at a time.
 *
 *	IDLE --wanted--> ROOM --has a place--> FLUSH ----> WRITE ----> IDLE
 *	                  |  ^   closes the entry,
 *	                  +--+   opens the next
 *	       waits for `oldest` to advance (JOURNAL-4)
 *
 * The entry is closed when its flush starts: that flush does not cover the data of later
 * keys, so these go into the next entry (JOURNAL-2).
 */
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "journal/internal.h"

/* Entries are padded to whole blocks. */
static unsigned open_sectors(const struct journal *journal)
{
	unsigned block_bytes = journal->setup.block_sectors * 512;

	return round_up(journal_entry_bytes(journal->words), block_bytes) / 512;
}

void journal_kick(struct journal *journal)
{
	if (journal->state != JOURNAL_IDLE || !journal->accepts || !journal->write_wanted)
		return;
	journal->state = JOURNAL_BUCKET;
	op_queue(&journal->writer);
}

/* Fills in the header (JOURNAL-5), the checksum and the padding; unused fields are zero already. */
static void seal(struct journal *journal, struct journal_entry_disk *entry, unsigned sectors)
{
	const struct journal_roots *roots = &journal->roots;
	unsigned used = journal_entry_bytes(journal->words);

	memset((char *)entry + used, 0, sectors * 512 - used);
	entry->sequence = le64_of(journal->open);
	entry->last_sequence = le64_of(journal->writing_last);
	bkey_slot_encode(&entry->uuid_bucket, &roots->uuid_bucket);
	bkey_slot_encode(&entry->btree_root, &roots->btree_root);
	entry->btree_level = le16_of(roots->btree_level);
	entry->prio_bucket[journal->setup.member] = le64_of(roots->prio_bucket);
	journal_entry_seal(entry, journal->words, journal->setup.set_magic);
}

/* Closes the open entry, which goes into bucket `index`, and opens the next one. */
static LOCKED void close_entry(struct journal *journal, unsigned index, unsigned sectors)
{
	struct journal_entry_disk *entry = journal->buffer[journal->open_buffer];

	assert(journal->oldest >= journal->last_begun);			/* JOURNAL-3 */
	journal->writing_last = journal->last_begun = journal->oldest;
	seal(journal, entry, sectors);
	SIM_SOMETIMES_IF(sectors > journal->setup.block_sectors, "an entry of several blocks");
	SIM_SOMETIMES_IF(!journal->words, "an entry without keys");
	SIM_SOMETIMES_IF(index < journal->current, "the ring of journal buckets wraps");
	if (index != journal->current) {
		journal->current = index;
		journal->current_sectors = 0;
		journal->buckets_reclaimed++;
	}
	journal->bucket_newest[index] = journal->open;
	journal->writing_sectors = sectors;

	journal->open++;
	assert(journal->open - journal->oldest <= journal->entries_mask);
	assert(list_empty(&journal->entries[journal->open & journal->entries_mask].pins));
	journal->open_buffer ^= 1;
	journal->words = 0;
	journal->roots_changed = false;
	journal->write_wanted = false;
	assert(waitlist_empty(&journal->writing_waiters));
	list_take_all(&journal->writing_waiters.ops, &journal->open_waiters.ops);
	waitlist_wake_all(&journal->room, 0);
	journal_press(journal);
}

/* Without room, the writer waits for `oldest` to advance; during replay the set fails. */
static LOCKED void begin_entry(struct journal *journal)
{
	unsigned sectors = open_sectors(journal);
	unsigned index;

	journal_advance(journal);
	if (!journal_may_write(journal, sectors, &index)) {
		if (journal->replaying) {
			journal->state = JOURNAL_IDLE;
			health_fail(journal->setup.health, ENOSPC,
				    "the journal has no room for what its replay needs");
			return;
		}
		SIM_SOMETIMES("an entry waits for room in the ring");
		waitlist_join(&journal->reclaimed, &journal->writer);
		journal_press(journal);
		return;
	}
	close_entry(journal, index, sectors);
	journal->state = JOURNAL_FLUSH;
	device_flush(journal->setup.device, &journal->writer);
}

static void write_entry(struct journal *journal)
{
	uint64_t sector = journal->bucket[journal->current] * journal->setup.bucket_sectors +
			  journal->current_sectors;

	journal->state = JOURNAL_WRITE;
	device_write_metadata(journal->setup.device, journal->buffer[journal->open_buffer ^ 1],
			      sector, journal->writing_sectors, true, &journal->writer);
	journal->current_sectors += journal->writing_sectors;
	journal->sectors_written += journal->writing_sectors;
}

static LOCKED void entry_is_durable(struct journal *journal)
{
	journal->durable = journal->open - 1;
	journal->durable_last = journal->writing_last;
	journal->entries_written++;
	journal->state = JOURNAL_IDLE;
	waitlist_wake_all(&journal->writing_waiters, 0);
	journal_kick(journal);
}

/* A set without its journal cannot make anything durable: it fails. */
static void writer_failed(struct journal *journal, int error)
{
	SIM_SOMETIMES("the journal cannot be written");
	journal->state = JOURNAL_IDLE;
	health_fail(journal->setup.health, -error, "journal io error: %s", strerror(-error));
	waitlist_wake_all(&journal->writing_waiters, error);
}

void journal_writer_step(struct op *op)
{
	struct journal *journal = container_of(op, struct journal, writer);
	int error;

	lock_acquire(journal->setup.lock);
	error = op_take_error(op) ?: health_error(journal->setup.health);
	if (error)
		writer_failed(journal, error);
	else if (journal->state == JOURNAL_BUCKET)
		begin_entry(journal);
	else if (journal->state == JOURNAL_FLUSH)
		write_entry(journal);
	else
		entry_is_durable(journal);
	lock_release(journal->setup.lock);
}

void journal_stop(struct journal *journal)
{
	journal->accepts = false;
	timer_cancel(&journal->delay);
}

/* Ops that wait for the entry in flight are woken when its write ends. */
void journal_abort(struct journal *journal, int error)
{
	SIM_RARELY_IF(!waitlist_empty(&journal->reclaimed), "a set dies while its ring is full",
		      "test_journal_ring/of_a_dead_set_is_told_to_all_who_wait");
	timer_cancel(&journal->delay);
	waitlist_wake_all(&journal->room, error);
	waitlist_wake_all(&journal->open_waiters, error);
	waitlist_wake_all(&journal->reclaimed, error);
	waitlist_wake_all(&journal->pressure, error);
	if (journal->state == JOURNAL_IDLE)
		waitlist_wake_all(&journal->writing_waiters, error);
}

bool journal_is_idle(const struct journal *journal)
{
	return journal->state == JOURNAL_IDLE && !timer_running(&journal->delay) &&
	       !journal->writer.awaited && !journal->delayed.awaited &&
	       !list_linked(&journal->delayed.link) && !list_linked(&journal->writer.link);
}
