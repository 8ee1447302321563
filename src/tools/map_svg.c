/*
 * The pictures of a map as one SVG, by itself or in an HTML page; nothing else is loaded.
 *
 *	+---------+ +---------+ +---------+
 *	|  kinds  | |   age   | |  full   |	squares of SQUARE pixels
 *	+---------+ +---------+ +---------+
 *	 legends
 *	 volumes (map_svg_volume.c)
 *
 * Colours are classes of a style sheet, whose second half is for a dark screen.  Cells of one
 * class are one path, with a rectangle for each run in a row: so 16,384 cells need few bytes.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/numbers.h"
#include "tools/hilbert.h"
#include "tools/map_svg.h"

enum {
	SET_TOP = 76,			/* from the top of a set to its squares */
	LEGEND_LINES = MAP_KINDS + 1,
	VOLUMES_TOP = SET_TOP + SQUARE + 34 + LEGEND_LINES * LINE,
	SECTOR_BYTES = 512,
};

/* Light, then dark; blue and orange differ for all eyes, and so do light and dark shades. */
static const char style_text[] =
	"text{font:13px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;fill:#1f2328}\n"
	".h{font-size:17px;font-weight:600}.b{font-weight:600}.m{fill:#59636e}"
	".r{text-anchor:end}\n"
	".page{fill:#ffffff}.frame{fill:none;stroke:#d1d9e0}.none{fill:#eef1f4}\n"
	".k0{fill:#e3e7eb}.k1{fill:#9aa4ae}.k2{fill:#2f7fc1}.k3{fill:#e0600b}\n"
	".k4{fill:#b5559b}.k5{fill:#e8b004}.k6{fill:#0f8f6b}\n"
	".line2{fill:none;stroke:#2f7fc1}.line3{fill:none;stroke:#e0600b}\n"
	".a0{fill:#3f007d}.a1{fill:#54278f}.a2{fill:#6551a5}.a3{fill:#7a6fb5}.a4{fill:#8f88c2}\n"
	".a5{fill:#a29dcc}.a6{fill:#b5b2d6}.a7{fill:#c6c5e0}.a8{fill:#d4d4e8}.a9{fill:#dedeed}\n"
	".f0{fill:#dcebdc}.f1{fill:#c9e3ca}.f2{fill:#b2d9b5}.f3{fill:#98cc9e}.f4{fill:#7bbd87}\n"
	".f5{fill:#5dad72}.f6{fill:#419a5f}.f7{fill:#2a864e}.f8{fill:#13713d}.f9{fill:#00572b}\n";
static const char dark_text[] =
	"text{fill:#e6edf3}.m{fill:#9198a1}\n"
	".page{fill:#0d1117}.frame{stroke:#3d444d}.none{fill:#161b22}\n"
	".k0{fill:#262c34}.k1{fill:#717b86}.k2{fill:#4c9be0}.k3{fill:#ff8037}\n"
	".k4{fill:#dd86c4}.k5{fill:#f2c744}.k6{fill:#35bd95}\n"
	".line2{stroke:#4c9be0}.line3{stroke:#ff8037}\n"
	".a0{fill:#e0d9ff}.a1{fill:#cbc1f7}.a2{fill:#b6aaed}.a3{fill:#a194df}.a4{fill:#8c7fcf}\n"
	".a5{fill:#776bbb}.a6{fill:#6459a4}.a7{fill:#52498b}.a8{fill:#413a71}.a9{fill:#322d58}\n"
	".f0{fill:#1b3323}.f1{fill:#1e402a}.f2{fill:#204e31}.f3{fill:#225d38}.f4{fill:#276d41}\n"
	".f5{fill:#2f7f4b}.f6{fill:#3c9257}.f7{fill:#52a768}.f8{fill:#74bd82}.f9{fill:#a3d6a8}\n";

/* ---- text ---- */

