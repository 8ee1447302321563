/* Reading the journal at start: a bucket that cannot be read is no bucket without entries. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "awaiter.h"
#include "format/journal_entry.h"
#include "journal/journal.h"

enum {
	BLOCK_SECTORS = 8,
	BUCKET_SECTORS = 4096,	/* more than is read at once */
	BUCKETS = 5,
	RING = 4,
	ENTRIES = 200,		/* in the first bucket: more than can be read at once */
};

static const uint64_t ring[RING] = { 1, 2, 3, 4 };
static const uint64_t magic = 0x0123456789abcdef;

static int fd;
static struct device *device;
static struct journal_setup setup_of_ring;
static struct journal_found found;
static struct error error;

static void put_entry(unsigned index, unsigned block, uint64_t sequence)
{
	unsigned char bytes[BLOCK_SECTORS * 512] = { 0 };
	struct journal_entry_disk *entry = (void *)bytes;

	entry->sequence = le64_of(sequence);
	entry->last_sequence = le64_of(1);
	journal_entry_seal(entry, 0, magic);
	cr_assert(zero(int, device_write_now(device, bytes, ring[index] * BUCKET_SECTORS +
					     block * BLOCK_SECTORS, BLOCK_SECTORS)));
}

/* The ring's first bucket has entries 1 to ENTRIES, its second the next one. */
static void setup(void)
{
	char path[64];

	fd = memfd_create("journal", 0);
	cr_assert(ge(int, fd, 0));
	cr_assert(zero(int, ftruncate(fd, BUCKETS * BUCKET_SECTORS * 512)));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	error = (struct error){ .code = 0 };
	cr_assert(zero(int, device_open(&device, path, DEVICE_READ_WRITE, &error)), "%s",
		  error.text);
	setup_of_ring = (struct journal_setup){
		.device = device,
		.set_magic = magic,
		.block_sectors = BLOCK_SECTORS,
		.bucket_sectors = BUCKET_SECTORS,
		.bucket_count = RING,
		.buckets = ring,
	};
	for (unsigned i = 0; i < ENTRIES; i++)
		put_entry(0, i, 1 + i);
	put_entry(1, 0, ENTRIES + 1);
}

static void teardown(void)
{
	journal_found_done(&found);
	device_close(device);
	close(fd);
}

TestSuite(unreadable_journal, .init = setup, .fini = teardown, .timeout = 60);

/* From that sector of a bucket on the device fails. */
static void fail_from(unsigned index, unsigned sector)
{
	cr_assert(zero(int, ftruncate(fd, (ring[index] * BUCKET_SECTORS + sector) * 512)));
}

static void refuses(const char *sentence)
{
	cr_expect(eq(int, journal_read(&found, &setup_of_ring, false, &error), -EIO));
	cr_expect(eq(str, error.text, (char *)sentence));
	cr_expect(zero(u32, found.count));
	cr_expect(eq(ptr, found.entries, NULL));
}

Test(unreadable_journal, is_none_where_nothing_fails)
{
	cr_assert(zero(int, journal_read(&found, &setup_of_ring, false, &error)), "%s", error.text);
	cr_expect(eq(u32, found.count, ENTRIES + 1));
	cr_expect(eq(u32, found.current, 1));
}

Test(unreadable_journal, fails_where_a_bucket_cannot_be_read_at_all)
{
	fail_from(3, 0);
	refuses("journal io error: bucket 4: Input/output error");
}

/* Else the entry before it would be taken for the newest. */
Test(unreadable_journal, fails_where_the_bucket_of_the_newest_entry_can_be_read_no_further)
{
	setup_of_ring.bucket_count = 2;
	fail_from(1, BLOCK_SECTORS);
	refuses("journal io error: bucket 2: Input/output error");
}

Test(unreadable_journal, fails_where_reading_a_long_bucket_cannot_go_on)
{
	setup_of_ring.bucket_count = 1;
	fail_from(0, BUCKET_SECTORS / 2 + BLOCK_SECTORS);
	refuses("journal io error: bucket 1: Input/output error");
}

/* It has no entry at its start, but one may stand further behind. */
Test(unreadable_journal, fails_where_the_bucket_that_comes_next_can_be_read_no_further)
{
	setup_of_ring.bucket_count = 3;
	fail_from(2, BLOCK_SECTORS);
	refuses("journal io error: bucket 3: Input/output error");
}
