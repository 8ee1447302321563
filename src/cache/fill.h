/*
 * Fills: what a read missed goes into the cache after it was answered.
 *
 * A fill has a buffer of its own until its data are on the cache device, so the
 * request's is free at once; without a free one the miss is simply not cached.
 * There are more fills than buffers, since keys may have to wait for their leaf.
 *
 *	(copied) --> (PLACE) --> DATA (to the cache device) --> KEY --> free
 *
 * Where buckets have run out it waits for the refill under way, a few times at most, and
 * then goes on with what it got: refill never waits for a bucket itself, so it ends.
 *
 * (FILL-1) A write that overlaps strikes the fill out; a struck fill inserts nothing
 *     (ranges.h).  Its key goes in unjournaled: after a cut it is a miss again.
 */
#pragma once

#include "cache/ranges.h"
#include "index/index.h"

struct cache_set;
struct volume;

enum { FILLS_MAX = 128, FILL_BUFFERS_MAX = 16, FILL_WAITS_MAX = 4 };
enum fill_state { FILL_FREE, FILL_PLACE, FILL_DATA, FILL_KEY };

struct fill {
	struct op op;
	enum fill_state state;
	struct cache_set *set;
	struct volume *volume;
	struct range range;
	unsigned char *buffer;		/* NULL: it needs none any more */
	uint64_t start, sectors;
	uint64_t at;			/* how far there are places */
	unsigned waits;			/* for a refill, so far */
	uint32_t task;
	uint64_t pinned[INSERT_KEYS_MAX];
	unsigned pinned_count;
	struct insert insert;
};

struct fills {
	struct fill *fill;		/* FILLS_MAX */
	unsigned char *buffers[FILL_BUFFERS_MAX];	/* those nobody has; a megabyte each */
	unsigned buffer_count;
	unsigned under_way;
};

void fills_init(struct fills *fills, struct cache_set *set);
void fills_done(struct fills *fills);
/*
 * Copies `sectors` at `data` and begins; nothing happens if it can't now.  The
 * caller still holds the range of the read (ranges.h, RANGE-2).
 */
void fill_start(struct volume *volume, uint64_t start, uint64_t sectors, const void *data,
		uint32_t task);
