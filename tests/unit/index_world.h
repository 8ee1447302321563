/*
 * An index on a file, with a journal and buckets, and nobody beside it: the world in which the
 * tests of src/index stand.  Only what a test does happens; buckets that nothing uses are handed
 * out as while a set starts.
 *
 *	bucket 0 | journal | priority table, nodes ... | data (`DATA_BUCKET`, pinned)
 */
#pragma once

#include <errno.h>
#include <string.h>

#include "awaiter.h"
#include "index/internal.h"

/* With IX_SMALL_NODES a few thousand keys make a tree of three levels. */
#ifdef IX_SMALL_NODES
enum { IX_BUCKETS = 400, IX_BUCKET_SECTORS = 8, IX_BLOCK_SECTORS = 1, IX_DATA_BUCKET = 390 };
#else
enum { IX_BUCKETS = 256, IX_BUCKET_SECTORS = 64, IX_BLOCK_SECTORS = 8, IX_DATA_BUCKET = 250 };
#endif

enum {
	IX_FIRST_BUCKET = 1,
	IX_JOURNAL_BUCKETS = 32,
	IX_VOLUMES = 8,
	IX_MAGIC = 4711,
};

static struct {
	struct reactor *reactor;
	struct device *device;
	struct lock *lock;
	struct health health;
	struct journal journal;
	struct space space;
	struct index index;
	uint64_t ring[IX_JOURNAL_BUCKETS];
	struct awaiter awaiter;
} ix;

static inline void ix_enter(void)
{
	lock_acquire(ix.lock);
}

static inline void ix_leave(void)
{
	lock_release(ix.lock);
}

/* ---- a turn of the reactor at a time ---- */

struct ix_watcher {
	struct op op;
	bool (*is_over)(void);
	unsigned turns;
};

static inline void ix_watcher_step(struct op *op)
{
	struct ix_watcher *watcher = container_of(op, struct ix_watcher, op);

	if (watcher->is_over ? watcher->is_over() : !watcher->turns--)
		reactor_stop(ix.reactor);
	else
		op_queue(op);
}

static inline void ix_watch(struct ix_watcher *watcher)
{
	op_init(&watcher->op, ix.reactor, ix_watcher_step);
	op_queue(&watcher->op);
	reactor_run(ix.reactor);
}

static inline void ix_run_until(bool (*is_over)(void))
{
	ix_watch(&(struct ix_watcher){ .is_over = is_over });
}

/* So many turns: what needs no device has ended then. */
static inline void ix_turns(unsigned turns)
{
	ix_watch(&(struct ix_watcher){ .turns = turns });
}

/* ---- the world ---- */

static inline void ix_init_journal(void)
{
	struct journal_setup setup = {
		.lock = ix.lock,
		.device = ix.device,
		.health = &ix.health,
		.reactor = ix.reactor,
		.set_magic = IX_MAGIC,
		.block_sectors = IX_BLOCK_SECTORS,
		.bucket_sectors = IX_BUCKET_SECTORS,
		.bucket_count = IX_JOURNAL_BUCKETS,
		.buckets = ix.ring,
	};

	for (unsigned i = 0; i < IX_JOURNAL_BUCKETS; i++)
		ix.ring[i] = IX_FIRST_BUCKET + i;
	journal_init(&ix.journal, &setup);
}

static inline void ix_init_space(void)
{
	struct error error = { .code = 0 };
	struct space_setup setup = {
		.lock = ix.lock,
		.device = ix.device,
		.health = &ix.health,
		.reactor = ix.reactor,
		.journal = &ix.journal,
		.set_magic = IX_MAGIC,
		.buckets = IX_BUCKETS,
		.block_sectors = IX_BLOCK_SECTORS,
		.bucket_sectors = IX_BUCKET_SECTORS,
		.meta_bucket_sectors = IX_BUCKET_SECTORS,
		.first_bucket = IX_FIRST_BUCKET,
		.prio_per_part = IX_BUCKETS,
		.prio_parts = 1,
		.journal_buckets = IX_JOURNAL_BUCKETS,
	};

	cr_assert(zero(int, space_init(&ix.space, &setup, &error)), "%s", error.text);
}

