/*
 * Writeback: copies the dirty data of a volume from the cache to its backing device, and then
 * makes their keys clean.  One for each volume that is attached to a set.
 *
 *	OFF --start--> IDLE --something is dirty--> SCAN --batch--> COPY --> FLUSH --> SWAP
 *	 ^              ^                            | ^                                |
 *	 |              |                            | `----------next batch------------'
 *	 |              |   nothing was dirty        v end of the volume
 *	 |              +---- MARK (state CLEAN) <---+--- some was ---> PAUSE --> SCAN
 *	 `--- stop, from any state, once nothing is in flight.  A volume whose superblock says DIRTY
 *	      although nothing is dirty has one more pass first (the last look), which finds
 *	      nothing and writes CLEAN.
 *
 * A pass scans the index in the order of the addresses (SCAN) and collects a batch of dirty
 * extents.  COPY reads them from the cache, many at a time, contiguous ones together, and writes
 * them to the backing device in order; the rate limits it (writeback_rate.h).  FLUSH makes the
 * whole batch durable there.  SWAP replaces each key by itself without the dirty bit, if it is
 * still the same: a compare-and-swap.
 *
 * Where partial stripes are expensive, batches of stripes that are dirty as a whole come first
 * (index/stripes.h), each once in a pass; the scan of everything follows.
 *
 * Requests go on meanwhile.  What a copy may meet:
 *
 *	a write into the cache		its newer key stays dirty, since the swap fails
 *	a change of the backing device	waits until the copy has ended (RANGE-3); if it comes before
 *					the swap, the extent stays dirty (WRITEBACK-5)
 *	a write in flight		no copy begins there; the next pass tries again
 *	a read				reads the cache; a fill has nothing to do with dirty data
 *
 * (WRITEBACK-1) A key turns clean only after a flush of the backing device that began after its
 *     copy had ended (ORDER-15).
 * (WRITEBACK-2) A bucket is pinned while it is copied: an overwrite may have emptied it.
 * (WRITEBACK-3) State CLEAN is written only after a whole pass in which nothing was dirty, while
 *     nothing is, and no dirty write is in flight (ORDER-16).  From the moment that it is
 *     requested, a dirty write makes DIRTY durable again (volume_make_dirty()).
 * (WRITEBACK-4) An extent whose copy failed stays dirty, and is tried again in the next pass.
 * (WRITEBACK-5) Between copy and swap nothing changes the backing device in the range of the
 *     extent, or else there is no swap.  A change that fails may have happened all the same; dirty
 *     data survive it, and must not turn clean then, since the backing device has something else.
 *
 * Only steps on the volume's reactor use it; the set lock is taken for the index and for pins.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "cache/dirty_age.h"
#include "cache/ranges.h"
#include "cache/writeback_rate.h"
#include "index/index.h"
#include "io/op.h"
#include "io/reactor.h"

struct volume;

enum {
	WRITEBACK_KEYS_MAX = 512,		/* of a batch */
	WRITEBACK_COPIES_MAX = 64,		/* in flight */
	WRITEBACK_COPY_SECTORS_MAX = 1024,	/* of one copy */
	WRITEBACK_CAREFUL_SECTORS = 128,	/* the same after an error: less is in doubt */
	WRITEBACK_FLYING_SECTORS_MAX = 32768,	/* of all copies in flight */
};

enum writeback_state {
	WRITEBACK_OFF,
	WRITEBACK_IDLE,		/* for something dirty, or for permission */
	WRITEBACK_SCAN,		/* for a node */
	WRITEBACK_COPY,		/* for a node, for the rate, or for a copy to end */
	WRITEBACK_FLUSH,	/* for the flush of the backing device */
	WRITEBACK_SWAP,		/* for the insert of clean keys */
	WRITEBACK_MARK,		/* for the superblock with state CLEAN */
	WRITEBACK_PAUSE,	/* for the time of the next pass */
};

struct writeback_key {
	struct bkey key;	/* as it was copied, or will be */
	bool is_copied;
};

enum copy_state {
	COPY_READS,		/* waits for the cache device */
	COPY_TURN,		/* waits until the copies before it are being written */
	COPY_WRITES,		/* waits for the backing device */
	COPY_ENDED,
};

/* Contiguous extents that are copied together. */
struct writeback_copy {
	struct writeback *writeback;
	struct op op;
	enum copy_state state;
	unsigned first, count;			/* of writeback->key */
	uint64_t start, sectors;
	struct range range;
	unsigned char *buffer;
	size_t buffer_bytes;
};

/* The parts that exist only while it is not OFF or IDLE. */
struct writeback_batch {
	struct writeback_key key[WRITEBACK_KEYS_MAX];
	unsigned count;
	unsigned next;				/* the next one to copy, then to swap */
	bool has_kind, is_of_full_stripes, is_complete;
	/* A ring: copies are started, written and ended in order; all three only grow. */
	struct writeback_copy copy[WRITEBACK_COPIES_MAX];
	uint64_t started, written, ended;
	uint64_t flying_sectors;
	uint64_t flush_failures;		/* of the backing device when the batch began */
	struct insert insert;
	struct bkey expected[INSERT_KEYS_MAX];
};

