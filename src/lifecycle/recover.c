/*
 * Starts a set from the content of its cache device: recovery, or a fresh set.
 *
 *	a set that was in use                           a fresh set
 *
 *	READ     journal, priority table (blocking)     ERASE    old journal entries (blocking)
 *	  |                                               |
 *	ROOT     the root node                          TABLES   table, root and uuids, written
 *	  |                                               |
 *	UUIDS    the table of volumes                     |
 *	  |                                               |
 *	WALK     every leaf: generations, marks, dirty    |
 *	  |      counts                                   |
 *	  |                                               |
 *	REPLAY   inserts the journal's keys, in order     |
 *	  |  ^                                            |
 *	  |  +-- CHECKPOINT: unused buckets have run out  |
 *	  v                                               |
 *	CLEAN    writes all -----> COMMIT <---------------+
 *	         leaves              |     an entry that names root, tables and uuids
 *	                           UUIDS_AGAIN   if the table of volumes had the old layout
 *	                             |
 *	                           SUPERBLOCK ---> the set runs
 *
 * (RECOVER-1) Nothing is allocated before WALK has shown every pointer on the disk to
 *     space/survey.c, since until then no bucket is known to be unused.  If pointers
 *     contradict each other the set is refused, and nothing has been written.
 * (RECOVER-2) Replay needs no journal room: roots are switched in memory only, and one
 *     entry after the last one names them.  All leaves are written before that entry,
 *     so it needs no older entry.  One free journal bucket is enough for it.
 * (RECOVER-3) If unused buckets run out, all leaves are written, and an entry whose
 *     last_sequence is the entry being replayed makes that progress durable; then
 *     refill may run, and finds more buckets.
 * (RECOVER-4) With -o ro, recovery ends after REPLAY, without a write: all keys of the
 *     journal are merged into one run, which OVERLAY applies to the leaves in memory.
 */
#include "lifecycle/recover.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

void recover_end(struct recover *recover, int code)
{
	struct health *health = &recover->set->health;

	if (code) {	/* the parts that run already stop by themselves then (LESSON-3) */
		set_lock(recover->set);
		health_fail(health, -code, "%s",
			    recover->job.error->code ? recover->job.error->text :
						       strerror(-code));
		set_unlock(recover->set);
	}
	if (code && health->error && !recover->job.error->code)
		*recover->job.error = health->reason;
	journal_found_done(&recover->found);
	buffer_free(recover->table);
	overlay_free(recover->overlay);
	job_end_because(&recover->job, code, "the set cannot be started");
}

/* ---- READ ---- */

/* The table is named by the newest entry, so the journal is read first. */
static int read_run(struct blocking_job *blocking)
{
	struct recover *recover = container_of(blocking, struct recover, blocking);
	struct cache_set *set = recover->set;
	struct journal_setup setup;
	int failed;

	set_journal_setup(set, &setup);
	failed = journal_read(&recover->found, &setup, superblock_wants_discard(&set->superblock),
			      &recover->blocking_error);
	if (failed)
		return failed;
	return space_read_table(
		&set->space, le64_get(recover_newest(recover)->prio_bucket[set->superblock.member]),
		&recover->blocking_error);
}

/* Can `k` point to a node or a table of volumes: clean, at the start of a valid bucket? */
static LOCKED bool names_metadata(const struct cache_set *set, const struct bkey *k)
{
	return bkey_pointers(k) && bkey_sectors(k) && !bkey_is_dirty(k) &&
	       bkey_sectors(k) % set->superblock.block_sectors == 0 &&
	       space_pointer_is_valid(&set->space, k->ptr, bkey_sectors(k)) &&
	       pointer_sector(k->ptr) % set->superblock.bucket_sectors == 0;
}

/* Marks the table of volumes; the walk marks the root. */
static LOCKED int survey_roots(struct recover *recover)
{
	struct cache_set *set = recover->set;
	struct error *error = recover->job.error;

	if (space_survey_metadata(&set->space, set->uuid_bucket.ptr,
				  bkey_sectors(&set->uuid_bucket), error))
		return error_prefix(error, "bad uuid pointer");
	if (space_survey(&set->space, recover->root.ptr, error))
		return error_prefix(error, "bad btree root");
	return 0;
}

