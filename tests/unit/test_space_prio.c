/* The table of priorities and generations: several parts, in buckets that held something else. */
#include <stdlib.h>

#include "counted_memory.h"
#include "format/prio.h"
#include "io/buffer.h"
#include "space_world.h"

enum {
	PARTS = 3,		/* of 86 buckets; the last has 84 */
	LARGE = 512,		/* sectors of a bucket: zeros are written piece by piece */
	PARTS_BEGIN = FIRST_OTHER,	/* where the first table lies */
	FILLED = 64,		/* buckets from here on are no part, and on no list */
};

static struct error error;

/* All of the device holds other bytes than a table. */
static void litter(void)
{
	void *bytes = buffer_new(LARGE * 512);

	memset(bytes, 0xa5, LARGE * 512);
	for (unsigned i = 0; i < BUCKETS; i++)
		cr_assert(zero(int, device_write_now(device, bytes, i * LARGE, LARGE)));
	buffer_free(bytes);
}

static void setup_parts(void)
{
	setup_with(LARGE, PARTS);
}

TestSuite(table, .init = setup_parts, .fini = teardown, .timeout = 60);

static uint16_t prio_of(uint32_t bucket)
{
	return bucket * 7 + 1;
}

static uint8_t generation_of(uint32_t bucket)
{
	return bucket * 3;
}

static void fill_buckets(void)
{
	for (unsigned i = FILLED; i < BUCKETS; i++) {
		space.bucket[i].prio = prio_of(i);
		space.bucket[i].generation = space.bucket[i].oldest = generation_of(i);
	}
}

/* Of a fresh set. */
static void write_table(void)
{
	struct awaiter awaiter;

	awaiter_init(&awaiter, reactor);
	lock_acquire(lock);
	cr_assert(zero(int, space_bootstrap(&space, &error)), "%s", error.text);
	space_write_first_table(&space, &awaiter.op);
	lock_release(lock);
	cr_assert(zero(int, awaiter_wait(&awaiter)));
}

/* As a start does; what is in memory is gone. */
static int read_table(uint64_t first)
{
	space_done(&space);
	make_space(LARGE, PARTS);
	error = (struct error){ .code = 0 };
	return space_read_table(&space, first, &error);
}

static void expect_refused(uint64_t first, const char *sentence)
{
	cr_expect(eq(int, read_table(first), -EINVAL));
	cr_expect(eq(str, error.text, (char *)sentence));
}

Test(table, of_several_parts_is_read_as_it_was_written)
{
	uint32_t table[PARTS];

	litter();
	fill_buckets();
	write_table();
	memcpy(table, space.table, sizeof(table));
	cr_assert(zero(int, read_table(table[0])), "%s", error.text);
	for (unsigned i = FILLED; i < BUCKETS; i++) {
		cr_expect(eq(u32, space.bucket[i].prio, prio_of(i)));
		cr_expect(eq(u32, space.bucket[i].generation, generation_of(i)));
		cr_expect(eq(u32, space.bucket[i].oldest, generation_of(i)));
	}
	for (unsigned i = 0; i < PARTS; i++)
		cr_expect(eq(u32, space.table[i], table[i]));
	cr_expect(eq(u64, space.table_sequence, 1));
	cr_expect(space.have_table);
}

Test(table, is_named_by_the_next_journal_entry)
{
	write_table();
	cr_expect(eq(u64, journal.roots.prio_bucket, space.table[0]));
}

Test(table, marks_the_buckets_of_its_parts)
{
	write_table();
	cr_assert(zero(int, read_table(PARTS_BEGIN)), "%s", error.text);
	for (unsigned i = 0; i < BUCKETS; i++) {
		bool is_part = i >= PARTS_BEGIN && i < PARTS_BEGIN + PARTS;

		cr_expect(eq(u32, space.bucket[i].mark, is_part ? MARK_METADATA : MARK_NONE));
		cr_expect(eq(u32, space.bucket[i].prio == PRIO_METADATA, is_part));
	}
}

static bool is_all(uint8_t byte, uint64_t bucket, unsigned from_sector)
{
	uint8_t *bytes = buffer_new(LARGE * 512);
	bool all = true;

	cr_assert(zero(int, device_read_now(device, bytes, bucket * LARGE, LARGE)));
	for (unsigned i = from_sector * 512; i < LARGE * 512; i++)
		all &= bytes[i] == byte;
	buffer_free(bytes);
	return all;
}

