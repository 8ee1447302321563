/*
 * The index: which extent of which volume lies where.  A b-tree whose nodes are
 * logs of sorted runs on disk.
 *
 *            root            interior: child pointers, by last key
 *           /    \
 *        leaf    leaf        extents, by end
 *
 * A node in memory has two runs: `keys`, all that is on disk merged and
 * newest-wins trimmed, and `open`, what came since the last write.  Extents of
 * a leaf never overlap across both: an insert trims what it hides.
 *
 * (INDEX-1) A key is in the index only after its data are written; with the key goes,
 *     in the same stay inside the set, its copy into the journal.
 * (INDEX-2) No bset is written before a flush of the cache device that began after the
 *     newest key in it came (ORDER-25); all bsets are written FUA.
 * (INDEX-3) A parent names a child only when the child's first bset is durable
 *     (ORDER-3).
 * (INDEX-4) A leaf that can't take the keys where it is counts as full, and a plan
 *     (split.c) replaces it.  So a dirty leaf can always be written in place.
 * (INDEX-5) Frozen nodes are read, but neither changed nor forgotten.
 *
 * Every function is called inside the set, unless it says otherwise.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "format/bkey.h"
#include "format/bset.h"
#include "io/buffer.h"
#include "io/device.h"
#include "io/flush.h"
#include "journal/journal.h"
#include "space/space.h"

enum {
	INDEX_LEVELS_MAX = 8,
	NODE_READS_MAX = 8,
	LEAF_WRITES_MAX = 16,
	PLANS_MAX = 2,
	OPEN_RUN_BYTES_MAX = 4096,	/* one append is at most a page */
	INSERT_KEYS_MAX = 64,		/* of one insert */
	NODE_HASH_SIZE = 4096,
};

enum node_state {
	NODE_READING,
	NODE_READY,
};

struct run {
	struct bkey *key;
	unsigned count, capacity;
};

struct node_write;

struct node {
	struct list_link hash_link;
	struct list_link lru_link;	/* in index->lru, or in index->unused */
	struct bkey key;		/* where it ends, and where it lies */
	unsigned level;
	enum node_state state;
	uint64_t sequence;		/* of its bsets */
	unsigned sectors;		/* its size */
	unsigned written_sectors;	/* used by its log */
	struct run keys;		/* leaf: on disk (or being written); else: live children */
	struct run open; /* leaf: not on disk yet; else: dead pointers that are on disk */
	unsigned open_words;		/* of a leaf's open run */
	uint64_t newest_key;		/* flush ticket of when the newest key came (INDEX-2) */
	uint64_t inserted,
		settled; /* keys since it is in memory; how many of them are durable in it */
	struct journal_pin pin;		/* of the oldest key in the open run */
	struct node_write *write;	/* under way */
	bool is_frozen;			/* INDEX-5: a plan replaces it, or made it */
	bool is_appended;		/* a plan writes a bset behind its log (parents) */
	bool write_wanted;		/* again, as soon as the one under way is done */
	unsigned counted_sectors;	/* of its log, promised to plans (parents) */
	uint64_t dirty_since_ns;	/* when its open run began */
	struct waitlist waiting;	/* for it to be read, written or thawed */
};

struct index_setup {
	struct lock *lock;		/* of the set: the index's own ops enter by it */
	struct device *device;
	struct flush *flush;
	struct health *health;
	struct reactor *reactor;
	struct journal *journal;
	struct space *space;
	uint64_t set_magic;
	unsigned block_sectors, node_sectors;
	unsigned volumes;		/* slots of the uuid table */
	size_t memory_bytes;		/* for nodes */
	bool memory_only;		/* -o ro: nothing is inserted or written (overlay.c) */
};

struct node_read;
struct plan;

struct index {
	struct index_setup setup;
	struct node *root;
	struct list hash[NODE_HASH_SIZE];
	struct list lru;		/* all nodes, the longest unused first */
	struct list unused;		/* node structs with memory */
	unsigned nodes, nodes_max;
	struct waitlist memory;		/* for a node's memory */
	struct run scratch;		/* merges end here, then change places with a node's run */

	struct node_read *reads;	/* NODE_READS_MAX */
	struct waitlist read_slots;
	struct node_write *writes;	/* LEAF_WRITES_MAX */
	struct waitlist write_slots;
	struct plan *plans;		/* PLANS_MAX */
	struct waitlist plan_slots;

	unsigned char *root_buffer;	/* a block, for a fresh root */
	struct op pressure;		/* writes leaves that pin the oldest journal entries */
	struct op ageing;		/* writes leaves that have been dirty for long */
	struct timer ageing_timer;
	bool is_running; /* entries are written; else roots are switched in memory only */
	bool is_stopping;
	uint32_t *freed_roots; /* buckets to be freed once a durable entry names another root */
	unsigned freed_roots_count, freed_roots_room;

	uint64_t *dirty_sectors;	/* by volume: sizes of its dirty extents */
	bool *is_gone;			/* by volume: its keys go with the next rewrite */
	uint64_t splits, rewrites, nodes_written, leaves_written, sectors_written;
	uint64_t nodes_read, read_average_ns, read_max_ns;
	struct random random;
};

/* Outside the set. */
void index_init(struct index *index, const struct index_setup *setup);
void index_done(struct index *index);

/* ---- lookup ---- */

enum lookup_result {
	LOOKUP_WAIT,		/* the op waits; ask again from the start */
	LOOKUP_HIT,
	LOOKUP_GAP,
	LOOKUP_ERROR,		/* the set is dead */
};

struct lookup {
	struct bkey key;	/* HIT: the extent, cut to what was asked for */
	uint64_t sectors;	/* HIT, GAP: how far the answer goes from `start` */
};

