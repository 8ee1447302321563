/*
 * I/O statistics of a volume: the numbers that the kernel keeps for every disk in
 * /proc/diskstats, and latencies by the way that requests went.
 *
 * src/fuse calls traffic_begin() and traffic_end() once for each request of the kernel.  These are
 * plain counters, since one thread runs all requests of a volume, and the time is that of the
 * reactor's turn, so no clock is read for them.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

#include "base/latency.h"

enum traffic_kind { TRAFFIC_READ, TRAFFIC_WRITE, TRAFFIC_DISCARD, TRAFFIC_FLUSH, TRAFFIC_KINDS };

/* How a request was served, once it has succeeded. */
enum traffic_way {
	TRAFFIC_READ_HIT,	/* from the cache alone */
	TRAFFIC_READ_MISS,	/* some of it from the backing device */
	TRAFFIC_READ_BYPASS,	/* a miss was not to be cached, or there is no cache */
	TRAFFIC_WRITE_BACK,	/* into the cache, as dirty data */
	TRAFFIC_WRITE_THROUGH,	/* into the cache and to the backing device */
	TRAFFIC_WRITE_BYPASS,	/* to the backing device alone */
	TRAFFIC_WAY_FLUSH,
	TRAFFIC_WAY_DISCARD,	/* and zeros */
	TRAFFIC_WAYS,
};

struct traffic {
	struct {
		uint64_t requests, bytes, ns;
	} of[TRAFFIC_KINDS];
	unsigned under_way;
	uint64_t changed_ns;	/* when under_way changed last */
	uint64_t busy_ns;	/* time during which any request was in flight */
	uint64_t waited_ns;	/* the same, weighted by the number of requests in flight */
	struct latency latency[TRAFFIC_WAYS];
};

static inline void traffic_pass(struct traffic *traffic, uint64_t now_ns)
{
	uint64_t passed_ns = now_ns - traffic->changed_ns;

	if (traffic->under_way)
		traffic->busy_ns += passed_ns;
	traffic->waited_ns += passed_ns * traffic->under_way;
	traffic->changed_ns = now_ns;
}

static inline void traffic_begin(struct traffic *traffic, uint64_t now_ns)
{
	traffic_pass(traffic, now_ns);
	traffic->under_way++;
}

/* A request that has failed has no way; see traffic_succeeded(). */
static inline void traffic_end(struct traffic *traffic, enum traffic_kind kind, uint64_t bytes,
			       uint64_t began_ns, uint64_t now_ns)
{
	assert(traffic->under_way);
	traffic_pass(traffic, now_ns);
	traffic->under_way--;
	traffic->of[kind].requests++;
	traffic->of[kind].bytes += bytes;
	traffic->of[kind].ns += now_ns - began_ns;
}

static inline void traffic_succeeded(struct traffic *traffic, enum traffic_way way,
				     uint64_t began_ns, uint64_t now_ns)
{
	latency_add(&traffic->latency[way], now_ns - began_ns);
}
