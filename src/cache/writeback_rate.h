/*
 * How fast dirty data are written back: a controller, and a limiter.  Pure arithmetic: the
 * caller says what the time is, and how much is dirty.
 *
 * The controller sets a rate, so that the amount of dirty data of a volume stays near its
 * target: a proportional and an integral term of the difference.  If the cache is more than
 * half full of buckets that hold little dirty data each, another term takes the place of the
 * proportional one, since then buckets run out long before the target is reached.
 *
 * The limiter turns the rate into pauses.  It holds back for 2.5 seconds at most, and what
 * was not used is forgotten after 2 seconds.
 *
 * Formulas and constants are those of Linux 6.1, whose control files have the same names.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The tunables of a volume; their control files have the names writeback_<field>. */
struct writeback_tunables {
	bool running;			/* false: dirty data stay in the cache */
	bool metadata;			/* no effect, as in the kernel */
	bool consider_fragment;
	unsigned percent;		/* target: percent of the cache; 0: as fast as possible */
	unsigned delay;			/* seconds between two passes */
	unsigned rate_update_seconds;
	unsigned rate_p_term_inverse, rate_i_term_inverse;
	unsigned rate_fp_term_low, rate_fp_term_mid, rate_fp_term_high;
	unsigned rate_minimum;		/* sectors a second */
};

struct writeback_rate {
	uint64_t sectors_per_second;
	int64_t proportional;		/* of the last update, as integral and change: sectors a */
	int64_t integral;		/* second */
	int64_t integral_sum;		/* sectors times seconds */
	int64_t change;
	uint64_t next_ns;		/* the limiter: when the next transfer may begin */
	uint64_t updated_ns;
};

/* The state of cache and volume at an update. */
struct writeback_load {
	uint64_t dirty, target;		/* sectors */
	unsigned in_use_percent;	/* of the buckets */
	uint64_t dirty_buckets, bucket_sectors;	/* buckets that are in use */
};

enum { WRITEBACK_RATE_MAX = 1000000000 };	/* sectors a second: without a limit */

void writeback_tunables_init(struct writeback_tunables *tunables);
void writeback_rate_init(struct writeback_rate *rate);
/* To be called every rate_update_seconds while data are written back. */
void writeback_rate_update(struct writeback_rate *rate, const struct writeback_tunables *tunables,
			   const struct writeback_load *load, uint64_t now_ns);
/* So many sectors were sent to the backing device. */
void writeback_rate_charge(struct writeback_rate *rate, uint64_t sectors, uint64_t now_ns);
/* How long the next transfer must wait; 0: it may begin. */
uint64_t writeback_rate_delay_ns(const struct writeback_rate *rate, uint64_t now_ns);
/*
 * The part of the cache that may be dirty with data of one volume: `percent` of it, shared among
 * the backing devices of the set by their sizes.  All in sectors.
 */
uint64_t writeback_target(uint64_t cache_sectors, unsigned percent, uint64_t volume_sectors,
			  uint64_t all_volumes_sectors);
