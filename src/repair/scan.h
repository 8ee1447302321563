/*
 * Finds the nodes of the index without the index: by what each bucket begins with.
 *
 * A bset's checksum is seeded by the pointer to its node, so it tells the generation that the
 * bucket had when the node was written.  A node of another generation than that of its bucket was
 * replaced.  The level of a node is not in it: interior nodes are those that point to nodes.
 *
 * (SCAN-1) Generations are known: the table of priorities was read.  Pointers in the interior
 *     nodes that are found, also in the records of freed ones, raise them.
 * (SCAN-2) A node with any fault is none.
 */
#pragma once

#include "repair/internal.h"

struct scan_node {
	struct bkey key;		/* leads to it, and ends with its last key or child */
	struct position from;		/* where its first extent or child begins */
	unsigned level;
	bool is_interior, is_replaced;
	struct run children;		/* of an interior node */
	struct run first, all;		/* of a leaf: what its first bset has, and all together */
};

struct scan {
	struct repair *repair;
	struct scan_node *node;		/* by bucket */
	unsigned nodes, room;
	unsigned char *bytes;		/* of the node that is decoded */
	struct node_decode decode;
};

int scan_nodes(struct scan *scan, struct repair *repair, struct error *error) MUST_CHECK;
void scan_done(struct scan *scan);
/* All leaves that were not replaced, in order; their pointers, with ends that do not overlap. */
int scan_leaves(struct scan *scan, struct run *leaves, struct error *error) MUST_CHECK;
/* The node to which this pointer leads; NULL: none was found there. */
struct scan_node *scan_find(const struct scan *scan, uint64_t ptr);