/*
 * What is at `start` of `volume`, at most `sectors` far?  A hit says a key whose pointer is
 * valid now; the caller pins its bucket in the same stay.
 */
enum lookup_result index_lookup(struct index *index, unsigned volume, uint64_t start,
				uint64_t sectors, struct lookup *answer, struct op *op) IN_SET;

/* ---- insert ---- */

enum insert_state {
	INSERT_ASK,		/* for leaf, room, ... */
	INSERT_PLAN,		/* the leaf is being replaced, perhaps with keys of ours in it */
	INSERT_DONE,
};

/*
 * Keys that go into the index, one leaf at a time, in their order.  The owner
 * fills the upper part and calls insert_start(); `parent` arrives at the end,
 * with an error if not all went in.
 */
struct insert {
	struct index *index;
	struct op *parent;
	struct bkey keys[INSERT_KEYS_MAX];
	unsigned count;
	bool is_journaled;
	bool is_replace;	/* only where `expected` still stands */
	struct bkey expected;
	bool may_drop;		/* a fill: drop the rest rather than wait for long */
	const bool *cancelled;	/* NULL, or a flag that drops what has not gone in yet */
	uint64_t replayed;	/* replay: the sequence to pin; else 0 */
	/* results */
	uint64_t sequence;	/* newest entry that holds a key of ours; 0: none */
	uint64_t inserted_sectors;	/* a replace that found nothing to replace inserts none */
	/* inside */
	struct op op;
	enum insert_state state;
	unsigned next;		/* key to insert next; its front may be cut already */
	bool had_plan;		/* a leaf was full */
	unsigned waits;		/* of a fill, for leaves */
};

/* Called outside or inside the set. */
void insert_start(struct insert *insert);

/* ---- replay in memory, with -o ro (overlay.c) ---- */

struct overlay;
struct overlay *overlay_new(void);		/* NULL: no memory */
void overlay_free(struct overlay *overlay);
/* The journal's keys, in their order, all of which have a size; then the end.  0 or -ENOMEM. */
int overlay_add(struct overlay *overlay, const struct bkey *k) MUST_CHECK;
int overlay_seal(struct overlay *overlay) MUST_CHECK;
/* Into the next leaf, until all are in one.  0; -EAGAIN: `op` waits; -errno. */
bool overlay_is_applied(const struct overlay *overlay);
int overlay_apply(struct overlay *overlay, struct index *index, struct op *op) IN_SET MUST_CHECK;

/* ---- walking, for gc, start, writeback and tests ---- */

struct position {
	unsigned volume;
	uint64_t sector;
};

/*
 * The leaf that holds what lies right behind `from`, in memory and not being read: 0 and the node.
 * -EAGAIN: `op` waits. -errno: dead.
 */
int index_leaf(struct index *index, struct position from, struct node **leaf,
	       struct op *op) IN_SET MUST_CHECK;
/* As index_leaf(), and the nodes above it: path[0] is the leaf, path[root level] the root. */
int index_path(struct index *index, struct position from, struct node *path[INDEX_LEVELS_MAX],
	       struct op *op) IN_SET MUST_CHECK;
/* Keys of a node in order, both runs merged; NULL at the end.  Any change of it ends the walk. */
struct node_walk {
	const struct node *node;
	unsigned at_keys, at_open;
};
void node_walk_begin(struct node_walk *walk, const struct node *node) IN_SET;
const struct bkey *node_walk_next(struct node_walk *walk) IN_SET;

static inline bool index_volume_is_gone(const struct index *index, unsigned volume)
{
	return volume < index->setup.volumes && index->is_gone[volume];
}

/* A usable extent: of a volume that is there, with a size and a pointer that is not stale. */
bool index_key_is_usable(const struct index *index, const struct bkey *k) IN_SET;

/* ---- writing ---- */

/*
 * Makes a leaf clean: 0 when all its keys are durable. -EAGAIN: a write was begun or is under way,
 * `op` waits; ask again. -errno: dead.
 */
int index_clean_leaf(struct index *index, struct node *leaf, struct op *op) IN_SET MUST_CHECK;
/* The same for all leaves that are dirty. */
int index_clean_all(struct index *index, struct op *op) IN_SET MUST_CHECK;
/*
 * Gc: rewrites the node of `level` on the path to `from` into a new bucket, without what is stale
 * or hidden. 0: begun, `op` arrives at its end. -EAGAIN: no plan can be had now; nobody waits.
 */
int index_rewrite(struct index *index, struct position from, unsigned level,
		  struct op *op) IN_SET MUST_CHECK;

/* ---- start and stop ---- */

/*
 * The root as the journal names it: 0 when it is in memory and the root; -EAGAIN: it is being
 * read, `op` waits; ask again.
 */
int index_open_root(struct index *index, const struct bkey *key, unsigned level,
		    struct op *op) IN_SET MUST_CHECK;
/* A fresh, empty root in `bucket`; `op` awaits its write. */
void index_create_root(struct index *index, uint32_t bucket, struct op *op) IN_SET;
/* A durable entry names the root of now: leaves are written by age and pressure from now on. */
void index_run(struct index *index) IN_SET;
/* No leaf is written any more unless index_clean_all() says so. */
void index_stop(struct index *index) IN_SET;
void index_abort(struct index *index, int error) IN_SET;
/* No node is being read, written or replaced; idle: who waits for such work has ended, too. */
bool index_is_at_rest(const struct index *index) IN_SET;
bool index_is_idle(const struct index *index) IN_SET;
size_t index_memory_bytes(const struct index *index) IN_SET;

/* ---- checks, for tests and the simulator (check.c) ---- */

/* Every invariant of the nodes in memory; -EINVAL and which is broken. */
int index_check(struct index *index, struct error *error) IN_SET MUST_CHECK;
