/* What a start finds in a journal: entries placed by hand, where a stop may have left them. */
#include <errno.h>
#include <string.h>

#include "awaiter.h"
#include "base/crc64.h"
#include "base/numbers.h"
#include "counted_memory.h"
#include "io/buffer.h"
#include "journal/internal.h"

enum {
	BLOCK = 8,			/* sectors */
	BUCKET = 4 * BLOCK,
	RING = 4,
	BUCKETS = 12,
	ENTRY_SECTORS_MAX = 1024,	/* larger ones no kernel writes */
	KEPT_MAX = 131072,		/* entries, of which half may be needed at the end */
};

static const uint64_t ring[RING] = { 9, 2, 3, 5 };	/* in no order, no neighbours */
static const uint64_t one_bucket[] = { 1 };
static const uint64_t magic = 0x0123456789abcdef;

static struct device *device;
static struct journal_setup journal_setup;
static struct journal_found found;
static struct error error;

static void open_ring(const uint64_t *buckets, unsigned count, unsigned bucket_sectors,
		      uint64_t device_sectors, unsigned block_sectors)
{
	device = test_device(device_sectors);
	journal_setup = (struct journal_setup){
		.device = device,
		.set_magic = magic,
		.block_sectors = block_sectors,
		.bucket_sectors = bucket_sectors,
		.bucket_count = count,
		.buckets = buckets,
	};
}

static void setup(void)
{
	open_ring(ring, RING, BUCKET, BUCKETS * BUCKET, BLOCK);
}

static void teardown(void)
{
	journal_found_done(&found);
	device_close(device);
}

TestSuite(read, .init = setup, .fini = teardown, .timeout = 60);

/* An entry with keys of two words, the first of which tells the entry. */
static struct journal_entry_disk *new_entry(uint64_t sequence, uint64_t last, unsigned sectors)
{
	struct journal_entry_disk *entry = buffer_new(sectors * 512);
	unsigned words = 0;

	entry->sequence = le64_of(sequence);
	entry->last_sequence = le64_of(last);
	while (sizeof(*entry) + words * 8 <= (sectors - 1) * 512) {
		struct bkey k = bkey_of(1, sequence * 1000 + words, 0);

		words += bkey_encode(&k, entry->keys + words);
	}
	journal_entry_seal(entry, words, magic);
	return entry;
}

static uint64_t sector_of(unsigned index, unsigned sector)
{
	return journal_setup.buckets[index] * journal_setup.bucket_sectors + sector;
}

/* `sectors` long, that far into the bucket. */
static void put_large(unsigned index, unsigned sector, unsigned sectors, uint64_t sequence,
		      uint64_t last)
{
	struct journal_entry_disk *entry = new_entry(sequence, last, sectors);

	cr_assert(zero(int, device_write_now(device, entry, sector_of(index, sector), sectors)));
	buffer_free(entry);
}

/* One block. */
static void put(unsigned index, unsigned block, uint64_t sequence, uint64_t last)
{
	put_large(index, block * BLOCK, BLOCK, sequence, last);
}

/* `count` blocks from the first of a bucket on. */
static void put_row(unsigned index, uint64_t first, unsigned count, uint64_t last)
{
	for (unsigned i = 0; i < count; i++)
		put(index, i, first + i, min_u64(last, first + i));
}

/* The header of an entry is whole there, and its last sector was not written. */
static void tear(unsigned index, unsigned block, uint64_t sequence)
{
	struct journal_entry_disk *entry = new_entry(sequence, 1, BLOCK);

	entry->keys[0] = le64_of(0);
	cr_assert(zero(int, device_write_now(device, entry, sector_of(index, block * BLOCK),
					     BLOCK)));
	buffer_free(entry);
}

static void wipe(unsigned index, unsigned block)
{
	void *zeros = buffer_new(BLOCK * 512);

	cr_assert(zero(int, device_write_now(device, zeros, sector_of(index, block * BLOCK),
					     BLOCK)));
	buffer_free(zeros);
}

static int read_journal(void)
{
	journal_found_done(&found);
	error = (struct error){ .code = 0 };
	return journal_read(&found, &journal_setup, false, &error);
}

