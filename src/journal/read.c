/*
 * Reads the journal when a set starts: finds the entries that must be replayed.
 *
 * The valid entry with the highest sequence is authoritative.  Its last_sequence is the
 * oldest entry needed, and all entries between must exist.
 *
 * Buckets are read newest first, by the sequence of their first entry, until a bucket
 * begins before the oldest entry needed.  The tail of a bucket may hold older entries,
 * which count like all others.  If sequences jump ahead within a bucket, the bucket ends
 * there: nobody writes such an entry, and whether such a tail is read at all depends on
 * how far the ring has come.
 *
 * The newest entry may be torn; then it counts as never written.  But an entry is only
 * written after the one before it is durable.  So a valid entry after a bad one, newer
 * than all others, means that a durable entry was damaged, and the set is refused.
 *
 * A bucket is read through a window of fixed size, since the size of a bucket comes from
 * the superblock, and may be larger than memory.
 *
 * The first fault ends the reading, unless there is somebody who takes the faults.
 */
#include <stdio.h>
#include <string.h>

#include <errno.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "io/buffer.h"
#include "journal/journal.h"

enum {
	WINDOW_SECTORS = 2048,
	ENTRY_SECTORS_MAX = 1024,	/* kernels write 8 pages, of 64 KiB at most */
	KEPT_MAX = 131072,		/* entries; more than a valid journal can need */
};

struct candidate {
	unsigned index;			/* in the ring */
	uint64_t first_sequence;	/* from the unchecked header; 0: no entry */
};

struct reading {
	const struct journal_setup *setup;
	struct candidate candidates[JOURNAL_BUCKETS_MAX];
	struct journal_entry_disk **entries;
	unsigned count, room;
	unsigned char *window;
	unsigned window_at, window_sectors;	/* the part of the bucket in `window` */
	uint64_t needed_from;		/* last_sequence of the newest seen so far */
	uint64_t newest;
	uint64_t unreachable;		/* the newest valid entry after a bad one; 0: none */
	struct journal_found *found;
	struct journal_faults *faults;	/* NULL: the first one ends the reading */
};

/* 0: the reading goes on without what is at fault. */
static int fault(const struct reading *reading, enum journal_fault kind, const struct error *error)
{
	return reading->faults ? reading->faults->take(reading->faults, kind, error) :
				 -error->code;
}

static int by_first_sequence_down(const void *a, const void *b)
{
	uint64_t x = ((const struct candidate *)a)->first_sequence;
	uint64_t y = ((const struct candidate *)b)->first_sequence;

	return x > y ? -1 : x < y;
}

static int by_sequence(const void *a, const void *b)
{
	uint64_t x = le64_get((*(struct journal_entry_disk *const *)a)->sequence);
	uint64_t y = le64_get((*(struct journal_entry_disk *const *)b)->sequence);

	return x < y ? -1 : x > y;
}

static uint64_t bucket_sector(const struct journal_setup *setup, unsigned index)
{
	return setup->buckets[index] * setup->bucket_sectors;
}

static int say_unreadable(const struct reading *reading, unsigned index, int failed,
			  struct error *error)
{
	return error_set(error, -failed, "journal io error: bucket %llu: %s",
			 (unsigned long long)reading->setup->buckets[index], strerror(-failed));
}

static int read_first_blocks(struct reading *reading, struct error *error)
{
	const struct journal_setup *setup = reading->setup;
	const struct journal_entry_disk *entry = (const void *)reading->window;

	for (unsigned i = 0; i < setup->bucket_count; i++) {
		int failed = device_read_now(setup->device, reading->window,
					     bucket_sector(setup, i), setup->block_sectors);

		reading->candidates[i].index = i;
		if (failed) {
			say_unreadable(reading, i, failed, error);
			if (fault(reading, JOURNAL_FAULT_READ, error))
				return -error->code;
		} else if (le64_get(entry->magic) == (setup->set_magic ^ JOURNAL_MAGIC)) {
			reading->candidates[i].first_sequence = le64_get(entry->sequence);
		}
	}
	qsort(reading->candidates, setup->bucket_count, sizeof(*reading->candidates),
	      by_first_sequence_down);
	return 0;
}

