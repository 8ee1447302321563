/*
 * An input of the fuzzer, as what it does to a set.
 *
 *	input:  | base | course | seed lo hi | edit (16 bytes) | edit | ...
 *	edit:   | where | number lo hi | part lo hi | field | how | mend | value (8 bytes) |
 *
 * Each byte string means something.  An edit names a structure (`where`, `number`, `part`), a
 * field of it, and how the field changes; or, with WHERE_SHAPE, something larger: an entry over
 * another, a key left out, a node in the place of another.  All numbers are taken modulo what
 * there is.
 *
 * Of each structure that was changed the checksum is mended at the end, unless `mend` has all
 * of its bits 0..2 clear: so what lies behind the checksums is reached.  With bit 3, a node
 * whose pointer was changed has its own checksums begin with the pointer it now has.
 */
#pragma once

#include "base.h"

enum { EDIT_BYTES = 16, HEAD_BYTES = 4, EDITS_MAX = 8,
       INPUT_BYTES_MAX = HEAD_BYTES + EDITS_MAX * EDIT_BYTES };

struct fuzz_input {
	unsigned base, course;
	uint64_t seed;
	unsigned edits;
	const uint8_t *edit;
};

void input_take(struct fuzz_input *input, const uint8_t *data, size_t bytes);
/* An input for the number: mostly one edit or two.  Returns its bytes. */
size_t input_draw(uint64_t number, uint8_t data[INPUT_BYTES_MAX]);

/* Does all edits; with `out` it tells of each. */
void damage_make(const struct fuzz_input *input, const struct base *base, struct sim_disk *cache,
		 struct sim_disk *const *backing, void *out);
