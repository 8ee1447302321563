/* Keys: fields, order, cutting, bytes. */
#include "format/bkey.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

#include "base/compiler.h"

/* As the kernel wrote it: our own encoder is not trusted to test our decoder. */
static const uint8_t dirty_bytes[] =
	"\x03\x00\x80\x00\x10\x00\x00\x90"	/* volume 3, 8 sectors, dirty, 1 pointer */
	"\x00\x04\x00\x00\x00\x00\x00\x00"	/* ends at 1024 */
	"\x05\x00\x40\x00\x00\x00\x00\x00";	/* device 0, sector 0x4000, generation 5 */

static const uint8_t hole_bytes[] =
	"\x01\x00\x00\x08\x00\x00\x00\x80"	/* volume 1, 128 sectors, no pointer */
	"\x00\x02\x00\x00\x00\x00\x00\x00";	/* ends at 512 */

static const struct bkey largest = {
	.high = UINT64_C(0x90000000ffffffff) | UINT64_C(0xffff) << 20,
	.low = BKEY_END_MAX,
	.ptr = 0x1f8001,
};

static struct bkey dirty_key(void)
{
	struct bkey k;

	cr_assert(eq(u32, bkey_decode(&k, (const le64 *)dirty_bytes, 3), 3));
	return k;
}

static struct bkey hole(void)
{
	struct bkey k;

	cr_assert(eq(u32, bkey_decode(&k, (const le64 *)hole_bytes, 2), 2));
	return k;
}

Test(bkey, reads_the_fields_the_kernel_wrote)
{
	struct bkey k = dirty_key();

	cr_expect(eq(u32, bkey_volume(&k), 3));
	cr_expect(eq(u32, bkey_sectors(&k), 8));
	cr_expect(eq(u32, bkey_pointers(&k), 1));
	cr_expect(bkey_is_dirty(&k));
	cr_expect(eq(u32, pointer_device(k.ptr), 0));
	cr_expect(eq(u64, pointer_sector(k.ptr), 0x4000));
	cr_expect(eq(u32, pointer_generation(k.ptr), 5));
}

Test(bkey, starts_its_length_before_its_end)
{
	struct bkey k = dirty_key();

	cr_expect(eq(u64, bkey_start(&k), 1016));
	cr_expect(eq(u64, bkey_end(&k), 1024));
}

Test(bkey, may_be_a_hole)
{
	struct bkey k = hole();

	cr_expect(eq(u32, bkey_pointers(&k), 0));
	cr_expect(eq(u32, bkey_words(&k), 2));
	cr_expect(eq(u32, bkey_sectors(&k), 128));
	cr_expect(eq(u64, k.ptr, 0));
	cr_expect(not(bkey_is_dirty(&k)));
}

Test(bkey, reads_the_largest_fields)
{
	cr_expect(eq(u32, bkey_volume(&largest), BKEY_VOLUME_MAX));
	cr_expect(eq(u32, bkey_sectors(&largest), BKEY_SECTORS_MAX));
	cr_expect(eq(u64, bkey_end(&largest), BKEY_END_MAX));
}

Test(bkey, takes_as_many_words_as_it_has)
{
	struct bkey k;

	cr_expect(eq(u32, bkey_decode(&k, (const le64 *)dirty_bytes, 3), 3));
	cr_expect(eq(u32, bkey_decode(&k, (const le64 *)dirty_bytes, 8), 3));
	cr_expect(eq(u32, bkey_decode(&k, (const le64 *)hole_bytes, 2), 2));
}

Test(bkey, is_refused_where_it_does_not_fit)
{
	struct bkey k = { .low = 4711 };

	for (unsigned room = 0; room < 3; room++)
		cr_expect(eq(u32, bkey_decode(&k, (const le64 *)dirty_bytes, room), 0));
	cr_expect(eq(u32, bkey_decode(&k, (const le64 *)hole_bytes, 1), 0));
	cr_expect(eq(u64, k.low, 4711));
}

/* Old kernels had sets of several cache devices, and keys with a pointer to each copy. */
Test(bkey, with_several_pointers_has_the_first_one_to_a_device_of_the_set)
{
	le64 words[9];
	struct bkey k;

	for (uint64_t pointers = 2; pointers < 8; pointers++) {
		words[0] = le64_of(UINT64_C(1) << 63 | pointers << 60 | 8 << 20);
		words[1] = le64_of(80);
		for (unsigned i = 0; i < pointers; i++)
			words[2 + i] = le64_of(pointer_of(pointers - 1 - i, 1000 + i, 3));
		cr_expect(zero(u32, bkey_decode(&k, words, 1 + pointers)));
		cr_expect(eq(u32, bkey_decode(&k, words, 9), 2 + pointers));
		cr_expect(eq(u32, bkey_pointers(&k), 1));
		cr_expect(eq(u64, k.ptr, pointer_of(0, 1000 + pointers - 1, 3)));
		cr_expect(eq(u32, bkey_sectors(&k), 8));
		words[1 + pointers] = le64_of(pointer_of(7, 5, 0));	/* none is of the set */
		cr_expect(eq(u32, bkey_decode(&k, words, 9), 2 + pointers));
		cr_expect(eq(u64, k.ptr, pointer_of(pointers - 1, 1000, 3)));
	}
}

