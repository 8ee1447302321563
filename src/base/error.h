/*
 * An errno with the sentence that explains it.
 *
 * Functions return 0 or -errno.  Where a person will read the reason, they also
 * take a struct error and fill it: what was found, what was wanted.  The layer
 * that knows the device puts its name in front; only the outermost prints.
 *
 * A sentence quotes paths and labels, and what is odd in those is escaped in it
 * (base/escape.h): it is one line of UTF-8.
 */
#pragma once

#include "base/compiler.h"

enum { ERROR_TEXT_BYTES = 400 };

struct error {
	int code;			/* a positive errno; 0: no error yet */
	char text[ERROR_TEXT_BYTES];	/* one sentence, without a newline */
};

/* Fills `error` (if there is one) and returns -code. */
int error_set(struct error *error, int code, const char *format, ...) PRINTF(3, 4);

/* Puts "subject: " in front of the sentence; returns -error->code. */
int error_prefix(struct error *error, const char *format, ...) PRINTF(2, 3);
