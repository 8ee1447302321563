/*
 * The cell of a place on the Hilbert curve.
 *
 * The square has four quarters, and so has the curve: two bits of the place say in which quarter
 * the cell is.  The curve in the first one is mirrored at a diagonal, and in the last one at the
 * other, such that the ends of neighbours meet.
 */
#include "tools/hilbert.h"

#include <assert.h>

#include "base/numbers.h"

/* Puts the curve of a quarter, of which `cell` is a cell, into a square of four such quarters. */
static struct hilbert_cell place_quarter(struct hilbert_cell cell, unsigned quarter, unsigned side)
{
	switch (quarter) {
	case 0:
		return (struct hilbert_cell){ cell.y, cell.x };
	case 1:
		return (struct hilbert_cell){ cell.x, cell.y + side };
	case 2:
		return (struct hilbert_cell){ cell.x + side, cell.y + side };
	default:
		return (struct hilbert_cell){ 2 * side - 1 - cell.y, side - 1 - cell.x };
	}
}

struct hilbert_cell hilbert_cell(unsigned side, uint64_t at)
{
	struct hilbert_cell cell = { 0, 0 };

	assert(is_power_of_two(side) && at < (uint64_t)side * side);
	for (unsigned inner = 1; inner < side; inner *= 2, at /= 4)
		cell = place_quarter(cell, at % 4, inner);
	return cell;
}
