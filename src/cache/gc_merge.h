/*
 * Chooses the nodes that gc merges or rewrites, while it passes them.
 *
 * On each level there is a window of the siblings that gc has passed last.  It grows while
 * all of them fit into one node.  When the next one does not, or begins below another
 * parent, the window is due: its nodes are merged, before gc goes on.
 *
 *	passed:   1  2  3 | 4       1-3 fit into one node, and are due when 4 does not
 *
 * (MERGE-4) Gc has seen all nodes of a window whole.  What they hold is marked, so the walk
 *     need not come back to the node that replaces them.
 */
#pragma once

#include <stdbool.h>

#include "index/index.h"

struct gc;

struct gc_window {
	struct position from;		/* leads to the first node */
	struct bkey to;			/* the key of the last one */
	unsigned level, nodes;
	unsigned words;			/* of usable keys */
	unsigned keys;			/* usable or not */
	bool is_rewrite;		/* also if nothing is merged */
};

struct gc_windows {
	struct gc_window open[INDEX_LEVELS_MAX];
	/* A node may end two windows: the one before it, and its own. */
	struct gc_window due[2 * INDEX_LEVELS_MAX];
	unsigned due_count, due_next;
};

/* A node that gc has passed; `from` leads to it. */
struct gc_passed {
	const struct node *node;
	struct position from;
	unsigned words;
	bool is_rewrite;	/* it should be rewritten */
	bool is_last;		/* of its siblings */
};

void gc_windows_begin(struct gc_windows *windows);
void gc_windows_pass(struct gc *gc, const struct gc_passed *passed) LOCKED;
/* True: gc->op awaits the next merge or rewrite that is due.  False: none is. */
bool gc_windows_work(struct gc *gc) LOCKED;
