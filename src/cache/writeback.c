/*
 * The passes of writeback: scan, flush, swap, and state CLEAN.  Copies are in writeback_copy.c.
 */
#include "cache/writeback.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/numbers.h"
#include "base/sometimes.h"
#include "cache/cache_set.h"
#include "cache/volume.h"

enum {
	SCAN_KEYS_MAX = 2000,	/* of one step, dirty or not */
	IDLE_ROUNDS = 6,	/* updates of the rate without a request, until the set is idle */
};
#define NS_PER_SECOND UINT64_C(1000000000)
#define RETRY_NS NS_PER_SECOND			/* the pause after a pass that failed, at least */
#define SHORT_NS (NS_PER_SECOND / 20)		/* any other pause */

static void writeback_step(struct op *op);

void writeback_init(struct writeback *writeback, struct volume *volume)
{
	*writeback = (struct writeback){ .volume = volume, .state = WRITEBACK_OFF };
	op_init(&writeback->op, volume->reactor, writeback_step);
	waitlist_init(&writeback->copy_ended);
	waitlist_init(&writeback->stopped);
	waitlist_init(&writeback->clean);
	writeback_rate_init(&writeback->rate);
}

/* ---- questions ---- */

static uint64_t dirty_sectors(const struct volume *volume)
{
	return volume_dirty_bytes(volume) / 512;
}

static bool is_clean(const struct volume *volume)
{
	return !dirty_sectors(volume) && !volume->dirty_writes;
}

/* A volume that says DIRTY without any dirty data is to become CLEAN. */
bool writeback_may_work(const struct writeback *writeback)
{
	const struct volume *volume = writeback->volume;

	if (writeback->is_stopping || health_error(&volume->set->health))
		return false;
	if (!volume->writeback_tunables.running && !volume->is_detaching)
		return false;
	return dirty_sectors(volume) ||
	       (volume_state(volume) == STATE_DIRTY && !volume->dirty_writes);
}

static bool is_idle_set(const struct writeback *writeback)
{
	const struct cache_set *set = writeback->volume->set;
	uint64_t rounds_ns = writeback->volume->writeback_tunables.rate_update_seconds *
			     IDLE_ROUNDS * NS_PER_SECOND;

	return set->idle_max_writeback_rate &&
	       clock_ns(set->reactor) - set->last_request_ns >= rounds_ns;
}

bool writeback_is_unlimited(const struct writeback *writeback)
{
	const struct volume *volume = writeback->volume;

	return volume->is_detaching || !volume->writeback_tunables.percent ||
	       is_idle_set(writeback);
}

uint64_t writeback_current_rate(const struct writeback *writeback)
{
	if (writeback->state == WRITEBACK_OFF)
		return 0;
	return writeback_is_unlimited(writeback) ? WRITEBACK_RATE_MAX :
						   writeback->rate.sectors_per_second;
}

uint64_t writeback_target_of(const struct volume *volume)
{
	struct cache_set *set = volume->set;
	const struct space_setup *space = &set->cache.space.setup;
	uint64_t cache = space->buckets * space->bucket_sectors, all = 0;
	struct list_link *link;

	for (link = list_first(&set->volumes); link; link = list_next(&set->volumes, link)) {
		const struct volume *v = container_of(link, struct volume, set_link);

		if (v->is_flash)
			cache -= min_u64(cache, dirty_sectors(v));
		else
			all += v->sectors;
	}
	return writeback_target(cache, volume->writeback_tunables.percent, volume->sectors, all);
}

/* ---- the rate ---- */

static void update_rate(struct writeback *writeback)
{
	struct volume *volume = writeback->volume;
	struct cache_set *set = volume->set;
	struct space *space = &set->cache.space;
	uint64_t now = clock_ns(set->reactor);
	struct writeback_load load = { .bucket_sectors = space->setup.bucket_sectors };

	if (now - writeback->rate.updated_ns <
	    volume->writeback_tunables.rate_update_seconds * NS_PER_SECOND)
		return;
	writeback->target_sectors = load.target = writeback_target_of(volume);
	load.dirty = dirty_sectors(volume);
	set_lock(set);
	load.in_use_percent = space_in_use_percent(space);
	load.dirty_buckets = space->setup.buckets - space->available;
	set_unlock(set);
	writeback_rate_update(&writeback->rate, &volume->writeback_tunables, &load, now);
}

