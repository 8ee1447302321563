/*
 * Adds keys to the open entry; lets ops wait until it is durable.
 */
#include <errno.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "io/buffer.h"
#include "journal/internal.h"

enum {
	ENTRIES_MAX = 32768,		/* that may be needed at a time */
	JOURNAL_DELAY_MS = 100,		/* until keys are written that nobody waits for */
};

/* A power of two that is larger than the number of entries that the ring can hold. */
static uint64_t entries_size(const struct journal_setup *setup)
{
	uint64_t blocks =
		(uint64_t)setup->bucket_count * setup->bucket_sectors / setup->block_sectors;
	uint64_t size = 16;

	while (size < blocks + 8 && size < ENTRIES_MAX)
		size *= 2;
	return size;
}

/* Not while the op of the timer is already queued: an op waits in one list at a time (OP-3). */
static void start_delay(struct journal *journal)
{
	bool is_ending = list_linked(&journal->delayed.link);	/* its step restarts the timer */

	if (journal->accepts && !journal->write_wanted && !is_ending &&
	    !timer_running(&journal->delay))
		timer_start(&journal->delay, journal->delay_ns, &journal->delayed);
}

/* The timer has expired, so the open entry is to be written; or it was cancelled. */
static void delay_step(struct op *op)
{
	struct journal *journal = container_of(op, struct journal, delayed);
	bool is_due = clock_ns(journal->setup.reactor) >= journal->delay.due_ns;

	op_take_error(op);
	lock_acquire(journal->setup.lock);
	if (!journal->words && !journal->roots_changed) {
		SIM_SOMETIMES("the journal's delay ends when its entry is written");
	} else if (!is_due) {
		start_delay(journal);
	} else {
		journal->write_wanted = true;
		journal_kick(journal);
	}
	lock_release(journal->setup.lock);
}

struct journal_setup journal_setup_of(const struct superblock *sb)
{
	return (struct journal_setup){
		.set_magic = superblock_set_magic(sb),
		.block_sectors = sb->block_sectors,
		.bucket_sectors = sb->bucket_sectors,
		.bucket_count = sb->journal_buckets,
		.buckets = sb->journal_bucket,
		.member = sb->member,
	};
}

void journal_init(struct journal *journal, const struct journal_setup *setup)
{
	unsigned bytes = min_u64(JOURNAL_ENTRY_BYTES_MAX, setup->bucket_sectors * 512);

	*journal = (struct journal){
		.setup = *setup,
		.entries_mask = entries_size(setup) - 1,
		.words_max = (bytes - sizeof(struct journal_entry_disk)) / 8,
		.delay_ns = JOURNAL_DELAY_MS * UINT64_C(1000000),
	};
	for (unsigned i = 0; i < setup->bucket_count; i++)
		journal->bucket[i] = setup->buckets[i];
	journal->entries = calloc(journal->entries_mask + 1, sizeof(*journal->entries));
	assert(journal->entries);
	for (uint64_t i = 0; i <= journal->entries_mask; i++)
		list_init(&journal->entries[i].pins);
	journal->buffer[0] = buffer_new(JOURNAL_ENTRY_BYTES_MAX);
	journal->buffer[1] = buffer_new(JOURNAL_ENTRY_BYTES_MAX);
	waitlist_init(&journal->room);
	waitlist_init(&journal->pressure);
	waitlist_init(&journal->reclaimed);
	waitlist_init(&journal->open_waiters);
	waitlist_init(&journal->writing_waiters);
	op_init(&journal->writer, setup->reactor, journal_writer_step);
	op_init(&journal->delayed, setup->reactor, delay_step);
	journal->writer.when_idle = journal->delayed.when_idle = setup->when_idle;
}

void journal_done(struct journal *journal)
{
	free(journal->entries);
	buffer_free(journal->buffer[0]);
	buffer_free(journal->buffer[1]);
	*journal = (struct journal){ .open = 0 };
}

