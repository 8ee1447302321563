/*
 * The index: maps each extent of each volume to its location on the cache device.  A
 * b-tree, whose nodes are logs of sorted runs (bsets) on disk.
 *
 *            root            interior nodes: pointers to children, by their last key
 *           /    \
 *        leaf    leaf        leaves: extents, by their end
 *
 * A leaf in memory has two runs.  `keys` is everything on disk, merged such that newer
 * extents hide older ones; `open` has the keys since the last write.  The extents of a
 * leaf never overlap, also not across the runs: an insert cuts what it hides.  An interior
 * node has `keys`, its live children, and `dead`, the pointers to children that were
 * replaced and the records of freed nodes: gc must know how old they are.
 *
 * (INDEX-1) A key is inserted only after its data were written.  If it is journaled, it is
 *     added to the open journal entry in the same critical section.  Journaled are keys of
 *     writes, and holes of discards and purges.  Others are not, since losing them is
 *     harmless: keys of fills (FILL-1), clean keys of writeback (ORDER-15), keys of moving gc
 *     (MOVE-2).  A replayed key pins the entry that it was read from.
 * (INDEX-2) A bset is written only after a flush of the cache device that began after its
 *     newest key was inserted (ORDER-25).  All bsets are written FUA.
 * (INDEX-3) A parent points to a child only when the child's first bset is durable
 *     (ORDER-3).
 * (INDEX-4) A leaf whose blocks have no room for more keys counts as full, and a plan
 *     (split.c) replaces it.  So a dirty leaf can always be written in place.
 * (INDEX-5) A frozen node is read, but neither changed nor evicted.
 * (INDEX-6) A node that cannot be read fails the set, since no key of it may be missing.  Only a
 *     rescue (setup.rescues) goes on: the node is lost, and stands in memory for all that its
 *     parent's key says it covers, like a leaf of no keys but the journal's.  A lookup says which
 *     gaps are in it: there may have been dirty data.
 *
 * All functions are called with the set lock held, and the set lock guards all fields,
 * unless it says otherwise.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "base/time_stats.h"
#include "format/bkey.h"
#include "format/bset.h"
#include "index/run.h"
#include "index/stripes.h"
#include "io/buffer.h"
#include "io/device.h"
#include "journal/journal.h"
#include "space/space.h"

enum {
	INDEX_LEVELS_MAX = 8,
	NODE_READS_MAX = 8,
	LEAF_WRITES_MAX = 16,
	PLANS_OF_INSERTS = 2,
	PLANS_MAX,		/* ... and one for gc */
	OPEN_RUN_BYTES_MAX = 4096,	/* a bset that is appended is at most a page */
	INSERT_KEYS_MAX = 64,		/* keys of one insert */
	NODE_HASH_SIZE = 4096,
};

enum node_state {
	NODE_READING,
	NODE_READY,
};

struct node_write;

struct node {
	struct list_link hash_link;
	struct list_link lru_link;	/* in index->lru, or in index->unused */
	struct bkey key;		/* its last position, and the pointer to it */
	unsigned level;			/* 0: a leaf */
	enum node_state state;
	uint64_t sequence;		/* of its bsets */
	unsigned sectors;		/* its size */
	unsigned written_sectors;	/* length of its log */
	/* Leaf: keys on disk or in a write.  Interior node: pointers to its children. */
	struct run keys;
	struct run open;		/* leaf: keys not written yet */
	unsigned open_words;		/* of `open` */
	struct run dead;		/* interior node: dead pointers that are still on disk */
	/* Taken at the newest insert: a bset with that key is written after a flush that covers it
	 * (INDEX-2). */
	uint64_t flush_ticket;
	uint64_t inserted,		/* number of keys inserted since it was read */
		settled;		/* the first so many of them are durable in it */
	struct journal_pin pin;		/* of the oldest entry with a key in `open` */
	struct node_write *write;	/* the write in flight; NULL: none */
	bool is_lost;			/* INDEX-6; of any level */
	bool is_frozen;			/* INDEX-5: a plan replaces it, or is writing it */
	bool is_appended;		/* parents: a plan is appending a bset to its log */
	bool write_wanted;		/* write it again when the write in flight ends */
	unsigned counted_sectors;	/* parents: room in its log promised to plans */
	uint64_t dirty_since_ns;	/* when the first key of `open` was inserted */
	struct waitlist waiting;	/* ops that wait for it to be read, written or thawed */
};