/* Entries `first`..`last`, in order and with their keys. */
static void expect_found(uint64_t first, uint64_t last)
{
	cr_assert(zero(int, read_journal()), "%s", error.text);
	cr_assert(eq(u64, found.count, last - first + 1));
	for (unsigned i = 0; i < found.count; i++) {
		const struct journal_entry_disk *entry = found.entries[i];

		cr_expect(eq(u64, le64_get(entry->sequence), first + i));
		cr_expect(eq(u64, le64_get(entry->keys[1]), (first + i) * 1000));
	}
}

static void expect_refused(int code, const char *sentence)
{
	cr_expect(eq(int, read_journal(), -code));
	cr_expect(eq(str, error.text, (char *)sentence));
	cr_expect(zero(u32, found.count));
	cr_expect(zero(ptr, found.entries));
}

/* ---- what is needed ---- */

Test(read, gives_what_the_newest_entry_needs)
{
	put_row(0, 1, 4, 1);
	put_row(1, 5, 2, 3);
	expect_found(3, 6);
	cr_expect(eq(u32, found.current, 1));
	cr_expect(eq(u64, found.bucket_newest[0], 4));
	cr_expect(eq(u64, found.bucket_newest[1], 6));
	cr_expect(zero(u64, found.bucket_newest[2]));
	cr_expect(zero(u64, found.bucket_newest[3]));
}

Test(read, gives_one_entry_where_one_is_needed)
{
	put_row(0, 1, 4, 1);
	put(1, 0, 5, 5);
	expect_found(5, 5);
}

Test(read, finds_the_newest_wherever_the_ring_has_come_to)
{
	put_row(1, 9, 4, 7);
	put_row(2, 13, 3, 7);
	put_row(3, 1, 4, 1);
	put_row(0, 5, 4, 1);
	expect_found(7, 15);
	cr_expect(eq(u32, found.current, 2));
}

/* A bucket must not look free while what is in it is needed (JOURNAL-3). */
Test(read, knows_the_newest_of_buckets_that_are_read_and_a_bound_for_the_others)
{
	put_row(3, 13, 3, 11);
	put_row(2, 9, 4, 1);
	put_row(1, 5, 4, 1);
	put_row(0, 1, 4, 1);
	expect_found(11, 15);
	cr_expect(eq(u64, found.bucket_newest[3], 15));
	cr_expect(eq(u64, found.bucket_newest[2], 12));
	cr_expect(lt(u64, found.bucket_newest[1], 11));
	cr_expect(lt(u64, found.bucket_newest[0], 11));
	cr_expect(ge(u64, found.bucket_newest[1], 5));
	cr_expect(ge(u64, found.bucket_newest[0], 1));
}

Test(read, counts_older_entries_in_a_tail_by_their_sequence)
{
	put_row(0, 5, 4, 1);
	put(1, 0, 9, 1);
	put(1, 1, 10, 7);
	put(1, 2, 3, 1);
	put(1, 3, 4, 1);
	expect_found(7, 10);
	cr_expect(eq(u64, found.bucket_newest[1], 10));
}

Test(read, takes_an_entry_once_that_is_there_twice)
{
	put(0, 0, 1, 1);
	put(0, 1, 2, 1);
	put(0, 2, 2, 1);
	put(0, 3, 3, 1);
	expect_found(1, 3);
}

Test(read, goes_on_behind_an_entry_of_several_blocks)
{
	put_large(0, 0, 2 * BLOCK, 1, 1);
	put(0, 2, 2, 1);
	expect_found(1, 2);
}

/* ---- what is torn, what is damaged ---- */

Test(read, forgets_a_torn_entry_that_is_the_newest)
{
	put_row(0, 1, 2, 1);
	tear(0, 2, 3);
	expect_found(1, 2);
	put_row(0, 1, 4, 1);
	tear(1, 0, 5);
	expect_found(1, 4);
	cr_expect(eq(u32, found.current, 0));
}

Test(read, does_not_believe_what_another_set_wrote)
{
	put_row(0, 1, 2, 1);
	journal_setup.set_magic++;
	expect_refused(EINVAL, "no journal entries found in 4 journal buckets");
}

