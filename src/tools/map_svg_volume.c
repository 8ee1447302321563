/*
 * The pictures of a volume: what is cached by address, and its last hour.
 *
 *	 a column for each stretch of addresses, dirty data below clean ones
 *	+---------+ +---------+ +---------+
 *	|  hits   | |  dirty  | | latency |	the last hour, of a mounted volume
 *	+---------+ +---------+ +---------+
 */
#include <string.h>

#include "base/numbers.h"
#include "tools/map_svg.h"

enum {
	COLUMN_WIDTH = WIDTH - 2 * MARGIN,
	COLUMN_HEIGHT = 64,
	ADDRESSES_HEIGHT = COLUMN_HEIGHT + 58,
	HOUR_HEIGHT = 112,
	CHART_HEIGHT = 48,
	HOUR_MS = 3600000,
};

/* ---- by address ---- */

/* At least a pixel where there is anything. */
static unsigned pixels(uint64_t sectors, const struct map_volume *volume, unsigned top)
{
	uint64_t whole = volume->stretch_sectors * top / 100;
	uint64_t height = whole ? sectors * COLUMN_HEIGHT / whole : 0;

	return clamp_u64(height, sectors ? 1 : 0, COLUMN_HEIGHT);
}

static void put_columns(FILE *stream, const struct map_volume *volume, unsigned top, bool dirty)
{
	fprintf(stream, "<path class=\"k%d\" d=\"", dirty ? MAP_DIRTY : MAP_CLEAN);
	for (unsigned i = 0; i < volume->stretches; i++) {
		const struct map_stretch *stretch = &volume->stretch[i];
		unsigned low = pixels(stretch->dirty_sectors, volume, top);
		unsigned high = pixels(stretch->dirty_sectors + stretch->clean_sectors, volume,
				       top);
		unsigned bottom = COLUMN_HEIGHT - (dirty ? 0 : low);
		unsigned height = dirty ? low : high - low;

		if (height)
			fprintf(stream, "M%u %uh1v-%uh-1z%s", i, bottom, height,
				i % 8 == 7 ? "\n" : "");
	}
	fputs("\"/>\n", stream);
}

enum { NAME_SHOWN = 50 };

/* The end of a long name says most. */
static const char *end_of_name(const char *name)
{
	size_t length = strlen(name);

	if (length <= NAME_SHOWN)
		return name;
	name += length - NAME_SHOWN + strlen("...");
	while ((*name & 0xc0) == 0x80)		/* the rest of a character */
		name++;
	return name;
}

static void put_volume_head(FILE *stream, const struct map_volume *volume, int y)
{
	const char *name = end_of_name(volume->name);
	char size[UNITS_TEXT_BYTES], clean[UNITS_TEXT_BYTES], dirty[UNITS_TEXT_BYTES];

	svg_print(stream, MARGIN, y, "b", "%s%s", name == volume->name ? "" : "...", name);
	svg_print(stream, MARGIN + COLUMN_WIDTH, y, "r", "clean %s, dirty %s in the cache, of %s",
		   svg_size(clean, volume->clean_sectors), svg_size(dirty, volume->dirty_sectors),
		   volume->sectors ? svg_size(size, volume->sectors) : "an unknown size");
}

static void put_addresses(FILE *stream, const struct map_volume *volume, int y)
{
	unsigned top = map_top_percent(volume), stretches = max_u64(volume->stretches, 1);
	char end[UNITS_TEXT_BYTES];
	int bottom = y + 10 + COLUMN_HEIGHT;

	put_volume_head(stream, volume, y);
	svg_ground(stream, MARGIN, y + 10, COLUMN_WIDTH, COLUMN_HEIGHT);
	fprintf(stream, "<g transform=\"translate(%d %d) scale(%.4f 1)\" "
		"shape-rendering=\"crispEdges\">\n", MARGIN, y + 10,
		(double)COLUMN_WIDTH / stretches);
	put_columns(stream, volume, top, true);
	put_columns(stream, volume, top, false);
	fputs("</g>\n", stream);
	svg_text(stream, MARGIN, bottom + 16, "m", "0");
	svg_print(stream, MARGIN + COLUMN_WIDTH / 2 - 170, bottom + 16, "m",
		   "by address; a column is %s; its full height is %u %% cached",
		   svg_size(end, volume->stretch_sectors), top);
	svg_print(stream, MARGIN + COLUMN_WIDTH, bottom + 16, "m r", "%s",
		   svg_size(end, volume->sectors ? volume->sectors :
						    stretches * volume->stretch_sectors));
}

/* ---- the last hour ---- */

/* Pixels from the left: an hour ago, to now at the right. */
static double at_age(uint64_t age_ms)
{
	return SQUARE - min_u64(age_ms, HOUR_MS) * (double)SQUARE / HOUR_MS;
}