/* The index in memory, without a root. */
static inline void ix_init_index(bool memory_only)
{
	struct index_setup setup = {
		.lock = ix.lock,
		.device = ix.device,
		.health = &ix.health,
		.reactor = ix.reactor,
		.journal = &ix.journal,
		.space = &ix.space,
		.set_magic = IX_MAGIC,
		.block_sectors = IX_BLOCK_SECTORS,
		.node_sectors = IX_BUCKET_SECTORS,
		.volumes = IX_VOLUMES,
		.memory_only = memory_only,
	};

	index_init(&ix.index, &setup);
}

static inline void ix_create_root(void)
{
	uint32_t bucket;

	ix_enter();
	cr_assert(zero(int, space_take(&ix.space, USE_BTREE, 1, &bucket, NULL)));
	index_create_root(&ix.index, bucket, &ix.awaiter.op);
	ix_leave();
	cr_assert(zero(int, awaiter_wait(&ix.awaiter)));
	ix_enter();
	space_unpin_bucket(&ix.space, bucket);
	ix_leave();
}

/* A fresh set, whose root is an empty leaf; nobody writes leaves by himself. */
static inline void ix_begin(void)
{
	struct error error = { .code = 0 };

	ix.device = test_device(IX_BUCKETS * IX_BUCKET_SECTORS);
	ix.reactor = test_reactor();
	ix.lock = lock_new();
	health_init(&ix.health);
	ix_init_journal();
	ix_init_space();
	ix_init_index(false);
	awaiter_init(&ix.awaiter, ix.reactor);
	ix_enter();
	space_gc_begin(&ix.space);
	while (!space_gc_clear(&ix.space))
		;
	space_gc_end(&ix.space);
	space_pin(&ix.space, space_pointer(&ix.space, IX_DATA_BUCKET));
	cr_assert(zero(int, space_bootstrap(&ix.space, &error)), "%s", error.text);
	journal_begin(&ix.journal, 0, 0, IX_JOURNAL_BUCKETS - 1, NULL);
	journal_accept(&ix.journal);
	ix_leave();
	ix_create_root();
}

/* Leaves are written by age and under pressure from now on. */
static inline void ix_run(void)
{
	ix_enter();
	index_run(&ix.index);
	ix_leave();
	ix_turns(2);
}

static inline bool ix_is_idle(void)
{
	return index_is_idle(&ix.index) && journal_is_idle(&ix.journal) &&
	       !device_is_flushing(ix.device);
}

static inline void ix_end(void)
{
	ix_enter();
	index_stop(&ix.index);
	journal_stop(&ix.journal);
	ix_leave();
	ix_run_until(ix_is_idle);
	index_done(&ix.index);
	space_done(&ix.space);
	journal_done(&ix.journal);
	lock_free(ix.lock);
	device_close(ix.device);
	reactor_free(ix.reactor);
}

/* The root that `key` names, read where it is not in memory: 0, or why it cannot be. */
static inline int ix_open_root(const struct bkey *key, unsigned level)
{
	int error;

	do {
		ix_enter();
		error = index_open_root(&ix.index, key, level, &ix.awaiter.op);
		ix_leave();
		if (error != -EAGAIN)
			return error;
		error = awaiter_wait(&ix.awaiter);
	} while (!error);
	return error;
}

/* The index as a start finds it: all nodes are to be read again. */
static inline void ix_reopen(bool memory_only)
{
	struct bkey root = ix.index.root->key;
	unsigned level = ix.index.root->level;

	index_done(&ix.index);
	ix_init_index(memory_only);
	cr_assert(zero(int, ix_open_root(&root, level)), "%s", ix.health.reason.text);
}

/* ---- keys ---- */

static inline struct bkey ix_hole(unsigned volume, uint64_t start, uint64_t end)
{
	return bkey_of(volume, end, end - start);
}

