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
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/numbers.h"
#include "base/sometimes.h"
#include "io/buffer.h"
#include "lifecycle/internal.h"

enum {
	JOURNAL_WINDOW_SECTORS = 2048,
	ENTRIES_A_STEP = 64,		/* then other ops get their turn */
};
#define FRESH_SEQUENCE_MAX (UINT64_C(1) << 62)	/* no set gets that far in a century */

enum recover_state {
	RECOVER_READ,
	RECOVER_ROOT,
	RECOVER_UUIDS,
	RECOVER_WALK,
	RECOVER_REPLAY,
	RECOVER_OVERLAY,
	RECOVER_CHECKPOINT,
	RECOVER_CHECKPOINT_ENTRY,
	RECOVER_CLEAN,
	RECOVER_ERASE,
	RECOVER_TABLES,
	RECOVER_COMMIT,
	RECOVER_UUIDS_AGAIN,
	RECOVER_SUPERBLOCK,
};

struct recover {
	struct job job;
	struct cache_set *set;
	enum recover_state state;
	struct blocking_job blocking;
	struct error blocking_error;
	struct journal_found found;
	struct bkey root;
	unsigned root_level, journal_version;
	void *table;				/* of volumes, as on disk */
	struct position at;			/* where WALK is */
	uint64_t seen[INDEX_LEVELS_MAX];	/* by level: interior node marked last */
	unsigned entry, word;			/* the next key to replay */
	struct insert insert;
	struct overlay *overlay;
	uint32_t fresh[2];			/* fresh: buckets of root and uuids */
	uint64_t older_sequence;		/* fresh set: highest old entry; 0: none */
};

static const struct journal_entry_disk *newest(const struct recover *recover)
{
	return recover->found.entries[recover->found.count - 1];
}

/*
 * On failure, also makes the set fail: its parts stop, and set_teardown() aborts instead of
 * writing.
 */
