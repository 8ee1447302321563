/* bsets of a root that a kernel wrote: two runs, the second appended later. */
#include "format/bset.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

#define SET_MAGIC UINT64_C(0x3333222211111111)
#define SEED UINT64_C(0x788001)		/* the node's pointer: sector 30848, generation 1 */

enum { BYTES = 80, WORDS = 6 };

static const uint8_t first_bytes[] =
	"\x0c\xe0\xa0\x9f\x6b\xc4\x48\x40"
	"\xe4\x16\x8f\xa8\x5a\x7e\x20\xa3" /* checksum, magic */
	"\x06\xfa\xd2\x0a\x64\xb6\xe8\x78"
	"\x01\x00\x00\x00\x06\x00\x00\x00" /* sequence, version, words */
	"\x00\x00\x00\x08\x00\x00\x00\x90"
	"\xb0\x55\x02\x00\x00\x00\x00\x00" /* a child ends at 0x255b0 */
	"\x01\x80\x6e\x00\x00\x00\x00\x00"
	"\xff\xff\x0f\x08\x00\x00\x00\x90"
	"\xff\xff\xff\xff\xff\xff\xff\x7f"
	"\x01\x00\x65\x00\x00\x00\x00\x00";

static const uint8_t second_bytes[] = "\xf3\x68\xf8\x95\x54\x98\x10\xcd"
				      "\xe4\x16\x8f\xa8\x5a\x7e\x20\xa3"
				      "\x06\xfa\xd2\x0a\x64\xb6\xe8\x78"
				      "\x01\x00\x00\x00\x06\x00\x00\x00"
				      "\x00\x00\x00\x08\x00\x00\x00\x90"
				      "\x00\x00\x00\x00\x00\x00\x00\x00" /* freed: sector 0x6e80 */
				      "\x02\x80\x6e\x00\x00\x00\x00\x00"
				      "\x00\x00\x00\x08\x00\x00\x00\x90"
				      "\xb0\x55\x02\x00\x00\x00\x00\x00"
				      "\x01\x00\xa8\x00\x00\x00\x00\x00";

union room {
	struct bset_disk set;
	uint8_t bytes[128];
};

static union room copy_of(const uint8_t *bytes)
{
	union room room = { .bytes = { 0 } };

	memcpy(room.bytes, bytes, BYTES);
	return room;
}

static void expect_refusal(const union room *room, unsigned bytes, bool first, const char *words)
{
	struct error error = { 0 };

	cr_expect(eq(int, bset_check(&room->set, bytes, first, SET_MAGIC, SEED, &error), -EINVAL));
	cr_expect(not(strncmp(error.text, words, strlen(words))), "\"%s\"", error.text);
}

Test(bset, written_by_the_kernel_is_good)
{
	union room first = copy_of(first_bytes), second = copy_of(second_bytes);

	cr_expect(eq(int, bset_check(&first.set, BYTES, true, SET_MAGIC, SEED, NULL), 0));
	cr_expect(eq(int, bset_check(&second.set, BYTES, false, SET_MAGIC, SEED, NULL), 0));
}

Test(bset, sealed_by_us_is_the_kernel_s)
{
	union room room = copy_of(second_bytes);

	memset(&room.set, 0, sizeof(room.set));
	bset_seal(&room.set, WORDS, 0x78e8b6640ad2fa06, SET_MAGIC, SEED);
	cr_expect(not(memcmp(room.bytes, second_bytes, BYTES)));
}

Test(bset, has_another_checksum_in_another_place)
{
	union room room = copy_of(first_bytes);
	struct error error;

	cr_expect(
		eq(int, bset_check(&room.set, BYTES, true, SET_MAGIC, SEED + 1, &error), -EINVAL));
	cr_expect(not(strncmp(error.text, "bad checksum", 12)));
}

Test(bset, of_version_0_has_a_plain_checksum)
{
	union room room = copy_of(first_bytes);

	bset_seal(&room.set, WORDS, 0x78e8b6640ad2fa06, SET_MAGIC, ~UINT64_C(0));
	room.set.version = le32_of(0);
	expect_refusal(&room, BYTES, true, "bad checksum");
	room.set.checksum = le64_of(0xb0eb9279ecf218b8);
	cr_expect(eq(int, bset_check(&room.set, BYTES, true, SET_MAGIC, SEED, NULL), 0));
}

Test(bset, with_any_bit_wrong_is_refused)
{
	for (int i = 0; i < BYTES * 8; i++) {
		union room room = copy_of(first_bytes);

		room.bytes[i / 8] ^= 1 << i % 8;
		cr_expect(
			eq(int, bset_check(&room.set, BYTES, true, SET_MAGIC, SEED, NULL), -EINVAL),
			"bit %d", i);
	}
}

Test(bset, without_sequence_starts_no_node)
{
	union room room = copy_of(first_bytes);

	room.set.sequence = le64_of(0);
	expect_refusal(&room, BYTES, true, "bad btree header");
}

Test(bset, does_not_run_past_its_node)
{
	union room room = copy_of(first_bytes);

	expect_refusal(&room, BYTES - 1, true, "bad btree header");
	expect_refusal(&room, 31, true, "bad btree header");
	room.set.words = le32_of(UINT32_MAX);
	expect_refusal(&room, BYTES, true, "bad btree header");
}

Test(bset, of_an_unknown_version_is_refused)
{
	union room room = copy_of(first_bytes);

	room.set.version = le32_of(2);
	expect_refusal(&room, BYTES, true, "unsupported bset version");
}

Test(bset, of_another_set_is_refused)
{
	union room room = copy_of(first_bytes);

	room.set.magic = le64_of(1);
	expect_refusal(&room, BYTES, true, "bad magic");
}

Test(bset, may_be_empty_only_as_the_first)
{
	union room room = copy_of(first_bytes);

	bset_seal(&room.set, 0, 5, SET_MAGIC, SEED);
	cr_expect(eq(int, bset_check(&room.set, 32, true, SET_MAGIC, SEED, NULL), 0));
	expect_refusal(&room, 32, false, "empty set");
}