/* A bit that flipped in the count takes words of the next key for pointers. */
Test(bkey, is_refused_with_pointers_that_are_not_to_copies)
{
	le64 words[9];
	struct bkey k;

	words[0] = le64_of(UINT64_C(1) << 63 | UINT64_C(2) << 60 | 8 << 20);
	words[1] = le64_of(80);
	words[2] = words[3] = le64_of(pointer_of(0, 1000, 3));
	cr_expect(zero(u32, bkey_decode(&k, words, 9)));	/* one device twice */
	words[3] = le64_of(pointer_of(8, 1000, 3));
	cr_expect(zero(u32, bkey_decode(&k, words, 9)));	/* no set had so many */
	words[3] = words[0];
	cr_expect(zero(u32, bkey_decode(&k, words, 9)));	/* another key */
}

Test(bkey, is_written_as_the_kernel_wrote_it)
{
	struct bkey k = dirty_key(), h = hole();
	le64 words[3];

	cr_expect(eq(u32, bkey_encode(&k, words), 3));
	cr_expect(not(memcmp(words, dirty_bytes, 24)));
	cr_expect(eq(u32, bkey_encode(&h, words), 2));
	cr_expect(not(memcmp(words, hole_bytes, 16)));
}

Test(bkey, made_by_us_has_the_kernel_s_bytes)
{
	struct bkey k = bkey_with_pointer(bkey_of(3, 1024, 8), pointer_of(0, 0x4000, 5));
	struct bkey expected = dirty_key();

	bkey_set_dirty(&k, true);
	cr_expect(eq(u64, k.high, expected.high));
	cr_expect(eq(u64, k.low, expected.low));
	cr_expect(eq(u64, k.ptr, expected.ptr));
}

Test(bkey, of_the_root_is_the_kernel_s)
{
	struct bkey k = bkey_max();

	bkey_set_sectors(&k, 128);
	k = bkey_with_pointer(k, pointer_of(0, 0x1f80, 1));
	cr_expect(eq(u64, k.high, 0x90000000080fffff));
	cr_expect(eq(u64, k.low, 0x7fffffffffffffff));
	cr_expect(eq(u64, k.ptr, 0x1f8001));
}

Test(bkey, orders_by_volume_before_end)
{
	struct bkey a = bkey_of(1, 500, 8), b = bkey_of(2, 100, 8);

	cr_expect(bkey_compare(&a, &b) < 0);
	cr_expect(bkey_compare(&b, &a) > 0);
}

Test(bkey, orders_by_end_whatever_its_length)
{
	struct bkey a = bkey_of(1, 100, 1), b = bkey_of(1, 101, 64), c = bkey_of(1, 100, 50);

	cr_expect(bkey_compare(&a, &b) < 0);
	cr_expect(bkey_compare(&b, &a) > 0);
	cr_expect(eq(int, bkey_compare(&a, &c), 0));
}

Test(bkey, cut_in_front_moves_its_pointer)
{
	struct bkey k = dirty_key();

	bkey_cut_front(&k, 1019);
	cr_expect(eq(u64, bkey_start(&k), 1019));
	cr_expect(eq(u64, bkey_end(&k), 1024));
	cr_expect(eq(u64, pointer_sector(k.ptr), 0x4003));
	cr_expect(eq(u32, pointer_generation(k.ptr), 5));
	cr_expect(bkey_is_dirty(&k));
}

Test(bkey, cut_at_the_back_keeps_its_pointer)
{
	struct bkey k = dirty_key();

	bkey_cut_back(&k, 1019);
	cr_expect(eq(u64, bkey_start(&k), 1016));
	cr_expect(eq(u64, bkey_end(&k), 1019));
	cr_expect(eq(u64, pointer_sector(k.ptr), 0x4000));
}

Test(bkey, can_be_cut_to_nothing_and_not_at_all)
{
	struct bkey k = dirty_key(), same = k;

	bkey_cut_front(&same, 1016);
	bkey_cut_back(&same, 1024);
	cr_expect(eq(u64, same.high, k.high));
	cr_expect(eq(u64, same.ptr, k.ptr));
	bkey_cut_front(&k, 1024);
	cr_expect(eq(u32, bkey_sectors(&k), 0));
	cr_expect(eq(u64, bkey_end(&k), 1024));
}

Test(bkey, without_a_pointer_has_none_after_a_cut)
{
	struct bkey k = hole();

	bkey_cut_front(&k, 400);
	cr_expect(eq(u64, k.ptr, 0));
	cr_expect(eq(u32, bkey_sectors(&k), 112));
}