static int no_memory(const struct reading *reading, struct error *error)
{
	return error_set(error, ENOMEM, "no memory for journal entries: found %u so far",
			 reading->count);
}

/* Sorts the entries; drops those older than needed, and duplicates. */
static void sort_entries(struct reading *reading)
{
	unsigned kept = 0;

	if (!reading->count)
		return;
	qsort(reading->entries, reading->count, sizeof(*reading->entries), by_sequence);
	for (unsigned i = 0; i < reading->count; i++) {
		struct journal_entry_disk *entry = reading->entries[i];
		uint64_t sequence = le64_get(entry->sequence);

		if (sequence < reading->needed_from ||
		    (kept && le64_get(reading->entries[kept - 1]->sequence) == sequence))
			free(entry);
		else
			reading->entries[kept++] = entry;
	}
	reading->count = kept;
}

/* Makes room for one more entry, if necessary by dropping those that are no longer needed. */
static int make_room(struct reading *reading, struct error *error)
{
	unsigned room = reading->room ? reading->room * 2 : 256;
	struct journal_entry_disk **entries;

	if (reading->count < reading->room)
		return 0;
	if (reading->room == KEPT_MAX) {
		sort_entries(reading);
		if (reading->count <= KEPT_MAX / 2)
			return 0;
		return error_set(error, EFBIG,
				 "found %u journal entries that are needed, and more to come",
				 reading->count);
	}
	entries = realloc(reading->entries, room * sizeof(*entries));
	if (!entries)
		return no_memory(reading, error);
	reading->entries = entries;
	reading->room = room;
	return 0;
}

static int keep(struct reading *reading, const struct journal_entry_disk *entry,
		struct error *error)
{
	unsigned bytes = journal_entry_bytes(le32_get(entry->words));
	int failed = make_room(reading, error);
	struct journal_entry_disk *copy = failed ? NULL : malloc(bytes);

	if (failed)
		return failed;
	if (!copy)
		return no_memory(reading, error);
	memcpy(copy, entry, bytes);
	reading->entries[reading->count++] = copy;
	return 0;
}

static int take_entry(struct reading *reading, unsigned index,
		      const struct journal_entry_disk *entry, struct error *error)
{
	uint64_t sequence = le64_get(entry->sequence);
	uint64_t *bucket_newest = &reading->found->bucket_newest[index];

	*bucket_newest = max_u64(*bucket_newest, sequence);	/* LESSON-17 */
	if (sequence > reading->newest) {
		reading->newest = sequence;
		reading->needed_from = le64_get(entry->last_sequence);
		if (reading->faults)	/* what is beyond it is reported by check_entries() */
			reading->needed_from = min_u64(reading->needed_from, sequence);
		reading->found->current = index;
	}
	return sequence < reading->needed_from ? 0 : keep(reading, entry, error);
}

/* Moves the window such that an entry of maximum size at sector `at` of the bucket is in it. */
static int move_window(struct reading *reading, unsigned index, unsigned at, struct error *error)
{
	const struct journal_setup *setup = reading->setup;
	unsigned end = reading->window_at + reading->window_sectors;
	int failed;

	if (end - at >= ENTRY_SECTORS_MAX || end == setup->bucket_sectors)
		return 0;
	reading->window_at = at;
	reading->window_sectors = min_u64(WINDOW_SECTORS, setup->bucket_sectors - at);
	failed = device_read_now(setup->device, reading->window, bucket_sector(setup, index) + at,
				 reading->window_sectors);
	return failed ? say_unreadable(reading, index, failed, error) : 0;
}

/* *entry: the valid entry at sector `at` of the bucket, or NULL. */
static int entry_at(struct reading *reading, unsigned index, unsigned at,
		    const struct journal_entry_disk **entry, struct error *error)
{
	int failed = move_window(reading, index, at, error);
	unsigned bytes = (reading->window_at + reading->window_sectors - at) * 512;

	*entry = NULL;
	if (failed)
		return failed;
	*entry = (const void *)(reading->window + (at - reading->window_at) * 512);
	if (!journal_entry_is_valid(*entry, bytes, reading->setup->set_magic))
		*entry = NULL;
	return 0;
}

