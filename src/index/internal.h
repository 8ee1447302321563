/*
 * Functions shared by the files of the index; private to this folder.
 */
#pragma once

#include "index/index.h"

enum { NODES_MIN = 64 };

/* ---- overlap.c: a newer extent cuts older ones ---- */
/* Cuts what `k` hides in both runs (tails go into `open`), then adds `k` to `open`. */
void leaf_insert(struct index *index, struct node *leaf, const struct bkey *k) LOCKED;
/*
 * How many sectors from the start of `k` still have the key `expected`, and so may be replaced.
 * 0: a collision.
 */
unsigned leaf_replaceable(const struct node *leaf, const struct bkey *k,
			  const struct bkey *expected) LOCKED;

/* ---- node_cache.c ---- */
struct node *node_new(struct index *index, const struct bkey *key, unsigned level) LOCKED;
void node_forget(struct index *index,
		 struct node *node) LOCKED; /* out of hash and lru; to unused */
/* Evicts nodes down to the limit: a plan creates nodes without asking for memory. */
void nodes_trim(struct index *index) LOCKED;
void node_unhash(struct index *index, struct node *node) LOCKED;
void node_touch(struct index *index, struct node *node) LOCKED;
/* The node that `key` points to, if it is in memory; NULL: it is not, or is being read. */
struct node *node_peek(struct index *index, const struct bkey *key, unsigned level) LOCKED;
/* Finds the node that `key` points to, or reads it.  -EAGAIN: `op` waits; ask again. */
int node_get(struct index *index, const struct bkey *key, unsigned level, struct node **node,
	     struct op *op) LOCKED MUST_CHECK;
static inline bool node_is_dirty(const struct node *node)
{
	return node->open.count;
}
/* A dirty leaf that is neither being written nor replaced. */
static inline bool leaf_may_be_written(const struct node *node)
{
	return node_is_dirty(node) && !node->write && !node->is_frozen;
}
static inline bool node_covers(const struct node *node, const struct bkey *k)
{
	return bkey_compare(k, &node->key) <= 0;
}

/* ---- node_io.c ---- */
void node_reads_init(struct index *index);
void node_reads_done(struct index *index);
/* 0: the read of `node` has begun; `op` does not wait.  -EAGAIN: `op` waits for a free read. */
int node_read_start(struct index *index, struct node *node, struct op *op) LOCKED MUST_CHECK;
bool node_reads_are_idle(const struct index *index);

/* ---- node_encode.c ---- */
/* The size of a bset with so many words of keys: whole blocks. */
unsigned index_set_sectors(const struct index *index, unsigned words);
/*
 * Makes a bset of the node of `keys`, with zeros up to the end of its last block.  Returns its
 * sectors, for which the buffer has room.
 */
unsigned node_encode(const struct index *index, const struct node *node, const struct run *keys,
		     unsigned char *buffer, unsigned room_bytes);

/* ---- leaf_write.c ---- */
void leaf_writes_init(struct index *index);
void leaf_writes_done(struct index *index);
/* Starts to write the open run, which becomes part of `keys`.  False: no slot is free. */
bool leaf_write_start(struct index *index, struct node *leaf) LOCKED;
bool leaf_writes_are_idle(const struct index *index);
void pressure_step(struct op *op);
void ageing_step(struct op *op);

enum leaf_room {
	LEAF_FITS,
	LEAF_WRITE_FIRST,	/* they fit once the open run is written */
	LEAF_FULL,		/* it must be replaced (INDEX-4) */
};
enum leaf_room leaf_room(const struct index *index, const struct node *leaf, unsigned words);

/* ---- split.c ---- */
void plans_init(struct index *index);
void plans_done(struct index *index);
/*
 * Starts a plan that replaces the leaf of `from`, and carries the keys of `insert` along.  `op`
 * awaits its end; or, if no plan is free, one that is, and asks again.
 */
void plan_start(struct index *index, struct position from, struct insert *insert,
		struct op *op) LOCKED;
bool plans_are_idle(const struct index *index);

/* ---- insert.c ---- */
/* The part of the next key that belongs to `leaf`; false: there is none. */
bool insert_next_part(struct insert *insert, const struct node *leaf, struct bkey *part) LOCKED;
/* Moves on after a part was inserted. */
void insert_advance(struct insert *insert, const struct bkey *part, unsigned inserted_sectors);