/* A placeholder's pointer is random: its sector may be the last there is. */
Test(bkey, cut_leaves_a_placeholder_a_placeholder)
{
	uint64_t ptr =
		UINT64_C(1) << 63 | pointer_of(POINTER_DEVICE_NONE, (UINT64_C(1) << 43) - 1, 9);
	struct bkey k = bkey_with_pointer(bkey_of(0, 100, 50), ptr);

	bkey_cut_front(&k, 60);
	cr_expect(eq(u32, pointer_device(k.ptr), POINTER_DEVICE_NONE));
	cr_expect(eq(u64, pointer_sector(k.ptr), 9));
	cr_expect(eq(u32, pointer_generation(k.ptr), 9));
	cr_expect(eq(u64, k.ptr >> 63, 1));
}

Test(generation, is_stale_up_to_half_the_circle)
{
	cr_expect(eq(u32, generation_after(5, 5), 0));
	cr_expect(eq(u32, generation_after(6, 5), 1));
	cr_expect(eq(u32, generation_after(0, 255), 1));
	cr_expect(eq(u32, generation_after(128, 0), 128));
	cr_expect(eq(u32, generation_after(129, 0), 0));
	cr_expect(eq(u32, generation_after(5, 6), 0));
}

Test(bkey, prints_as_in_the_kernel_s_debugfs)
{
	char text[BKEY_TEXT_BYTES];
	struct bkey k = dirty_key(), h = hole();
	struct bkey placeholder = bkey_with_pointer(bkey_of(0, 16, 8),
						    pointer_of(POINTER_DEVICE_NONE, 77, 1));

	cr_expect(eq(str, (char *)bkey_print(text, &k), "3:1016 len 8 -> [0:16384 gen 5] dirty"));
	cr_expect(eq(str, (char *)bkey_print(text, &h), "1:384 len 128 -> []"));
	cr_expect(eq(str, (char *)bkey_print(text, &placeholder), "0:8 len 8 -> [check dev]"));
}

/* ---- limits ---- */

static const struct bucket_range range = { .first = 10, .end = 100, .sectors = 128 };

static struct bkey extent_at(uint64_t end, unsigned sectors, uint64_t at)
{
	return bkey_with_pointer(bkey_of(1, end, sectors), pointer_of(0, at, 0));
}

static void expect_extent_refused(struct bkey k, const char *why)
{
	struct error error = { 0 };

	cr_expect(eq(int, bkey_check(&k, &range, &error), -EINVAL));
	cr_expect(ne(ptr, strstr(error.text, why), NULL), "%s", error.text);
}

static void expect_extent_taken(struct bkey k)
{
	struct error error = { 0 };

	cr_expect(zero(int, bkey_check(&k, &range, &error)), "%s", error.text);
}

Test(bkey, of_an_extent_is_not_longer_than_its_end)
{
	expect_extent_taken(extent_at(8, 8, 1280));
	expect_extent_refused(extent_at(7, 8, 1280), "longer than its end");
}

Test(bkey, of_an_extent_ends_in_a_volume)
{
	expect_extent_taken(extent_at(BKEY_END_MAX, 8, 1280));
	expect_extent_refused(extent_at(BKEY_END_MAX + 1, 8, 1280), "where no volume does");
	expect_extent_taken(extent_at(BKEY_END_MAX + 1, 0, 0));
}

Test(bkey, of_an_extent_points_into_one_bucket)
{
	expect_extent_taken(extent_at(1024, 128, 99 * 128));
	expect_extent_refused(extent_at(1024, 8, 1279), "outside the buckets");
	expect_extent_refused(extent_at(1024, 8, 100 * 128), "outside the buckets");
	expect_extent_refused(extent_at(1024, 8, 1280 + 121), "outside the buckets");
}

Test(bkey, without_data_points_nowhere)
{
	expect_extent_taken(bkey_of(1, 1024, 8));
	expect_extent_taken(bkey_with_pointer(bkey_of(1, 1024, 8),
					      pointer_of(POINTER_DEVICE_NONE, 0, 0)));
}

Test(bkey, of_a_child_has_a_size_and_a_pointer_and_is_clean)
{
	struct bkey k = extent_at(1024, 128, 1280), dirty = k, empty = k;
	struct bkey bare = bkey_of(1, 1024, 128), outside = extent_at(1024, 128, 1281);
	struct error error;

	bkey_set_dirty(&dirty, true);
	bkey_set_sectors(&empty, 0);
	cr_expect(zero(int, bkey_check_child(&k, &range, &error)));
	cr_expect(eq(int, bkey_check_child(&dirty, &range, &error), -EINVAL));
	cr_expect(eq(int, bkey_check_child(&empty, &range, &error), -EINVAL));
	cr_expect(eq(int, bkey_check_child(&bare, &range, &error), -EINVAL));
	cr_expect(eq(int, bkey_check_child(&outside, &range, &error), -EINVAL));
	cr_expect(not(strncmp(error.text, "spotted btree ptr ", 18)));
}