Test(read, ends_a_bucket_before_an_entry_that_jumps_ahead)
{
	put_row(0, 1, 2, 1);
	put(0, 2, 9, 1);
	expect_found(1, 2);
	cr_expect(eq(u64, found.bucket_newest[0], 2));
}

Test(read, refuses_a_bad_entry_with_its_successor_behind_it)
{
	put_row(0, 1, 4, 1);
	tear(0, 2, 3);
	expect_refused(EIO, "journal entries 3-3 missing! (found entry 4 behind them)");
}

Test(read, refuses_a_bad_entry_of_several_blocks_with_its_successor_behind_it)
{
	put(0, 0, 1, 1);
	put(0, 3, 3, 1);
	expect_refused(EIO, "journal entries 2-2 missing! (found entry 3 behind them)");
}

Test(read, refuses_two_bad_entries_with_their_successor_behind_them)
{
	put(0, 0, 1, 1);
	put(0, 3, 4, 1);
	expect_refused(EIO, "journal entries 2-3 missing! (found entry 4 behind them)");
}

/* More entries than blocks between: it was not written there after them. */
Test(read, believes_no_entry_behind_a_bad_one_that_cannot_have_followed_it)
{
	put(0, 0, 1, 1);
	put(0, 3, 5, 1);
	expect_found(1, 1);
	put(0, 3, 2, 1);
	expect_found(1, 1);
}

/* They may have been written over by one entry of several blocks, of which the first is missing. */
Test(read, looks_from_the_newest_entry_on_where_older_ones_follow_it)
{
	put(0, 0, 11, 11);
	put(0, 1, 3, 1);
	put(0, 3, 13, 11);
	expect_refused(EIO, "journal entries 12-12 missing! (found entry 13 behind them)");
	put(0, 3, 14, 11);
	expect_refused(EIO, "journal entries 12-13 missing! (found entry 14 behind them)");
	put(0, 3, 15, 11);
	expect_found(11, 11);
}

Test(read, refuses_a_bucket_whose_first_entry_is_bad_with_its_successor_behind_it)
{
	put_row(0, 1, 4, 1);
	tear(1, 0, 5);
	put(1, 1, 6, 1);
	expect_refused(EIO, "journal entries 5-5 missing! (found entry 6 behind them)");
}

/* Its header does not tell that it was the bucket to come next. */
Test(read, refuses_a_next_bucket_whose_first_block_is_lost)
{
	put_row(0, 1, 4, 1);
	put_row(1, 5, 4, 1);
	wipe(2, 0);
	put(2, 1, 10, 1);
	expect_refused(EIO, "journal entries 9-9 missing! (found entry 10 behind them)");
	wipe(2, 1);
	put(3, 1, 10, 1);	/* not the next bucket: an older round's */
	expect_found(1, 8);
}

Test(read, follows_the_ring_from_its_last_bucket_to_the_first)
{
	put_row(3, 1, 4, 1);
	put(0, 1, 6, 1);
	expect_refused(EIO, "journal entries 5-5 missing! (found entry 6 behind them)");
}

/* ---- gaps ---- */

Test(read, refuses_a_gap)
{
	put_row(0, 1, 4, 1);
	put_row(2, 9, 2, 3);
	expect_refused(EIO, "journal entries 5-8 missing! (replaying 3-10)");
}

Test(read, refuses_a_gap_at_the_start_unless_that_is_allowed)
{
	put_row(0, 5, 4, 3);
	expect_refused(EIO, "journal entries 3-4 missing! (replaying 3-8)");
	cr_expect(zero(int, journal_read(&found, &journal_setup, true, &error)));
	cr_assert(eq(u32, found.count, 4));
	cr_expect(eq(u64, le64_get(found.entries[0]->sequence), 5));
}

Test(read, refuses_a_gap_further_on_even_where_one_at_the_start_is_allowed)
{
	put_row(0, 5, 2, 3);
	put_row(1, 9, 2, 3);
	cr_expect(eq(int, journal_read(&found, &journal_setup, true, &error), -EIO));
	cr_expect(eq(str, error.text, "journal entries 7-8 missing! (replaying 3-10)"));
}

/* ---- nonsense ---- */