void journal_begin(struct journal *journal, uint64_t oldest, uint64_t newest, unsigned current,
		   const uint64_t *bucket_newest)
{
	assert(!journal->accepts && newest - oldest <= journal->entries_mask);
	journal->oldest = newest ? oldest : 1;
	journal->open = newest + 1;
	journal->durable = newest;
	journal->durable_last = journal->last_begun = journal->oldest;
	journal->current = current;
	journal->current_sectors = journal->setup.bucket_sectors; /* the next write takes another */
	for (unsigned i = 0; i < journal->setup.bucket_count; i++)
		journal->bucket_newest[i] = bucket_newest ? bucket_newest[i] : 0;
}

void journal_accept(struct journal *journal)
{
	journal->accepts = true;
	journal_advance(journal);
	journal_kick(journal);
}

/* The op waits for this entry to be closed, which may have to wait for a bucket of the ring. */
int journal_room(struct journal *journal, unsigned words, struct op *op)
{
	int error = health_error(journal->setup.health);

	if (error)
		return error;
	assert(words <= journal->words_max);
	if (journal->words + words <= journal->words_max)
		return 0;
	SIM_SOMETIMES("keys wait for the next journal entry");
	waitlist_join(&journal->room, op);
	journal->write_wanted = true;
	journal_kick(journal);
	return -EAGAIN;
}

uint64_t journal_add(struct journal *journal, const struct bkey *k)
{
	le64 *keys = journal->buffer[journal->open_buffer]->keys;

	assert(journal->words + bkey_words(k) <= journal->words_max);
	journal->words += bkey_encode(k, keys + journal->words);
	journal->keys_written++;
	start_delay(journal);
	return journal->open;
}

void journal_set_btree_root(struct journal *journal, const struct bkey *root, unsigned level)
{
	journal->roots.btree_root = *root;
	journal->roots.btree_level = level;
}

void journal_set_uuid_bucket(struct journal *journal, const struct bkey *bucket)
{
	journal->roots.uuid_bucket = *bucket;
}

void journal_set_prio_bucket(struct journal *journal, uint64_t bucket)
{
	journal->roots.prio_bucket = bucket;
}

void journal_roots_change(struct journal *journal)
{
	journal->roots_changed = true;
	start_delay(journal);
}

static void arrive_now(struct op *op, int error)
{
	op_await(op);
	op_arrive(op, error);
}

static bool is_writing(const struct journal *journal)
{
	return journal->state == JOURNAL_FLUSH || journal->state == JOURNAL_WRITE;
}

/* Lets `op` wait for the open entry, and wants that written as soon as possible. */
static LOCKED void wait_for_open(struct journal *journal, struct op *op)
{
	waitlist_join(&journal->open_waiters, op);
	journal->write_wanted = true;
	SIM_SOMETIMES_IF(is_writing(journal), "a commit waits for the entry after the next");
	SIM_SOMETIMES_IF(journal->state == JOURNAL_BUCKET,
			 "a commit comes to an entry without room");
	timer_cancel(&journal->delay);
	journal_kick(journal);
}

/* If the open entry is empty, everything so far is in the entry being written, or durable. */
void journal_commit(struct journal *journal, struct op *op)
{
	int error = health_error(journal->setup.health);

	if (error)
		arrive_now(op, error);
	else if (journal->words || journal->roots_changed)
		wait_for_open(journal, op);
	else if (is_writing(journal))
		waitlist_join(&journal->writing_waiters, op);
	else
		arrive_now(op, 0);
}

void journal_commit_entry(struct journal *journal, uint64_t sequence, struct op *op)
{
	int error = health_error(journal->setup.health);

	assert(sequence <= journal->open);
	if (error || sequence <= journal->durable) {
		arrive_now(op, error);
	} else if (sequence == journal->open) {
		wait_for_open(journal, op);
	} else {
		assert(is_writing(journal) && sequence == journal->open - 1);	/* JOURNAL-2 */
		waitlist_join(&journal->writing_waiters, op);
	}
}

void journal_commit_always(struct journal *journal, struct op *op)
{
	int error = health_error(journal->setup.health);

	if (error)
		arrive_now(op, error);
	else
		wait_for_open(journal, op);
}
