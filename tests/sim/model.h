/*
 * The model: which content each sector of a volume may have, by what was written.
 *
 * For each sector, the model keeps the values that a read may still return.  A value has a
 * begin and an end, counted in ticks: when its write was started, and when it was answered.
 * A sector written with stamp s is filled with numbers made of s, the volume and the sector
 * number, so a read that returns data of another place is recognized.
 *
 *	value 17   |----|
 *	value 21           |------|           flush  |--|
 *	value 30                    |--- ...
 *	read                          |---|  shows 21 or 30
 *
 * (MODEL-1) A read does not return value V if another, W, began after the end of V and ended
 *     before the read began.
 * (MODEL-2) After a power cut, V is gone if a durable W began after the end of V.
 * (MODEL-3) A value is durable if its write was FUA and was answered, or if a flush that began
 *     after its end was answered.
 * (MODEL-4) A failed write may be visible or not, until another one covers it, or until a read
 *     shows that it is not.
 * (MODEL-5) A value that is possible after a cut stays possible until the sector is written
 *     again: an older clean copy in the cache may hide newer data of the backing device, and
 *     be evicted later.  Without a cache, and on flash-only volumes, the first read decides.
 * (MODEL-6) A discard is a write of zeros.  Detaching a volume is a flush of it.
 *
 * A request that covers a sector only in part runs alone on that sector (model_may_start), so
 * that its result is known from what was there before.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

enum model_kind { MODEL_READ, MODEL_WRITE, MODEL_ZERO, MODEL_DISCARD, MODEL_FLUSH };
enum model_fill { FILL_PATTERN, FILL_ZERO };

struct model_value;

struct model_volume {
	unsigned id;
	uint64_t sectors;
	bool settles;			/* MODEL-5 */
	bool began_as_pattern;		/* stamp 1 everywhere, else zeros */
	struct model_value **values;	/* by sector; NULL: what it began with */
	uint16_t *writers, *partials;	/* by sector: requests under way */
	bool *dirtied, is_dirtied;	/* by sector, all: perhaps only in the cache */
	uint64_t *changed_ns;		/* by sector: when its last change was answered */
	struct list ops;		/* under way */
	uint64_t tick, stamp;
	uint64_t flushed_before;	/* what ended before this tick is durable */
	struct model_value *spare;
	uint64_t checked, ambiguous;	/* sectors compared, those with a choice */
};

/* One request under way. */
struct model_op {
	struct list_link link;
	enum model_kind kind;
	bool is_of_failed_set;	/* READ: a write that it does not show may come after a restart */
	uint64_t offset, bytes;
	uint64_t begin, stamp;
	bool fua;
};

struct model_volume *model_volume_new(unsigned id, uint64_t sectors, bool began_as_pattern);
void model_volume_free(struct model_volume *volume);
/* What the volume shows before anything was written. */
void model_first_content(const struct model_volume *volume, uint64_t sector, void *data);

/* May a request of this kind and range be started now? */
bool model_may_start(const struct model_volume *volume, enum model_kind kind, uint64_t offset,
		     uint64_t bytes);
/* The request begins; of a WRITE, `data` is filled with what it shall write. */
void model_begin(struct model_volume *volume, struct model_op *op, enum model_kind kind,
		 uint64_t offset, uint64_t bytes, bool fua, void *data);
/* It ended with `error`; of a READ without error, `data` is compared. */
void model_end(struct model_volume *volume, struct model_op *op, int error, const void *data);

/* The power went: nothing is under way any more. */
void model_cut(struct model_volume *volume);
/* The set was stopped cleanly: all is durable. */
void model_stop(struct model_volume *volume);
/* Nothing is under way, and the sector shows `data`: fails if it may not.  `who` shows it. */
void model_compare(struct model_volume *volume, uint64_t sector, const void *data, const char *who);
/* As it was just seen, so it stays (MODEL-5). */
void model_settle(struct model_volume *volume, uint64_t sector, const void *data);