static void put_changed(struct journal_entry_disk *entry)
{
	entry->checksum = le64_of(crc64(&entry->magic, journal_entry_bytes(
		le32_get(entry->words)) - 8));
	cr_assert(zero(int, device_write_now(device, entry, sector_of(0, 0), BLOCK)));
	buffer_free(entry);
}

Test(read, refuses_an_entry_that_needs_later_ones)
{
	struct journal_entry_disk *entry = new_entry(5, 5, BLOCK);

	entry->last_sequence = le64_of(6);
	put_changed(entry);
	expect_refused(EINVAL, "bad journal entry 5: found last_seq 6, wanted at most 5");
}

Test(read, refuses_a_key_that_no_set_of_ours_has)
{
	struct journal_entry_disk *entry = new_entry(5, 5, BLOCK);

	entry->keys[0] = le64_of(UINT64_C(0xa) << 60);	/* two pointers */
	put_changed(entry);
	cr_expect(eq(int, read_journal(), -EINVAL));
	cr_expect(ne(ptr, strstr(error.text, "journal entry 5: the key at word 0"), NULL), "%s",
		  error.text);
	cr_expect(zero(u32, found.count));
}

Test(read, refuses_a_device_that_ends_before_its_journal)
{
	static const uint64_t beyond[] = { 1, BUCKETS };

	journal_setup.buckets = beyond;
	journal_setup.bucket_count = 2;
	cr_expect(eq(int, read_journal(), -EIO));
	cr_expect(eq(str, error.text, "journal io error: bucket 12: Input/output error"));
}

Test(read, refuses_a_device_that_ends_within_a_bucket_of_its_journal)
{
	teardown();
	open_ring(ring, 1, BUCKET, ring[0] * BUCKET + BLOCK, BLOCK);
	put(0, 0, 1, 1);
	cr_expect(eq(int, read_journal(), -EIO));
	cr_expect(eq(str, error.text, "journal io error: bucket 9: Input/output error"));
}

/* ---- large buckets are read piece by piece ---- */

enum { LARGE_BUCKET = 5000 };

/* Lies at the end of the device. */
static void open_large(void)
{
	open_ring(one_bucket, 1, LARGE_BUCKET, 2 * LARGE_BUCKET, BLOCK);
}

TestSuite(read_large, .init = open_large, .fini = teardown, .timeout = 60);

Test(read_large, finds_entries_of_any_size_in_any_place)
{
	static const unsigned sectors[] = {
		ENTRY_SECTORS_MAX, BLOCK, ENTRY_SECTORS_MAX, ENTRY_SECTORS_MAX, 3 * BLOCK,
		ENTRY_SECTORS_MAX, LARGE_BUCKET - 4 * ENTRY_SECTORS_MAX - 4 * BLOCK,
	};
	unsigned at = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(sectors); at += sectors[i++])
		put_large(0, at, sectors[i], i + 1, 1);
	cr_assert(eq(u32, at, LARGE_BUCKET));
	expect_found(1, ARRAY_SIZE(sectors));
	for (unsigned i = 0; i < found.count; i++) {
		struct journal_entry_disk *entry = new_entry(i + 1, 1, sectors[i]);
		unsigned bytes = journal_entry_bytes(le32_get(entry->words));

		cr_expect(zero(int, memcmp(found.entries[i], entry, bytes)));
		buffer_free(entry);
	}
}

Test(read_large, finds_the_smallest_entries_in_every_place)
{
	for (unsigned at = 0; at < LARGE_BUCKET; at += BLOCK)
		put_large(0, at, BLOCK, at / BLOCK + 1, 1);
	expect_found(1, LARGE_BUCKET / BLOCK);
}

Test(read_large, believes_no_entry_that_reaches_beyond_its_bucket)
{
	static const uint64_t first_of_two[] = { 0 };

	journal_setup.buckets = first_of_two;
	for (unsigned i = 0; i < 4; i++)
		put_large(0, i * ENTRY_SECTORS_MAX, ENTRY_SECTORS_MAX, i + 1, 1);
	put_large(0, 4 * ENTRY_SECTORS_MAX, LARGE_BUCKET - BLOCK - 4 * ENTRY_SECTORS_MAX, 5, 1);
	put_large(0, LARGE_BUCKET - BLOCK, 2 * BLOCK, 6, 1);
	expect_found(1, 5);
}