/* ---- states ---- */

static void batch_free(struct writeback *writeback)
{
	if (!writeback->batch)
		return;
	writeback_copies_done(writeback);
	free(writeback->batch);
	writeback->batch = NULL;
}

static bool ensure_batch(struct writeback *writeback)
{
	if (writeback->batch)
		return true;
	writeback->batch = calloc(1, sizeof(*writeback->batch));
	if (writeback->batch)
		writeback_copies_init(writeback);
	return writeback->batch;
}

static void enter_off(struct writeback *writeback)
{
	batch_free(writeback);
	writeback->state = WRITEBACK_OFF;
	if (!waitlist_empty(&writeback->clean))
		writeback_cancel_wait(writeback, -ECANCELED);
	waitlist_wake_all(&writeback->stopped, 0);
}

static void enter_idle(struct writeback *writeback)
{
	batch_free(writeback);
	writeback->state = WRITEBACK_IDLE;
	if (is_clean(writeback->volume))
		waitlist_wake_all(&writeback->clean, 0);
	else if (health_error(&writeback->volume->set->health))
		writeback_cancel_wait(writeback, -EIO);
}

static void enter_pause(struct writeback *writeback, uint64_t ns)
{
	writeback->state = WRITEBACK_PAUSE;
	timer_start(&writeback->timer, ns, &writeback->op);
}

static uint64_t flush_errors(const struct writeback *writeback)
{
	return device_counts(writeback->volume->backing)->errors[TRANSFER_FLUSH];
}

static void begin_batch(struct writeback *writeback)
{
	writeback->state = WRITEBACK_SCAN;
	writeback->batch->count = writeback->batch->next = 0;
	writeback->batch->flush_errors = flush_errors(writeback);
}

static void begin_pass(struct writeback *writeback)
{
	writeback->is_careful = writeback->has_failed;
	writeback->found_dirty = writeback->has_failed = false;
	writeback->is_at_end = false;
	writeback->at = writeback->volume->data_offset;
	begin_batch(writeback);
}

/* WRITEBACK-3 */
static void mark_clean(struct writeback *writeback)
{
	const struct superblock_change clean = { .fields = CHANGE_STATE, .state = STATE_CLEAN };
	struct volume *volume = writeback->volume;

	assert(is_clean(volume) && !writeback->found_dirty && writeback->is_at_end);
	writeback->state = WRITEBACK_MARK;
	volume_change_superblock(volume, &clean, &writeback->op);
}

/* Without a limit the next pass comes soon, but not so soon that it only scans. */
static uint64_t pause_ns(const struct writeback *writeback)
{
	const struct volume *volume = writeback->volume;
	uint64_t delay_ns = max_u64(volume->writeback_tunables.delay * NS_PER_SECOND, SHORT_NS);

	if (writeback->has_failed)
		return volume->is_detaching ? RETRY_NS : max_u64(delay_ns, RETRY_NS);
	return writeback_is_unlimited(writeback) ? SHORT_NS : delay_ns;
}

/*
 * The pass has seen the whole volume.  Once nothing is dirty any more another one follows at once,
 * which finds that out.
 */
static void end_pass(struct writeback *writeback)
{
	struct volume *volume = writeback->volume;

	if (writeback->has_failed && !writeback->is_careful)
		log_error("%s", writeback->error.text);
	if (!writeback->has_failed)
		writeback->error = (struct error){ 0 };
	if (writeback->has_failed || !is_clean(volume)) {
		enter_pause(writeback, pause_ns(writeback));
	} else if (writeback->found_dirty) {
		begin_pass(writeback);
		op_queue(&writeback->op);
	} else if (volume_state(volume) == STATE_DIRTY) {
		mark_clean(writeback);
	} else {
		enter_idle(writeback);
	}
}

