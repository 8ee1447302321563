/*
 * Fills: insert the data of a read miss into the cache, in the background.
 *
 * Just before the read is answered, fill_start() copies its data into a buffer of
 * the fill, so the request's own buffer is free when the answer leaves.  If no fill
 * or buffer is free, the miss is not cached.  There are more fills than buffers,
 * since a fill gives its buffer back before its keys wait for their leaf.
 *
 *	fill_start() --> (PLACE) --> DATA ---------> KEY ---> free
 *	  copies        waits for   writes to the   inserts
 *	                a refill    cache device    the keys
 *
 * In PLACE, buckets have run out and the fill waits for the running refill, at most
 * FILL_WAITS_MAX times, then continues with the space it got.  That cannot deadlock,
 * since refill never waits for a bucket.
 *
 * (FILL-1) A write that overlaps a pending fill cancels it; a cancelled fill inserts
 *     nothing (ranges.h).  Its keys are not journaled: after a power cut the range is
 *     a miss again, which is always correct.
 */
#pragma once

#include "cache/ranges.h"
#include "index/index.h"

struct cache_set;
struct volume;

enum { FILLS_MAX = 128, FILL_BUFFERS_MAX = 16, FILL_WAITS_MAX = 4 };
enum fill_state { FILL_FREE, FILL_PLACE, FILL_DATA, FILL_KEY };	/* what it waits for */

struct fill {
	struct op op;
	enum fill_state state;
	struct cache_set *set;
	struct volume *volume;
	struct range range;
	unsigned char *buffer;		/* the data; NULL once they are written */
	uint64_t start, sectors;	/* key sectors */
	uint64_t at;			/* up to here cache space is allocated */
	unsigned waits;			/* number of refills waited for so far */
	uint32_t task;			/* of the read: for choosing an open bucket */
	uint64_t pinned[INSERT_KEYS_MAX];	/* pointers whose buckets are pinned for it */
	unsigned pinned_count;
	struct insert insert;
};

struct fills {
	struct fill *fill;		/* FILLS_MAX */
	unsigned char *buffers[FILL_BUFFERS_MAX];	/* free ones, a megabyte each */
	unsigned buffer_count;		/* of free ones */
	unsigned buffers_made;		/* free ones and those in use */
	unsigned under_way;		/* fills that are not free */
};

void fills_init(struct fills *fills, struct cache_set *set);
void fills_done(struct fills *fills);
/*
 * Copies `sectors` from `data` and starts a fill; does nothing if no fill, buffer or bucket is
 * free.  The caller must still hold the range of the read (RANGE-2) and be counted as in flight
 * on the volume, which the fill then is, too.
 */
void fill_start(struct volume *volume, uint64_t start, uint64_t sectors, const void *data,
		uint32_t task);
