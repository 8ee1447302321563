/* The Hilbert curve: HILBERT-1 for every square that is used. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "tools/hilbert.h"

enum { SIDE_MAX = 128 };

Test(hilbert, of_one_cell_is_that)
{
	struct hilbert_cell cell = hilbert_cell(1, 0);

	cr_expect(eq(u32, cell.x, 0));
	cr_expect(eq(u32, cell.y, 0));
}

Test(hilbert, has_each_cell_once)
{
	static bool seen[SIDE_MAX][SIDE_MAX];

	for (unsigned i = 0; i < SIDE_MAX * SIDE_MAX; i++) {
		struct hilbert_cell cell = hilbert_cell(SIDE_MAX, i);

		cr_assert(lt(u32, cell.x, SIDE_MAX));
		cr_assert(lt(u32, cell.y, SIDE_MAX));
		cr_assert(not(seen[cell.y][cell.x]));
		seen[cell.y][cell.x] = true;
	}
}

Test(hilbert, goes_from_neighbour_to_neighbour)
{
	for (unsigned side = 2; side <= SIDE_MAX; side *= 2)
		for (unsigned i = 1; i < side * side; i++) {
			struct hilbert_cell a = hilbert_cell(side, i - 1);
			struct hilbert_cell b = hilbert_cell(side, i);
			int steps = abs((int)a.x - (int)b.x) + abs((int)a.y - (int)b.y);

			cr_assert(eq(int, steps, 1), "cell %u of side %u", i, side);
		}
}

Test(hilbert, goes_from_top_left_to_top_right)
{
	for (unsigned side = 2; side <= SIDE_MAX; side *= 2) {
		struct hilbert_cell first = hilbert_cell(side, 0);
		struct hilbert_cell last = hilbert_cell(side, side * side - 1);

		cr_expect(eq(u32, first.x, 0));
		cr_expect(eq(u32, first.y, 0));
		cr_expect(eq(u32, last.x, side - 1));
		cr_expect(eq(u32, last.y, 0));
	}
}