/* ---- SCAN ---- */

/* Adds the extent in parts that one copy can hold.  False: the batch is full. */
static bool add_extent(struct writeback *writeback, struct bkey key)
{
	struct writeback_batch *batch = writeback->batch;
	uint64_t most = writeback_copy_sectors_max(writeback);

	if (bkey_start(&key) < writeback->at)
		bkey_cut_front(&key, writeback->at);
	assert(bkey_sectors(&key));
	while (batch->count < WRITEBACK_KEYS_MAX) {
		struct bkey part = key;
		bool is_last = bkey_sectors(&key) <= most;

		if (!is_last) {
			bkey_cut_back(&part, bkey_start(&part) + most);
			bkey_cut_front(&key, bkey_end(&part));
		}
		batch->key[batch->count++] = (struct writeback_key){ .key = part };
		writeback->at = bkey_end(&part);
		if (is_last)
			return true;
	}
	return false;
}

/* The rest of the leaf.  True: all of it was seen, false: the batch is full, or the step long. */
static LOCKED bool scan_leaf(struct writeback *writeback, const struct node *leaf)
{
	struct volume *volume = writeback->volume;
	struct index *index = &volume->set->index;
	struct node_walk walk;
	const struct bkey *k;
	unsigned seen = 0;

	node_walk_begin_at(&walk, leaf, (struct position){ volume->slot, writeback->at });
	while ((k = node_walk_next(&walk)) && bkey_volume(k) == volume->slot) {
		/* A hidden key may stand before the one that hides it, with the same end. */
		if (!bkey_sectors(k))
			continue;
		if (seen++ == SCAN_KEYS_MAX)
			return false;
		if (bkey_is_dirty(k) && index_key_is_usable(index, k)) {
			writeback->found_dirty = true;
			if (!add_extent(writeback, *k))
				return false;
		}
		writeback->at = max_u64(writeback->at, bkey_end(k));
	}
	return true;
}

/* 0: another leaf, or a slice of one, was seen.  -EAGAIN: the op waits for a node. */
static LOCKED int scan(struct writeback *writeback)
{
	struct volume *volume = writeback->volume;
	struct position from = { volume->slot, writeback->at };
	struct node *leaf;
	int error = index_leaf(&volume->set->index, from, &leaf, &writeback->op);

	if (error || !scan_leaf(writeback, leaf))
		return error;
	if (bkey_volume(&leaf->key) > volume->slot)
		writeback->is_at_end = true;
	else
		writeback->at = bkey_end(&leaf->key);
	return 0;
}

static void scan_step(struct writeback *writeback)
{
	int error;

	set_lock(writeback->volume->set);
	error = scan(writeback);
	set_unlock(writeback->volume->set);
	if (error == -EAGAIN)
		return;
	if (error) {
		enter_idle(writeback);
		return;
	}
	if (writeback->is_at_end || writeback->batch->count == WRITEBACK_KEYS_MAX)
		writeback->state = WRITEBACK_COPY;
	op_queue(&writeback->op);
}

static void next_batch(struct writeback *writeback)
{
	if (writeback->is_at_end) {
		end_pass(writeback);
		return;
	}
	begin_batch(writeback);
	op_queue(&writeback->op);
}

/* ---- COPY, FLUSH ---- */

static void copy_step(struct writeback *writeback)
{
	struct writeback_batch *batch = writeback->batch;
	bool any = false;
	int error;

	update_rate(writeback);
	error = writeback_start_copies(writeback);
	if (error == -EAGAIN)
		return;
	if (error) {
		writeback->has_failed = true;
		error_set(&writeback->error, -error, "%s: nothing is written back: %s",
			  writeback->volume->name, strerror(-error));
		enter_pause(writeback, RETRY_NS);
		return;
	}
	for (unsigned i = 0; i < batch->count; i++)
		any |= batch->key[i].is_copied;
	if (any) {
		writeback->state = WRITEBACK_FLUSH;
		device_flush(writeback->volume->backing, &writeback->op);
	} else {
		next_batch(writeback);
	}
}

