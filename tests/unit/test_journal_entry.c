/* A journal entry that a kernel wrote is taken: sequence 129 of a set with 4 KiB buckets. */
#include "format/journal_entry.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

#define SET_MAGIC UINT64_C(0xcc410cacd76fc149)

enum { BYTES = 0xf0 + 24, WORDS = 3 };

#define ZEROS_8 "\0\0\0\0\0\0\0\0"
#define ZEROS_40 ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_8 ZEROS_8

static const uint8_t entry_bytes[] =
	"\xa7\x2d\xc5\x53\xdc\x2b\xe2\x7c"
	"\x7b\x91\x0d\x74\x6d\x39\x13\xe8" /* checksum, magic */
	"\x81\x00\x00\x00\x00\x00\x00\x00"
	"\x01\x00\x00\x00\x03\x00\x00\x00" /* sequence, version, words */
	"\x55\x00\x00\x00\x00\x00\x00\x00" /* last sequence */
	"\x00\x00\x80\x00\x00\x00\x00\x90" ZEROS_8 "\x01\x20\x0f\x00\x00\x00\x00\x00" ZEROS_40
	"\xff\xff\x8f\x00\x00\x00\x00\x90"
	"\xff\xff\xff\xff\xff\xff\xff\x7f"
	"\x01\x50\xba\x00\x00\x00\x00\x00" ZEROS_40
	"\x01\x00\x00\x00\x00\x00\x00\x00" /* the root's level */
	"\x22\x15\x00\x00\x00\x00\x00\x00" ZEROS_40 ZEROS_8 ZEROS_8 /* the priority table */
	"\x00\x00\x80\x00\x10\x00\x00\x90"
	"\x08\x49\x04\x00\x00\x00\x00\x00" /* a key */
	"\x01\x70\xbe\x00\x00\x00\x00\x00";

union room {
	struct journal_entry_disk entry;
	uint8_t bytes[512];
};

static union room sample(void)
{
	union room room = { .bytes = { 0 } };

	memcpy(room.bytes, entry_bytes, BYTES);
	return room;
}

Test(journal_entry, written_by_the_kernel_is_valid)
{
	union room room = sample();

	cr_expect(journal_entry_is_valid(&room.entry, BYTES, SET_MAGIC));
	cr_expect(eq(int, journal_entry_check(&room.entry, NULL), 0));
	cr_expect(eq(u32, journal_entry_bytes(WORDS), BYTES));
}

Test(journal_entry, has_its_fields_where_the_kernel_has_them)
{
	union room room = sample();

	cr_expect(eq(u64, le64_get(room.entry.sequence), 129));
	cr_expect(eq(u64, le64_get(room.entry.last_sequence), 85));
	cr_expect(eq(u16, le16_get(room.entry.btree_level), 1));
	cr_expect(eq(u64, le64_get(room.entry.prio_bucket[0]), 0x1522));
}

Test(journal_entry, names_root_and_uuid_bucket)
{
	union room room = sample();
	struct bkey root, uuids;

	cr_assert(bkey_slot_decode(&root, &room.entry.btree_root));
	cr_assert(bkey_slot_decode(&uuids, &room.entry.uuid_bucket));
	cr_expect(eq(u64, pointer_sector(root.ptr), 0xba50));
	cr_expect(eq(u64, pointer_sector(uuids.ptr), 0xf20));
	cr_expect(eq(u32, bkey_sectors(&root), 8));
}

Test(journal_entry, slot_may_hold_garbage_behind_its_key)
{
	union room room = sample();
	struct bkey k;

	memset(&room.entry.btree_root.words[3], 0xff, 40);
	cr_assert(bkey_slot_decode(&k, &room.entry.btree_root));
	cr_expect(eq(u64, pointer_sector(k.ptr), 0xba50));
}

Test(journal_entry, slot_is_written_as_the_kernel_does)
{
	union room room = sample();
	struct bkey_slot_disk slot;
	struct bkey k;

	memset(&slot, 0xff, sizeof(slot));
	cr_assert(bkey_slot_decode(&k, &room.entry.btree_root));
	bkey_slot_encode(&slot, &k);
	cr_expect(not(memcmp(&slot, &room.entry.btree_root, sizeof(slot))));
}

Test(journal_entry, sealed_by_us_is_the_kernel_s)
{
	union room room = sample();

	room.entry.checksum = room.entry.magic = le64_of(0);
	room.entry.version = room.entry.words = le32_of(0);
	journal_entry_seal(&room.entry, WORDS, SET_MAGIC);
	cr_expect(not(memcmp(room.bytes, entry_bytes, BYTES)));
}

Test(journal_entry, with_any_bit_wrong_is_not_valid)
{
	for (int i = 0; i < BYTES * 8; i++) {
		union room room = sample();

		room.bytes[i / 8] ^= 1 << i % 8;
		cr_expect(not(journal_entry_is_valid(&room.entry, BYTES, SET_MAGIC)), "bit %d", i);
	}
}

Test(journal_entry, is_not_valid_beyond_its_room)
{
	union room room = sample();

	cr_expect(not(journal_entry_is_valid(&room.entry, BYTES - 1, SET_MAGIC)));
	cr_expect(not(journal_entry_is_valid(&room.entry, 0xef, SET_MAGIC)));
	room.entry.words = le32_of(UINT32_MAX);
	cr_expect(not(journal_entry_is_valid(&room.entry, sizeof(room), SET_MAGIC)));
}

Test(journal_entry, of_another_set_is_not_valid)
{
	union room room = sample();

	cr_expect(not(journal_entry_is_valid(&room.entry, BYTES, SET_MAGIC + 1)));
}

static void expect_wrong(const union room *room, const char *words)
{
	struct error error = { 0 };

	cr_expect(eq(int, journal_entry_check(&room->entry, &error), -EINVAL));
	cr_expect(strstr(error.text, words) != NULL, "\"%s\"", error.text);
}

Test(journal_entry, with_half_a_key_is_wrong)
{
	union room room = sample();

	room.entry.words = le32_of(2);
	expect_wrong(&room, "key at word 0 of 2");
	room.entry.words = le32_of(4);
	expect_wrong(&room, "key at word 3 of 4");
}

Test(journal_entry, with_two_pointers_in_a_key_is_wrong)
{
	union room room = sample();

	room.entry.keys[0] = le64_of(UINT64_C(0xa000001000800000));
	expect_wrong(&room, "key at word 0");
}

Test(journal_entry, with_a_wrong_key_in_its_head_is_wrong)
{
	union room room = sample();

	room.entry.btree_root.words[0] = le64_of(~UINT64_C(0));
	expect_wrong(&room, "the root's key");
	room = sample();
	room.entry.uuid_bucket.words[0] = le64_of(~UINT64_C(0));
	expect_wrong(&room, "the uuid bucket's key");
}

Test(journal_entry, does_not_need_later_ones)
{
	union room room = sample();

	room.entry.last_sequence = le64_of(130);
	expect_wrong(&room, "found last_seq 130, wanted at most 129");
}