struct index_setup {
	struct lock *lock;		/* the set lock, for the index's own steps */
	struct device *device;
	struct health *health;
	struct waitlist *when_idle;	/* woken whenever one of its ops becomes idle; or NULL */
	struct reactor *reactor;
	struct journal *journal;
	struct space *space;
	uint64_t set_magic;
	unsigned block_sectors, node_sectors;
	unsigned volumes;		/* slots of the table of volumes */
	size_t memory_bytes;		/* for nodes */
	bool memory_only;		/* -o ro: no inserts, no writes (overlay.c) */
	bool rescues;			/* INDEX-6; memory_only, too */
};

struct node_read;
struct plan;

struct index {
	struct index_setup setup;
	struct node *root;
	struct list hash[NODE_HASH_SIZE];
	struct list lru;		/* all nodes, least recently used first */
	struct list unused;		/* evicted node structs, kept for reuse */
	unsigned nodes, nodes_max;
	struct waitlist memory;		/* ops that wait for memory for a node */
	struct run scratch;		/* result of a merge, then swapped with a node's run */

	/* Fixed numbers of reads, writes and plans, and the ops that wait for a free one. */
	struct node_read *reads;	/* NODE_READS_MAX */
	struct waitlist read_slots;
	struct node_write *writes;	/* LEAF_WRITES_MAX */
	struct waitlist write_slots;
	struct plan *plans;		/* PLANS_MAX */
	struct waitlist plan_slots;

	unsigned char *root_buffer;	/* a block, for writing a fresh root */
	struct op pressure;		/* writes leaves that pin the oldest journal entries */
	struct op ageing;		/* writes leaves that have been dirty for too long */
	struct timer ageing_timer;
	bool is_running;		/* until then, roots change in memory only */
	bool is_stopping;
	/* Buckets that are free once a durable entry names the current root (SPLIT-2). */
	uint32_t *freed_roots;
	unsigned freed_roots_count, freed_roots_room;

	uint64_t *dirty_sectors;	/* by volume: sum of its usable dirty extents */
	struct stripes **stripes;	/* by volume: the same, by stripe; NULL: not wanted */
	bool *is_gone;			/* by volume: retired, so its keys are unusable */
	uint64_t splits, rewrites, nodes_given_back, nodes_written, leaves_written, sectors_written;
	uint64_t nodes_read;
	uint64_t nodes_lost;		/* INDEX-6 */
	uint64_t pressure_writes;	/* leaves written to make room in the journal */
	struct time_stats read_times;	/* of a node */
	struct time_stats split_times;	/* of a plan that replaces nodes */
	struct time_stats merge_times;	/* of runs; within a step, so each takes 0 ns */
	struct random random;
};

/* Called without the set lock. */
void index_init(struct index *index, const struct index_setup *setup);
void index_done(struct index *index);

/* ---- lookup ---- */

struct lookup {
	bool is_hit;		/* an extent; else nothing is cached */
	bool is_lost;		/* no extent, but a node is lost that may have had one (INDEX-6) */
	struct bkey key;	/* a hit: the extent, cut to the range asked for */
	uint64_t sectors;	/* number of sectors from `start` on for which this holds */
};

/*
 * Looks up `start` of `volume`, for at most `sectors`.  0: `answer` is filled in.  The pointer of a
 * hit is valid now; the caller must pin its bucket in the same critical section.  -EAGAIN: `op`
 * waits for a node.  Other -errno: the set failed.
 */
int index_lookup(struct index *index, unsigned volume, uint64_t start, uint64_t sectors,
		 struct lookup *answer, struct op *op) LOCKED MUST_CHECK;

/*
 * The same of a set that has failed, from nodes in memory: nothing is inserted any more, so they
 * are as they were.  -EIO: a node is not there.  The pointer of a hit may only be read.
 */
int index_peek(struct index *index, unsigned volume, uint64_t start, uint64_t sectors,
	       struct lookup *answer) LOCKED MUST_CHECK;

/* ---- insert ---- */

enum insert_state {
	INSERT_ASK,		/* for a leaf, for room in it, for room in the journal */
	INSERT_PLAN,		/* a plan replaces the leaf, and may insert keys on the way */
	INSERT_DONE,
};