/*
 * Looks for a valid entry after the end of the bucket's log, `at`; the newest entry of the log is
 * `before`, and ended at `from`.  The entry would begin at most one entry size further, with a
 * sequence that is higher by at most the number of entries that fit between.
 */
static int look_behind(struct reading *reading, unsigned index, unsigned from, unsigned at,
		       uint64_t before, struct error *error)
{
	unsigned block = reading->setup->block_sectors;
	unsigned end = min_u64(reading->setup->bucket_sectors, at + ENTRY_SECTORS_MAX + 1);
	int failed = 0;

	for (; at < end && !failed; at += block) {
		const struct journal_entry_disk *entry;
		uint64_t sequence;

		failed = entry_at(reading, index, at, &entry, error);
		sequence = entry ? le64_get(entry->sequence) : 0;
		if (sequence > before + 1 && sequence <= before + 1 + (at - from) / block)
			reading->unreachable = max_u64(reading->unreachable, sequence);
	}
	return failed;
}

/* Takes all entries of a bucket, the first of which should have the sequence before + 1. */
static int read_bucket(struct reading *reading, unsigned index, uint64_t before,
		       struct error *error)
{
	const struct journal_setup *setup = reading->setup;
	unsigned at = 0, newest_end = 0;
	uint64_t newest = before;

	reading->window_at = reading->window_sectors = 0;
	while (at < setup->bucket_sectors) {
		const struct journal_entry_disk *entry;
		int failed = entry_at(reading, index, at, &entry, error);

		if (failed)
			return failed;
		if (!entry || (at && le64_get(entry->sequence) > before + 1))
			return look_behind(reading, index, newest_end, at, newest, error);
		before = le64_get(entry->sequence);
		failed = take_entry(reading, index, entry, error);
		if (failed)
			return failed;
		at += round_up(journal_entry_bytes(le32_get(entry->words)),
			       setup->block_sectors * 512) / 512;
		if (before == reading->newest)
			reading->found->newest_end = at;
		if (before >= newest) {
			newest = before;
			newest_end = at;
		}
	}
	return 0;
}

/* The bucket after the newest entry does not begin with an entry: does it have a later one? */
static int read_next_bucket(struct reading *reading, struct error *error)
{
	unsigned next = (reading->found->current + 1) % reading->setup->bucket_count;

	for (unsigned i = 0; i < reading->setup->bucket_count; i++)
		if (reading->candidates[i].index == next && reading->candidates[i].first_sequence)
			return 0;	/* it begins with an entry: it was read, or is old */
	return read_bucket(reading, next, reading->newest, error);
}

static int check_unreachable(const struct reading *reading, struct error *error)
{
	if (reading->unreachable <= reading->newest)
		return 0;
	error_set(error, EIO, "journal entries %llu-%llu missing! (found entry %llu behind them)",
		  (unsigned long long)reading->newest + 1,
		  (unsigned long long)reading->unreachable - 1,
		  (unsigned long long)reading->unreachable);
	return fault(reading, JOURNAL_FAULT_GAP, error);
}

static int check_gaps(const struct reading *reading, bool gap_at_start_allowed, struct error *error)
{
	uint64_t wanted = reading->needed_from;

	for (unsigned i = 0; i < reading->count; i++) {
		uint64_t sequence = le64_get(reading->entries[i]->sequence);

		if (sequence != wanted && !(i == 0 && gap_at_start_allowed)) {
			error_set(error, EIO,
				  "journal entries %llu-%llu missing! (replaying %llu-%llu)",
				  (unsigned long long)wanted, (unsigned long long)sequence - 1,
				  (unsigned long long)reading->needed_from,
				  (unsigned long long)reading->newest);
			if (fault(reading, JOURNAL_FAULT_GAP, error))
				return -error->code;
		}
		wanted = sequence + 1;
	}
	return 0;
}

