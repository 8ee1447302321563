/*
 * Shared by the files of recovery: recover.c has the tables of steps and the roots, recover_walk.c
 * looks at every leaf, recover_replay.c inserts the journal's keys, recover_fresh.c makes a
 * set that was never used.
 */
#pragma once

#include "base/numbers.h"
#include "io/buffer.h"
#include "lifecycle/internal.h"

/* RECOVER-3 */
enum checkpoint { CHECKPOINT_NONE, CHECKPOINT_LEAVES, CHECKPOINT_ENTRY };

struct recover {
	struct job job;
	struct cache_set *set;
	struct blocking_job blocking;
	struct journal_found found;
	struct bkey root;
	unsigned root_level, journal_version;
	void *table;				/* of volumes, as on disk */
	struct index_walk walk;			/* of WALK */
	unsigned entry, word;			/* the next key to replay */
	enum checkpoint checkpoint;		/* the replay waits for this part of one */
	struct insert insert;
	struct overlay *overlay;
	uint32_t fresh[2];			/* fresh: buckets of root and uuids */
	uint64_t older_sequence;		/* fresh set: highest old entry; 0: none */
};

static inline const struct journal_entry_disk *recover_newest(const struct recover *recover)
{
	return recover->found.entries[recover->found.count - 1];
}

static inline struct recover *recover_of(struct job *base)
{
	return container_of(base, struct recover, job);
}

/* Index and refill may write from now on: a durable entry names the current roots. */
void recover_run_parts(struct cache_set *set) LOCKED;

/* ---- recover_walk.c, recover_replay.c: steps ---- */

int recover_walk(struct job *base);
int recover_replay(struct job *base);
int recover_clean(struct job *base);
/* With -o ro, instead of these two (RECOVER-4). */
int recover_gather(struct job *base);
int recover_lay_over(struct job *base);

/* ---- recover_fresh.c: steps ---- */

/* Nothing of an older set's journal can be taken for this one's. */
int recover_erase(struct job *base);
int recover_make_fresh(struct job *base);
int recover_commit_fresh(struct job *base);
