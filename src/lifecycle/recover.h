/*
 * Shared by the files of recovery: recover.c has the states and the roots, recover_walk.c
 * looks at every leaf, recover_replay.c inserts the journal's keys, recover_fresh.c makes a
 * set that was never used.
 */
#pragma once

#include "base/numbers.h"
#include "io/buffer.h"
#include "lifecycle/internal.h"

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

static inline const struct journal_entry_disk *recover_newest(const struct recover *recover)
{
	return recover->found.entries[recover->found.count - 1];
}

/* ---- recover.c ---- */

/*
 * On failure, also makes the set fail: its parts stop, and set_teardown() aborts instead of
 * writing.
 */
void recover_end(struct recover *recover, int code);
/* Index and refill may write from now on: a durable entry names the current roots. */
void recover_run_parts(struct cache_set *set) LOCKED;

/* ---- recover_walk.c, recover_replay.c: each is the step of a state ---- */

void recover_walk(struct recover *recover);
void recover_replay(struct recover *recover);
void recover_lay_over(struct recover *recover);
/*
 * Writes all leaves, then an entry whose last_sequence is `needed_from` (0: the entry itself).
 */
void recover_clean_and_commit(struct recover *recover, uint64_t needed_from,
			      enum recover_state next);
void recover_checkpoint_is_durable(struct recover *recover);

/* ---- recover_fresh.c ---- */

/* On the blocking thread: nothing of an older set's journal can be taken for this one's. */
int recover_erase_run(struct blocking_job *blocking);
void recover_make_fresh(struct recover *recover);
void recover_commit_fresh(struct recover *recover);
