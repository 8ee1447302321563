/*
 * The model: what each sector of a volume may show.
 *
 * Each sector has the values that were written to it and may still be seen.  A
 * value has a beginning and an end, counted in ticks: its request was started,
 * and answered.  Real values are recognised: a sector written with stamp s
 * is filled with numbers made of s, the volume and the sector's number, so that
 * foreign data show.
 *
 *	value 17   |----|
 *	value 21           |------|           flush  |--|
 *	value 30                    |--- ...
 *	read                          |---|  shows 21 or 30
 *
 * (MODEL-1) A read shows no value V for which another, W, began after V's end and ended
 *     before the read began.
 * (MODEL-2) After a cut, V is gone if a durable W began after V's end.
 * (MODEL-3) Durable: FUA and answered, or answered before a flush began that was
 *     answered.
 * (MODEL-4) A write that failed may show or not, until another one covers it; one that
 *     the device cannot do (-EOPNOTSUPP) changes nothing.
 * (MODEL-5) What may show after a cut stays possible until it is written again: an
 *     older clean copy in the cache may hide newer data of the backing device, and go.
 *     Without a cache, and on volumes that live in it alone, the first look settles it.
 *
 * (MODEL-6) A discard is a write of zeros, and a volume that has left its set was
 *     flushed.
 *
 * Requests that cover a sector in part run alone on that sector (model_may_start):
 * their result then is known by what was there.
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
