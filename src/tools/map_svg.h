/*
 * Shared by the files that draw a map as SVG: text, and the measures of the page.
 */
#pragma once

#include "base/units.h"
#include "tools/map.h"

enum {
	MARGIN = 24,
	SQUARE = 256,
	GAP = 42,
	WIDTH = 2 * MARGIN + 3 * SQUARE + 2 * GAP,
	LINE = 20,
};

/* A line of text, escaped, whose left or right end is at x; `class` of the style sheet. */
void svg_text(FILE *stream, int x, int y, const char *class, const char *text);
void svg_print(FILE *stream, int x, int y, const char *class, const char *format, ...) PRINTF(5, 6);
/* An empty rectangle for a picture. */
void svg_ground(FILE *stream, int x, int y, int width, int height);
const char *svg_size(char text[UNITS_TEXT_BYTES], uint64_t sectors);

/* ---- map_svg_volume.c ---- */

int svg_volume_height(const struct map_volume *volume);
void svg_volume(FILE *stream, const struct map_volume *volume, int y);