Test(table, fills_its_buckets_with_zeros_and_writes_nowhere_else)
{
	litter();
	write_table();
	for (unsigned i = 0; i < BUCKETS; i++) {
		if (i >= PARTS_BEGIN && i < PARTS_BEGIN + PARTS)
			cr_expect(is_all(0, i, 1));
		else
			cr_expect(is_all(0xa5, i, 0));
	}
	cr_expect(eq(u64, space.metadata_sectors_written, PARTS * LARGE));
}

/* SPACE-3: after a crash pointers to it must be as good as before. */
Test(table, has_the_old_generation_of_a_bucket_that_is_being_freed)
{
	fill_buckets();
	lock_acquire(lock);
	space_free_begin(&space, SOME);
	lock_release(lock);
	write_table();
	cr_assert(zero(int, read_table(PARTS_BEGIN)), "%s", error.text);
	cr_expect(eq(u32, space.bucket[SOME].generation, generation_of(SOME)));
}

/* Another one, durable when this returns, and named. */
static void write_again(void)
{
	struct awaiter awaiter;

	awaiter_init(&awaiter, reactor);
	lock_acquire(lock);
	cr_assert(zero(int, space_bootstrap(&space, &error)), "%s", error.text);
	space_begin_table(&space);
	while (!space_encode_table(&space))
		;
	while (!space_table_is_written(&space)) {
		space_write_table(&space, &awaiter.op);
		lock_release(lock);
		cr_assert(zero(int, awaiter_wait(&awaiter)));
		lock_acquire(lock);
	}
	space_finish_table(&space);
	lock_release(lock);
}

static void expect_in_use(const uint32_t *table, bool in_use)
{
	for (unsigned i = 0; i < PARTS; i++) {
		const struct bucket *bucket = &space.bucket[table[i]];

		cr_expect(zero(u32, bucket->pins));
		cr_expect(zero(u32, bucket->is_listed));
		cr_expect(eq(u32, bucket->mark, in_use ? MARK_METADATA : MARK_NONE));
	}
}

Test(table, takes_the_place_of_the_one_before)
{
	uint32_t first[PARTS], second[PARTS];
	uint64_t available;

	write_table();
	memcpy(first, space.table, sizeof(first));
	expect_in_use(first, true);
	available = space.available;
	write_again();
	memcpy(second, space.table, sizeof(second));
	for (unsigned i = 0; i < PARTS; i++)
		for (unsigned k = 0; k < PARTS; k++)
			cr_expect(ne(u32, first[i], second[k]));
	expect_in_use(first, false);
	expect_in_use(second, true);
	cr_expect(eq(u64, space.available, available));
	write_again();
	expect_in_use(second, false);
	cr_expect(eq(u64, space.available, available));
	cr_expect(eq(u64, space.tables_written, 3));
	cr_expect(eq(u64, space.table_sequence, 3));
}

/* SPACE-6: a part in each step, by refill itself. */
Test(table, of_many_parts_is_written_slice_by_slice)
{
	uint64_t sectors;

	write_table();
	sectors = space.metadata_sectors_written;
	space.setup.slice_buckets = 1;
	lock_acquire(lock);
	cr_assert(zero(int, space_bootstrap(&space, &error)), "%s", error.text);
	space_begin_table(&space);
	while (!space_encode_table(&space))
		;
	space.refill_state = REFILL_TABLE;
	for (unsigned part = 1; part <= PARTS; part++) {
		struct awaiter awaiter;

		awaiter_init(&awaiter, reactor);
		space_write_table(&space, &awaiter.op);
		cr_expect(eq(u32, space.parts_written, part));
		cr_expect(eq(int, space_table_is_written(&space), part == PARTS));
		cr_expect(eq(u64, space.tables_written, 1 + (part == PARTS)));
		lock_release(lock);
		cr_assert(zero(int, awaiter_wait(&awaiter)));
		lock_acquire(lock);
	}
	cr_expect(eq(u64, space.metadata_sectors_written, sectors + PARTS * LARGE));
	space_finish_table(&space);
	space.refill_state = REFILL_IDLE;
	lock_release(lock);
	cr_assert(zero(int, read_table(space.table[0])), "%s", error.text);
	cr_expect(eq(u64, space.table_sequence, 2));
}

Test(table, that_is_the_first_takes_the_place_of_none)
{
	write_again();
	cr_expect(eq(u64, space.available, BUCKETS - FIRST_OTHER - PARTS));
	for (unsigned i = 0; i < BUCKETS; i++)
		cr_expect(eq(u32, space.bucket[i].mark == MARK_METADATA,
			     i < PARTS_BEGIN + PARTS));
}

