/*
 * Copies extents from the cache to the backing device: state COPY of writeback.c.
 *
 *	READS --all read--> TURN --the one before is being written--> WRITES --> ENDED
 *	  `--failed---------------------------------------------------------------^
 *
 * Reads may end in any order, writes begin in the order of their addresses, so that a disk need
 * not seek more than necessary (LESSON-29).
 */
#include <errno.h>
#include <string.h>

#include "base/numbers.h"
#include "base/sometimes.h"
#include "cache/cache_set.h"
#include "cache/volume.h"

static void copy_step(struct op *op);

void writeback_copies_init(struct writeback *writeback)
{
	struct writeback_batch *batch = writeback->batch;

	for (unsigned i = 0; i < WRITEBACK_COPIES_MAX; i++) {
		batch->copy[i] = (struct writeback_copy){ .writeback = writeback,
							  .state = COPY_ENDED };
		op_init(&batch->copy[i].op, writeback->volume->reactor, copy_step);
	}
	batch->started = batch->written = batch->ended = 0;
	batch->flying_sectors = 0;
}

void writeback_copies_done(struct writeback *writeback)
{
	struct writeback_batch *batch = writeback->batch;

	assert(batch->ended == batch->started);
	for (unsigned i = 0; i < WRITEBACK_COPIES_MAX; i++)
		buffer_free(batch->copy[i].buffer);
}

static struct writeback_copy *copy_at(struct writeback_batch *batch, uint64_t number)
{
	return &batch->copy[number % WRITEBACK_COPIES_MAX];
}

static void failed(struct writeback *writeback, uint64_t start, uint64_t sectors, int error,
		   const char *what)
{
	const struct volume *volume = writeback->volume;

	writeback->has_failed = true;		/* WRITEBACK-4 */
	error_set(&writeback->error, -error,
		  "%s: %llu sectors at sector %llu stay dirty: they %s: %s", volume->name,
		  (unsigned long long)sectors, (unsigned long long)(start - volume->data_offset),
		  what, strerror(-error));
}

/* ---- starting ---- */

/*
 * Whole blocks of both devices, and inside the volume?  All extents are, unless their set is
 * damaged or the backing device has become shorter.  An extent may end within a block of the
 * volume: one that was the last block, and short, before the backing device grew.
 */
static bool can_be_copied(struct writeback *writeback, const struct bkey *key)
{
	const struct volume *volume = writeback->volume;
	unsigned logical_sectors = device_logical_block_bytes(volume->backing) / 512;

	return bkey_start(key) >= volume->data_offset &&
	       bkey_end(key) - volume->data_offset <= volume->sectors &&
	       bkey_start(key) % logical_sectors == 0 && bkey_end(key) % logical_sectors == 0 &&
	       cache_device_has_blocks(cache_device_of(volume->set, key->ptr), key->ptr,
				       bkey_sectors(key));
}

/*
 * 0: the extent, or its beginning, is still dirty and the same, and no write is in flight there.
 * -ENOENT: it is not to be copied now.  -EAGAIN: the op waits for a node.  Other -errno: the set
 * failed.
 */
static LOCKED int check_key(struct writeback *writeback, struct bkey *key)
{
	struct volume *volume = writeback->volume;
	struct lookup found;
	int error;

	if (ranges_have_write(&volume->ranges, bkey_start(key), bkey_end(key))) {
		SIM_SOMETIMES("writeback leaves out what is being written");
		return -ENOENT;
	}
	error = index_lookup(&volume->set->index, volume->slot, bkey_start(key),
			     bkey_sectors(key), &found, &writeback->op);
	if (error)
		return error;
	if (!found.is_hit || !bkey_is_dirty(&found.key) || found.key.ptr != key->ptr) {
		SIM_SOMETIMES("what was to be written back has been overwritten");
		return -ENOENT;
	}
	if (found.sectors < bkey_sectors(key))
		bkey_cut_back(key, bkey_start(key) + found.sectors);
	if (!can_be_copied(writeback, key)) {
		writeback->write_errors++;
		failed(writeback, bkey_start(key), bkey_sectors(key), -EINVAL,
		       "are no whole blocks of the backing device");
		return -ENOENT;
	}
	return 0;
}

