/*
 * Shared by the files of a split: split.c has the states, split_layout.c decides the
 * content of the new nodes, merge.c adds siblings, split_build.c makes the new nodes in
 * memory, split_switch.c lets them take the place of the old ones.
 */
#pragma once

#include "base/numbers.h"
#include "format/bset.h"
#include "index/internal.h"

enum {
	CHILD_WORDS = 3,
	SPLIT_ABOVE_FIFTHS = 4,		/* two nodes if one would be more than 4/5 full */
	FIRST_GETS_FIFTHS = 3,
	MERGE_UP_TO_THIRDS = 2,		/* siblings become one node that is so full at most */
	OLD_NODES_MAX = INDEX_MERGE_MAX,
	NEW_NODES_MAX = 64,		/* enough for a node of 32 MiB, with ours of 1 MiB */
	PLAN_BUCKETS_MAX = NEW_NODES_MAX + 2 * INDEX_LEVELS_MAX + 1,
};

enum plan_state {
	PLAN_FREE,
	PLAN_PREPARE,
	PLAN_FLUSH,
	PLAN_NODES,
	PLAN_SWITCH,
	PLAN_TAIL,
	PLAN_PARENT,
	PLAN_ROOT
};

/* A new node, and the bset to be written. */
struct new_node {
	struct node *node;
	unsigned char *buffer;
	unsigned sectors;
};

/* One level of the plan. */
struct level_plan {
	struct node *old[OLD_NODES_MAX];	/* siblings; several on the lowest level only */
	unsigned olds;
	unsigned count;			/* of new nodes */
	struct new_node new[NEW_NODES_MAX];
};

struct plan {
	struct op op;
	struct index *index;
	enum plan_state state;
	struct position from;
	unsigned bottom, top;		/* levels that are replaced */
	struct insert *insert;		/* whose keys are carried along; NULL: a rewrite by gc */
	struct op *owner;		/* awaits the moment when the new nodes are thawed */
	/* By gc: siblings up to `to` are merged; if there is none, is the node replaced alone? */
	bool is_merge, is_rewrite;
	struct bkey to;
	bool is_lowering;		/* the only child of the root becomes the root */
	struct node *heir;		/* ... that child */
	struct level_plan at[INDEX_LEVELS_MAX];
	struct node *parent;		/* of the top old node; NULL: that is the root */
	unsigned parent_sectors;	/* room in its log that is promised to this plan */
	uint64_t parent_at;		/* sector on the device, of its bset */
	unsigned char *parent_buffer;	/* OPEN_RUN_BYTES_MAX */
	struct new_node root;		/* above a root that was split */
	struct journal_pin pin;		/* for the carried keys */
	unsigned writing;		/* the level whose nodes are written next */
	struct run content;		/* keys of the new nodes of the current level */
	struct run carried;		/* the carried keys */
	uint64_t began_ns;
	struct insert trial;		/* a copy of the insert, as it will be after them */
};

static inline unsigned split_node_words(const struct index *index)
{
	return (index->setup.node_sectors * 512 - sizeof(struct bset_disk)) / 8;
}

/* ---- split.c ---- */

/* A plan that begins to PREPARE, of an insert or of gc (NULL); NULL: none is free. */
struct plan *plan_begin(struct index *index, struct position from, unsigned level,
			struct insert *insert, struct op *op) LOCKED;
/* The owner continues when the new nodes are thawed, which may be before the plan has ended. */
void plan_owner_arrives(struct plan *plan, int error) LOCKED;
void plan_ends(struct plan *plan, int error) LOCKED;

/* ---- merge.c: prepare ---- */

/* Adds the siblings that are merged with the lowest old node, and their keys to `content`. */
void plan_add_siblings(struct plan *plan, struct node *const path[INDEX_LEVELS_MAX]) LOCKED;
/*
 * 0: the root has one child, the heir, and both are free.  -EAGAIN: the plan waits until they are.
 * -EBUSY: it has several, or is a leaf.
 */
int plan_lower(struct plan *plan, struct node *const path[INDEX_LEVELS_MAX]) LOCKED MUST_CHECK;

/* ---- split_layout.c: prepare ---- */


/* 0: the node is free.  -EAGAIN: it is frozen or being written, and the plan waits for its end. */
int plan_await_node(struct plan *plan, struct node *node) LOCKED MUST_CHECK;
/* 0: nobody was promised room in the node.  -EAGAIN: other plans were; this one waits for them. */
int plan_await_appends(struct plan *plan, struct node *node) LOCKED MUST_CHECK;
/* Drops unusable keys, holes included: under a node's merged keys there are no older ones. */
void plan_drop_unusable(struct index *index, struct run *run) LOCKED;
/* The keys of a leaf and the carried keys that belong into it: `content`, `carried`, `trial`. */
void plan_collect_leaf(struct plan *plan, const struct node *leaf) LOCKED;
/* The keys of an interior node: `content`. */
void plan_collect_children(struct plan *plan, const struct node *node);
/*
 * Which levels are replaced, and by how many nodes each.  0: this needs so many buckets.
 * -EAGAIN: the plan waits for another one, or for the write of a leaf.
 */
int plan_lay_out(struct plan *plan, struct node *const path[INDEX_LEVELS_MAX],
		 unsigned *buckets) LOCKED MUST_CHECK;
/* Can there be so many buckets at a time, and memory for them?  Else the set fails: -errno. */
int plan_check_size(struct plan *plan, unsigned buckets) LOCKED MUST_CHECK;
/* The leaf has got room meanwhile, or there is nothing left for it to take. */
bool plan_is_needless(struct plan *plan, const struct node *leaf) LOCKED;

/* ---- split_build.c: commit ---- */

/*
 * Freezes the old nodes and makes the new ones in memory, in `buckets` (SPLIT-1); journals the
 * carried keys.
 */
void plan_commit(struct plan *plan, const uint32_t *buckets) LOCKED;
/* In a run of an interior node the new children take the place of the old ones. */
void plan_replace_children(struct run *run, const struct level_plan *at);

/* ---- split_switch.c: commit to the parent ---- */

/* Lookups use the new nodes from here on; the parent's bset is being written. */
void plan_switch_over(struct plan *plan) LOCKED;
/* The first block of the parent's bset; the others are durable (SPLIT-5). */
void plan_write_parent(struct plan *plan) LOCKED;
/* It is durable: thaws the new nodes, and frees the old ones. */
void plan_thaw(struct plan *plan) LOCKED;
/* A durable entry names the current root: frees the buckets that waited for it. */
void plan_release_old_roots(struct index *index) LOCKED;
