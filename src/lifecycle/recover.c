/*
 * Starts a set from the content of its cache device: recovery, or a fresh set.
 *
 * Three tables at the end of this file say how: recover_steps for a set that was in use,
 * read_steps for one that is mounted read-only, fresh_steps for one that was never used.
 *
 * (RECOVER-1) Nothing is allocated before recover_walk() has shown every pointer on the disk to
 *     space/survey.c, since until then no bucket is known to be unused.  If pointers
 *     contradict each other the set is refused, and nothing has been written.
 * (RECOVER-2) Replay needs no journal room: roots are switched in memory only, and one
 *     entry after the last one names them.  All leaves are written before that entry,
 *     so it needs no older entry.  One free journal bucket is enough for it.
 * (RECOVER-3) If unused buckets run out, all leaves are written, and an entry whose
 *     last_sequence is the entry being replayed makes that progress durable; then
 *     refill may run, and finds more buckets.
 * (RECOVER-4) With -o ro, recovery ends after the replay, without a write: all keys of the
 *     journal are merged into one run, which recover_lay_over() applies to the leaves in memory.
 */
#include "lifecycle/recover.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

/* ---- begin and end ---- */

static void recover_free(struct recover *recover)
{
	journal_found_done(&recover->found);
	buffer_free(recover->table);
	overlay_free(recover->overlay);
}

static int recover_begin(struct job *base)
{
	assert(!recover_of(base)->set->is_running);
	return 0;
}

/*
 * The parts that run already stop by themselves then (LESSON-3), and set_teardown() aborts
 * instead of writing.
 */
static void recover_fail(struct job *base)
{
	struct recover *recover = recover_of(base);

	set_lock(recover->set);
	health_fail(&recover->set->health, -base->code, "%s", base->error->text);
	set_unlock(recover->set);
	recover_free(recover);
}

static int recover_end(struct job *base)
{
	recover_free(recover_of(base));
	return 0;
}

/* ---- journal and roots ---- */

/* The first bucket of the priority table. */
static uint64_t table_bucket(const struct recover *recover)
{
	unsigned member = recover->set->cache.superblock.member;

	return le64_get(recover_newest(recover)->prio_bucket[member]);
}

/* The table is named by the newest entry, so the journal is read first. */
static int read_run(struct blocking_job *blocking)
{
	struct recover *recover = container_of(blocking, struct recover, blocking);
	struct cache_set *set = recover->set;
	struct error *error = recover->job.error;
	struct journal_setup setup;
	int failed;

	set_journal_setup(set, &setup);
	failed = journal_read(&recover->found, &setup,
			      superblock_wants_discard(&set->cache.superblock), error);
	if (failed)
		return failed;
	return space_read_table(&set->cache.space, table_bucket(recover), error);
}

static int recover_read(struct job *base)
{
	struct recover *recover = recover_of(base);

	recover->blocking.run = read_run;
	blocking_start(base->daemon->blocking, &recover->blocking, &base->op);
	return 0;
}

/* Can `k` point to a node or a table of volumes: clean, at the start of a valid bucket? */
static LOCKED bool names_metadata(const struct cache_set *set, const struct bkey *k)
{
	return bkey_pointers(k) && bkey_sectors(k) && !bkey_is_dirty(k) &&
	       bkey_sectors(k) % set->cache.superblock.block_sectors == 0 &&
	       space_pointer_is_valid(&set->cache.space, k->ptr, bkey_sectors(k)) &&
	       pointer_sector(k->ptr) % set->cache.superblock.bucket_sectors == 0;
}

/* Marks the table of volumes; the walk marks the root. */
static LOCKED int survey_roots(struct recover *recover)
{
	struct cache_set *set = recover->set;
	struct error *error = recover->job.error;

	if (space_survey_metadata(&set->cache.space, set->uuid_bucket.ptr,
				  bkey_sectors(&set->uuid_bucket), error))
		return error_prefix(error, "bad uuid pointer");
	if (space_survey(&set->cache.space, recover->root.ptr, error))
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
				superblock_meta_bucket_sectors(&set->cache.superblock);
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
				 superblock_meta_bucket_sectors(&set->cache.superblock));
	return 0;
}

