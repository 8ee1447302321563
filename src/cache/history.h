/*
 * The last hour of a volume: at each tick of the statistics, every 13.6 s, a sample of its counters
 * is taken into a ring.
 *
 *	        oldest                            newest
 *	--------[ sample ][ sample ] ... [ sample ]------ now
 *
 * A sample has counters as they were, so that the events between two samples are a difference,
 * whichever two a reader takes.  Counters that users can set to 0 are not among them.
 *
 * (HISTORY-1) Each sample is later than the one before.
 *
 * Nothing here knows a clock.
 */
#pragma once

#include <stdint.h>

#include "cache/traffic.h"

/* Rates are those since the newest sample that is so old: of the last 10 to 24 seconds. */
#define HISTORY_RATE_NS UINT64_C(10000000000)

enum { HISTORY_SAMPLES = 12 * 22 + 1 };		/* the ends of an hour's ticks (stats.h) */

struct history_sample {
	uint64_t time_ns;
	uint64_t dirty_bytes;			/* as it was; most others only grow */
	uint64_t uncopied_bytes;		/* the same: of these, writeback has no copy yet */
	uint64_t copied_bytes;
	uint64_t read_bytes, written_bytes;
	uint64_t requests[TRAFFIC_WAYS], request_ns[TRAFFIC_WAYS];
};

struct history {
	unsigned count, newest;
	struct history_sample sample[HISTORY_SAMPLES];
};

struct volume;

/* The counters of the volume now. */
struct history_sample history_now(const struct volume *volume);
/* At the time of the last one it takes the place of that. */
void history_add(struct history *history, const struct history_sample *sample);
/* 0 is the oldest one; `i` is less than the count. */
const struct history_sample *history_at(const struct history *history, unsigned i);
/* The newest one that is HISTORY_RATE_NS old or more, or else the oldest; NULL: there is none. */
const struct history_sample *history_recent(const struct history *history, uint64_t now_ns);

/*
 * How fast dirty data are written back, from history_recent() until `now`.
 * Many extents become clean together, long after the first of them was copied, so copies count.
 */
struct history_writeback {
	double copied;		/* bytes a second */
	double shrinks;		/* bytes a second by which those without a copy become less */
	double seconds_left;	/* until there are none; INFINITY: they do not become less */
};
struct history_writeback history_writeback(const struct history *history,
					   const struct history_sample *now);
