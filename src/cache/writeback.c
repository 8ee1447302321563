/*
 * The passes of writeback: flush, swap, and state CLEAN.  The states SCAN and COPY have files of
 * their own.
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

#define NS_PER_SECOND UINT64_C(1000000000)
#define RETRY_NS NS_PER_SECOND			/* the pause after a pass that failed, at least */
#define SHORT_NS (NS_PER_SECOND / 20)		/* any other pause */

static void writeback_step(struct op *op);
static void swap(struct writeback *writeback);

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

uint64_t writeback_uncopied_bytes(const struct volume *volume)
{
	uint64_t dirty = dirty_sectors(volume);

	return (dirty - min_u64(dirty, volume->writeback.sectors_unswapped)) * 512;
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

/* ---- states ---- */

static void batch_free(struct writeback *writeback)
{
	if (!writeback->batch)
		return;
	writeback_copies_done(writeback);
	free(writeback->batch);
	writeback->batch = NULL;
	writeback->sectors_unswapped = 0;
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

/* One that stops has nothing to wait for. */
static void enter_idle(struct writeback *writeback)
{
	if (writeback->is_stopping) {
		enter_off(writeback);
		return;
	}
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

/* Those of FUA writes, too, and never forgotten when the counts of errors are. */
static uint64_t flush_failures(const struct writeback *writeback)
{
	return device_counts(writeback->volume->backing)->flush_failures;
}

static void begin_batch(struct writeback *writeback)
{
	writeback->state = WRITEBACK_SCAN;
	writeback->batch->count = writeback->batch->next = 0;
	writeback->batch->has_kind = writeback->batch->is_complete = false;
	writeback->batch->flush_failures = flush_failures(writeback);
	writeback->sectors_unswapped = 0;
}

static void begin_pass(struct writeback *writeback)
{
	writeback->is_careful = writeback->has_failed;
	writeback->found_dirty = writeback->has_failed = writeback->lost_count = false;
	writeback->is_at_end = false;
	dirty_age_begin_pass(&writeback->age, clock_ns(writeback->volume->reactor));
	writeback->at = writeback->volume->data_offset;
	writeback->full_at = writeback->full_end = writeback->at;
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

	if (!writeback->lost_count)
		dirty_age_end_pass(&writeback->age);
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

static void scan_step(struct writeback *writeback)
{
	int error;

	set_lock(writeback->volume->set);
	error = writeback_scan(writeback);
	set_unlock(writeback->volume->set);
	if (error == -EAGAIN)
		return;
	if (error || (writeback->is_stopping && writeback->found_dirty)) {
		enter_idle(writeback);
		return;
	}
	if (writeback->is_at_end || writeback->batch->is_complete ||
	    writeback->batch->count == WRITEBACK_KEYS_MAX)
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

	writeback_update_rate(writeback);
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
		batch->next = 0;
		swap(writeback);		/* nothing, and goes on with the next batch */
	}
}

/* ---- SWAP ---- */

static void leave_dirty(struct writeback *writeback, const struct bkey *k)
{
	dirty_age_leave(&writeback->age, bkey_start(k), bkey_end(k));
}

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

		if (!k->is_copied) {
			leave_dirty(writeback, &k->key);
			continue;
		}
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

/* Some keys, or parts of them, had changed.  It is not known which, so all count as left. */
static void note_swapped(struct writeback *writeback)
{
	const struct writeback_batch *batch = writeback->batch;
	const struct insert *insert = &batch->insert;
	uint64_t sectors = 0;

	for (unsigned i = 0; i < insert->count; i++)
		sectors += bkey_sectors(&batch->expected[i]);
	writeback->sectors_unswapped -= min_u64(writeback->sectors_unswapped, sectors);
	if (insert->inserted_sectors == sectors)
		return;
	for (unsigned i = 0; i < insert->count; i++)
		leave_dirty(writeback, &batch->expected[i]);
}

static void swapped(struct writeback *writeback, int error)
{
	const struct insert *insert = &writeback->batch->insert;
	struct cache_set *set = writeback->volume->set;

	writeback->has_failed |= error;
	writeback->lost_count |= error;
	note_swapped(writeback);
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
	SIM_RARELY("the backing device cannot be flushed after copies",
		   "test_lifecycle_stop/of_writeback_is_told_by_the_next_flush");
	writeback->has_failed = writeback->lost_count = true;
	writeback->write_errors++;
	error_set(&writeback->error, -error,
		  "%s: what was written to the backing device could not be flushed, and stays "
		  "dirty: %s", writeback->volume->name, strerror(-error));
	end_pass(writeback);
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

/* Without requests: nothing can become dirty any more.  A detach writes the state itself. */
static bool last_look_is_due(const struct writeback *writeback)
{
	const struct volume *volume = writeback->volume;

	return !writeback->takes_last_look && !volume->is_detaching && is_clean(volume) &&
	       volume_state(volume) == STATE_DIRTY && !health_error(&volume->set->health);
}

/* True: writeback is off, or looks for the last time. */
static bool stops_here(struct writeback *writeback)
{
	if (writeback->takes_last_look && writeback->state > WRITEBACK_IDLE &&
	    writeback->state < WRITEBACK_PAUSE && !health_error(&writeback->volume->set->health))
		return false;
	if (last_look_is_due(writeback) && ensure_batch(writeback)) {
		SIM_SOMETIMES("a volume without dirty data that says dirty is stopped");
		writeback->takes_last_look = true;
		begin_pass(writeback);
		scan_step(writeback);
		return true;
	}
	SIM_SOMETIMES_IF(writeback->state > WRITEBACK_IDLE, "writeback is stopped");
	enter_off(writeback);
	return true;
}

/* False: the state goes on by itself, and comes here when nothing is in flight. */
static bool ends_here(struct writeback *writeback)
{
	const struct writeback_batch *batch = writeback->batch;
	bool is_flying = batch && batch->started != batch->ended;

	if (is_flying)
		return false;
	if (writeback->is_stopping)
		return stops_here(writeback);
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
		if (!error && flush_failures(writeback) != writeback->batch->flush_failures)
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
	writeback->is_stopping = writeback->takes_last_look = writeback->has_failed = false;
	writeback->age = (struct dirty_age){ .since_ns = 0 };
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