/* Names come from outside: no byte of them may be markup, or not be UTF-8. */
static void put_text(FILE *stream, const char *text)
{
	while (*text) {
		unsigned length = escape_utf8_length(text);

		if (!length || (length == 1 && ((unsigned char)*text < 0x20 || *text == 0x7f)))
			fputs("&#xfffd;", stream);
		else if (length == 1 && strchr("<>&\"", *text))
			fprintf(stream, "&#%d;", *text);
		else
			fwrite(text, 1, length, stream);
		text += length ? length : 1;
	}
}

void svg_text(FILE *stream, int x, int y, const char *class, const char *text)
{
	fprintf(stream, "<text x=\"%d\" y=\"%d\" class=\"%s\">", x, y, class);
	put_text(stream, text);
	fputs("</text>\n", stream);
}

void svg_print(FILE *stream, int x, int y, const char *class, const char *format, ...)
{
	autofree char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		abort();
	va_end(arguments);
	svg_text(stream, x, y, class, text);
}

void svg_ground(FILE *stream, int x, int y, int width, int height)
{
	fprintf(stream, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" class=\"none\"/>\n",
		x, y, width, height);
}

static void put_swatch(FILE *stream, int x, int y, int width, const char *kind, unsigned number)
{
	fprintf(stream, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"12\" class=\"%s%u\"/>\n",
		x, y, width, kind, number);
}

const char *svg_size(char text[UNITS_TEXT_BYTES], uint64_t sectors)
{
	return units_print_size(text, sectors * SECTOR_BYTES);
}

/* ---- the squares ---- */

enum { NO_CLASS = -1 };
typedef int cell_class_fn(const struct map_picture *picture, const struct map_cell *cell);

static int class_of_kind(const struct map_picture *picture UNUSED, const struct map_cell *cell)
{
	return cell->kind;
}

static int class_of_age(const struct map_picture *picture, const struct map_cell *cell)
{
	return cell->has_data ? (int)map_age_shade(picture, cell) : NO_CLASS;
}

static int class_of_fullness(const struct map_picture *picture UNUSED,
			     const struct map_cell *cell)
{
	return cell->has_data ? (int)map_full_shade(cell) : NO_CLASS;
}

struct square {
	const struct map_picture *picture;
	int *class;			/* by cell, row by row */
};

static void fill_square(struct square *square, const struct map_picture *picture,
			cell_class_fn *class_of)
{
	square->picture = picture;
	square->class = calloc(picture->cells, sizeof(*square->class));
	if (!square->class)
		abort();
	for (unsigned i = 0; i < picture->cells; i++) {
		struct hilbert_cell at = hilbert_cell(picture->side, i);

		square->class[at.y * picture->side + at.x] = class_of(picture, &picture->cell[i]);
	}
}

/* The runs of a class in a row; true: there was one. */
static bool put_row(FILE *stream, const struct square *square, unsigned y, int class)
{
	unsigned side = square->picture->side, from;
	const int *row = square->class + y * side;
	bool has_run = false;

	for (unsigned x = 0; x < side; x++) {
		if (row[x] != class)
			continue;
		for (from = x; x < side && row[x] == class; x++)
			;
		fprintf(stream, "M%u %uh%uv1h-%uz", from, y, x - from, x - from);
		has_run = true;
	}
	return has_run;
}

static void put_classes(FILE *stream, const struct square *square, const char *letter,
			int classes)
{
	for (int class = 0; class < classes; class++) {
		fprintf(stream, "<path class=\"%s%d\" d=\"", letter, class);
		for (unsigned y = 0; y < square->picture->side; y++)
			if (put_row(stream, square, y, class))
				fputc('\n', stream);
		fputs("\"/>\n", stream);
	}
}

