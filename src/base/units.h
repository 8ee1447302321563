/*
 * Numbers and words as people write and read them in control files and options.
 *
 * The formats are those of the kernel's sysfs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UNITS_TEXT_BYTES = 32 };

/* "4.0M", "0.5k": the kernel's human-readable size, one truncated digit. Returns `text`. */
const char *units_print_size(char text[UNITS_TEXT_BYTES], int64_t bytes);
/* A decimal number, at most one newline behind it. 0, -EINVAL, -ERANGE. */
int units_parse_number(const char *text, uint64_t *value);
/* A decimal number, at most one of kmgtpezy (powers of 1024), at most one newline. */
int units_parse_size(const char *text, uint64_t *bytes);
int units_parse_bool(const char *text, bool *value);	/* a number; nonzero is true */
/* Which of `names` (NULL-terminated) is `text`, but for a newline? -EINVAL if none. */
int units_parse_choice(const char *text, const char *const *names);
/* "writethrough [writeback] none" */
void units_print_choice(char *text, size_t bytes, const char *const *names, int chosen);
int units_parse_uuid(const char *text, uint8_t uuid[16]); /* 32 hex digits; - and : are skipped */
const char *units_print_uuid(char text[40], const uint8_t uuid[16]);
