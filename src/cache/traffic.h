/*
 * I/O statistics of a volume: the numbers that the kernel keeps for every disk in
 * /proc/diskstats.
 *
 * src/fuse calls traffic_begin() and traffic_end() once for each request.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

enum traffic_kind { TRAFFIC_READ, TRAFFIC_WRITE, TRAFFIC_DISCARD, TRAFFIC_FLUSH, TRAFFIC_KINDS };

struct traffic {
	struct {
		uint64_t requests, bytes, ns;
	} of[TRAFFIC_KINDS];
	unsigned under_way;
	uint64_t changed_ns;	/* when under_way changed last */
	uint64_t busy_ns;	/* time during which any request was in flight */
	uint64_t waited_ns;	/* the same, weighted by the number of requests in flight */
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
