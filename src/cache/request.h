/*
 * One request to a volume: the state machine between FUSE (or the simulator)
 * and the cache.
 *
 * Offsets and lengths are in bytes, of any alignment; the engine transfers whole
 * blocks of the volume.  An unaligned request therefore transfers the blocks around
 * it, too, so the page-aligned buffer `data` must be REQUEST_SLACK_BYTES larger than
 * `bytes` (for WRITE, ZERO and DISCARD, than REQUEST_BYTES_MAX).
 *
 * Positions inside the engine are *key sectors*: sectors of the backing device,
 * data offset included, as the keys of the index have them.
 *
 * (REQUEST-1) Every request that was started calls `done` exactly once.
 * (REQUEST-2) Requests of one volume that overlap run one after the other if one of
 *     them writes (ranges.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/ranges.h"
#include "cache/traffic.h"
#include "index/index.h"
#include "io/op.h"

enum request_kind {
	REQUEST_READ,
	REQUEST_WRITE,
	REQUEST_FLUSH,
	REQUEST_DISCARD,	/* reads as zeros afterwards: discarded, or else written */
	REQUEST_ZERO,		/* writes zeros, around the cache if there is a backing device */
};

enum {
	REQUEST_BYTES_MAX = 1 << 20,	/* of READ and WRITE */
	REQUEST_BLOCK_BYTES_MAX = 4096,
	/* One block before and one after the data, and two edge blocks that are read first. */
	REQUEST_SLACK_BYTES = 4 * REQUEST_BLOCK_BYTES_MAX,
	DISCARD_BYTES_MAX = 256 << 20,	/* see request_step_bytes() */
	/* Transfers of one request in flight: enough for a megabyte in pages. */
	REQUEST_PARTS_MAX = 264,
	/* Requests in flight: the kernel's background requests, and some others. */
	REQUESTS_BACKGROUND_MAX = 4096,
	REQUESTS_MORE = 16,
	REQUESTS_MAX = REQUESTS_BACKGROUND_MAX + REQUESTS_MORE,
};

struct volume;

/* ---- reading whole sectors through the cache (read.c) ---- */

enum read_state {
	READ_LOOKUP,	/* waits for a node; transfers of the batch may be in flight, too */
	READ_DATA,	/* waits for the transfers of a batch */
	READ_WHOLE_BACKING,	/* waits for the backing device's data of the whole read */
};

/* The transfers that one step of a read started, at most REQUEST_PARTS_MAX. */
struct read_batch {
	uint64_t start;			/* key sector at which the batch begins */
	unsigned transfers;
	bool has_clean;			/* some are of clean extents, which have a copy below */
	unsigned pinned_count;
	uint64_t pinned[REQUEST_PARTS_MAX];	/* pointers whose buckets are pinned */
};

/* Reads key sectors into `data`; `parent` awaits the end. */
struct cache_read {
	struct volume *volume;
	struct op *parent;
	struct range *range;		/* in flight, and covers what is read */
	uint64_t start, sectors;
	unsigned char *data;
	bool bypass;			/* of request_read.c: a miss is not to be cached */
	/* results */
	bool missed;			/* not all came from the cache */
	uint64_t gap_start, gap_sectors;	/* the first gap, which a fill may cache */
	/* private to read.c */
	struct op op;
	enum read_state state;
	uint64_t at;			/* key sector of the next lookup */
	/* The whole range shall be, or was, read from the backing device; then what the cache
	 * has is read over it. */
	bool wants_under, has_under;
	bool skips_clean;		/* a read of the cache failed: take dirty extents only */
	struct op backing_op;		/* awaits the transfers from the backing device */
	int backing_error;
	struct read_batch batch;
};

void cache_read_start(struct cache_read *read);

/* ---- writing whole blocks through the cache (write.c) ---- */

/* The event for which the write waits. */
enum write_state {
	WRITE_DECIDE,	/* for state DIRTY in the superblock, or for gc to make room */
	WRITE_LOOK,	/* for a node, to find out whether it hides dirty data, or for a copy */
	WRITE_DATA,	/* for a bucket; transfers may be in flight already */
	WRITE_SETTLE,	/* for all its transfers, to the cache and to the backing device */
	WRITE_INVALIDATE,	/* failed: for a node, to know what is dirty and stays */
	WRITE_KEYS,	/* for its keys to be inserted */
	WRITE_DURABLE,	/* FUA: for the journal entry with its keys */
};

enum write_way { WRITE_DIRTY, WRITE_THROUGH, WRITE_AROUND, WRITE_DIRECT };	/* see write.c */