/* Its data lie in the bucket of data, somewhere. */
static inline struct bkey ix_extent(unsigned volume, uint64_t start, uint64_t end, bool is_dirty)
{
	struct bkey k = ix_hole(volume, start, end);
	uint64_t ptr;

	ix_enter();
	ptr = space_pointer(&ix.space, IX_DATA_BUCKET);
	ix_leave();
	k = bkey_with_pointer(k, pointer_advance(ptr, start % (IX_BUCKET_SECTORS / 2)));
	bkey_set_dirty(&k, is_dirty);
	return k;
}

/* ---- inserting ---- */

static inline struct insert ix_insert_of(const struct bkey *keys, unsigned count)
{
	struct insert insert = { .index = &ix.index, .parent = &ix.awaiter.op, .count = count,
				 .is_journaled = true };

	if (count)
		memcpy(insert.keys, keys, count * sizeof(*keys));
	return insert;
}

static inline int ix_insert(const struct bkey *keys, unsigned count)
{
	struct insert insert = ix_insert_of(keys, count);

	insert_start(&insert);
	return awaiter_wait(&ix.awaiter);
}

/* Clean extents of a sector each, `apart` sectors from one start to the next. */
static inline void ix_insert_many(unsigned volume, uint64_t start, unsigned count, unsigned apart)
{
	struct bkey keys[INSERT_KEYS_MAX];
	unsigned in = 0;

	for (unsigned i = 0; i < count; i++) {
		uint64_t at = start + (uint64_t)i * apart;

		keys[in++] = ix_extent(volume, at, at + 1, false);
		if (in < INSERT_KEYS_MAX && i + 1 < count)
			continue;
		cr_assert(zero(int, ix_insert(keys, in)), "%s", ix.health.reason.text);
		in = 0;
	}
}

/* ---- asking ---- */

static inline struct node *ix_leaf(unsigned volume, uint64_t sector)
{
	struct node *leaf = NULL;
	int error;

	do {
		ix_enter();
		error = index_leaf(&ix.index, (struct position){ volume, sector }, &leaf,
				   &ix.awaiter.op);
		ix_leave();
		if (error == -EAGAIN)
			awaiter_wait(&ix.awaiter);
	} while (error == -EAGAIN);
	cr_assert(zero(int, error), "%s", ix.health.reason.text);
	return leaf;
}

static inline int ix_lookup(unsigned volume, uint64_t sector, uint64_t sectors,
			    struct lookup *found)
{
	int error;

	do {
		ix_enter();
		error = index_lookup(&ix.index, volume, sector, sectors, found, &ix.awaiter.op);
		ix_leave();
		if (error == -EAGAIN)
			awaiter_wait(&ix.awaiter);
	} while (error == -EAGAIN);
	return error;
}

static inline bool ix_has(unsigned volume, uint64_t sector)
{
	struct lookup found;

	return !ix_lookup(volume, sector, 1, &found) && found.is_hit;
}

static inline void ix_expect_sound(void)
{
	struct error error = { .code = 0 };
	int failed;

	ix_enter();
	failed = index_check(&ix.index, &error);
	ix_leave();
	cr_expect(zero(int, failed), "%s", error.text);
}

/* All that is dirty is written. */
static inline void ix_clean(void)
{
	int error;

	do {
		ix_enter();
		error = index_clean_all(&ix.index, &ix.awaiter.op);
		ix_leave();
		if (error == -EAGAIN)
			awaiter_wait(&ix.awaiter);
	} while (error == -EAGAIN);
	cr_assert(zero(int, error), "%s", ix.health.reason.text);
}

/* The awaiter awaits its end. */
static inline int ix_begin_rewrite(unsigned volume, uint64_t sector, unsigned level)
{
	struct bkey none = bkey_of(0, 0, 0);	/* no sibling ends there */

	return index_merge(&ix.index, (struct position){ volume, sector }, &none, level, true,
			   &ix.awaiter.op);
}

/* Gc's rewrite of the node of `level` on the way to a place: 0, when it has ended; or -EBUSY. */
static inline int ix_rewrite(unsigned volume, uint64_t sector, unsigned level)
{
	int error;

	ix_enter();
	error = ix_begin_rewrite(volume, sector, level);
	ix_leave();
	return error ?: awaiter_wait(&ix.awaiter);
}
