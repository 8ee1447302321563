/*
 * An error: an errno and a sentence with the reason.
 *
 * Functions return 0 or -errno.  If a person will read the reason, they also fill in a
 * struct error: what was found, and what was wanted.  The layer that knows the device
 * prefixes its name; only the outermost layer prints or logs it.
 *
 * Paths and labels in the sentence are escaped (base/escape.h): it is one line of UTF-8.
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

/* Prefixes the sentence with "subject: "; returns -error->code. */
int error_prefix(struct error *error, const char *format, ...) PRINTF(2, 3);