/* A bar for each interval; `value` is at most `top`. */
static void put_bars(FILE *stream, const struct map_hour *hour, unsigned class,
		     double (*value)(const struct map_interval *interval), double top)
{
	fprintf(stream, "<path class=\"k%u\" d=\"", class);
	for (unsigned i = 0; i < hour->count; i++) {
		const struct map_interval *interval = &hour->interval[i];
		double from = at_age(interval->age_ms + interval->ms);
		double height = top > 0 ? value(interval) / top * CHART_HEIGHT : 0;

		if (height > 0)
			fprintf(stream, "M%.2f %dv-%.1fH%.2fv%.1fz\n", from, CHART_HEIGHT, height,
				at_age(interval->age_ms), height);
	}
	fputs("\"/>\n", stream);
}

/* A line through the intervals that have a value. */
static void put_curve(FILE *stream, const struct map_hour *hour, unsigned class,
		      double (*value)(const struct map_interval *interval), double top)
{
	const char *command = "M";

	fprintf(stream, "<path class=\"line%u\" d=\"", class);
	for (unsigned i = 0; i < hour->count; i++) {
		const struct map_interval *interval = &hour->interval[i];
		double height = top > 0 ? value(interval) / top * CHART_HEIGHT : 0;

		if (value(interval) <= 0)
			continue;
		fprintf(stream, "%s%.2f %.1f\n", command,
			at_age(interval->age_ms + interval->ms / 2), CHART_HEIGHT - height);
		command = "L";
	}
	fputs("\"/>\n", stream);
}

static double hit_percent(const struct map_interval *interval)
{
	return interval->reads ? interval->hits * 100.0 / interval->reads : 0;
}

static double dirty_bytes(const struct map_interval *interval)
{
	return interval->dirty_bytes;
}

static double read_us(const struct map_interval *interval)
{
	return interval->reads ? (double)interval->read_us / interval->reads : 0;
}

static double write_us(const struct map_interval *interval)
{
	return interval->writes ? (double)interval->write_us / interval->writes : 0;
}

static void begin_chart(FILE *stream, int x, int y)
{
	svg_ground(stream, x, y, SQUARE, CHART_HEIGHT);
	svg_text(stream, x, y + CHART_HEIGHT + 16, "m", "an hour ago");
	svg_text(stream, x + SQUARE, y + CHART_HEIGHT + 16, "m r", "now");
	fprintf(stream, "<g transform=\"translate(%d %d)\">\n", x, y);
}

static void put_hits(FILE *stream, const struct map_hour *hour, int x, int y)
{
	begin_chart(stream, x, y);
	put_bars(stream, hour, MAP_CLEAN, hit_percent, 100);
	fputs("</g>\n", stream);
	if (hour->all.reads)
		svg_print(stream, x, y - 8, "", "hits: %.0f %% of reads; full height: 100 %%",
			  hit_percent(&hour->all));
	else
		svg_text(stream, x, y - 8, "m", "hits: there were no reads");
}

static void put_dirty(FILE *stream, const struct map_hour *hour, int x, int y)
{
	char most[UNITS_TEXT_BYTES];

	begin_chart(stream, x, y);
	put_bars(stream, hour, MAP_DIRTY, dirty_bytes, hour->all.dirty_bytes);
	fputs("</g>\n", stream);
	svg_print(stream, x, y - 8, "", "dirty: full height: %s",
		  units_print_size(most, hour->all.dirty_bytes));
}

static void put_latency(FILE *stream, const struct map_hour *hour, int x, int y)
{
	double top = 0;

	for (unsigned i = 0; i < hour->count; i++) {
		double read = read_us(&hour->interval[i]), write = write_us(&hour->interval[i]);

		top = read > top ? read : top;
		top = write > top ? write : top;
	}
	begin_chart(stream, x, y);
	put_curve(stream, hour, MAP_CLEAN, read_us, top);
	put_curve(stream, hour, MAP_DIRTY, write_us, top);
	fputs("</g>\n", stream);
	svg_print(stream, x, y - 8, "", "reads (blue), writes; full height: %.1f ms", top / 1000);
}

static void put_hour(FILE *stream, const struct map_hour *hour, int y)
{
	put_hits(stream, hour, MARGIN, y);
	put_dirty(stream, hour, MARGIN + SQUARE + GAP, y);
	put_latency(stream, hour, MARGIN + 2 * (SQUARE + GAP), y);
}

/* ---- both ---- */

int svg_volume_height(const struct map_volume *volume)
{
	return ADDRESSES_HEIGHT + (volume->hour.count ? HOUR_HEIGHT : 0);
}

void svg_volume(FILE *stream, const struct map_volume *volume, int y)
{
	put_addresses(stream, volume, y + 14);
	if (volume->hour.count)
		put_hour(stream, &volume->hour, y + ADDRESSES_HEIGHT + 18);
}
