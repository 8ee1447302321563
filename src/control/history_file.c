/*
 * history: the last hour of a volume as a table, the oldest line first.  The first line names the
 * columns.  A line has the events between two samples (cache/history.h), so numbers are those of
 * its interval; only the dirty bytes are as they were at its end.
 */
#include "control/control.h"

#include <inttypes.h>

#include "control/metrics.h"

#define NS_PER_US 1e3
#define NS_PER_SECOND 1e9

static void print_columns(struct text *text)
{
	text_print(text, "age_seconds seconds dirty_bytes copied_bytes read_bytes "
			 "written_bytes");
	for (unsigned way = 0; way < TRAFFIC_WAYS; way++)
		text_print(text, " %s %s_us", metrics_way_names[way], metrics_way_names[way]);
	text_print(text, "\n");
}

static void print_way(const struct history_sample *from, const struct history_sample *to,
		      enum traffic_way way, struct text *text)
{
	uint64_t requests = to->requests[way] - from->requests[way];
	uint64_t ns = to->request_ns[way] - from->request_ns[way];

	text_print(text, " %" PRIu64 " %.0f", requests, requests ? ns / NS_PER_US / requests : 0);
}

static void print_interval(const struct history_sample *from, const struct history_sample *to,
			   uint64_t now_ns, struct text *text)
{
	text_print(text, "%.1f %.1f %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64,
		   (now_ns - to->time_ns) / NS_PER_SECOND,
		   (to->time_ns - from->time_ns) / NS_PER_SECOND, to->dirty_bytes,
		   to->copied_bytes - from->copied_bytes,
		   to->read_bytes - from->read_bytes, to->written_bytes - from->written_bytes);
	for (unsigned way = 0; way < TRAFFIC_WAYS; way++)
		print_way(from, to, way, text);
	text_print(text, "\n");
}

/* The last interval, from the newest sample until now, is shorter than the others. */
void control_show_history(const struct control_subject *subject, struct text *text)
{
	const struct volume *volume = subject->volume;
	const struct history *history = &volume->history;
	const struct history_sample now = history_now(volume);

	print_columns(text);
	for (unsigned i = 0; i + 1 < history->count; i++)
		print_interval(history_at(history, i), history_at(history, i + 1), now.time_ns,
			       text);
	if (history->count)
		print_interval(history_at(history, history->count - 1), &now, now.time_ns, text);
}
