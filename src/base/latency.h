/*
 * How long things take, counted by classes, each twice as long as the one before.
 *
 *	class      0      1       2            18        19
 *	      |-------|------|---------| ... |-------|--------- ...
 *	      0     8192  16384     32768       2^31 ns
 *
 * (LATENCY-1) A class includes its upper bound, as "le" of Prometheus does.
 *
 * Nothing is locked: the counts belong to the thread that adds to them.
 */
#pragma once

#include <stdint.h>

enum {
	LATENCY_CLASSES = 20,		/* the last one: everything longer */
	LATENCY_CLASS_NS = 8192,	/* upper bound of the first */
};

struct latency {
	uint64_t counts[LATENCY_CLASSES];
	uint64_t sum_ns;
};

/* Of all classes but the last one. */
static inline uint64_t latency_bound_ns(unsigned class)
{
	return (uint64_t)LATENCY_CLASS_NS << class;
}

static inline unsigned latency_class(uint64_t ns)
{
	uint64_t units = ns ? (ns - 1) / LATENCY_CLASS_NS : 0;
	unsigned class = units ? 64 - __builtin_clzll(units) : 0;

	return class < LATENCY_CLASSES ? class : LATENCY_CLASSES - 1;
}

static inline void latency_add(struct latency *latency, uint64_t ns)
{
	latency->counts[latency_class(ns)]++;
	latency->sum_ns += ns;
}

uint64_t latency_count(const struct latency *latency);
/*
 * The time that `percent` of all did not exceed, as if those of a class were spread evenly over it;
 * for the last class, its lower bound.  0: there are none.
 */
uint64_t latency_percentile_ns(const struct latency *latency, unsigned percent);
