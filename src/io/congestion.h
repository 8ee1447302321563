/*
 * Is a device congested?  Measured by the transfers that take longer than a limit; the cache
 * then lets requests go around it that are part of a stream, the shorter ones the more
 * it is congested.
 *
 * Each slow transfer lowers `value` by as many milliseconds as it took, down to
 * -CONGESTION_MAX; each fast one, and each millisecond without a slow one, raises it by one,
 * up to 0: not congested.  Times are the kernel's, shifts instead of divisions: a microsecond is
 * 1024 ns, a millisecond 1024 of these.
 *
 * Nothing here waits, or knows a clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	CONGESTION_MAX = 1024,
	CONGESTION_READ_US = 2000,	/* the kernel's thresholds */
	CONGESTION_WRITE_US = 20000,
};

struct congestion {
	unsigned read_threshold_us, write_threshold_us;	/* longer is slow; 0: nothing is */
	int value;			/* -CONGESTION_MAX .. 0 */
	uint64_t last_slow_ns;		/* when the last slow transfer ended */
};

/* Takes note of a transfer that has ended now. */
void congestion_add(struct congestion *congestion, bool is_write, uint64_t took_ns,
		    uint64_t now_ns);
/*
 * 0: it is not congested.  Otherwise, requests of streams that are at least so many sectors long
 * should go around the cache: 1 .. 65024, less the more it is congested.  The bits of `random`
 * lower it by up to 32, so that not all streams change their way at once.
 */
unsigned congestion_limit_sectors(const struct congestion *congestion, uint64_t now_ns,
				  uint32_t random);
