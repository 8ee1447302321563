/* The format of patches: what was written is read again, and nothing else is. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/patch.h"

enum { SECTORS = 3, RECORDS = 4 };

static const struct patch_head head = {
	.uuid = "backing", .set_uuid = "set", .label = "root",
	.device_sectors = 4096, .end_sectors = 203, .data_sectors = 2 * SECTORS,
};
static const struct patch_record records[RECORDS] = {
	{ PATCH_DATA, 16, SECTORS },
	{ PATCH_LOST, 100, 50 },
	{ PATCH_DATA, 200, SECTORS },
	{ PATCH_END, 2 * SECTORS, 50 },
};
static unsigned char bytes[8192], data[PATCH_RECORD_SECTORS_MAX * 512];
static size_t count;
static uint64_t checksum;
static char path[] = "patch_XXXXXX_img";
static struct error error;

static void add(const struct patch_record *record)
{
	struct patch_record_disk disk;
	bool has_data = record->kind == PATCH_DATA;

	memset(data, record->sector, record->sectors < SECTORS ? 0 : SECTORS * 512);
	checksum = patch_encode_record(&disk, record, has_data ? data : NULL, checksum);
	memcpy(bytes + count, &disk, sizeof(disk));
	count += sizeof(disk);
	if (!has_data)
		return;
	memcpy(bytes + count, data, record->sectors * 512);
	count += record->sectors * 512;
}

static void begin(void)
{
	struct patch_head_disk disk;

	checksum = patch_encode_head(&disk, &head);
	memcpy(bytes, &disk, sizeof(disk));
	count = sizeof(disk);
}

static void setup(void)
{
	int fd = mkstemps(path, sizeof("_img") - 1);

	cr_assert(ge(int, fd, 0));
	close(fd);
	begin();
	for (unsigned i = 0; i < RECORDS; i++)
		add(&records[i]);
}

static void teardown(void)
{
	unlink(path);
}

TestSuite(patch, .init = setup, .fini = teardown, .timeout = 60);

/* Reads the first `length` bytes as a patch: 0, or why that is none. */
static int read_all(size_t length)
{
	FILE *file = fopen(path, "w");
	struct patch_record record;
	struct patch patch;
	int result;

	cr_assert(eq(sz, fwrite(bytes, 1, length, file), length));
	fclose(file);
	result = patch_open(&patch, path, &error);
	while (!result && !patch.is_at_end)
		result = patch_next(&patch, &record, data, &error);
	patch_close(&patch);
	return result;
}

Test(patch, is_read_as_it_was_written)
{
	struct patch patch;
	struct patch_record record;

	cr_assert(zero(int, read_all(count)));
	cr_assert(zero(int, patch_open(&patch, path, &error)));
	cr_expect(zero(int, memcmp(&patch.head, &head, sizeof(head))));
	for (unsigned i = 0; i < RECORDS; i++) {
		cr_assert(zero(int, patch_next(&patch, &record, data, &error)));
		cr_expect(eq(int, record.kind, records[i].kind));
		cr_expect(eq(u64, record.sector, records[i].sector));
		cr_expect(eq(u64, record.sectors, records[i].sectors));
		if (record.kind == PATCH_DATA)
			cr_expect(eq(u32, data[SECTORS * 512 - 1], record.sector & 255));
	}
	cr_expect(patch.is_at_end);
	patch_close(&patch);
}

Test(patch, with_any_byte_changed_is_refused)
{
	for (size_t at = 0; at < count; at++) {
		bytes[at] ^= 4;
		cr_expect(ne(int, read_all(count), 0), "byte %zu", at);
		bytes[at] ^= 4;
	}
}

Test(patch, that_was_cut_short_anywhere_is_refused)
{
	for (size_t length = 0; length < count; length++)
		cr_expect(ne(int, read_all(length), 0), "of %zu bytes", length);
}

/* PATCH-1 */
Test(patch, without_one_of_its_records_is_refused)
{
	size_t record = sizeof(struct patch_record_disk) + SECTORS * 512;

	memmove(bytes + sizeof(struct patch_head_disk),
		bytes + sizeof(struct patch_head_disk) + record,
		count - sizeof(struct patch_head_disk) - record);
	cr_expect(ne(int, read_all(count - record), 0));
}

/* PATCH-2 */
Test(patch, with_records_that_overlap_is_refused)
{
	begin();
	add(&(struct patch_record){ PATCH_DATA, 16, SECTORS });
	add(&(struct patch_record){ PATCH_DATA, 18, SECTORS });
	add(&(struct patch_record){ PATCH_END, 2 * SECTORS, 0 });
	cr_expect(eq(int, read_all(count), -EINVAL));
}

Test(patch, with_data_behind_the_end_that_it_names_is_refused)
{
	begin();
	add(&(struct patch_record){ PATCH_DATA, 201, SECTORS });
	add(&(struct patch_record){ PATCH_END, SECTORS, 0 });
	cr_expect(eq(int, read_all(count), -EINVAL));
}

Test(patch, whose_end_counts_other_data_is_refused)
{
	begin();
	add(&(struct patch_record){ PATCH_END, SECTORS, 0 });
	cr_expect(eq(int, read_all(count), -EINVAL));
}