static bool continues(const struct writeback *writeback, const struct writeback_copy *copy,
		      const struct bkey *key)
{
	return bkey_start(key) == copy->start + copy->sectors &&
	       copy->sectors + bkey_sectors(key) <= writeback_copy_sectors_max(writeback);
}

/* Adds as many extents to the copy as are contiguous; an error ends that early. */
static LOCKED int gather(struct writeback *writeback, struct writeback_copy *copy)
{
	struct writeback_batch *batch = writeback->batch;
	struct space *space = &writeback->volume->set->cache.space;
	int error;

	copy->count = 0;
	copy->sectors = 0;
	while (batch->next < batch->count) {
		struct bkey *key = &batch->key[batch->next].key;

		if (copy->count && !continues(writeback, copy, key))
			return 0;
		error = check_key(writeback, key);
		if (error == -ENOENT) {
			batch->next++;
			if (copy->count)
				return 0;
			continue;
		}
		if (error)
			return error;
		if (!copy->count) {
			copy->first = batch->next;
			copy->start = bkey_start(key);
		}
		space_pin(space, key->ptr);		/* WRITEBACK-2 */
		copy->count++;
		copy->sectors += bkey_sectors(key);
		batch->next++;
	}
	return 0;
}

static LOCKED void unpin(struct writeback_copy *copy)
{
	struct space *space = &copy->writeback->volume->set->cache.space;

	for (unsigned i = 0; i < copy->count; i++)
		space_unpin(space, copy->writeback->batch->key[copy->first + i].key.ptr);
}

static bool ensure_buffer(struct writeback_copy *copy)
{
	size_t bytes = copy->sectors * 512;

	if (copy->buffer_bytes >= bytes)
		return true;
	buffer_free(copy->buffer);
	copy->buffer = buffer_try_new(bytes);
	copy->buffer_bytes = copy->buffer ? bytes : 0;
	return copy->buffer;
}

static LOCKED void read_extents(struct writeback_copy *copy)
{
	struct writeback *writeback = copy->writeback;
	struct cache_set *set = writeback->volume->set;

	copy->state = COPY_READS;
	for (unsigned i = 0; i < copy->count; i++) {
		const struct bkey *key = &writeback->batch->key[copy->first + i].key;

		device_read(cache_device_of(set, key->ptr)->device,
			    copy->buffer + (bkey_start(key) - copy->start) * 512,
			    pointer_sector(key->ptr), bkey_sectors(key), &copy->op);
	}
}

/*
 * Starts the next copy, if the batch has another extent.  The range is taken in the step in which
 * no write was in flight there (RANGE-3).
 */
static int start_copy(struct writeback *writeback)
{
	struct writeback_batch *batch = writeback->batch;
	struct writeback_copy *copy = copy_at(batch, batch->started);
	struct volume *volume = writeback->volume;
	int error;

	assert(copy->state == COPY_ENDED);
	set_lock(volume->set);
	error = gather(writeback, copy);
	if (copy->count && !ensure_buffer(copy)) {
		unpin(copy);
		batch->next -= copy->count;
		copy->count = 0;
		error = error ?: -ENOMEM;
	}
	if (copy->count) {
		range_begin_copy(&volume->ranges, &copy->range, copy->start,
				 copy->start + copy->sectors);
		read_extents(copy);
		SIM_SOMETIMES_IF(copy->count > 1, "contiguous extents are written back together");
		batch->started++;
		batch->flying_sectors += copy->sectors;
		writeback_rate_charge(&writeback->rate, copy->sectors,
				      clock_ns(volume->reactor));
	}
	set_unlock(volume->set);
	return error;
}

static bool has_room(const struct writeback_batch *batch)
{
	return batch->started - batch->ended < WRITEBACK_COPIES_MAX &&
	       batch->flying_sectors < WRITEBACK_FLYING_SECTORS_MAX;
}

int writeback_start_copies(struct writeback *writeback)
{
	struct writeback_batch *batch = writeback->batch;
	uint64_t now = clock_ns(writeback->volume->reactor);
	int error = 0;

	while (writeback_may_work(writeback) && batch->next < batch->count && has_room(batch)) {
		uint64_t delay = writeback_is_unlimited(writeback) ? 0 :
				 writeback_rate_delay_ns(&writeback->rate, now);

		if (delay) {
			timer_start(&writeback->timer, delay, &writeback->op);
			return -EAGAIN;
		}
		error = start_copy(writeback);
		if (error)
			break;
	}
	if (error == -EAGAIN || batch->started == batch->ended)
		return error;
	if (error)			/* what is in flight ends first, the rest stays dirty */
		batch->next = batch->count;
	waitlist_join(&writeback->copy_ended, &writeback->op);
	return -EAGAIN;
}