static void put_square(FILE *stream, const struct map_picture *picture, int x, int y,
		       const char *letter, int classes, cell_class_fn *class_of)
{
	struct square square;

	fill_square(&square, picture, class_of);
	svg_ground(stream, x, y, SQUARE, SQUARE);
	fprintf(stream, "<g transform=\"translate(%d %d) scale(%d)\" "
		"shape-rendering=\"crispEdges\">\n", x, y, SQUARE / (int)picture->side);
	put_classes(stream, &square, letter, classes);
	fputs("</g>\n", stream);
	fprintf(stream, "<rect x=\"%d.5\" y=\"%d.5\" width=\"%d\" height=\"%d\" "
		"class=\"frame\"/>\n", x - 1, y - 1, SQUARE + 1, SQUARE + 1);
	free(square.class);
}
_Static_assert(SQUARE % MAP_SIDE_MAX == 0, "cells are whole pixels");

/* ---- legends ---- */

static void put_kinds_legend(FILE *stream, const struct map *map,
			     const struct map_figures *figures, int x, int y)
{
	char size[UNITS_TEXT_BYTES];

	for (unsigned kind = 0; kind < MAP_KINDS; kind++, y += LINE) {
		put_swatch(stream, x, y - 10, 12, "k", kind);
		svg_text(stream, x + 20, y, "", map_kind_names[kind]);
		svg_print(stream, x + 170, y, "r", "%" PRIu64, figures->buckets[kind]);
		svg_print(stream, x + SQUARE, y, "m r", "%s",
			   svg_size(size, figures->buckets[kind] * map->bucket_sectors));
	}
	svg_text(stream, x + 20, y, "m", "all buckets");
	svg_print(stream, x + 170, y, "m r", "%" PRIu64, map->buckets);
	svg_print(stream, x + SQUARE, y, "m r", "%s",
		   svg_size(size, map->buckets * map->bucket_sectors));
}

static void put_ramp(FILE *stream, int x, int y, const char *letter)
{
	for (unsigned i = 0; i < MAP_SHADES; i++)
		put_swatch(stream, x + (int)i * SQUARE / MAP_SHADES, y - 10,
			   SQUARE / MAP_SHADES + 1, letter, i);
}

static void put_age_legend(FILE *stream, const struct map *map,
			   const struct map_figures *figures, int x, int y)
{
	char newest[UNITS_TEXT_BYTES], oldest[UNITS_TEXT_BYTES];

	put_ramp(stream, x, y, "a");
	if (!figures->data_buckets) {
		svg_text(stream, x, y + LINE, "m", "no bucket has data");
		return;
	}
	units_print_size(newest, map_idle_bytes(map, figures->highest));
	units_print_size(oldest, map_idle_bytes(map, figures->lowest));
	svg_text(stream, x, y + LINE, "", "newest");
	svg_text(stream, x + SQUARE, y + LINE, "r", "oldest");
	svg_print(stream, x, y + 2 * LINE, "", "last used %s to %s ago:", newest, oldest);
	svg_text(stream, x, y + 3 * LINE, "m", "bytes read and written since then");
}

static void put_full_legend(FILE *stream, const struct map *map,
			    const struct map_figures *figures, int x, int y)
{
	char clean[UNITS_TEXT_BYTES], dirty[UNITS_TEXT_BYTES];
	uint64_t room = figures->data_buckets * map->bucket_sectors;
	uint64_t live = figures->clean_sectors + figures->dirty_sectors;

	put_ramp(stream, x, y, "f");
	svg_text(stream, x, y + LINE, "", "0 %");
	svg_text(stream, x + SQUARE, y + LINE, "r", "100 % live data");
	svg_print(stream, x, y + 2 * LINE, "", "live: clean %s, dirty %s",
		   svg_size(clean, figures->clean_sectors),
		   svg_size(dirty, figures->dirty_sectors));
	if (room)
		svg_print(stream, x, y + 3 * LINE, "m", "%.1f %% of all buckets with data",
			   live * 100.0 / room);
}