struct cache_write {
	struct volume *volume;
	struct op *parent;
	uint64_t start, sectors;
	unsigned char *data;
	bool fua;			/* durable when done */
	bool sync;			/* somebody waits for it: not writeback of the page cache */
	uint64_t offset, bytes;		/* of the volume: the part of the blocks to be written */
	bool is_zeros;			/* they would only displace other data in the cache */
	uint32_t task;			/* as in struct request */
	/* private to write.c */
	bool bypass;			/* goes to the backing device alone (bypass.h) */
	struct op op;
	enum write_state state;
	enum write_way way;
	uint64_t at;			/* key sector: of the lookup, then of the allocation */
	bool hides_dirty;		/* clean data or holes would replace dirty data */
	bool is_promised;		/* holds a promise of space_promise_dirty() */
	bool is_dirty_write;		/* counts in volume->dirty_writes */
	struct op backing_op;		/* awaits the transfer to the backing device */
	int backing_error;
	int cache_error;		/* the set failed while places were allocated */
	uint64_t pinned[INSERT_KEYS_MAX];	/* pointers whose buckets are pinned */
	unsigned pinned_count;
	struct insert insert;
};

void cache_write_start(struct cache_write *write);
/*
 * Adds holes to `insert` from *at on, but not for what is dirty, and moves *at.  0: as many as fit.
 * -EAGAIN: `op` waits for a node.  Other -errno: the set failed.
 */
int cache_holes_around_dirty(struct volume *volume, struct insert *insert, uint64_t *at,
			     uint64_t end, struct op *op);

/* ---- requests ---- */

enum request_state {
	REQUEST_BEGIN,
	REQUEST_RANGE,
	REQUEST_READING,
	REQUEST_EDGES,		/* reads the blocks that an unaligned write covers in part */
	REQUEST_WRITING,
	REQUEST_COPIED,		/* DISCARD: writeback copies to its range, which must end first */
	REQUEST_TRIM,		/* DISCARD: the backing device discards */
	REQUEST_TRIM_FLUSH,	/* DISCARD: its flush */
	REQUEST_HOLES,		/* DISCARD: inserts, and waits for nodes */
	REQUEST_FLUSHING,
	REQUEST_LEAVING,	/* the set failed: until the superblock says that it is left */
};

enum discard_part { DISCARD_HEAD, DISCARD_BODY, DISCARD_TAIL };	/* see request_discard.c */

struct request {
	/* filled in by the caller: */
	enum request_kind kind;
	struct volume *volume;
	uint64_t offset, bytes;
	void *data;			/* ZERO, DISCARD: room for zeros; FLUSH: none */
	bool fua;			/* WRITE, ZERO: durable when done (O_SYNC, O_DSYNC) */
	bool sync;			/* somebody waits for it: not writeback of the page cache */
	uint32_t task;			/* id of the task whose sequential stream it continues */
	void (*done)(struct request *request, int error);
	void *context;			/* the caller's */
	/* READ, when done: the requested bytes begin at data + skew. */
	unsigned skew;
	enum traffic_way way;		/* when done, without an error */

	/* private to request*.c */
	struct op op;
	enum request_state state;
	struct list_link link;		/* in volume->requests */
	uint64_t began_ns;
	int error;			/* DISCARD: of the backing device; reported at the end */
	struct range range;
	uint64_t start, end;		/* key sectors, whole blocks around the request */
	uint64_t chunk_offset, chunk_bytes;	/* written by the current chunk, */
	uint64_t chunks_end;			/* and by it and all that follow */
	bool flushes_set;		/* FLUSH: and not the backing device alone */
	bool has_tail_edge;		/* the last block of the chunk must still be read */
	enum discard_part discard_part;
	uint64_t body_offset, body_end;	/* DISCARD: the whole blocks */
	uint64_t hole_at;		/* DISCARD: key sector of the next hole */
	bool spares_dirty;		/* DISCARD: no holes where there are dirty data */
	union {
		struct cache_read read;
		struct cache_write write;
		struct insert insert;	/* holes */
		struct op backing_op;	/* FLUSH: for the backing device; `op`: for the journal */
	};
};

/*
 * A request blocks its range for others until it ends, so callers split long ones at multiples of
 * this number of bytes (UINT64_MAX: they need not).
 */
uint64_t request_step_bytes(const struct volume *volume, enum request_kind kind);
/* Called on the volume's reactor, without the set lock. */
void request_start(struct request *request);

/* In words: "read", and "an index node" (request_report.c). */
const char *request_kind_name(const struct request *request);
const char *request_waits_for(const struct request *request);