static int check_entries(const struct reading *reading, struct error *error)
{
	for (unsigned i = 0; i < reading->count; i++) {
		if (journal_entry_check(reading->entries[i], error) &&
		    fault(reading, JOURNAL_FAULT_ENTRY, error))
			return -error->code;
	}
	return 0;
}

static int say_none(const struct reading *reading, struct error *error)
{
	error_set(error, EINVAL, "no journal entries found in %u journal buckets",
		  reading->setup->bucket_count);
	return fault(reading, JOURNAL_FAULT_NONE, error);
}

/* All that were found, in order and without those that are not needed. */
static int check_found(struct reading *reading, bool gap_at_start_allowed, struct error *error)
{
	sort_entries(reading);
	if (!reading->count)
		return error_set(error, EINVAL,
				 "bad journal entry %llu: found last_seq %llu, wanted at most %llu",
				 (unsigned long long)reading->newest,
				 (unsigned long long)reading->needed_from,
				 (unsigned long long)reading->newest);
	return check_gaps(reading, gap_at_start_allowed, error) ?: check_entries(reading, error);
}

/* A read error in the middle of a bucket: the others may have what is needed. */
static int pass_over(const struct reading *reading, int failed, const struct error *error)
{
	return failed && failed != -ENOMEM && failed != -EFBIG ?
	       fault(reading, JOURNAL_FAULT_READ, error) : failed;
}

static int read_all(struct reading *reading, bool gap_at_start_allowed, struct error *error)
{
	int failed = read_first_blocks(reading, error);

	if (failed)
		return failed;
	for (unsigned i = 0; i < reading->setup->bucket_count; i++) {
		const struct candidate *candidate = &reading->candidates[i];

		if (!candidate->first_sequence)
			break;
		failed = read_bucket(reading, candidate->index, candidate->first_sequence - 1,
				     error);
		failed = pass_over(reading, failed, error);
		if (failed)
			return failed;
		if (candidate->first_sequence < reading->needed_from) {
			SIM_SOMETIMES("old journal buckets need not be read");
			/* All that follow are older still, hence free. */
			for (unsigned k = i + 1; k < reading->setup->bucket_count; k++)
				reading->found->bucket_newest[reading->candidates[k].index] =
					reading->candidates[k].first_sequence;
			break;
		}
	}
	if (!reading->newest)
		return say_none(reading, error);
	failed = pass_over(reading, read_next_bucket(reading, error), error) ?:
		 check_unreachable(reading, error);
	return failed ? failed : check_found(reading, gap_at_start_allowed, error);
}

static int read_journal(struct journal_found *found, const struct journal_setup *setup,
			bool gap_at_start_allowed, struct journal_faults *faults,
			struct error *error)
{
	struct reading reading = {
		.setup = setup,
		.found = found,
		.faults = faults,
		.window = buffer_try_new(min_u64(WINDOW_SECTORS, setup->bucket_sectors) * 512),
	};
	int failed;

	*found = (struct journal_found){ .count = 0 };
	failed = reading.window ? read_all(&reading, gap_at_start_allowed, error) :
				  no_memory(&reading, error);
	buffer_free(reading.window);
	found->entries = reading.entries;
	found->count = reading.count;
	if (failed)
		journal_found_done(found);
	return failed;
}

int journal_read(struct journal_found *found, const struct journal_setup *setup,
		 bool gap_at_start_allowed, struct error *error)
{
	return read_journal(found, setup, gap_at_start_allowed, NULL, error);
}

int journal_read_all(struct journal_found *found, const struct journal_setup *setup,
		     bool gap_at_start_allowed, struct journal_faults *faults,
		     struct error *error)
{
	return read_journal(found, setup, gap_at_start_allowed, faults, error);
}

void journal_found_done(struct journal_found *found)
{
	for (unsigned i = 0; i < found->count; i++)
		free(found->entries[i]);
	free(found->entries);
	*found = (struct journal_found){ .count = 0 };
}
