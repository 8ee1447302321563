/*
 * A journal on a real file, for tests: a ring of four buckets, of four blocks each.
 */
#pragma once

#include <errno.h>
#include <string.h>

#include "awaiter.h"
#include "journal/internal.h"

enum {
	BLOCK_SECTORS = 8,
	BUCKET_SECTORS = 32,	/* four entries of a block */
	BUCKETS = 8,
	RING = 4,
};

static const uint64_t ring[RING] = { 1, 2, 3, 5 };	/* buckets need not be neighbours */
static const uint64_t magic = 0x0123456789abcdef;

static struct reactor *reactor;
static struct device *device;
static struct lock *lock;
static struct health health;
static struct journal_setup journal_setup;
static struct journal journal;
static struct awaiter awaiter;

/* A fresh set, whose journal has so many buckets, is empty, and accepts entries. */
static inline void setup_ring(unsigned buckets)
{
	device = test_device(BUCKETS * BUCKET_SECTORS);
	reactor = test_reactor();
	lock = lock_new();
	health_init(&health);
	journal_setup = (struct journal_setup){
		.lock = lock,
		.device = device,
		.health = &health,
		.reactor = reactor,
		.set_magic = magic,
		.block_sectors = BLOCK_SECTORS,
		.bucket_sectors = BUCKET_SECTORS,
		.bucket_count = buckets,
		.buckets = ring,
	};
	journal_init(&journal, &journal_setup);
	awaiter_init(&awaiter, reactor);
	lock_acquire(lock);
	journal_begin(&journal, 0, 0, buckets - 1, NULL);
	journal_accept(&journal);
	lock_release(lock);
}

static inline void setup(void)
{
	setup_ring(RING);
}

static inline void teardown(void)
{
	journal_done(&journal);
	lock_free(lock);
	device_close(device);
	reactor_free(reactor);
}

static inline struct bkey key(unsigned number)
{
	return bkey_with_pointer(bkey_of(1, 1000 + number, 8), pointer_of(0, 8 * number, 1));
}

static inline uint64_t add(unsigned number)
{
	struct bkey k = key(number);
	uint64_t sequence;

	lock_acquire(lock);
	sequence = journal_add(&journal, &k);
	lock_release(lock);
	return sequence;
}

static inline void begin_commit(struct awaiter *who)
{
	lock_acquire(lock);
	journal_commit(&journal, &who->op);
	lock_release(lock);
}

/* Waits until all that was given is durable. */
static inline void commit(void)
{
	begin_commit(&awaiter);
	cr_assert(zero(int, awaiter_wait(&awaiter)), "%s", health.reason.text);
}

/* Adds a key to an entry of its own, which is durable now. */
static inline void add_entry(unsigned number)
{
	add(number);
	commit();
}

static inline void pin(struct journal_pin *pin_of_leaf, uint64_t sequence)
{
	lock_acquire(lock);
	journal_pin(&journal, pin_of_leaf, sequence);
	lock_release(lock);
}

static inline void unpin(struct journal_pin *pin_of_leaf)
{
	lock_acquire(lock);
	journal_unpin(&journal, pin_of_leaf);
	lock_release(lock);
}

/* Is an entry with that sequence in that block of the bucket with that place in the ring? */
static inline bool lies_at(uint64_t sequence, unsigned index, unsigned block)
{
	unsigned char bytes[BLOCK_SECTORS * 512];
	const struct journal_entry_disk *entry = (const void *)bytes;
	uint64_t sector = ring[index] * BUCKET_SECTORS + block * BLOCK_SECTORS;

	cr_assert(zero(int, device_read_now(device, bytes, sector, BLOCK_SECTORS)));
	return journal_entry_is_valid(entry, sizeof(bytes), magic) &&
	       le64_get(entry->sequence) == sequence;
}

/* Lets the writer go on until it waits for something. */
static inline void let_writer_begin(void)
{
	struct awaiter next;

	awaiter_init(&next, reactor);
	op_queue(&next.op);
	awaiter_wait(&next);
}
