/* Slots of uuid tables that a kernel wrote. */
#include "format/uuid.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#define ZEROS_8 "\0\0\0\0\0\0\0\0"
#define ZEROS_56 ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_8

/* A flash-only volume; the kernel copies labels with what lies behind their end. */
static const uint8_t flash_bytes[] =
	"\x24\x44\x8d\xc4\xb7\xcf\x7c\x72\xd3\x34\xd0\x2a\x92\xcb\x83\x4e"
	"first\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "bcache0\0"
	"\x82\xb8\x02\x6b" "\x82\xb8\x02\x6b" "\0\0\0\0" "\x01\0\0\0"
	"\x00\x80\x00\x00\x00\x00\x00\x00" ZEROS_56;

static const uint8_t old_bytes[] =
	"\x24\x44\x8d\xc4\xb7\xcf\x7c\x72\xd3\x34\xd0\x2a\x92\xcb\x83\x4e"
	"a label of thirty-two characters"
	"\x01\0\0\0" "\x02\0\0\0" "\x03\0\0\0" "\xff\xff\xff\xff";

static struct uuid_entry flash(void)
{
	struct uuid_entry entry;

	uuid_entry_decode(&entry, (const struct uuid_entry_disk *)flash_bytes);
	return entry;
}

Test(uuid, reads_what_the_kernel_wrote)
{
	struct uuid_entry entry = flash();

	cr_expect(not(memcmp(entry.uuid, flash_bytes, 16)));
	cr_expect(eq(str, entry.label, "first\n"));
	cr_expect(eq(u32, entry.first_registered, 0x6b02b882));
	cr_expect(eq(u32, entry.last_registered, 0x6b02b882));
	cr_expect(eq(u32, entry.invalidated, 0));
	cr_expect(eq(u32, entry.flags, UUID_FLASH_ONLY));
	cr_expect(eq(u64, entry.sectors, 0x8000));
}

Test(uuid, writes_what_the_kernel_wrote_without_the_garbage)
{
	struct uuid_entry entry = flash();
	struct uuid_entry_disk disk;
	uint8_t expected[128];

	memcpy(expected, flash_bytes, sizeof(expected));
	memset(expected + 40, 0, 8);
	memset(&disk, 0xff, sizeof(disk));
	uuid_entry_encode(&disk, &entry);
	cr_expect(not(memcmp(&disk, expected, sizeof(expected))));
}

Test(uuid, reads_the_old_layout)
{
	struct uuid_entry entry;

	uuid_entry_decode_v0(&entry, (const struct uuid_entry_v0_disk *)old_bytes);
	cr_expect(not(memcmp(entry.uuid, old_bytes, 16)));
	cr_expect(eq(str, entry.label, "a label of thirty-two characters"));
	cr_expect(eq(u32, entry.first_registered, 1));
	cr_expect(eq(u32, entry.last_registered, 2));
	cr_expect(eq(u32, entry.invalidated, 3));
	cr_expect(eq(u32, entry.flags, 0));
	cr_expect(eq(u64, entry.sectors, 0));
}

Test(uuid, label_may_fill_its_field)
{
	struct uuid_entry entry, again;
	struct uuid_entry_disk disk;

	uuid_entry_decode_v0(&entry, (const struct uuid_entry_v0_disk *)old_bytes);
	uuid_entry_encode(&disk, &entry);
	uuid_entry_decode(&again, &disk);
	cr_expect(eq(str, again.label, "a label of thirty-two characters"));
}

Test(uuid, is_retired_with_the_kernel_s_number)
{
	static const uint8_t retired[16] = "\xa0\x3e\xf8\xed\x3e\xe1\xb8\x78"
					   "\xc8\x50\xfc\x5e\xcb\x16\xcd\x99";
	struct uuid_entry entry = flash();

	cr_expect(not(uuid_is_retired(entry.uuid)));
	uuid_retire(&entry, 1234);
	cr_expect(not(memcmp(entry.uuid, retired, sizeof(retired))));
	cr_expect(uuid_is_retired(entry.uuid));
	cr_expect(eq(u32, entry.invalidated, 1234));
	cr_expect(eq(u32, entry.flags, 0));
}

Test(uuid, of_a_free_slot_is_zero)
{
	uint8_t uuid[16] = { 0 };

	cr_expect(uuid_is_zero(uuid));
	uuid[15] = 1;
	cr_expect(not(uuid_is_zero(uuid)));
	cr_expect(not(uuid_is_zero(flash_bytes)));
}

Test(uuid, equals_only_itself)
{
	uint8_t other[16];

	memcpy(other, flash_bytes, 16);
	cr_expect(uuid_is_equal(other, flash_bytes));
	other[15] ^= 1;
	cr_expect(not(uuid_is_equal(other, flash_bytes)));
}
