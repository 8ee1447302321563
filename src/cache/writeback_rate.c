/*
 * The controller and the limiter of writeback.
 */
#include "cache/writeback_rate.h"

#include <assert.h>

#include "base/numbers.h"

enum {
	RATE_FIRST = 1024,		/* sectors a second, until the first update */
	IN_USE_LOW = 50,		/* percent: from here on fragmentation counts, */
	IN_USE_MID = 57,		/* more, */
	IN_USE_HIGH = 64,		/* and even more */
	FRAGMENTED = 3,			/* times the space that the dirty data need */
	SHARE_SHIFT = 14,
};
#define NS_PER_SECOND INT64_C(1000000000)
#define IN_TIME_NS 1000000		/* a device that is later does not keep up */
#define AHEAD_MAX_NS (NS_PER_SECOND * 5 / 2)
#define BEHIND_MAX_NS (NS_PER_SECOND * 2)

void writeback_tunables_init(struct writeback_tunables *tunables)
{
	*tunables = (struct writeback_tunables){
		.running = true,
		.metadata = true,
		.consider_fragment = true,
		.percent = 10,
		.delay = 30,
		.rate_update_seconds = 5,
		.rate_p_term_inverse = 40,
		.rate_i_term_inverse = 10000,
		.rate_fp_term_low = 1,
		.rate_fp_term_mid = 10,
		.rate_fp_term_high = 1000,
		.rate_minimum = 8,
	};
}

void writeback_rate_init(struct writeback_rate *rate)
{
	*rate = (struct writeback_rate){ .sectors_per_second = RATE_FIRST };
}

/* The rate that frees buckets with little dirty data in time; INT64_MIN: there is no need. */
static int64_t fragment_term(const struct writeback_tunables *tunables,
			     const struct writeback_load *load)
{
	uint64_t fragmentation, factor;
	unsigned in_use = load->in_use_percent;

	if (!tunables->consider_fragment || in_use <= IN_USE_LOW || !load->dirty ||
	    !load->dirty_buckets)
		return INT64_MIN;
	fragmentation = load->dirty_buckets * load->bucket_sectors / load->dirty;
	if (fragmentation <= FRAGMENTED)
		return INT64_MIN;
	if (in_use <= IN_USE_MID)
		factor = (uint64_t)tunables->rate_fp_term_low * (in_use - IN_USE_LOW);
	else if (in_use <= IN_USE_HIGH)
		factor = (uint64_t)tunables->rate_fp_term_mid * (in_use - IN_USE_MID);
	else
		factor = (uint64_t)tunables->rate_fp_term_high * (in_use - IN_USE_HIGH);
	return load->dirty / load->dirty_buckets * factor;
}

/*
 * The integral grows only while the device keeps up, since otherwise a higher rate would change
 * nothing; it shrinks only down to 0.
 */
void writeback_rate_update(struct writeback_rate *rate, const struct writeback_tunables *tunables,
			   const struct writeback_load *load, uint64_t now_ns)
{
	int64_t difference = (int64_t)load->dirty - (int64_t)load->target;
	int64_t fragment = fragment_term(tunables, load);
	uint64_t before = rate->sectors_per_second;
	int64_t wanted;

	assert(tunables->rate_p_term_inverse && tunables->rate_i_term_inverse);
	rate->proportional = difference / (int64_t)tunables->rate_p_term_inverse;
	if ((difference < 0 && rate->integral_sum > 0) ||
	    (difference > 0 && now_ns < rate->next_ns + IN_TIME_NS))
		rate->integral_sum += difference * (int64_t)tunables->rate_update_seconds;
	rate->integral = rate->integral_sum / (int64_t)tunables->rate_i_term_inverse;
	if (fragment > rate->proportional)
		rate->proportional = fragment;
	wanted = rate->proportional + rate->integral;
	rate->sectors_per_second = clamp_u64(wanted < 0 ? 0 : wanted, tunables->rate_minimum,
					     WRITEBACK_RATE_MAX);
	rate->change = (int64_t)rate->sectors_per_second - (int64_t)before;
	rate->updated_ns = now_ns;
}

void writeback_rate_charge(struct writeback_rate *rate, uint64_t sectors, uint64_t now_ns)
{
	uint64_t earliest = now_ns > (uint64_t)BEHIND_MAX_NS ? now_ns - BEHIND_MAX_NS : 0;
	uint64_t from = max_u64(rate->next_ns, earliest);

	from += sectors * NS_PER_SECOND / max_u64(rate->sectors_per_second, 1);
	rate->next_ns = min_u64(from, now_ns + AHEAD_MAX_NS);
}

uint64_t writeback_rate_delay_ns(const struct writeback_rate *rate, uint64_t now_ns)
{
	return rate->next_ns > now_ns ? rate->next_ns - now_ns : 0;
}

uint64_t writeback_target(uint64_t cache_sectors, unsigned percent, uint64_t volume_sectors,
			  uint64_t all_volumes_sectors)
{
	uint64_t share = ((unsigned __int128)volume_sectors << SHARE_SHIFT) /
			 max_u64(all_volumes_sectors, 1);

	return (unsigned __int128)(cache_sectors * percent / 100) * max_u64(share, 1) >>
	       SHARE_SHIFT;
}