static void recover_end(struct recover *recover, int code)
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
	return space_read_table(&set->space,
				le64_get(newest(recover)->prio_bucket[set->superblock.member]),
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
	const struct journal_entry_disk *entry = newest(recover);
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
		      le64_get(newest(recover)->sequence), recover->found.current,
		      recover->found.bucket_newest);
	roots->btree_root = recover->root;
	roots->btree_level = recover->root_level;
	roots->uuid_bucket = set->uuid_bucket;
	roots->prio_bucket = le64_get(newest(recover)->prio_bucket[set->superblock.member]);
	if (!set->is_read_only && !journal_can_go_on(&set->journal))
		error = error_set(recover->job.error, ENOSPC,
				  "no journal bucket is free behind entry %llu: all have entries "
				  "from %llu on",
				  (unsigned long long)le64_get(newest(recover)->sequence),
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

/* ---- WALK ---- */

/* An extent with a placeholder or without data has no bucket to mark. */
static LOCKED int mark_extent(struct recover *recover, const struct bkey *k)
{
	struct space *space = &recover->set->space;
	struct error *error = recover->job.error;
	char text[BKEY_TEXT_BYTES];

	if (!bkey_sectors(k) || !bkey_pointers(k) ||
	    !space_pointer_is_valid(space, k->ptr, bkey_sectors(k)))
		return 0;
	if (!space_survey_extent(space, k->ptr, bkey_sectors(k), bkey_is_dirty(k), error))
		return 0;
	return error_prefix(error, "extent %s", bkey_print(text, k));
}

/* Does all of `k` lie before `from`? */
static bool lies_before(const struct bkey *k, struct position from)
{
	return bkey_volume(k) != from.volume ? bkey_volume(k) < from.volume :
					       bkey_end(k) <= from.sector && from.sector;
}

/* Marks the extents of a leaf, which begins at recover->at, and counts the dirty ones. */
static LOCKED int mark_leaf(struct recover *recover, const struct node *leaf)
{
	struct cache_set *set = recover->set;
	char text[BKEY_TEXT_BYTES];
	unsigned long long bucket = space_bucket_of(&set->space, leaf->key.ptr);
	struct node_walk walk;
	const struct bkey *k;

	node_walk_begin(&walk, leaf);
	while ((k = node_walk_next(&walk))) {
		if (lies_before(k, recover->at))
			return error_set(recover->job.error, EINVAL,
					 "%s belongs to the leaf before that of bucket %llu",
					 bkey_print(text, k), bucket);
		if (mark_extent(recover, k))
			return error_prefix(recover->job.error, "leaf in bucket %llu", bucket);
		if (bkey_is_dirty(k) && index_key_is_usable(&set->index, k))
			set->index.dirty_sectors[bkey_volume(k)] += bkey_sectors(k);
	}
	return 0;
}

/* A second pointer to the bucket of a node is damage: the survey refuses it. */
static LOCKED int mark_node(struct recover *recover, const struct node *node)
{
	struct error *error = recover->job.error;
	char text[BKEY_TEXT_BYTES];

	if (space_survey_metadata(&recover->set->space, node->key.ptr, node->sectors, error))
		return error_prefix(error, "btree node %s", bkey_print(text, &node->key));
	return 0;
}

/* Marks the nodes of the path that are not marked yet, from the root down. */
static LOCKED int mark_path(struct recover *recover, struct node *const path[INDEX_LEVELS_MAX])
{
	struct cache_set *set = recover->set;

	for (int level = set->index.root->level; level >= 0; level--) {
		const struct node *node = path[level];

		if (level && recover->seen[level] == node->key.ptr)
			continue;
		recover->seen[level] = node->key.ptr;
		if (mark_node(recover, node) || (!level && mark_leaf(recover, node)))
			return -EINVAL;
	}
	return 0;
}

/* Visits the next leaf; *is_complete: it was the last. */
static LOCKED int walk_on(struct recover *recover, bool *is_complete)
{
	struct cache_set *set = recover->set;
	struct bkey last = bkey_max();
	struct node *path[INDEX_LEVELS_MAX];
	int error = index_path(&set->index, recover->at, path, &recover->job.op);

	error = error ?: mark_path(recover, path);
	if (error)
		return error;
	*is_complete = bkey_compare(&path[0]->key, &last) == 0;
	recover->at = (struct position){ bkey_volume(&path[0]->key), bkey_end(&path[0]->key) };
	return health_error(&set->health);
}

/* The same limits as for the keys of a leaf (check_leaf_key() in index/node_io.c). */
static LOCKED bool is_sound_extent(const struct cache_set *set, const struct bkey *k)
{
	if (!bkey_sectors(k))
		return true;
	return bkey_sectors(k) <= bkey_end(k) && bkey_end(k) <= BKEY_END_MAX &&
	       (!bkey_pointers(k) || pointer_device(k->ptr) ||
		space_pointer_is_valid(&set->space, k->ptr, bkey_sectors(k)));
}

/* Marks the extents of the keys to be replayed, so that their buckets count as used. */
static LOCKED int mark_journal(struct recover *recover)
{
	struct cache_set *set = recover->set;

	for (unsigned i = 0; i < recover->found.count; i++) {
		const struct journal_entry_disk *entry = recover->found.entries[i];
		unsigned words = le32_get(entry->words);
		struct bkey k;

		for (unsigned at = 0; at < words; at += bkey_words(&k)) {
			char text[BKEY_TEXT_BYTES];

			if (!bkey_decode(&k, entry->keys + at, words - at))
				break;		/* cannot be: journal_read() has checked them */
			if (!is_sound_extent(set, &k))
				return error_set(recover->job.error, EINVAL,
						 "journal entry %llu: spotted extent %s",
						 (unsigned long long)le64_get(entry->sequence),
						 bkey_print(text, &k));
			if (mark_extent(recover, &k))
				return error_prefix(recover->job.error, "journal entry %llu",
						    (unsigned long long)le64_get(entry->sequence));
		}
	}
	return health_error(&set->health);
}

/* From here on it is known which buckets are unused, so allocation may begin (RECOVER-1). */
static LOCKED int end_walk(struct recover *recover)
{
	struct cache_set *set = recover->set;
	int error = mark_journal(recover);

	if (error)
		return error;
	space_gc_end(&set->space);
	return set->is_read_only ? 0 : space_bootstrap(&set->space, recover->job.error);
}

/* One leaf for each step, so that other sets and volumes are served meanwhile. */
static void walk(struct recover *recover)
{
	struct cache_set *set = recover->set;
	bool is_complete = false;
	int error;

	set_lock(set);
	error = walk_on(recover, &is_complete);
	if (!error && is_complete)
		error = end_walk(recover);
	set_unlock(set);
	if (error == -EAGAIN)
		return;
	if (error) {
		recover_end(recover, error);
		return;
	}
	if (is_complete)
		recover->state = RECOVER_REPLAY;
	op_queue(&recover->job.op);
}

/* ---- REPLAY ---- */

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
static void lay_over(struct recover *recover)
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
static void replay(struct recover *recover)
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

/*
 * Writes all leaves, then an entry whose last_sequence is `needed_from` (0: the entry itself).
 */
static void clean_and_commit(struct recover *recover, uint64_t needed_from,
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

/* Index and refill may write from now on: a durable entry names the current roots. */
static LOCKED void run_parts(struct cache_set *set)
{
	if (set->index.is_running)
		return;
	index_run(&set->index);
	space_run(&set->space);
}

static void checkpoint_is_durable(struct recover *recover)
{
	struct cache_set *set = recover->set;

	SIM_SOMETIMES("a replay needs a checkpoint");
	log_info("unused buckets have run out: the replay continues after a refill");
	set_lock(set);
	run_parts(set);
	set_unlock(set);
	recover->state = RECOVER_REPLAY;
	op_queue(&recover->job.op);
}

/* ---- a fresh set ---- */

/*
 * Entries of an older set with the same uuid look valid (LESSON-46), also in the tail of a bucket.
 * The sequences of the fresh set therefore begin after the highest of them.  They are not erased,
 * so a start that a power cut interrupted finds them again.  Entries with sequences that no set
 * can have reached are erased.
 */
static int look_for_entries(struct recover *recover, uint64_t sector, unsigned sectors,
			    unsigned char *window)
{
	struct cache_set *set = recover->set;
	unsigned block = set->superblock.block_sectors;
	uint64_t magic = superblock_set_magic(&set->superblock) ^ JOURNAL_MAGIC;
	int failed = device_read_now(set->device, window, sector, sectors);

	for (unsigned at = 0; at < sectors && !failed; at += block) {
		struct journal_entry_disk *entry = (void *)(window + at * 512);
		uint64_t sequence = le64_get(entry->sequence);

		if (le64_get(entry->magic) != magic)
			continue;
		if (sequence < FRESH_SEQUENCE_MAX) {
			recover->older_sequence = max_u64(recover->older_sequence, sequence);
			continue;
		}
		memset(entry, 0, block * 512);
		failed = device_write_now(set->device, entry, sector + at, block);
	}
	return failed;
}

/* Reads all of the journal: old entries may be anywhere in a bucket. */
static int look_through_journal(struct recover *recover)
{
	const struct superblock *sb = &recover->set->superblock;
	unsigned sectors = min_u64(sb->bucket_sectors, JOURNAL_WINDOW_SECTORS);
	unsigned char *window = buffer_new(sectors * 512);
	int failed = 0;

	for (unsigned i = 0; i < sb->journal_buckets; i++) {
		uint64_t start = sb->journal_bucket[i] * sb->bucket_sectors;

		for (unsigned at = 0; at < sb->bucket_sectors && !failed; at += sectors)
			failed = look_for_entries(recover, start + at, sectors, window);
	}
	buffer_free(window);
	return failed;
}

/*
 * The list of journal buckets extends beyond the first sector of the superblock.  Write it now,
 * with a bucket count of 0; the write that makes the set valid then changes a single sector, and a
 * power cut cannot tear it.
 */
static int write_journal_list(const struct cache_set *set, void *buffer)
{
	struct superblock sb = set->superblock;
	struct superblock_disk *disk = buffer;

	superblock_encode(&sb);
	*disk = sb.disk;
	disk->keys = le16_of(0);
	disk->version = set->superblock.disk.version;
	disk->sequence = set->superblock.disk.sequence;
	disk->checksum = le64_of(superblock_checksum(disk));
	return device_write_now(set->device, disk, SUPERBLOCK_SECTOR, SUPERBLOCK_BYTES / 512);
}

/* Flushes at the end: no old entry may come back after the first one of this set. */
static int erase_run(struct blocking_job *blocking)
{
	struct recover *recover = container_of(blocking, struct recover, blocking);
	struct cache_set *set = recover->set;
	int failed = look_through_journal(recover) ?:
		     write_journal_list(set, set->superblock_buffer) ?:
		     device_flush_now(set->device);

	return failed ? error_set(&recover->blocking_error, -failed, "clearing the journal: %s",
				  strerror(-failed)) : 0;
}

/*
 * Takes buckets for root and table of volumes, for the first priority table, for the next one, and
 * last what is left for the btree list: no more than member_check_cache() has counted.
 */
static LOCKED int write_fresh_tables(struct recover *recover)
{
	struct cache_set *set = recover->set;
	unsigned parts = set->space.setup.prio_parts;
	int error;

	space_gc_end(&set->space);
	error = space_take(&set->space, USE_BTREE, 2, recover->fresh, NULL);
	if (error)
		return error;
	if (space_unused(&set->space, USE_PRIO) < parts)
		return error_set(recover->job.error, ENOSPC,
				 "only %u unused buckets for a table of %u",
				 space_unused(&set->space, USE_PRIO), parts);
	space_write_first_table(&set->space, &recover->job.op);
	error = space_bootstrap(&set->space, recover->job.error);	/* for the next table */
	assert(!error);
	index_create_root(&set->index, recover->fresh[0], &recover->job.op);
	set->uuid_bucket = bkey_with_pointer(
		bkey_of(0, 0, superblock_meta_bucket_sectors(&set->superblock)),
		space_pointer(&set->space, recover->fresh[1]));
	set->journal.roots.uuid_bucket = set->uuid_bucket;
	device_write(set->device, recover->table, pointer_sector(set->uuid_bucket.ptr),
		     bkey_sectors(&set->uuid_bucket), false, &recover->job.op);
	return 0;
}

static void make_fresh(struct recover *recover)
{
	struct cache_set *set = recover->set;
	int error;

	recover->table = buffer_new(superblock_meta_bucket_sectors(&set->superblock) * 512);
	uuids_encode(set, recover->table);
	recover->state = RECOVER_TABLES;
	set_lock(set);
	error = write_fresh_tables(recover);
	set_unlock(set);
	if (error)
		recover_end(recover, error);
}

/* The buckets are referenced by this entry, so they need no pins any more. */
static void commit_fresh(struct recover *recover)
{
	struct cache_set *set = recover->set;

	set_lock(set);
	space_unpin_bucket(&set->space, recover->fresh[0]);
	space_unpin_bucket(&set->space, recover->fresh[1]);
	journal_begin(&set->journal, recover->older_sequence, recover->older_sequence, 0, NULL);
	journal_accept(&set->journal);
	recover->state = RECOVER_COMMIT;
	journal_commit_always(&set->journal, &recover->job.op);
	set_unlock(set);
}

/* ---- COMMIT, SUPERBLOCK ---- */

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
	run_parts(set);
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
	uint64_t entries = le64_get(newest(recover)->sequence) -
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
		walk(recover);
		return;
	case RECOVER_REPLAY:
		replay(recover);
		return;
	case RECOVER_OVERLAY:
		lay_over(recover);
		return;
	case RECOVER_CHECKPOINT:
		clean_and_commit(recover,
				 le64_get(recover->found.entries[recover->entry]->sequence),
				 RECOVER_CHECKPOINT_ENTRY);
		return;
	case RECOVER_CHECKPOINT_ENTRY:
		checkpoint_is_durable(recover);
		return;
	case RECOVER_CLEAN:
		clean_and_commit(recover, 0, RECOVER_COMMIT);
		return;
	case RECOVER_ERASE:
		make_fresh(recover);
		return;
	case RECOVER_TABLES:
		commit_fresh(recover);
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
	recover->blocking.run = is_fresh ? erase_run : read_run;
	if (is_fresh)
		log_info("invalidating existing data");
	blocking_start(daemon->blocking, &recover->blocking, &recover->job.op);
}