/* The roots come from a checksummed entry, but damage may have been sealed with it: checks them. */
static int take_roots(struct recover *recover)
{
	struct cache_set *set = recover->set;
	const struct journal_entry_disk *entry = recover_newest(recover);
	struct bkey last = bkey_max();
	char text[BKEY_TEXT_BYTES];
	bool root_is_good, uuids_are_good;
	int failed = 0;

	recover->journal_version = le32_get(entry->version);
	recover->root_level = le16_get(entry->btree_level);
	if (!bkey_slot_decode(&recover->root, &entry->btree_root) ||
	    !bkey_slot_decode(&set->uuid_bucket, &entry->uuid_bucket))
		return error_set(recover->job.error, EINVAL,
				 "bad btree root or uuid pointer: a key of more pointers than one");
	set_lock(set);
	root_is_good = names_metadata(set, &recover->root) &&
		       !bkey_compare(&recover->root, &last);
	uuids_are_good = names_metadata(set, &set->uuid_bucket) &&
			 bkey_sectors(&set->uuid_bucket) <=
				superblock_meta_bucket_sectors(&set->superblock);
	if (root_is_good && uuids_are_good)
		failed = survey_roots(recover);
	set_unlock(set);
	if (failed)
		return failed;
	if (!root_is_good)
		return error_set(recover->job.error, EINVAL, "bad btree root: found %s, wanted "
				 "one that ends at %u:%llu, and a bucket for it",
				 bkey_print(text, &recover->root), bkey_volume(&last),
				 (unsigned long long)bkey_end(&last));
	if (!uuids_are_good)
		return error_set(recover->job.error, EINVAL, "bad uuid pointer: found %s, wanted "
				 "a bucket and at most %u sectors of it",
				 bkey_print(text, &set->uuid_bucket),
				 superblock_meta_bucket_sectors(&set->superblock));
	return 0;
}

/* Continues the journal after its newest entry, with the roots that this one names. */
static int begin_journal(struct recover *recover)
{
	struct cache_set *set = recover->set;
	struct journal_roots *roots = &set->journal.roots;
	int error = 0;

	set_lock(set);
	journal_begin(&set->journal, le64_get(recover->found.entries[0]->sequence),
		      le64_get(recover_newest(recover)->sequence), recover->found.current,
		      recover->found.bucket_newest);
	roots->btree_root = recover->root;
	roots->btree_level = recover->root_level;
	roots->uuid_bucket = set->uuid_bucket;
	roots->prio_bucket = le64_get(recover_newest(recover)->prio_bucket[set->superblock.member]);
	if (!set->is_read_only && !journal_can_go_on(&set->journal))
		error = error_set(recover->job.error, ENOSPC,
				  "no journal bucket is free behind entry %llu: all have entries "
				  "from %llu on",
				  (unsigned long long)le64_get(recover_newest(recover)->sequence),
				  (unsigned long long)
				  le64_get(recover->found.entries[0]->sequence));
	set_unlock(set);
	return error;
}

/* ---- ROOT, UUIDS ---- */

/* Reading the root is the first use of the index, and waits like any other read of a node. */
static void open_root(struct recover *recover)
{
	struct cache_set *set = recover->set;
	int error;

	set_lock(set);
	error = index_open_root(&set->index, &recover->root, recover->root_level,
				&recover->job.op);
	set_unlock(set);
	if (error == -EAGAIN)
		return;
	if (error) {
		recover_end(recover, error);
		return;
	}
	recover->state = RECOVER_UUIDS;
	recover->table = buffer_try_new(bkey_sectors(&set->uuid_bucket) * 512);
	if (!recover->table) {
		recover_end(recover, -ENOMEM);
		return;
	}
	device_read(set->device, recover->table, pointer_sector(set->uuid_bucket.ptr),
		    bkey_sectors(&set->uuid_bucket), &recover->job.op);
}

/* Volumes that were retired must be known before WALK counts dirty sectors. */
static void take_uuids(struct recover *recover)
{
	struct cache_set *set = recover->set;

	uuids_decode(set, recover->table, bkey_sectors(&set->uuid_bucket) * 512,
		     recover->journal_version);
	set_lock(set);
	set_volumes_changed(set);
	set_unlock(set);
	recover->state = RECOVER_WALK;
	op_queue(&recover->job.op);
}

/* ---- COMMIT, SUPERBLOCK ---- */

void recover_run_parts(struct cache_set *set)
{
	if (set->index.is_running)
		return;
	index_run(&set->index);
	space_run(&set->space);
}

