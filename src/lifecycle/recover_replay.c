/*
 * REPLAY, CHECKPOINT and CLEAN: inserts the keys of the journal in order, such that this
 * needs no journal room (RECOVER-2) and makes progress with few buckets (RECOVER-3).
 */
#include "lifecycle/recover.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/sometimes.h"

enum { ENTRIES_A_STEP = 64 };		/* then other ops get their turn */

/*
 * The number of keys to insert at once, such that the unused buckets suffice for all splits these
 * may need.  0: a checkpoint is needed.  At the start of an entry it is needed earlier, since
 * there a checkpoint frees journal buckets, too.
 */
static LOCKED unsigned keys_at_a_time(struct recover *recover)
{
	struct cache_set *set = recover->set;
	unsigned plan = 2 * (set->index.root->level + 1) + 1;
	unsigned unused;

	if (set->space.is_running)
		return INSERT_KEYS_MAX;
	unused = space_unused(&set->space, USE_BTREE);
	if (recover->entry && !recover->word && unused < set->space.free[USE_BTREE].size)
		return 0;
	return min_u64(unused / plan, INSERT_KEYS_MAX);
}

/* Moves to the next entry that has keys left; false: there is none. */
static bool find_keys(struct recover *recover)
{
	for (; recover->entry < recover->found.count; recover->entry++, recover->word = 0)
		if (recover->word < le32_get(recover->found.entries[recover->entry]->words))
			return true;
	return false;
}

/* Takes up to `wanted` keys into the insert, all from one entry. */
static void take_keys(struct recover *recover, unsigned wanted)
{
	struct insert *insert = &recover->insert;
	const struct journal_entry_disk *entry = recover->found.entries[recover->entry];
	unsigned words = le32_get(entry->words);

	insert->count = 0;
	while (recover->word < words && insert->count < wanted) {
		struct bkey *k = &insert->keys[insert->count];

		recover->word += bkey_decode(k, entry->keys + recover->word, words - recover->word);
		insert->count += bkey_sectors(k) != 0;
	}
	insert->replayed = le64_get(entry->sequence);
}

/* RECOVER-4: adds the keys of up to ENTRIES_A_STEP entries to the overlay. */
static int gather_some(struct recover *recover)
{
	int error = 0;

	for (unsigned left = ENTRIES_A_STEP; left && !error && find_keys(recover); left--) {
		const struct journal_entry_disk *entry = recover->found.entries[recover->entry];
		unsigned words = le32_get(entry->words);
		struct bkey k;

		while (recover->word < words && !error) {
			recover->word += bkey_decode(&k, entry->keys + recover->word,
						     words - recover->word);
			if (bkey_sectors(&k))
				error = overlay_add(recover->overlay, &k);
		}
	}
	return error;
}

/* Collects keys in steps of ENTRIES_A_STEP entries, as they may be many. */
static void gather(struct recover *recover)
{
	int error;

	if (!recover->overlay)
		recover->overlay = overlay_new();
	error = recover->overlay ? gather_some(recover) : -ENOMEM;
	if (!error && !find_keys(recover)) {
		error = overlay_seal(recover->overlay);
		recover->state = RECOVER_OVERLAY;
	}
	if (error)
		recover_end(recover, error);
	else
		op_queue(&recover->job.op);
}

/* One leaf for each step. */
void recover_lay_over(struct recover *recover)
{
	struct cache_set *set = recover->set;
	int error;

	if (overlay_is_applied(recover->overlay)) {
		recover_end(recover, 0);
		return;
	}
	set_lock(set);
	error = overlay_apply(recover->overlay, &set->index, &recover->job.op);
	set_unlock(set);
	if (!error)
		op_queue(&recover->job.op);
	else if (error != -EAGAIN)
		recover_end(recover, error);
}

/* Each insert must have ended before the next begins: later keys hide earlier ones. */
void recover_replay(struct recover *recover)
{
	struct cache_set *set = recover->set;
	unsigned wanted;

	if (set->is_read_only) {
		gather(recover);
		return;
	}
	if (!find_keys(recover)) {
		recover->state = RECOVER_CLEAN;
		op_queue(&recover->job.op);
		return;
	}
	set_lock(set);
	wanted = keys_at_a_time(recover);
	if (set->journal.replaying)	/* RECOVER-3: pins hold the entries replayed so far */
		set->journal.replaying =
			le64_get(recover->found.entries[recover->entry]->sequence);
	set_unlock(set);
	if (!wanted) {
		recover->state = RECOVER_CHECKPOINT;
		op_queue(&recover->job.op);
		return;
	}
	SIM_SOMETIMES("keys are replayed");
	SIM_SOMETIMES_IF(recover->word, "an entry is replayed in parts");
	take_keys(recover, wanted);
	recover->insert.index = &set->index;
	recover->insert.parent = &recover->job.op;
	insert_start(&recover->insert);
}

/* ---- CHECKPOINT (RECOVER-3), CLEAN (RECOVER-2) ---- */

void recover_clean_and_commit(struct recover *recover, uint64_t needed_from,
			     enum recover_state next)
{
	struct cache_set *set = recover->set;
	int error;

	set_lock(set);
	error = index_clean_all(&set->index, &recover->job.op);
	if (!error) {
		set->journal.replaying = needed_from;
		journal_accept(&set->journal);
		if (!journal_has_place(&set->journal))
			error = error_set(recover->job.error, ENOSPC,
					  "no journal bucket is free for the first entry");
	}
	if (!error) {
		recover->state = next;
		journal_commit_always(&set->journal, &recover->job.op);
	}
	set_unlock(set);
	if (error && error != -EAGAIN)
		recover_end(recover, error);
}

void recover_checkpoint_is_durable(struct recover *recover)
{
	struct cache_set *set = recover->set;

	SIM_RARELY("a replay needs a checkpoint",
		   "test_lifecycle_start/a_replay_that_uses_up_all_buckets_goes_on_after_a_refill");
	log_info("unused buckets have run out: the replay continues after a refill");
	set_lock(set);
	recover_run_parts(set);
	set_unlock(set);
	recover->state = RECOVER_REPLAY;
	op_queue(&recover->job.op);
}