static void put_squares(FILE *stream, const struct map *map)
{
	int first = MARGIN, second = MARGIN + SQUARE + GAP, third = second + SQUARE + GAP;
	int legend = SET_TOP + SQUARE + 28;
	struct map_picture picture;

	map_picture_make(&picture, map, MAP_SIDE_MAX);
	svg_text(stream, first, SET_TOP - 12, "b", "buckets by use");
	svg_text(stream, second, SET_TOP - 12, "b", "last use of data");
	svg_text(stream, third, SET_TOP - 12, "b", "how full of live data");
	put_square(stream, &picture, first, SET_TOP, "k", MAP_KINDS, class_of_kind);
	put_square(stream, &picture, second, SET_TOP, "a", MAP_SHADES, class_of_age);
	put_square(stream, &picture, third, SET_TOP, "f", MAP_SHADES, class_of_fullness);
	put_kinds_legend(stream, map, &picture.figures, first, legend);
	put_age_legend(stream, map, &picture.figures, second, legend);
	put_full_legend(stream, map, &picture.figures, third, legend);
	svg_print(stream, second, legend + 5 * LINE, "m",
		   "A cell stands for %s%" PRIu64 " bucket%s on a Hilbert curve:",
		   map->buckets % picture.cells ? "about " : "", map->buckets / picture.cells,
		   map->buckets / picture.cells > 1 ? "s" : "");
	svg_text(stream, second, legend + 6 * LINE, "m",
		 "bucket 0 is at the top left, the last one at the top right.");
	map_picture_done(&picture);
}

/* ---- a set, a page ---- */

static int set_height(const struct map *map)
{
	int height = VOLUMES_TOP + LINE;

	for (unsigned i = 0; i < map->volumes; i++)
		height += svg_volume_height(map->volume[i]);
	return height;
}

static void put_set(FILE *stream, const struct map_page *page, const struct map *map, int y)
{
	fprintf(stream, "<g transform=\"translate(0 %d)\">\n", y);
	svg_print(stream, MARGIN, 28, "h", "set %s", map->uuid);
	svg_print(stream, WIDTH - MARGIN, 28, "m r", "%s%s", page->time,
		   map->is_live ? ", while mounted" : "");
	put_squares(stream, map);
	for (unsigned i = 0, at = VOLUMES_TOP; i < map->volumes; i++) {
		svg_volume(stream, map->volume[i], at);
		at += svg_volume_height(map->volume[i]);
	}
	fputs("</g>\n", stream);
}

static void put_drawing(FILE *stream, const struct map_page *page)
{
	int height = 0, y = 0;

	for (unsigned i = 0; i < page->maps; i++)
		height += set_height(&page->map[i]);
	fprintf(stream, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"viewBox=\"0 0 %d %d\" role=\"img\">\n", WIDTH, height, WIDTH, height);
	fputs("<title>bcachefuse map</title>\n<style>\n", stream);
	fprintf(stream, "%s@media (prefers-color-scheme:dark){\n%s}\n</style>\n", style_text,
		dark_text);
	fprintf(stream, "<rect width=\"%d\" height=\"%d\" class=\"page\"/>\n", WIDTH, height);
	for (unsigned i = 0; i < page->maps; i++) {
		put_set(stream, page, &page->map[i], y);
		y += set_height(&page->map[i]);
	}
	fputs("</svg>\n", stream);
}

void map_write_svg(FILE *stream, const struct map_page *page)
{
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", stream);
	put_drawing(stream, page);
}

void map_write_html(FILE *stream, const struct map_page *page)
{
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta name=\"color-scheme\" content=\"light dark\">\n"
	      "<title>bcachefuse map</title>\n<style>\n"
	      "body{margin:0;background:#ffffff}svg{display:block;margin:auto;max-width:100%}\n"
	      "@media (prefers-color-scheme:dark){body{background:#0d1117}}\n"
	      "</style>\n</head>\n<body>\n", stream);
	put_drawing(stream, page);
	fputs("</body>\n</html>\n", stream);
}
