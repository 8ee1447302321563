/* The checksum: its published check value, both implementations, and what the kernel stored. */
#include "base/crc64.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "base/random.h"

#define ONES (~UINT64_C(0))

enum { BYTES_MAX = 600, ALIGNMENTS = 16 };

static void fill(uint8_t *data, size_t bytes)
{
	struct random random = { 1 };

	for (size_t i = 0; i < bytes; i++)
		data[i] = random_next(&random);
}

Test(crc64, has_the_check_value_of_the_catalogue)
{
	cr_expect(eq(u64, crc64("123456789", 9), 0x62ec59e3f1a4f00a));
}

Test(crc64, of_nothing_is_zero)
{
	cr_expect(eq(u64, crc64("", 0), 0));
}

Test(crc64, is_ecma_182_with_seed_zero_but_for_the_last_inversion)
{
	cr_expect(eq(u64, ~crc64_seeded(0, "123456789", 9), 0x6c40df5f0b497347));
}

Test(crc64, sees_a_bit_at_each_place_of_a_word)
{
	const uint64_t of_one = 0x42f0e1eba9ea3693;	/* what a last bit does */
	uint8_t data[8] = { 0 };

	data[7] = 1;
	cr_expect(eq(u64, crc64_slice8(0, data, 8) ^ ONES, of_one));
	for (int i = 0; i < 7; i++) {
		memset(data, 0, sizeof(data));
		data[i] = 1;
		cr_expect(eq(u64, crc64_slice8(0, data, 8), crc64_slice8(0, data + i, 8 - i)));
	}
}

Test(crc64, goes_on_from_where_it_stopped)
{
	uint8_t data[BYTES_MAX];

	fill(data, BYTES_MAX);
	for (size_t first = 0; first <= BYTES_MAX; first += 7)
		cr_expect(eq(u64, crc64(data, BYTES_MAX),
			     crc64_seeded(~crc64(data, first), data + first, BYTES_MAX - first)));
}

Test(crc64, is_the_same_by_both_implementations)
{
	uint8_t data[BYTES_MAX + ALIGNMENTS];

	fill(data, sizeof(data));
	for (unsigned alignment = 0; alignment < ALIGNMENTS; alignment++)
		for (size_t bytes = 0; bytes <= BYTES_MAX; bytes++)
			cr_assert(eq(u64, crc64_seeded(bytes * 77, data + alignment, bytes),
				     crc64_slice8(bytes * 77, data + alignment, bytes)),
				  "%zu bytes at %u", bytes, alignment);
}

Test(crc64, is_the_same_bit_by_bit)
{
	uint8_t data[BYTES_MAX];
	uint64_t crc = ONES;

	fill(data, BYTES_MAX);
	for (size_t i = 0; i < BYTES_MAX; i++) {
		crc ^= (uint64_t)data[i] << 56;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 63 ? crc << 1 ^ UINT64_C(0x42f0e1eba9ea3693) : crc << 1;
	}
	cr_expect(eq(u64, crc64_slice8(ONES, data, BYTES_MAX), ~crc));
}
