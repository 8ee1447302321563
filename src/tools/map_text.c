/*
 * A map for a terminal: its figures, and pictures made of colours.
 *
 * A character is two cells, one above the other: the upper half block in the colour of the upper
 * cell on a background of the lower one's.  Colours are the 256 of xterm, and the same on a
 * light and on a dark terminal.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/numbers.h"
#include "base/units.h"
#include "tools/hilbert.h"
#include "tools/map.h"
#include "tools/tools.h"

enum { SIDE = 32, COLUMNS = 71, SECTOR_BYTES = 512, NO_DATA = 236 };

static const unsigned char kind_colours[MAP_KINDS] = { 240, 248, 32, 208, 170, 220, 36 };
static const unsigned char age_colours[MAP_SHADES] = {
	231, 225, 219, 183, 177, 141, 135, 99, 61, 60,
};
static const unsigned char full_colours[MAP_SHADES] = {
	22, 28, 34, 40, 41, 42, 84, 120, 157, 194,
};

typedef unsigned colour_fn(const struct map_picture *picture, const struct map_cell *cell);

static unsigned colour_of_kind(const struct map_picture *picture UNUSED,
			       const struct map_cell *cell)
{
	return kind_colours[cell->kind];
}

static unsigned colour_of_age(const struct map_picture *picture, const struct map_cell *cell)
{
	return cell->has_data ? age_colours[map_age_shade(picture, cell)] : NO_DATA;
}

static unsigned colour_of_fullness(const struct map_picture *picture UNUSED,
				   const struct map_cell *cell)
{
	return cell->has_data ? full_colours[map_full_shade(cell)] : NO_DATA;
}

/* A row of characters has two rows of cells. */
struct screen {
	unsigned side;
	unsigned char colour[SIDE][SIDE];
};

static void screen_fill(struct screen *screen, const struct map_picture *picture,
			colour_fn *colour_of)
{
	screen->side = picture->side;
	for (unsigned i = 0; i < picture->cells; i++) {
		struct hilbert_cell at = hilbert_cell(picture->side, i);

		screen->colour[at.y][at.x] = colour_of(picture, &picture->cell[i]);
	}
}

/* A small picture has larger cells: the screen has always SIDE of them in a row. */
static unsigned screen_colour(const struct screen *screen, unsigned x, unsigned y)
{
	return screen->colour[y * screen->side / SIDE][x * screen->side / SIDE];
}

static void put_half(FILE *stream, unsigned upper, unsigned lower)
{
	fprintf(stream, "\033[38;5;%u;48;5;%um\u2580", upper, lower);
}

static void put_end(FILE *stream)
{
	fputs("\033[0m", stream);
}

static void put_row(FILE *stream, const struct screen *screen, unsigned row)
{
	for (unsigned x = 0; x < SIDE; x++)
		put_half(stream, screen_colour(screen, x, 2 * row),
			 screen_colour(screen, x, 2 * row + 1));
	put_end(stream);
}

static void put_swatch(FILE *stream, unsigned colour)
{
	fprintf(stream, "\033[48;5;%um  \033[0m ", colour);
}

/* ---- figures ---- */

static const char *size_text(char text[UNITS_TEXT_BYTES], uint64_t sectors)
{
	return units_print_size(text, sectors * SECTOR_BYTES);
}

static void print_kind(FILE *stream, const struct map *map, const struct map_figures *figures,
		       unsigned kind)
{
	char size[UNITS_TEXT_BYTES];

	fprintf(stream, "%-7s %9" PRIu64 " buckets %8s %5.1f %%\n", map_kind_names[kind],
		figures->buckets[kind],
		size_text(size, figures->buckets[kind] * map->bucket_sectors),
		figures->buckets[kind] * 100.0 / map->buckets);
}

static void print_data(FILE *stream, const struct map *map, const struct map_figures *figures)
{
	char clean[UNITS_TEXT_BYTES], dirty[UNITS_TEXT_BYTES];
	char newest[UNITS_TEXT_BYTES], oldest[UNITS_TEXT_BYTES];
	uint64_t live = figures->clean_sectors + figures->dirty_sectors;

	if (!figures->data_buckets)
		return;
	fprintf(stream, "live data: clean %s, dirty %s; %.1f %% of all buckets with data\n",
		size_text(clean, figures->clean_sectors), size_text(dirty, figures->dirty_sectors),
		live * 100.0 / (figures->data_buckets * map->bucket_sectors));
	fprintf(stream, "last used: from %s to %s of reads and writes through the cache ago\n",
		units_print_size(newest, map_idle_bytes(map, figures->highest)),
		units_print_size(oldest, map_idle_bytes(map, figures->lowest)));
}

/* ---- pictures ---- */

/* Beside the picture of kinds are its legend and the figures. */
static void put_kinds(FILE *stream, const struct map *map, const struct map_picture *picture)
{
	struct screen screen;

	screen_fill(&screen, picture, colour_of_kind);
	for (unsigned row = 0; row < SIDE / 2; row++) {
		put_row(stream, &screen, row);
		if (row < MAP_KINDS) {
			fputs("  ", stream);
			put_swatch(stream, kind_colours[row]);
			print_kind(stream, map, &picture->figures, row);
		} else {
			fputc('\n', stream);
		}
	}
}