/*
 * Inserts keys into the index, in order, one leaf at a time.  The owner fills in the upper part
 * and calls insert_start(); `parent` awaits the end.  An error means that not all keys were
 * inserted; a fill whose keys were dropped, or that was cancelled, ends without one.
 */
struct insert {
	struct index *index;
	struct op *parent;
	struct bkey keys[INSERT_KEYS_MAX];
	unsigned count;
	bool is_journaled;
	/* Compare-and-swap: keys[i] goes in only where the index still shows expected[i], which has
	 * the range of keys[i] at least; the owner keeps the array in place.  NULL: in any case. */
	const struct bkey *expected;
	bool may_drop;		/* a fill: drop keys rather than wait for long */
	bool may_not_plan;	/* moving gc: drop them, too, rather than replace a full leaf */
	const bool *cancelled;	/* NULL, or a flag: once true, no further key is inserted */
	uint64_t replayed;	/* replay: the journal entry to pin; otherwise 0 */
	/* results */
	uint64_t sequence;	/* the newest entry that holds one of the keys; 0: none */
	uint64_t inserted_sectors;
	unsigned collisions;	/* number of keys that replaced nothing: `expected` was gone */
	/* private to the index */
	struct op op;
	enum insert_state state;	/* for the simulator's report of ops that wait */
	unsigned next;		/* the next key to insert; its front may be cut already */
	/* A full leaf was found: a fill may have one plan for that; moving gc has stopped there,
	 * and rewrites that leaf. */
	bool had_plan;
	unsigned waits;		/* of a fill: for leaves, so far */
};

/*
 * Adds holes for the key sectors [start, end) of a volume, as far as the insert has room: long ones
 * need several keys.  Returns where the last one ends.
 */
uint64_t insert_add_holes(struct insert *insert, unsigned volume, uint64_t start, uint64_t end);
/* May be called with or without the set lock. */
void insert_start(struct insert *insert);

/* ---- replay in memory, with -o ro (overlay.c) ---- */

struct overlay;
struct overlay *overlay_new(void);		/* NULL: no memory */
void overlay_free(struct overlay *overlay);
/* Add the journal's keys, in order, without keys of size 0; then seal.  0 or -ENOMEM. */
int overlay_add(struct overlay *overlay, const struct bkey *k) MUST_CHECK;
int overlay_seal(struct overlay *overlay) MUST_CHECK;
/* Applies the keys of the next leaf; to be repeated.  0; -EAGAIN: `op` waits; -errno. */
bool overlay_is_applied(const struct overlay *overlay);
int overlay_apply(struct overlay *overlay, struct index *index, struct op *op) LOCKED MUST_CHECK;

/* ---- walking, for gc, start, writeback and tests ---- */

struct position {
	unsigned volume;
	uint64_t sector;
};

/*
 * Finds the leaf that holds the position right after `from`.  0: it is in memory.  -EAGAIN: `op`
 * waits for a node; ask again.  Other -errno: the set failed.
 */
int index_leaf(struct index *index, struct position from, struct node **leaf,
	       struct op *op) LOCKED MUST_CHECK;
/*
 * As index_leaf(), and returns the whole path: path[0] is the leaf, path[root level] the root.  A
 * node that is lost takes the places of those below it, too.
 */
int index_path(struct index *index, struct position from, struct node *path[INDEX_LEVELS_MAX],
	       struct op *op) LOCKED MUST_CHECK;

/* Walks over all nodes, leaf by leaf from left to right (walk.c). */
struct index_walk {
	struct position at;		/* the start of the leaf on the path, or of the next one */
	bool is_complete;		/* the last leaf has been passed */
	/* path[0] is a leaf, path[levels - 1] the root; to be used in one critical section. */
	struct node *path[INDEX_LEVELS_MAX];
	unsigned levels;
	uint64_t seen[INDEX_LEVELS_MAX];	/* private: by level, the node passed last */
};
void index_walk_begin(struct index_walk *walk);
/*
 * Finds the path to the next leaf.  0: it is in memory.  -EAGAIN: `op` waits for a node; ask again.
 * Other -errno: the set failed.
 */
int index_walk_leaf(struct index *index, struct index_walk *walk,
		    struct op *op) LOCKED MUST_CHECK;
/* Is the node of this level not passed yet?  Leaves are always new. */
bool index_walk_is_new(const struct index_walk *walk, unsigned level) LOCKED;
/* Passes the nodes of the path, in the critical section that has found it. */
void index_walk_next(struct index_walk *walk) LOCKED;