struct writeback {
	struct volume *volume;
	struct op op;
	enum writeback_state state;
	bool is_stopping;
	bool takes_last_look;			/* or has taken it */
	struct timer timer;			/* of the rate, and of a pause */
	struct waitlist copy_ended;		/* the op itself waits here */
	struct waitlist stopped;
	struct waitlist clean;			/* ops that wait until nothing is dirty */
	struct writeback_batch *batch;
	/* the pass */
	uint64_t at;				/* key sector where the scan goes on */
	uint64_t full_at, full_end;		/* the same within stripes that are full */
	bool is_at_end;				/* the scan has seen all of the volume */
	bool found_dirty;
	bool has_failed;			/* a transfer failed in this pass */
	bool is_careful;			/* it failed in the last one: small copies */
	bool lost_count;			/* it may have left extents dirty unknowingly */
	struct dirty_age age;
	/* for users */
	struct writeback_rate rate;
	uint64_t target_sectors;		/* as of the last update of the rate */
	uint64_t keys_done, keys_failed, sectors_done;
	uint64_t sectors_copied;		/* some of which may have stayed dirty */
	uint64_t sectors_unswapped;		/* copied by the batch, and not clean yet */
	uint64_t read_errors, write_errors;	/* copies that failed */
	struct error error;			/* of the last pass; code 0: none */
};

void writeback_init(struct writeback *writeback, struct volume *volume);
/* The volume has joined its set. */
void writeback_start(struct writeback *writeback);
/*
 * 0: it is off, and nothing is in flight.  -EAGAIN: it will be, `op` waits; ask again.  Ops that
 * wait in writeback_await_clean() are woken with -ECANCELED.
 */
int writeback_stop(struct writeback *writeback, struct op *op) MUST_CHECK;
/* Something has become dirty, or is_detaching has changed. */
void writeback_wake(struct writeback *writeback);
/* A tunable has changed: it takes effect at once, a pause ends. */
void writeback_look_again(struct writeback *writeback);
/*
 * 0: the volume has no dirty data.  -EAGAIN: `op` waits for that; ask again.  -EIO: the set has
 * failed; -ECANCELED: the volume is being stopped.  A detach ends then.
 */
int writeback_await_clean(struct writeback *writeback, struct op *op) MUST_CHECK;
/* Ends a detach that waits for that: its ops are woken with the error. */
void writeback_cancel_wait(struct writeback *writeback, int error);
/* Is there no limit: it detaches, percent is 0, or the set has been idle for long? */
bool writeback_is_unlimited(const struct writeback *writeback);
/*
 * For a request that holds its range and is about to change the backing device there.  0: nothing
 * is being copied or swapped there, and what was copied is copied again (RANGE-3, WRITEBACK-5).
 * -EAGAIN: `op` waits; ask again.
 */
int writeback_begin_change(struct writeback *writeback, uint64_t start, uint64_t end,
			   struct op *op) MUST_CHECK;
/* Dirty data of which there is no copy yet. */
uint64_t writeback_uncopied_bytes(const struct volume *volume);
/* Is a pass under way, and not a pause between two? */
static inline bool writeback_is_active(const struct writeback *writeback)
{
	return writeback->state > WRITEBACK_IDLE && writeback->state < WRITEBACK_PAUSE;
}
/* Sectors a second; WRITEBACK_RATE_MAX: no limit. */
uint64_t writeback_current_rate(const struct writeback *writeback);
/* The dirty data that the volume may have before it is written back faster. */
uint64_t writeback_target_of(const struct volume *volume);

/* ---- private to writeback*.c ---- */

/*
 * writeback_copy.c: starts copies of the batch.  0: all have ended.  -EAGAIN: `writeback->op` waits
 * for something.  Other -errno: the set failed, or there is no memory.
 */
int writeback_start_copies(struct writeback *writeback) MUST_CHECK;
void writeback_copies_init(struct writeback *writeback);
static inline unsigned writeback_copy_sectors_max(const struct writeback *writeback)
{
	return writeback->is_careful ? WRITEBACK_CAREFUL_SECTORS : WRITEBACK_COPY_SECTORS_MAX;
}
void writeback_copies_done(struct writeback *writeback);
/*
 * writeback_scan.c: 0: another leaf, or a slice of one, was seen.  -EAGAIN: `writeback->op` waits
 * for a node.  Other -errno: the set failed.
 */
int writeback_scan(struct writeback *writeback) LOCKED MUST_CHECK;
/* writeback_limit.c: to be called often, it does so as often as the tunables say. */
void writeback_update_rate(struct writeback *writeback);
/* Is there anything dirty, and may it be written back now? */
bool writeback_may_work(const struct writeback *writeback);