/* ---- SWAP ---- */

/* Inserts the next keys without the dirty bit; not journaled (doc/ordering.md, ORDER-15). */
static void swap(struct writeback *writeback)
{
	struct writeback_batch *batch = writeback->batch;
	struct insert *insert = &batch->insert;

	*insert = (struct insert){ .index = &writeback->volume->set->index,
				   .parent = &writeback->op,
				   .expected = batch->expected };
	for (; batch->next < batch->count && insert->count < INSERT_KEYS_MAX; batch->next++) {
		const struct writeback_key *k = &batch->key[batch->next];

		if (!k->is_copied)
			continue;
		batch->expected[insert->count] = k->key;
		insert->keys[insert->count] = k->key;
		bkey_set_dirty(&insert->keys[insert->count++], false);
	}
	if (insert->count) {
		writeback->state = WRITEBACK_SWAP;
		insert_start(insert);
	} else {
		next_batch(writeback);
	}
}

static void swapped(struct writeback *writeback, int error)
{
	const struct insert *insert = &writeback->batch->insert;
	struct cache_set *set = writeback->volume->set;

	writeback->has_failed |= error;
	SIM_SOMETIMES_IF(insert->collisions, "what was written back has changed meanwhile");
	writeback->keys_done += insert->count - insert->collisions;
	writeback->keys_failed += insert->collisions;
	writeback->sectors_done += insert->inserted_sectors;
	set->writeback_keys_done += insert->count - insert->collisions;
	set->writeback_keys_failed += insert->collisions;
	swap(writeback);
}

