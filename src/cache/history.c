/* Samples of a volume, and rates from them. */
#include "cache/history.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>

#include "base/numbers.h"
#include "cache/volume.h"

#define NS_PER_SECOND 1e9

struct history_sample history_now(const struct volume *volume)
{
	const struct traffic *traffic = &volume->traffic;
	struct history_sample now = {
		.time_ns = clock_ns(volume->reactor),
		.dirty_bytes = volume_dirty_bytes(volume),
		.uncopied_bytes = writeback_uncopied_bytes(volume),
		.copied_bytes = volume->writeback.sectors_copied * 512,
		.read_bytes = traffic->of[TRAFFIC_READ].bytes,
		.written_bytes = traffic->of[TRAFFIC_WRITE].bytes,
	};

	for (unsigned way = 0; way < TRAFFIC_WAYS; way++) {
		now.requests[way] = latency_count(&traffic->latency[way]);
		now.request_ns[way] = traffic->latency[way].sum_ns;
	}
	return now;
}

void history_add(struct history *history, const struct history_sample *sample)
{
	uint64_t last_ns = history->count ? history->sample[history->newest].time_ns : 0;

	assert(sample->time_ns >= last_ns);
	if (!history->count || sample->time_ns > last_ns) {	/* HISTORY-1 */
		history->newest = history->count ? (history->newest + 1) % HISTORY_SAMPLES : 0;
		history->count = min_u64(history->count + 1, HISTORY_SAMPLES);
	}
	history->sample[history->newest] = *sample;
}

const struct history_sample *history_at(const struct history *history, unsigned i)
{
	unsigned back = history->count - 1 - i;

	assert(i < history->count);
	return &history->sample[(history->newest + HISTORY_SAMPLES - back) % HISTORY_SAMPLES];
}

const struct history_sample *history_recent(const struct history *history, uint64_t now_ns)
{
	unsigned i = history->count;

	if (!i)
		return NULL;
	while (--i)
		if (now_ns - history_at(history, i)->time_ns >= HISTORY_RATE_NS)
			break;
	return history_at(history, i);
}

static double seconds_left(double bytes, double shrinks)
{
	if (bytes <= 0)
		return 0;
	return shrinks > 0 ? bytes / shrinks : INFINITY;
}

struct history_writeback history_writeback(const struct history *history,
					   const struct history_sample *now)
{
	const struct history_sample *then = history_recent(history, now->time_ns);
	struct history_writeback result = { .copied = 0 };
	double seconds;

	if (then && then->time_ns < now->time_ns) {
		seconds = (now->time_ns - then->time_ns) / NS_PER_SECOND;
		result.copied = (now->copied_bytes - then->copied_bytes) / seconds;
		result.shrinks =
			((double)then->uncopied_bytes - (double)now->uncopied_bytes) / seconds;
	}
	result.seconds_left = seconds_left(now->uncopied_bytes, result.shrinks);
	return result;
}