/* ---- the copy ---- */

static void write_in_turn(struct writeback *writeback)
{
	struct writeback_batch *batch = writeback->batch;

	for (; batch->written < batch->started; batch->written++) {
		struct writeback_copy *copy = copy_at(batch, batch->written);

		if (copy->state == COPY_READS)
			return;
		if (copy->state == COPY_ENDED)	/* it could not be read */
			continue;
		assert(copy->state == COPY_TURN);
		copy->state = COPY_WRITES;
		device_write(writeback->volume->backing, copy->buffer, copy->start, copy->sectors,
			     false, &copy->op);
	}
}

static void copy_end(struct writeback_copy *copy, int error)
{
	struct writeback *writeback = copy->writeback;
	struct writeback_batch *batch = writeback->batch;

	range_end_copy(&writeback->volume->ranges, &copy->range);
	for (unsigned i = 0; i < copy->count; i++)
		batch->key[copy->first + i].is_copied = !error;
	copy->state = COPY_ENDED;
	batch->flying_sectors -= copy->sectors;
	if (!error) {
		writeback->sectors_copied += copy->sectors;
		writeback->sectors_unswapped += copy->sectors;
	}
	while (batch->ended < batch->started &&
	       copy_at(batch, batch->ended)->state == COPY_ENDED)
		batch->ended++;
	waitlist_wake_all(&writeback->copy_ended, 0);
}

static void copy_step(struct op *op)
{
	struct writeback_copy *copy = container_of(op, struct writeback_copy, op);
	struct writeback *writeback = copy->writeback;
	int error = op_take_error(op);

	if (copy->state == COPY_READS) {
		set_lock(writeback->volume->set);
		unpin(copy);
		set_unlock(writeback->volume->set);
		copy->state = COPY_TURN;
		if (error) {
			SIM_SOMETIMES("dirty data cannot be read from the cache");
			writeback->read_errors++;
			failed(writeback, copy->start, copy->sectors, error,
			       "cannot be read from the cache");
			copy_end(copy, error);
		}
		write_in_turn(writeback);
		return;
	}
	assert(copy->state == COPY_WRITES);
	if (error) {
		SIM_SOMETIMES("dirty data cannot be written to the backing device");
		writeback->write_errors++;
		failed(writeback, copy->start, copy->sectors, error,
		       "cannot be written to the backing device");
	}
	copy_end(copy, error);
}

/* ---- changes of the backing device ---- */

/* The first key of the batch that ends after the sector; they are in order. */
static unsigned first_key_after(const struct writeback_batch *batch, uint64_t sector)
{
	unsigned low = 0, high = batch->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (bkey_end(&batch->key[middle].key) <= sector)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_being_swapped(const struct writeback *writeback, uint64_t start, uint64_t end)
{
	const struct writeback_batch *batch = writeback->batch;

	if (writeback->state != WRITEBACK_SWAP)
		return false;
	for (unsigned i = 0; i < batch->insert.count; i++) {
		const struct bkey *k = &batch->expected[i];

		if (bkey_start(k) < end && bkey_end(k) > start)
			return true;
	}
	return false;
}

int writeback_begin_change(struct writeback *writeback, uint64_t start, uint64_t end,
			   struct op *op)
{
	struct writeback_batch *batch = writeback->batch;
	struct ranges *ranges = &writeback->volume->ranges;
	int error = ranges_await_copies(ranges, start, end, op);

	if (error || !batch)
		return error;
	if (is_being_swapped(writeback, start, end)) {
		SIM_SOMETIMES("a write around the cache waits for a swap of writeback");
		waitlist_join(&ranges->copied, op);
		return -EAGAIN;
	}
	for (unsigned i = first_key_after(batch, start);
	     i < batch->count && bkey_start(&batch->key[i].key) < end; i++) {
		SIM_SOMETIMES_IF(batch->key[i].is_copied, "a write comes between copy and swap");
		batch->key[i].is_copied = false;		/* WRITEBACK-5 */
	}
	return 0;
}
