/*
 * The parts of bcachefuse format, by job; private to format*.c.
 *
 *	format.c		opens, checks and writes all targets
 *	format_options.c	the command line
 *	format_check.c		the checks, and the choice of a block size
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "format/superblock.h"
#include "io/device.h"

enum {
	SECTOR_BYTES = 512,
	PAGE_SECTORS = 8,	/* page size of the kernels that will use it */
	BUCKET_BLOCKS_MIN = 2,	/* with one block, a kernel splits the node endlessly */
};

/* A device or file to be formatted. */
struct target {
	const char *path;
	bool is_cache;
	struct device *device;
};

/* The command line; format_all() fills in the sizes and the UUID that it left open. */
struct format {
	struct target *targets;		/* caches first, as they are written and printed */
	unsigned count, cache_count;
	uint64_t block_sectors;		/* 0: the devices' */
	uint64_t bucket_sectors;
	uint64_t data_offset;
	uint8_t set_uuid[16];
	bool has_set_uuid;
	const char *label;
	bool writeback, discard;
	enum replacement replacement;
	unsigned overwrite;
};

/* ---- format_options.c ---- */

/* Parses the command line into `format`; 1: printed the help. */
int format_parse(struct format *format, int argc, char **argv, struct error *error) MUST_CHECK;

/* ---- format_check.c ---- */

/* Sets the block size, unless it was given, to the largest that a target prefers. */
void format_choose_block(struct format *format);
int format_check_bucket(const struct format *format, struct error *error) MUST_CHECK;
/* Its sizes, and that nothing on it is lost that the user did not name. */
int format_check_target(const struct format *format, struct target *target,
			struct error *error) MUST_CHECK;
/* A set has one cache device.  Files cannot be searched for another one: prints a warning. */
int format_check_other_cache(const struct format *format, struct error *error) MUST_CHECK;
