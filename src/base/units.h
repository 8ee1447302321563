/*
 * Parses and prints numbers, sizes, choices and UUIDs for control files and options.
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
/* A decimal number; a trailing newline is ignored.  0, -EINVAL, -ERANGE. */
int units_parse_number(const char *text, uint64_t *value);
/* A decimal number with an optional suffix kmgtpezy (powers of 1024), and newline. */
int units_parse_size(const char *text, uint64_t *bytes);
int units_parse_bool(const char *text, bool *value);	/* a number; nonzero is true */
/* Index of `text` in `names` (NULL-terminated), ignoring a newline.  -EINVAL if there is none. */
int units_parse_choice(const char *text, const char *const *names);
/* "writethrough [writeback] none" */
void units_print_choice(char *text, size_t bytes, const char *const *names, int chosen);
int units_parse_uuid(const char *text, uint8_t uuid[16]); /* 32 hex digits; - and : are skipped */
const char *units_print_uuid(char text[40], const uint8_t uuid[16]);