/* Iterates over the keys of a node, both runs merged.  Any change of the node ends the walk. */
struct node_walk {
	const struct node *node;
	unsigned at_keys, at_open;
};
void node_walk_begin(struct node_walk *walk, const struct node *node) LOCKED;
/* The same, from the first key that ends after the position. */
void node_walk_begin_at(struct node_walk *walk, const struct node *node,
			struct position at) LOCKED;
const struct bkey *node_walk_next(struct node_walk *walk) LOCKED;	/* NULL at the end */

static inline bool index_volume_is_gone(const struct index *index, unsigned volume)
{
	return volume < index->setup.volumes && index->is_gone[volume];
}

/* Is it an extent of an existing volume, with a size and a pointer that is not stale? */
bool index_key_is_usable(const struct index *index, const struct bkey *k) LOCKED;
/*
 * Dirty counts change here only: so many usable sectors from `start` on have become dirty, or
 * are dirty no more (if `sectors` is negative).
 */
void index_dirty_changed(struct index *index, unsigned volume, uint64_t start,
			 int64_t sectors) LOCKED;
/* The same for all of `k`, if it is dirty and usable: `sign` is 1 or -1. */
void index_count_dirty(struct index *index, const struct bkey *k, int sign) LOCKED;

/* ---- writing ---- */

/*
 * Writes a leaf.  0: all its keys are durable.  -EAGAIN: a write is in flight, or waits for a slot,
 * and `op` waits; ask again.  Other -errno: the set failed.
 */
int index_clean_leaf(struct index *index, struct node *leaf, struct op *op) LOCKED MUST_CHECK;
/* The same for all dirty leaves. */
int index_clean_all(struct index *index, struct op *op) LOCKED MUST_CHECK;

/* ---- for gc: fewer nodes (merge.c) ---- */

/*
 * Makes one new node, in a new bucket and without unusable keys, of the node of `level` on the path
 * to `from` and of the next siblings that fit and end at `to` or before.  If none does, the node is
 * rewritten alone if `is_rewrite` says so.  0: `op` awaits the end.  -EBUSY: no plan is free, and
 * `op` does not wait.
 */
int index_merge(struct index *index, struct position from, const struct bkey *to, unsigned level,
		bool is_rewrite, struct op *op) LOCKED MUST_CHECK;
/*
 * How many siblings at most become one node at a time, and with how many words of keys.  In one
 * step: so all keys of these siblings, usable or not, are limited, too.
 */
enum { INDEX_MERGE_MAX = 16, INDEX_MERGE_KEYS_MAX = 48000 };
unsigned index_merge_words(const struct index *index);
/*
 * If the root has but one child: makes that the root.  0: `op` awaits the end.  -EBUSY: it has
 * several or is a leaf, or no plan is free; `op` does not wait.
 */
int index_lower_root(struct index *index, struct op *op) LOCKED MUST_CHECK;

/* ---- start and stop ---- */

/*
 * Reads the root that the journal names.  0: it is in memory, and set as the root.  -EAGAIN: `op`
 * waits; ask again.
 */
int index_open_root(struct index *index, const struct bkey *key, unsigned level,
		    struct op *op) LOCKED MUST_CHECK;
/* Creates an empty root in `bucket`; `op` awaits its write. */
void index_create_root(struct index *index, uint32_t bucket, struct op *op) LOCKED;
/* A durable entry names the current root: starts to write leaves by age and pressure. */
void index_run(struct index *index) LOCKED;
/* Stops that: only index_clean_all() writes leaves from now on. */
void index_stop(struct index *index) LOCKED;
void index_abort(struct index *index, int error) LOCKED;
/* At rest: no node is being read, written or replaced.  Idle: the two ops have ended, too. */
bool index_is_at_rest(const struct index *index) LOCKED;
bool index_is_idle(const struct index *index) LOCKED;
/* Evicts up to `count` nodes, least recently used first, but those that must stay (NODE-1). */
void index_prune(struct index *index, uint64_t count) LOCKED;
size_t index_memory_bytes(const struct index *index) LOCKED;

/* ---- checks, for tests and the simulator (check.c) ---- */

/* Checks the invariants of all nodes in memory; -EINVAL and the reason. */
int index_check(struct index *index, struct error *error) LOCKED MUST_CHECK;