/* Continues the journal after its newest entry, with the roots that this one names. */
static int begin_journal(struct recover *recover)
{
	struct cache_set *set = recover->set;
	int error = 0;

	set_lock(set);
	journal_begin(&set->journal, le64_get(recover->found.entries[0]->sequence),
		      le64_get(recover_newest(recover)->sequence), recover->found.current,
		      recover->found.bucket_newest);
	journal_set_btree_root(&set->journal, &recover->root, recover->root_level);
	journal_set_uuid_bucket(&set->journal, &set->uuid_bucket);
	journal_set_prio_bucket(&set->journal, table_bucket(recover));
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

/* All that the newest entry says is checked before any of it is used. */
static int recover_roots(struct job *base)
{
	struct recover *recover = recover_of(base);
	int error = take_roots(recover);
	uint64_t entries = le64_get(recover_newest(recover)->sequence) -
			   le64_get(recover->found.entries[0]->sequence);

	if (!error && entries >= journal_entries_max(&recover->set->journal))
		error = error_set(base->error, EFBIG,
				  "found %llu journal entries to be replayed, wanted at most %llu",
				  (unsigned long long)entries + 1, (unsigned long long)
				  journal_entries_max(&recover->set->journal));
	return error ? error : begin_journal(recover);
}

/* Reading the root is the first use of the index, and waits like any other read of a node. */
static int recover_open_root(struct job *base)
{
	struct recover *recover = recover_of(base);
	struct cache_set *set = recover->set;
	int error;

	set_lock(set);
	error = index_open_root(&set->index, &recover->root, recover->root_level, &base->op);
	set_unlock(set);
	return error;
}

/* ---- the table of volumes ---- */

static int recover_read_uuids(struct job *base)
{
	struct recover *recover = recover_of(base);
	const struct bkey *place = &recover->set->uuid_bucket;

	recover->table = buffer_try_new(bkey_sectors(place) * 512);
	if (!recover->table)
		return -ENOMEM;
	device_read(recover->set->cache.device, recover->table, pointer_sector(place->ptr),
		    bkey_sectors(place), &base->op);
	return 0;
}

/* Volumes that were retired must be known before the walk counts dirty sectors. */
static int recover_take_uuids(struct job *base)
{
	struct recover *recover = recover_of(base);
	struct cache_set *set = recover->set;

	uuids_decode(set, recover->table, bkey_sectors(&set->uuid_bucket) * 512,
		     recover->journal_version);
	set_lock(set);
	set_volumes_changed(set);
	set_unlock(set);
	return 0;
}

/* A table of the old layout is written anew. */
static int recover_write_uuids(struct job *base)
{
	struct recover *recover = recover_of(base);

	if (recover->journal_version < JOURNAL_VERSION)
		uuids_write(recover->set, base->error, &base->op);
	return 0;
}

/* ---- the first entry is durable ---- */

void recover_run_parts(struct cache_set *set)
{
	if (set->index.is_running)
		return;
	index_run(&set->index);
	space_run(&set->cache.space);
}

/* Everything after the first durable entry is an ordinary change of a running set. */
static int recover_run(struct job *base)
{
	struct cache_set *set = recover_of(base)->set;

	set_lock(set);
	set->journal.replaying = 0;
	recover_run_parts(set);
	set_unlock(set);
	return 0;
}

/* SYNC and the number of journal buckets become durable: from now on the set is in use. */
static int recover_write_superblock(struct job *base)
{
	struct cache_set *set = recover_of(base)->set;

	assert(set->index.is_running);		/* ORDER-21: so an entry is durable */
	superblock_set_sync(&set->cache.superblock, true);
	set->cache.superblock.last_mount = clock_epoch_seconds(set->reactor);
	set_write_superblock(set, &base->op);
	return 0;
}

/* ---- the tables ---- */

#define RECOVERY "error in recovery"

static const struct job_step recover_steps[] = {
	{ RECOVERY, .start = recover_begin, .undo = recover_fail },
	{ RECOVERY, .start = recover_read },		/* journal and priority table */
	{ RECOVERY, .start = recover_roots },
	{ RECOVERY, .start = recover_open_root },
	{ "accessing uuids", .start = recover_read_uuids },
	{ RECOVERY, .start = recover_take_uuids },
	{ RECOVERY, .start = recover_walk },		/* marks, generations, dirty counts */
	{ RECOVERY, .start = recover_replay },		/* with checkpoints, if need be */
	{ RECOVERY, .start = recover_clean },		/* leaves; an entry that needs no other */
	{ RECOVERY, .start = recover_run },
	{ RECOVERY, .start = recover_write_uuids },
	{ "writing the superblock", .start = recover_write_superblock },
	{ RECOVERY, .start = recover_end },
	{ 0 },
};

/* RECOVER-4 */
static const struct job_step read_steps[] = {
	{ RECOVERY, .start = recover_begin, .undo = recover_fail },
	{ RECOVERY, .start = recover_read },
	{ RECOVERY, .start = recover_roots },
	{ RECOVERY, .start = recover_open_root },
	{ "accessing uuids", .start = recover_read_uuids },
	{ RECOVERY, .start = recover_take_uuids },
	{ RECOVERY, .start = recover_walk },
	{ RECOVERY, .start = recover_gather },
	{ RECOVERY, .start = recover_lay_over },
	{ RECOVERY, .start = recover_end },
	{ 0 },
};

static const struct job_step fresh_steps[] = {
	{ RECOVERY, .start = recover_begin, .undo = recover_fail },
	{ RECOVERY, .start = recover_erase },		/* old journal entries */
	{ "writing the first tables", .start = recover_make_fresh },
	{ RECOVERY, .start = recover_commit_fresh },	/* an entry that names them */
	{ RECOVERY, .start = recover_run },
	{ "writing the superblock", .start = recover_write_superblock },
	{ RECOVERY, .start = recover_end },
	{ 0 },
};

/* A fresh set is one whose superblock does not say SYNC. */
void recover_start(struct cache_set *set, struct error *error, struct op *op)
{
	bool is_fresh = !superblock_is_sync(&set->cache.superblock);
	struct recover *recover = job_of_steps(set->daemon, sizeof(*recover),
					       is_fresh ? fresh_steps :
					       set->is_read_only ? read_steps : recover_steps,
					       error, op);

	recover->set = set;
	recover->job.health = &set->health;
	job_begin(&recover->job);
}
