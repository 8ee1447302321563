/*
 * The ranges of a volume that could not be read, and the file that says so: a mapfile of GNU
 * ddrescue, as its manual describes it, which ddrescuelog and ddrescueview read.
 *
 *	0x00000000  0x00100000  +	read
 *	0x00100000  0x00001000  -	cannot be read
 *	0x00101000  0x00FFF000  ?	not tried
 *
 * (MAP-1) Ranges are added in the order of their offsets, and those that touch become one.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"

struct rescue_range {
	uint64_t offset, bytes;
};

struct rescue_map {
	struct rescue_range *ranges;
	unsigned count, room;
	uint64_t bytes;			/* the sum of the ranges */
};

/* The range cannot be read.  0 or -ENOMEM. */
int rescue_map_add(struct rescue_map *map, uint64_t offset, uint64_t bytes) MUST_CHECK;
/* Of a volume of `size` bytes, of which all before `tried` have been tried. */
void rescue_map_print(const struct rescue_map *map, FILE *stream, uint64_t tried, uint64_t size);
void rescue_map_done(struct rescue_map *map);
