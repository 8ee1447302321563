/*
 * The replay: inserts the keys of the journal in order, such that this needs no journal room (see
 * RECOVER-2) and makes progress with few buckets (RECOVER-3, checkpoints); then writes all leaves.
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

	if (set->cache.space.is_running)
		return INSERT_KEYS_MAX;
	unused = space_unused(&set->cache.space, USE_BTREE);
	if (recover->entry && !recover->word && unused < set->cache.space.free[USE_BTREE].size)
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
int recover_gather(struct job *base)
{
	struct recover *recover = recover_of(base);
	int error;

	assert(recover->set->is_read_only);	/* RECOVER-4 */
	if (!recover->overlay)
		recover->overlay = overlay_new();
	error = recover->overlay ? gather_some(recover) : -ENOMEM;
	if (error)
		return error;
	if (!find_keys(recover))
		return overlay_seal(recover->overlay);
	op_queue(&base->op);
	return -EAGAIN;
}

/* One leaf at a time. */
int recover_lay_over(struct job *base)
{
	struct recover *recover = recover_of(base);
	struct cache_set *set = recover->set;
	int error;

	if (overlay_is_applied(recover->overlay))
		return 0;
	set_lock(set);
	error = overlay_apply(recover->overlay, &set->index, &base->op);
	set_unlock(set);
	if (!error)
		op_queue(&base->op);
	return error ? error : -EAGAIN;
}

/*
 * Writes all leaves, then an entry whose last_sequence is `needed_from` (0: the entry itself).
 * 0: the op awaits the entry.
 */
static int clean_and_commit(struct recover *recover, uint64_t needed_from)
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
	if (!error)
		journal_commit_always(&set->journal, &recover->job.op);
	set_unlock(set);
	return error;
}

/* RECOVER-3.  -EAGAIN: the checkpoint waits; 0: it is complete. */
static int make_checkpoint(struct recover *recover)
{
	struct cache_set *set = recover->set;
	int error;

	if (recover->checkpoint == CHECKPOINT_LEAVES) {
		error = clean_and_commit(recover, le64_get(
				recover->found.entries[recover->entry]->sequence));
		if (!error)
			recover->checkpoint = CHECKPOINT_ENTRY;
		return error ? error : -EAGAIN;
	}
	SIM_RARELY("a replay needs a checkpoint",
		   "test_lifecycle_start/a_replay_that_uses_up_all_buckets_goes_on_after_a_refill");
	log_info("unused buckets have run out: the replay continues after a refill");
	set_lock(set);
	recover_run_parts(set);
	set_unlock(set);
	recover->checkpoint = CHECKPOINT_NONE;
	return 0;
}

/* Each insert must have ended before the next begins: later keys hide earlier ones. */
int recover_replay(struct job *base)
{
	struct recover *recover = recover_of(base);
	struct cache_set *set = recover->set;
	unsigned wanted;
	int error = recover->checkpoint ? make_checkpoint(recover) : 0;

	if (error || !find_keys(recover))
		return error;
	assert(!set->is_read_only);
	set_lock(set);
	wanted = keys_at_a_time(recover);
	if (set->journal.replaying)	/* RECOVER-3: pins hold the entries replayed so far */
		set->journal.replaying =
			le64_get(recover->found.entries[recover->entry]->sequence);
	set_unlock(set);
	if (!wanted) {
		recover->checkpoint = CHECKPOINT_LEAVES;
		op_queue(&base->op);
		return -EAGAIN;
	}
	SIM_SOMETIMES("keys are replayed");
	SIM_SOMETIMES_IF(recover->word, "an entry is replayed in parts");
	take_keys(recover, wanted);
	recover->insert.index = &set->index;
	recover->insert.parent = &base->op;
	insert_start(&recover->insert);
	return -EAGAIN;
}

/* RECOVER-2: the entry needs no older one. */
int recover_clean(struct job *base)
{
	assert(!find_keys(recover_of(base)));
	return clean_and_commit(recover_of(base), 0);
}
