/* Arithmetic at its borders, and seeded numbers. */
#include "base/numbers.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "base/random.h"

Test(numbers, knows_powers_of_two)
{
	cr_expect(not(is_power_of_two(0)));
	cr_expect(is_power_of_two(1));
	cr_expect(is_power_of_two(UINT64_C(1) << 63));
	cr_expect(not(is_power_of_two(3)));
	cr_expect(not(is_power_of_two(UINT64_MAX)));
}

Test(numbers, clamps_to_both_ends)
{
	cr_expect(eq(u64, clamp_u64(1, 2, 256), 2));
	cr_expect(eq(u64, clamp_u64(300, 2, 256), 256));
	cr_expect(eq(u64, clamp_u64(32, 2, 256), 32));
}

Test(numbers, rounds_up_and_down)
{
	cr_expect(eq(u64, divide_up(0, 8), 0));
	cr_expect(eq(u64, divide_up(9, 8), 2));
	cr_expect(eq(u64, round_up(16, 8), 16));
	cr_expect(eq(u64, round_up(17, 8), 24));
	cr_expect(eq(u64, round_down(23, 8), 16));
}

Test(random, repeats_itself_from_the_same_seed)
{
	struct random a = { 4711 }, b = { 4711 }, other = { 4712 };

	cr_expect(eq(u64, random_next(&a), random_next(&b)));
	cr_expect(ne(u64, random_next(&a), random_next(&other)));
}

Test(random, stays_below_its_limit)
{
	struct random random = { 1 };
	unsigned seen = 0;

	for (int i = 0; i < 1000; i++) {
		uint64_t number = random_below(&random, 7);

		cr_assert(number < 7);
		seen |= 1u << number;
	}
	cr_expect(eq(u32, seen, 0x7f));
}