/* The copies stay without effect: their keys stay dirty. */
static void flush_failed(struct writeback *writeback, int error)
{
	SIM_SOMETIMES("the backing device cannot be flushed after copies");
	writeback->has_failed = true;
	writeback->write_errors++;
	error_set(&writeback->error, -error,
		  "%s: what was written to the backing device could not be flushed, and stays "
		  "dirty: %s", writeback->volume->name, strerror(-error));
	end_pass(writeback);
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

/* ---- the op ---- */

/* A detach need not wait for CLEAN: it writes NONE itself. */
static void mark_failed(struct writeback *writeback)
{
	SIM_SOMETIMES("the superblock that says clean cannot be written");
	if (is_clean(writeback->volume))
		waitlist_wake_all(&writeback->clean, 0);
	enter_pause(writeback, RETRY_NS);
}

static void idle_step(struct writeback *writeback)
{
	if (!writeback_may_work(writeback)) {
		enter_idle(writeback);		/* the last dirty write may have failed */
		return;
	}
	if (!ensure_batch(writeback)) {
		enter_pause(writeback, RETRY_NS);
		return;
	}
	begin_pass(writeback);
	scan_step(writeback);
}

/* False: the state goes on by itself, and comes here when nothing is in flight. */
static bool ends_here(struct writeback *writeback)
{
	const struct writeback_batch *batch = writeback->batch;
	bool is_flying = batch && batch->started != batch->ended;

	if (is_flying)
		return false;
	if (writeback->is_stopping) {
		SIM_SOMETIMES_IF(writeback->state > WRITEBACK_IDLE, "writeback is stopped");
		enter_off(writeback);
		return true;
	}
	if (writeback->state != WRITEBACK_IDLE && !writeback_may_work(writeback) &&
	    writeback->state != WRITEBACK_MARK) {
		enter_idle(writeback);
		return true;
	}
	return false;
}

static void has_become_clean(struct writeback *writeback)
{
	struct cache_set *set = writeback->volume->set;

	set_lock(set);
	gc_after_writeback(&set->gc);
	set_unlock(set);
	enter_idle(writeback);
}

static void writeback_step(struct op *op)
{
	struct writeback *writeback = container_of(op, struct writeback, op);
	int error = op_take_error(op);

	if (writeback->state == WRITEBACK_SWAP)		/* it has ended, also if the set died */
		waitlist_wake_all(&writeback->volume->ranges.copied, 0);
	if (writeback->state == WRITEBACK_OFF || ends_here(writeback))
		return;
	switch (writeback->state) {
	case WRITEBACK_OFF:
		break;
	case WRITEBACK_IDLE:
	case WRITEBACK_PAUSE:
		idle_step(writeback);
		break;
	case WRITEBACK_SCAN:
		scan_step(writeback);
		break;
	case WRITEBACK_COPY:
		copy_step(writeback);
		break;
	case WRITEBACK_FLUSH:
		writeback->batch->next = 0;
		/* A device may tell a failure once, to whoever asks first, and drop what it had. */
		if (!error && flush_errors(writeback) != writeback->batch->flush_errors)
			error = -EIO;
		if (error)
			flush_failed(writeback, error);
		else
			swap(writeback);
		break;
	case WRITEBACK_SWAP:
		swapped(writeback, error);
		break;
	case WRITEBACK_MARK:
		SIM_SOMETIMES_IF(!error, "a volume has become clean by itself");
		if (error)
			mark_failed(writeback);
		else
			has_become_clean(writeback);
		break;
	}
}

void writeback_start(struct writeback *writeback)
{
	struct volume *volume = writeback->volume;

	assert(writeback->state == WRITEBACK_OFF && volume->set && op_is_idle(&writeback->op));
	if (volume->is_flash || volume->set->is_read_only || volume_is_read_only(volume))
		return;
	writeback->is_stopping = writeback->has_failed = false;
	writeback->error = (struct error){ 0 };
	writeback->target_sectors = writeback_target_of(volume);
	writeback_rate_init(&writeback->rate);
	writeback->state = WRITEBACK_IDLE;
	op_queue(&writeback->op);
}

int writeback_stop(struct writeback *writeback, struct op *op)
{
	if (writeback->state == WRITEBACK_OFF && op_is_idle(&writeback->op))
		return 0;
	if (writeback->state == WRITEBACK_OFF || !writeback->is_stopping) {
		writeback->is_stopping = true;
		writeback_wake(writeback);
	}
	waitlist_join(&writeback->stopped, op);
	return -EAGAIN;
}

void writeback_wake(struct writeback *writeback)
{
	bool is_over_target = writeback->state == WRITEBACK_PAUSE && !writeback->has_failed &&
			      dirty_sectors(writeback->volume) > writeback->target_sectors;

	if (writeback->state == WRITEBACK_IDLE && op_is_idle(&writeback->op))
		op_queue(&writeback->op);
	else if (timer_running(&writeback->timer) &&
		 (is_over_target || writeback->is_stopping || writeback->volume->is_detaching ||
		  !writeback_may_work(writeback)))
		timer_cancel(&writeback->timer);
}

void writeback_look_again(struct writeback *writeback)
{
	if (timer_running(&writeback->timer))
		timer_cancel(&writeback->timer);
	else
		writeback_wake(writeback);
}

int writeback_await_clean(struct writeback *writeback, struct op *op)
{
	if (is_clean(writeback->volume))
		return 0;
	if (writeback->state == WRITEBACK_OFF || health_error(&writeback->volume->set->health)) {
		if (!writeback->volume->detach_is_final)
			writeback->volume->is_detaching = false;
		return writeback->state == WRITEBACK_OFF ? -ECANCELED : -EIO;
	}
	writeback_wake(writeback);
	waitlist_join(&writeback->clean, op);
	return -EAGAIN;
}

void writeback_cancel_wait(struct writeback *writeback, int error)
{
	if (!writeback->volume->detach_is_final)
		writeback->volume->is_detaching = false;
	waitlist_wake_all(&writeback->clean, error);
}
