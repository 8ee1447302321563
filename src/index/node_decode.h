/*
 * Decodes the log of a node: from bytes to keys, without I/O and without an index.
 *
 *	bset 0 | bset 1 | bset 2 | older content of the bucket
 *	  all with the same sequence, each newer than those before it
 *
 * The log ends before the first block that does not begin with a bset of its sequence.
 *
 * (DECODE-1) Each fault is reported to `faults`, with its place in the node.  It decides: -errno
 *     ends the decoding; 0 continues it without what is at fault: a key, the rest of a bset
 *     whose keys cannot be told apart, or the rest of a log after a bad bset.
 * (DECODE-2) The keys that are found are sound (bkey_check(), bkey_check_child()), and those of
 *     a leaf are sorted and do not overlap, whatever the bytes are.
 */
#pragma once

#include "format/bset.h"
#include "index/run.h"

struct node_faults {
	int (*take)(struct node_faults *faults, const struct error *fault);
	/* Each sound key as it is on disk, also those that later ones hide.  NULL: not wanted. */
	void (*see)(struct node_faults *faults, const struct bkey *k);
};

struct node_decode {
	/* filled in by the owner */
	const unsigned char *bytes;	/* the whole node, of the size that `key` says */
	struct bkey key;		/* the pointer to the node, and its last position */
	unsigned level;			/* 0: a leaf */
	uint64_t set_magic;
	unsigned block_sectors;		/* of which the node has a whole number */
	struct bucket_range range;
	struct node_faults *faults;
	/* results */
	uint64_t sequence;		/* of the node's bsets */
	unsigned at;			/* length of its log so far, in bytes */
	struct run_stack extents;	/* leaf: at the end, all keys are in its first run */
	struct run children;		/* interior node: all pointers, also dead ones, unsorted */
	/* private */
	bool is_cut;			/* a bad bset ended the log */
	struct run set;			/* keys of one bset */
};

/* Begins with what the owner has filled in.  The arrays of an earlier node are used again. */
void node_decode_begin(struct node_decode *decode);
/*
 * Decodes some more bsets, of `most_bytes` or a little more.  0: the node is complete.  -EAGAIN:
 * there are others left.  Other -errno: `faults` said so, or memory is missing.
 */
int node_decode(struct node_decode *decode, unsigned most_bytes) MUST_CHECK;
/*
 * After the end, for an interior node: sorts its live children, which the owner has told from dead
 * pointers, and checks that they divide the positions of the node among them.
 */
int node_decode_live(struct node_decode *decode, struct run *live) MUST_CHECK;
/* Reports a fault that the owner has found; its answer is that of `faults`. */
int node_decode_fault(struct node_decode *decode, struct error *error) MUST_CHECK;
/* Reports that memory for its keys is missing: -errno. */
int node_decode_no_memory(struct node_decode *decode) MUST_CHECK;
/* Frees the arrays. */
void node_decode_done(struct node_decode *decode);