/* What follows a bad entry lies no further away than an entry is long. */
Test(read_large, looks_as_far_behind_a_bad_entry_as_that_may_be_long)
{
	put_large(0, 0, BLOCK, 1, 1);
	put_large(0, BLOCK + ENTRY_SECTORS_MAX, BLOCK, 3, 1);
	expect_refused(EIO, "journal entries 2-2 missing! (found entry 3 behind them)");
	put_large(0, BLOCK + ENTRY_SECTORS_MAX, BLOCK, 200, 1);
	put_large(0, 2 * BLOCK + ENTRY_SECTORS_MAX, BLOCK, 3, 1);
	expect_found(1, 1);
}

/* ---- more entries than are kept at a time ---- */

/* In one bucket, all of one sector; from `knee` on all need entry `last`, before all entry 1. */
static void put_many(unsigned count, uint64_t knee, uint64_t last)
{
	char *memory = buffer_new(count * 512);

	open_ring(one_bucket, 1, count + 1, 2 * (count + 1), 1);
	for (unsigned i = 0; i < count; i++) {
		struct journal_entry_disk *entry = (void *)(memory + i * 512);
		struct bkey k = bkey_of(1, (i + 1) * UINT64_C(1000), 0);

		entry->sequence = le64_of(i + 1);
		entry->last_sequence = le64_of(i + 1 < knee ? 1 : last);
		journal_entry_seal(entry, bkey_encode(&k, entry->keys), magic);
	}
	cr_assert(zero(int, device_write_now(device, memory, sector_of(0, 0), count)));
	buffer_free(memory);
}

TestSuite(read_many, .fini = teardown, .timeout = 60);

Test(read_many, as_many_as_are_kept)
{
	put_many(KEPT_MAX, 1, 1);
	expect_found(1, KEPT_MAX);
}

Test(read_many, is_refused_where_more_are_needed)
{
	put_many(KEPT_MAX + 1, 1, 1);
	expect_refused(EFBIG, "found 131072 journal entries that are needed, and more to come");
}

Test(read_many, forgets_meanwhile_what_newer_ones_do_not_need)
{
	put_many(KEPT_MAX + 1000, KEPT_MAX - 10, KEPT_MAX - 20);
	expect_found(KEPT_MAX - 20, KEPT_MAX + 1000);
}

/* That little would be forgotten each time was worth nothing. */
Test(read_many, is_refused_where_less_than_half_can_be_forgotten)
{
	put_many(KEPT_MAX + 1000, KEPT_MAX, KEPT_MAX / 2 + 1);
	expect_found(KEPT_MAX / 2 + 1, KEPT_MAX + 1000);
	teardown();
	put_many(KEPT_MAX + 1000, KEPT_MAX, KEPT_MAX / 2);
	expect_refused(EFBIG, "found 65537 journal entries that are needed, and more to come");
}

/* ---- memory ---- */

Test(read, gives_its_memory_back)
{
	int before = memory_pieces;

	put_row(0, 1, 4, 1);
	put_row(1, 5, 4, 3);
	expect_found(3, 8);
	journal_found_done(&found);
	cr_expect(eq(int, memory_pieces, before));
	put_row(1, 9, 4, 3);
	expect_refused(EIO, "journal entries 5-8 missing! (replaying 3-12)");
	cr_expect(eq(int, memory_pieces, before));
}

Test(read, is_refused_where_memory_ends)
{
	unsigned before = memory_pieces, allocations = 0;
	int failed;

	put_row(0, 1, 4, 1);
	do {
		memory_allocations_left = allocations++;
		failed = read_journal();
		memory_allocations_left = UINT_MAX;
		if (failed) {
			cr_assert(eq(int, failed, -ENOMEM));
			cr_expect(ne(ptr, strstr(error.text, "no memory for journal entries"),
				     NULL), "%s", error.text);
			cr_expect(eq(int, memory_pieces, before));
		}
	} while (failed);
	cr_expect(lt(u32, 4 + 2, allocations));	/* entries, their list, the window */
}
