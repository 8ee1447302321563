/*
 * The Hilbert curve: it fills a square such that cells that are near on the curve are near in
 * the square, too, so a run of buckets is a patch and not a line.
 *
 * (HILBERT-1) Each cell of the square has one place on the curve, and two that follow one another
 *     on it touch with a side.  It begins at the top left, and ends at the top right.
 */
#pragma once

#include <stdint.h>

struct hilbert_cell {
	unsigned x, y;
};

/* `side` is a power of two, and `at` less than its square. */
struct hilbert_cell hilbert_cell(unsigned side, uint64_t at);