/* SYNC and the number of journal buckets become durable: from now on the set is in use. */
static void write_superblock(struct recover *recover)
{
	struct cache_set *set = recover->set;

	superblock_set_sync(&set->superblock, true);
	set->superblock.last_mount = clock_epoch_seconds(set->reactor);
	recover->state = RECOVER_SUPERBLOCK;
	set_write_superblock(set, &recover->job.op);	/* ORDER-21 */
}

/* Everything after the first durable entry is an ordinary change of a running set. */
static void committed(struct recover *recover)
{
	struct cache_set *set = recover->set;

	set_lock(set);
	set->journal.replaying = 0;
	recover_run_parts(set);
	set_unlock(set);
	if (recover->found.count && recover->journal_version < JOURNAL_VERSION) {
		recover->state = RECOVER_UUIDS_AGAIN;
		uuids_write(set, recover->job.error, &recover->job.op);
		return;
	}
	write_superblock(recover);
}

/* ---- the job ---- */

static void have_read(struct recover *recover)
{
	int error = take_roots(recover);
	uint64_t entries = le64_get(recover_newest(recover)->sequence) -
			   le64_get(recover->found.entries[0]->sequence);

	if (!error && entries >= journal_entries_max(&recover->set->journal))
		error = error_set(recover->job.error, EFBIG,
				  "found %llu journal entries to be replayed, wanted at most %llu",
				  (unsigned long long)entries + 1, (unsigned long long)
				  journal_entries_max(&recover->set->journal));
	if (!error)
		error = begin_journal(recover);
	if (error) {
		recover_end(recover, error);
		return;
	}
	recover->state = RECOVER_ROOT;
	op_queue(&recover->job.op);
}

static void recover_go_on(struct recover *recover)
{
	switch (recover->state) {
	case RECOVER_READ:
		have_read(recover);
		return;
	case RECOVER_ROOT:
		open_root(recover);
		return;
	case RECOVER_UUIDS:
		take_uuids(recover);
		return;
	case RECOVER_WALK:
		recover_walk(recover);
		return;
	case RECOVER_REPLAY:
		recover_replay(recover);
		return;
	case RECOVER_OVERLAY:
		recover_lay_over(recover);
		return;
	case RECOVER_CHECKPOINT:
		recover_clean_and_commit(
			recover, le64_get(recover->found.entries[recover->entry]->sequence),
			RECOVER_CHECKPOINT_ENTRY);
		return;
	case RECOVER_CHECKPOINT_ENTRY:
		recover_checkpoint_is_durable(recover);
		return;
	case RECOVER_CLEAN:
		recover_clean_and_commit(recover, 0, RECOVER_COMMIT);
		return;
	case RECOVER_ERASE:
		recover_make_fresh(recover);
		return;
	case RECOVER_TABLES:
		recover_commit_fresh(recover);
		return;
	case RECOVER_COMMIT:
		committed(recover);
		return;
	case RECOVER_UUIDS_AGAIN:
		write_superblock(recover);
		return;
	case RECOVER_SUPERBLOCK:
		recover_end(recover, 0);
		return;
	}
}

/* For errors of devices, which have no reason of their own. */
static const char *what_failed(const struct recover *recover)
{
	switch (recover->state) {
	case RECOVER_UUIDS:
		return "accessing uuids";
	case RECOVER_TABLES:
		return "writing the first tables";
	case RECOVER_SUPERBLOCK:
		return "writing the superblock";
	default:
		return "error in recovery";
	}
}

static void recover_step(struct job *base, int error)
{
	struct recover *recover = container_of(base, struct recover, job);

	if (!error) {
		recover_go_on(recover);
		return;
	}
	if (recover->blocking_error.code)
		*base->error = recover->blocking_error;
	else if (!recover->set->health.error && !base->error->code)
		error_set(base->error, -error, "%s: %s", what_failed(recover), strerror(-error));
	recover_end(recover, error);
}

/* A fresh set is one whose superblock does not say SYNC. */
void recover_start(struct cache_set *set, struct error *error, struct op *op)
{
	struct daemon *daemon = set->daemon;
	struct recover *recover = job_new(daemon, sizeof(*recover), recover_step, error, op);
	bool is_fresh = !superblock_is_sync(&set->superblock);

	assert(!is_fresh || !set->is_read_only);
	recover->set = set;
	recover->state = is_fresh ? RECOVER_ERASE : RECOVER_READ;
	recover->blocking.run = is_fresh ? recover_erase_run : read_run;
	if (is_fresh)
		log_info("invalidating existing data");
	blocking_start(daemon->blocking, &recover->blocking, &recover->job.op);
}
