/*
 * A cache device of small buckets on a real file, for tests of space: what is chosen for reuse is
 * known only after a table and a journal entry were written.
 */
#pragma once

#include <errno.h>
#include <string.h>

#include "awaiter.h"
#include "base/numbers.h"
#include "space/internal.h"

enum {
	BUCKETS = 256,
	BUCKET_SECTORS = 16,
	BLOCK_SECTORS = 8,	/* of the journal */
	FIRST_BUCKET = 1,
	JOURNAL_BUCKETS = 3,
	FIRST_OTHER = FIRST_BUCKET + JOURNAL_BUCKETS,	/* neither superblock nor journal */
	DATA_MIN = 8,		/* buckets kept free for data in a set of this size */
	SOME = 100, OTHER = 101,	/* buckets that serve as examples */
};

static const uint64_t journal_bucket[JOURNAL_BUCKETS] = { 1, 2, 3 };

static struct reactor *reactor;
static struct device *device;
static struct lock *lock;
static struct health health;
static struct journal journal;
static struct space space;
static struct space_setup space_setup;

static inline void make_journal(unsigned bucket_sectors)
{
	struct journal_setup setup = {
		.lock = lock,
		.device = device,
		.health = &health,
		.reactor = reactor,
		.block_sectors = BLOCK_SECTORS,
		.bucket_sectors = bucket_sectors,
		.bucket_count = JOURNAL_BUCKETS,
		.buckets = journal_bucket,
	};

	journal_init(&journal, &setup);
}

/* With a table of priorities of `parts`. */
static inline void make_space(unsigned bucket_sectors, unsigned parts)
{
	struct error error = { .code = 0 };

	space_setup = (struct space_setup){
		.lock = lock,
		.device = device,
		.health = &health,
		.reactor = reactor,
		.journal = &journal,
		.buckets = BUCKETS,
		.block_sectors = 1,
		.bucket_sectors = bucket_sectors,
		.meta_bucket_sectors = bucket_sectors,
		.first_bucket = FIRST_BUCKET,
		.prio_per_part = divide_up(BUCKETS, parts),
		.prio_parts = parts,
		.journal_buckets = JOURNAL_BUCKETS,
	};
	cr_assert(zero(int, space_init(&space, &space_setup, &error)), "%s", error.text);
}

/* A gc begins, and all marks are cleared. */
static inline void gc_begin(struct space *of) LOCKED
{
	space_gc_begin(of);
	while (!space_gc_clear(of))
		;
}

static inline void setup_with(unsigned bucket_sectors, unsigned parts)
{
	device = test_device(BUCKETS * bucket_sectors);
	reactor = test_reactor();
	lock = lock_new();
	health_init(&health);
	make_journal(bucket_sectors);
	make_space(bucket_sectors, parts);
	lock_acquire(lock);
	journal_begin(&journal, 0, 0, 0, NULL);
	gc_begin(&space);
	space_gc_end(&space);
	lock_release(lock);
}

static inline void setup(void)
{
	setup_with(BUCKET_SECTORS, 1);
}

static inline void teardown(void)
{
	space_done(&space);
	journal_done(&journal);
	lock_free(lock);
	device_close(device);
	reactor_free(reactor);
}

/* A pointer to some sectors of the bucket is found; its staleness. */
static inline unsigned pointer_is_found(uint32_t bucket, unsigned sectors, bool metadata,
					bool dirty)
{
	unsigned stale;

	lock_acquire(lock);
	stale = space_mark_pointer(&space, space_pointer(&space, bucket), sectors, metadata, dirty);
	lock_release(lock);
	return stale;
}
