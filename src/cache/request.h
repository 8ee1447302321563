/*
 * One request to a volume: the state machine between FUSE (or the simulator)
 * and the cache.
 *
 * Offsets and lengths are bytes, of any alignment; whole sectors (blocks, where
 * the device below has larger ones) are what the engine moves.  `data` is
 * page-aligned and has REQUEST_SLACK_BYTES more room than `bytes`, of a WRITE or
 * ZERO than REQUEST_BYTES_MAX: an unaligned request moves the blocks around it too.
 *
 * (REQUEST-1) Every request that was started calls `done` once.
 * (REQUEST-2) Requests of one volume that overlap run one after the other (ranges).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/ranges.h"
#include "index/index.h"
#include "io/op.h"

enum request_kind {
	REQUEST_READ,
	REQUEST_WRITE,
	REQUEST_FLUSH,
	REQUEST_DISCARD,	/* reads as zeros afterwards; -EOPNOTSUPP: by writing them only */
	REQUEST_ZERO,		/* the same, by writing; to the device below, where there is one */
};

enum {
	REQUEST_BYTES_MAX = 1 << 20,	/* of READ and WRITE */
	REQUEST_BLOCK_BYTES_MAX = 4096,
	/* A block before and one behind, and two that an unaligned write reads first. */
	REQUEST_SLACK_BYTES = 4 * REQUEST_BLOCK_BYTES_MAX,
	IN_USE_BYPASS_ABOVE = 95,	/* percent of the cache: nothing clean goes in */
	/* Transfers of one request under way at a time: of a read, a megabyte of pages. */
	REQUEST_PARTS_MAX = 264,
	/* Requests under way at a time: in the kernel's background, and the others. */
	REQUESTS_BACKGROUND_MAX = 4096,
	REQUESTS_MORE = 16,
	REQUESTS_MAX = REQUESTS_BACKGROUND_MAX + REQUESTS_MORE,
};

struct volume;

/* ---- reading whole sectors through the cache (read.c) ---- */

enum read_state { READ_LOOKUP, READ_DATA, READ_UNDER };

/* Transfers that were started together, up to REQUEST_PARTS_MAX, and what came of them. */
struct read_batch {
	uint64_t start;			/* the first sector it is about */
	unsigned transfers;
	bool has_clean;			/* extents that are on the backing device, too */
	unsigned pinned_count;
	uint64_t pinned[REQUEST_PARTS_MAX];	/* pointers whose buckets are pinned */
};

/* Key sectors into `data`; `parent` arrives at the end. */
struct cache_read {
	struct volume *volume;
	struct op *parent;
	uint64_t start, sectors;
	unsigned char *data;
	bool bypass;			/* a miss leaves no trace in the cache */
	/* results */
	bool missed;
	uint64_t gap_start, gap_sectors;	/* the first gap, which a fill may use */
	/* inside */
	struct op op;
	enum read_state state;
	uint64_t at;
	bool wants_under, has_under;	/* the backing device's blocks, below what the cache has */
	bool skips_clean;		/* a read of the cache failed */
	struct op backing_op;		/* all transfers from the backing device */
	int backing_error;
	struct read_batch batch;
};

void cache_read_start(struct cache_read *read);

/* ---- writing whole blocks through the cache (write.c) ---- */

enum write_state {
	WRITE_DECIDE,
	WRITE_LOOK, /* does it hide dirty data? */
	WRITE_DATA, /* to the cache, the backing device, or both */
	WRITE_SETTLE, /* what was dirty below must be durable on the backing device first */
	WRITE_KEYS,
	WRITE_DURABLE, /* fua: the entry with the keys */
};

enum write_way { WRITE_BACK, WRITE_THROUGH, WRITE_AROUND, WRITE_DIRECT };

struct cache_write {
	struct volume *volume;
	struct op *parent;
	uint64_t start, sectors;
	unsigned char *data;
	bool fua, sync;
	bool around;			/* not worth a place in the cache */
	uint32_t task;
	/* inside */
	struct op op;
	enum write_state state;
	enum write_way way;
	uint64_t at;			/* of looking, then of allocating */
	bool hides_dirty;
	bool is_promised;		/* room for dirty data */
	struct op backing_op;		/* the transfer to the backing device */
	bool backing_started;
	int backing_error;
	uint64_t pinned[INSERT_KEYS_MAX];
	unsigned pinned_count;
	struct insert insert;
};

void cache_write_start(struct cache_write *write);

/* ---- requests ---- */

enum request_state {
	REQUEST_GATE,
	REQUEST_RANGE,
	REQUEST_READING,
	REQUEST_EDGES,		/* the blocks that an unaligned write covers in part are read */
	REQUEST_WRITING,
	REQUEST_TRIM,
	REQUEST_HOLES,
	REQUEST_FLUSHING,
};

struct request {
	/* filled by the caller: */
	enum request_kind kind;
	struct volume *volume;
	uint64_t offset, bytes;
	void *data;			/* ZERO: room for REQUEST_BYTES_MAX; FLUSH, DISCARD: none */
	bool fua;			/* WRITE, ZERO: durable when done (O_SYNC, O_DSYNC) */
	bool sync;			/* somebody waits for it (not from the page cache) */
	uint32_t task;			/* whose stream it belongs to */
	void (*done)(struct request *request, int error);
	void *context;
	/* READ, at done: the bytes asked for begin at data + skew. */
	unsigned skew;

	/* inside (request.c) */
	struct op op;
	enum request_state state;
	int error;			/* that it will end with */
	struct range range;
	uint64_t start, end;		/* key sectors, whole blocks around the request */
	uint64_t chunk_offset, chunk_bytes;	/* WRITE, ZERO: the part under way */
	bool has_tail_edge;
	union {
		struct cache_read read;
		struct cache_write write;
		struct insert insert;	/* holes */
		struct op backing_op;	/* FLUSH: for the backing device; `op`: for the journal */
	};
};

/* Called outside the set, on the volume's reactor. */
void request_start(struct request *request);