Test(table, that_was_read_is_replaced_by_the_next)
{
	uint32_t first[PARTS];

	write_table();
	cr_assert(zero(int, read_table(PARTS_BEGIN)), "%s", error.text);
	memcpy(first, space.table, sizeof(first));
	lock_acquire(lock);
	space_gc_end(&space);
	lock_release(lock);
	write_again();
	expect_in_use(first, false);
	cr_expect(eq(u64, space.table_sequence, 2));
}

/* ---- what is refused ---- */

Test(table, in_a_bucket_that_is_not_there_or_has_another_purpose_is_refused)
{
	write_table();
	expect_refused(0, "IO error reading priorities: part 0 of the table is said to be in "
			  "bucket 0 of 256");
	expect_refused(FIRST_OTHER - 1, "IO error reading priorities: part 0 of the table is said "
					"to be in bucket 3 of 256");
	expect_refused(BUCKETS, "IO error reading priorities: part 0 of the table is said to be "
				"in bucket 256 of 256");
	expect_refused(UINT64_MAX, "IO error reading priorities: part 0 of the table is said to "
				   "be in bucket 18446744073709551615 of 256");
	cr_expect(zero(int, read_table(PARTS_BEGIN)));
}

/* A part by itself, whose successor is said to be in bucket `next`. */
static void put_part(uint64_t bucket, uint64_t next)
{
	struct prio_part_disk *part = buffer_new(LARGE * 512);

	prio_part_seal(part, LARGE * 512, LARGE * 512, 0, 1, next);
	cr_assert(zero(int, device_write_now(device, part, bucket * LARGE, LARGE)));
	buffer_free(part);
}

Test(table, whose_chain_leads_elsewhere_is_refused)
{
	put_part(BUCKETS - 1, 77);
	put_part(77, 3);
	expect_refused(BUCKETS - 1, "IO error reading priorities: part 2 of the table is said to "
				    "be in bucket 3 of 256");
	put_part(77, FIRST_OTHER);
	put_part(FIRST_OTHER, 0);
	cr_expect(zero(int, read_table(BUCKETS - 1)), "%s", error.text);
}

Test(table, whose_chain_comes_back_is_refused)
{
	put_part(BUCKETS - 1, 77);
	put_part(77, BUCKETS - 1);
	expect_refused(BUCKETS - 1, "IO error reading priorities: found part 2 of the table in "
				    "bucket 255, which holds an earlier one");
	put_part(77, 77);
	expect_refused(BUCKETS - 1, "IO error reading priorities: found part 2 of the table in "
				    "bucket 77, which holds an earlier one");
}

Test(table, whose_part_is_damaged_is_refused)
{
	uint8_t *bytes = buffer_new(512);

	write_table();
	bytes[511] = 1;		/* far behind the entries */
	cr_assert(zero(int, device_write_now(device, bytes, (PARTS_BEGIN + 2) * LARGE - 1, 1)));
	buffer_free(bytes);
	cr_expect(eq(int, read_table(PARTS_BEGIN), -EINVAL));
	cr_expect(ne(ptr, strstr(error.text, "IO error reading priorities: bucket 5: bad csum"),
		     NULL), "%s", error.text);
}

Test(table, that_cannot_be_read_is_refused)
{
	device_close(device);
	device = test_device((PARTS_BEGIN + 1) * LARGE);
	put_part(PARTS_BEGIN, PARTS_BEGIN + 1);
	cr_expect(eq(int, read_table(PARTS_BEGIN), -EIO));
	cr_expect(eq(str, error.text,
		     "IO error reading priorities: bucket 5: Input/output error"));
}

/* ---- memory ---- */

Test(table, is_read_with_memory_that_is_given_back)
{
	int before;

	write_table();
	cr_assert(zero(int, read_table(PARTS_BEGIN)), "%s", error.text);
	before = memory_pieces;
	cr_assert(zero(int, read_table(PARTS_BEGIN)), "%s", error.text);
	cr_expect(eq(int, memory_pieces, before));
	expect_refused(0, "IO error reading priorities: part 0 of the table is said to be in "
			  "bucket 0 of 256");
	cr_expect(eq(int, memory_pieces, before));
}

Test(table, is_refused_where_memory_ends)
{
	write_table();
	memory_allocations_left = 0;
	cr_expect(eq(int, space_read_table(&space, PARTS_BEGIN, &error), -ENOMEM));
	memory_allocations_left = UINT_MAX;
	cr_expect(eq(str, error.text, "no memory to read the table of priorities"));
}
