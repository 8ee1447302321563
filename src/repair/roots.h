/*
 * The structures that an entry of the journal names: found on the device, where no entry tells it
 * any more.
 *
 * (ROOTS-1) A table of priorities is the newest that is whole.  Buckets are given to others only
 *     behind a table with their new generations, so none that is newer was in use.
 * (ROOTS-2) New nodes lie in buckets to which no leaf that is found and no key of the journal
 *     points.
 */
#pragma once

#include "repair/scan.h"

struct roots {
	struct repair *repair;
	struct scan scan;
	unsigned char *is_used;		/* by bucket */
	uint64_t cursor;		/* of the search for one that is not */
	struct bkey root, uuid_bucket;
	unsigned level;
	uint64_t prio_bucket;
	bool is_same_root;		/* as the newest entry names it */
};

/* Keeps what the newest entry names, if it is sound; writes what is built of the newest step. */
int roots_find(struct roots *roots, struct repair *repair, struct error *error) MUST_CHECK;
void roots_done(struct roots *roots);