static void put_ramp(FILE *stream, const unsigned char colours[MAP_SHADES])
{
	for (unsigned i = 0; i < MAP_SHADES; i++)
		fprintf(stream, "\033[48;5;%um ", colours[i]);
	put_end(stream);
}

static void put_shades(FILE *stream, const struct map_picture *picture)
{
	struct screen age, full;

	screen_fill(&age, picture, colour_of_age);
	screen_fill(&full, picture, colour_of_fullness);
	fputc('\n', stream);
	for (unsigned row = 0; row < SIDE / 2; row++) {
		put_row(stream, &age, row);
		fputs("       ", stream);
		put_row(stream, &full, row);
		fputc('\n', stream);
	}
	put_ramp(stream, age_colours);
	fputs(" last use: new to old         ", stream);
	put_ramp(stream, full_colours);
	fputs(" full of live data: 0 to 100 %\n", stream);
}

static unsigned colour_of_stretch(const struct map_volume *volume, uint64_t clean, uint64_t dirty,
				  unsigned above_percent)
{
	uint64_t level = volume->stretch_sectors * above_percent / 100;

	if (dirty > level)
		return kind_colours[MAP_DIRTY];
	return clean + dirty > level ? kind_colours[MAP_CLEAN] : NO_DATA;
}

/* The stretch with the most data stands for all that one character shows. */
static const struct map_stretch *fullest(const struct map_volume *volume, unsigned column)
{
	unsigned at = column * volume->stretches / COLUMNS;
	unsigned end = max_u64((column + 1) * volume->stretches / COLUMNS, at + 1);
	const struct map_stretch *best = &volume->stretch[at];

	for (; at < end; at++)
		if (volume->stretch[at].clean_sectors + volume->stretch[at].dirty_sectors >
		    best->clean_sectors + best->dirty_sectors)
			best = &volume->stretch[at];
	return best;
}

/* Two rows of characters are four levels of a column. */
static void put_columns(FILE *stream, const struct map_volume *volume)
{
	unsigned top = map_top_percent(volume);

	for (unsigned row = 0; row < 2; row++) {
		for (unsigned i = 0; i < COLUMNS; i++) {
			const struct map_stretch *s = fullest(volume, i);
			uint64_t clean = s->clean_sectors, dirty = s->dirty_sectors;

			put_half(stream,
				 colour_of_stretch(volume, clean, dirty, top * (3 - 2 * row) / 4),
				 colour_of_stretch(volume, clean, dirty, top * (2 - 2 * row) / 4));
		}
		put_end(stream);
		fputc('\n', stream);
	}
}

/* ---- all ---- */

static double average_ms(uint64_t us, uint64_t requests)
{
	return requests ? us / 1000.0 / requests : 0;
}

static void print_hour(FILE *stream, const struct map_hour *hour)
{
	const struct map_interval *all = &hour->all;
	char most[UNITS_TEXT_BYTES];

	if (!hour->count)
		return;
	fprintf(stream, "  last hour: %" PRIu64 " reads, ", all->reads);
	if (all->reads)
		fprintf(stream, "%.0f %% hits, %.2f ms; ", all->hits * 100.0 / all->reads,
			average_ms(all->read_us, all->reads));
	fprintf(stream, "%" PRIu64 " writes, %.2f ms\n  last hour: dirty up to %s\n", all->writes,
		average_ms(all->write_us, all->writes),
		units_print_size(most, all->dirty_bytes));
}

static void print_volume(FILE *stream, const struct map_volume *volume, bool colours)
{
	char size[UNITS_TEXT_BYTES], clean[UNITS_TEXT_BYTES], dirty[UNITS_TEXT_BYTES];

	tool_say(stream, "%s, %s: clean %s, dirty %s in the cache", volume->name,
		 volume->sectors ? size_text(size, volume->sectors) : "of unknown size",
		 size_text(clean, volume->clean_sectors), size_text(dirty, volume->dirty_sectors));
	print_hour(stream, &volume->hour);
	if (colours && volume->stretches)
		put_columns(stream, volume);
}

static void print_set(FILE *stream, const struct map *map, bool colours)
{
	struct map_picture picture;

	map_picture_make(&picture, map, SIDE);
	tool_say(stream, "set %s", map->uuid);
	if (colours) {
		put_kinds(stream, map, &picture);
		put_shades(stream, &picture);
	} else {
		for (unsigned kind = 0; kind < MAP_KINDS; kind++)
			print_kind(stream, map, &picture.figures, kind);
	}
	print_data(stream, map, &picture.figures);
	for (unsigned i = 0; i < map->volumes; i++)
		print_volume(stream, map->volume[i], colours);
	map_picture_done(&picture);
}

void map_write_text(FILE *stream, const struct map_page *page, bool colours)
{
	for (unsigned i = 0; i < page->maps; i++) {
		if (i)
			fputc('\n', stream);
		print_set(stream, &page->map[i], colours);
	}
}
