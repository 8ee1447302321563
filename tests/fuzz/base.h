/*
 * The sound sets that are damaged: some made by the kernel (tests/compat/images), some by the
 * engine in the simulator (tests/fuzz/bases, see make_base.c).
 *
 * They are files, not made anew, so that an input of the corpus means the same set for ever.
 * New ones are added at the end.
 */
#pragma once

#include "../sim/sim.h"
#include "layout.h"

enum { BASE_BACKINGS_MAX = 2, BASES = 16 };

struct base_disk {
	char name[24];		/* "cache", "backing0" */
	uint64_t bytes;
	int file;		/* in memory; what is only read of it is never copied */
};

struct base {
	const char *name;
	struct base_disk cache, backing[BASE_BACKINGS_MAX];
	unsigned backings;
	struct layout *layout;
};

/* Loads it the first time; fails where its files or zstd are not there. */
const struct base *base_get(unsigned number);
/* The disk of a case, with the base's content. */
struct sim_disk *base_make_disk(const struct base_disk *base);
