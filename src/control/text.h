/*
 * A growing text buffer, for the content of a control file.
 *
 * Only `metrics` and `diskstats` exceed a page.  If there is no memory, the program ends.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct text {
	char *bytes;	/* NUL-terminated; NULL while empty */
	size_t used;	/* without the NUL */
	size_t room;
};

void text_print(struct text *text, const char *format, ...) PRINTF(2, 3);
/* One line with a number; with a size as the kernel prints it ("4.0M"). */
void text_number(struct text *text, int64_t number);
void text_size(struct text *text, int64_t bytes);
/* One line with all names, that of `chosen` in brackets. */
void text_choice(struct text *text, const char *const *names, int chosen);
void text_done(struct text *text);
