/*
 * Progress lines; see progress.h.
 */
#include "tools/progress.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/numbers.h"
#include "base/units.h"

#define NS_PER_SECOND UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)
#define REDRAW_NS (NS_PER_SECOND / 4)
#define LINE_NS (10 * NS_PER_SECOND)

enum progress_style progress_style_of_stream(FILE *stream)
{
	return isatty(fileno(stream)) ? PROGRESS_TERMINAL : PROGRESS_LINES;
}

void progress_begin(struct progress *progress, const char *command, enum progress_style style,
		    FILE *stream, uint64_t now_ns)
{
	*progress = (struct progress){ .command = command, .phase = "", .style = style,
				       .stream = stream, .began_ns = now_ns };
}

static void add_sample(struct progress *progress, uint64_t now_ns)
{
	const struct progress_sample *newest = &progress->sample[progress->newest];

	if (progress->samples && now_ns - newest->time_ns < NS_PER_SECOND)
		return;
	progress->newest = (progress->newest + 1) % PROGRESS_SAMPLES;
	progress->samples = min_u64(progress->samples + 1, PROGRESS_SAMPLES);
	progress->sample[progress->newest] =
		(struct progress_sample){ .time_ns = now_ns, .done = progress->done };
}

void progress_phase(struct progress *progress, const char *phase, uint64_t total, uint64_t now_ns)
{
	progress->phase = phase;
	progress->done = progress->samples = 0;
	progress->total = total;
	progress->printed_ns = now_ns;
	add_sample(progress, now_ns);
}

/* ---- pure ---- */

static const struct progress_sample *oldest(const struct progress *progress)
{
	unsigned back = progress->samples - 1;

	return &progress->sample[(progress->newest + PROGRESS_SAMPLES - back) % PROGRESS_SAMPLES];
}

uint64_t progress_rate(const struct progress *progress)
{
	const struct progress_sample *newest = &progress->sample[progress->newest];
	uint64_t ns, bytes;

	if (progress->samples < 2)
		return 0;
	ns = newest->time_ns - oldest(progress)->time_ns;
	bytes = newest->done - min_u64(newest->done, oldest(progress)->done);
	return bytes * ((double)NS_PER_SECOND / ns);
}

uint64_t progress_ns_left(const struct progress *progress)
{
	uint64_t rate = progress_rate(progress);

	if (!rate)
		return UINT64_MAX;
	return (progress->total - progress->done) * ((double)NS_PER_SECOND / rate);
}

static unsigned percent(const struct progress *progress)
{
	return progress->total ? (double)progress->done / progress->total * 100 : 100;
}

static void print_left(const struct progress *progress, char text[UNITS_TEXT_BYTES])
{
	uint64_t ns = progress_ns_left(progress), seconds = ns / NS_PER_SECOND;

	if (ns == UINT64_MAX)
		snprintf(text, UNITS_TEXT_BYTES, "time left unknown");
	else if (seconds < 3600)
		snprintf(text, UNITS_TEXT_BYTES, "%" PRIu64 ":%02u left", seconds / 60,
			 (unsigned)(seconds % 60));
	else
		snprintf(text, UNITS_TEXT_BYTES, "%" PRIu64 ":%02u:%02u left", seconds / 3600,
			 (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60));
}

void progress_line(const struct progress *progress, char text[PROGRESS_TEXT_BYTES])
{
	char done[UNITS_TEXT_BYTES], total[UNITS_TEXT_BYTES], rate[UNITS_TEXT_BYTES];
	char left[UNITS_TEXT_BYTES], errors[UNITS_TEXT_BYTES] = "";

	print_left(progress, left);
	if (progress->errors)
		snprintf(errors, sizeof(errors), "  %" PRIu64 " error%s", progress->errors,
			 progress->errors > 1 ? "s" : "");
	snprintf(text, PROGRESS_TEXT_BYTES, "%s: %s  %u %%  %s of %s  %s/s  %s%s",
		 progress->command, progress->phase, percent(progress),
		 units_print_size(done, progress->done), units_print_size(total, progress->total),
		 units_print_size(rate, progress_rate(progress)), left, errors);
}

void progress_json(const struct progress *progress, uint64_t now_ns,
		   char text[PROGRESS_TEXT_BYTES])
{
	uint64_t left = progress_ns_left(progress);
	char eta[UNITS_TEXT_BYTES] = "null";

	if (left != UINT64_MAX)
		snprintf(eta, sizeof(eta), "%" PRIu64, left / NS_PER_MS);
	snprintf(text, PROGRESS_TEXT_BYTES,
		 "{\"phase\":\"%s\",\"done\":%" PRIu64 ",\"total\":%" PRIu64 ",\"errors\":%" PRIu64
		 ",\"rate\":%" PRIu64 ",\"eta_ms\":%s,\"time_ms\":%" PRIu64 "}",
		 progress->phase, progress->done, progress->total, progress->errors,
		 progress_rate(progress), eta, (now_ns - progress->began_ns) / NS_PER_MS);
}

/* ---- printing ---- */

/* A line that is shorter than the one before it is filled with spaces. */
static void redraw(struct progress *progress, const char *line)
{
	size_t width = strlen(line);

	fprintf(progress->stream, "\r%-*s", (int)max_u64(width, progress->width), line);
	progress->width = width;
}

void progress_print(struct progress *progress, uint64_t now_ns)
{
	char text[PROGRESS_TEXT_BYTES];

	if (progress->style == PROGRESS_NONE)
		return;
	if (progress->style == PROGRESS_JSON)
		progress_json(progress, now_ns, text);
	else
		progress_line(progress, text);
	if (progress->style == PROGRESS_TERMINAL)
		redraw(progress, text);
	else
		fprintf(progress->stream, "%s\n", text);
	fflush(progress->stream);
	progress->printed_ns = now_ns;
}

void progress_update(struct progress *progress, uint64_t done, uint64_t now_ns)
{
	uint64_t interval = progress->style == PROGRESS_LINES ? LINE_NS : REDRAW_NS;

	assert(now_ns >= progress->printed_ns);
	progress->done = done;
	progress->total = max_u64(progress->total, done);	/* PROGRESS-1 */
	add_sample(progress, now_ns);
	if (now_ns - progress->printed_ns >= interval)
		progress_print(progress, now_ns);
}

void progress_end(struct progress *progress)
{
	if (progress->style == PROGRESS_TERMINAL && progress->width)
		fprintf(progress->stream, "\r%*s\r", (int)progress->width, "");
	fflush(progress->stream);
}
