/*
 * Fills: what a read missed goes into the cache after it was answered.
 *
 * A fill has a buffer of its own, so the request's is free at once; without a
 * free one the miss is simply not cached.
 *
 *	(copied) --> DATA (to the cache device) --> KEY --> free
 *
 * (F1) A write that overlaps strikes the fill out; a struck fill inserts nothing
 *      (ranges.h).  Its key goes in unjournaled: after a cut it is a miss again.
 */
#pragma once

#include "cache/ranges.h"
#include "index/index.h"

struct cache_set;
struct volume;

enum { FILLS_MAX = 16 };
enum fill_state { FILL_FREE, FILL_DATA, FILL_KEY };

struct fill {
	struct op op;
	enum fill_state state;
	struct cache_set *set;
	struct volume *volume;
	struct range range;
	unsigned char *buffer;		/* REQUEST_BYTES_MAX */
	uint64_t start, sectors;
	uint64_t pinned[INSERT_KEYS_MAX];
	unsigned pinned_count;
	struct insert insert;
};

struct fills {
	struct fill *fill;		/* FILLS_MAX */
	unsigned under_way;
};

void fills_init(struct fills *fills, struct cache_set *set);
void fills_done(struct fills *fills);
/*
 * Copies `sectors` at `data` and begins; nothing happens if it can't now.  The
 * caller still holds the range of the read (ranges.h, R2).
 */
void fill_start(struct volume *volume, uint64_t start, uint64_t sectors, const void *data,
		uint32_t task);
