/*
 * Text from outside (labels, paths, names of processes) made fit to be shown.
 *
 * A control character, and a byte that is not UTF-8, becomes \x1b.
 *
 * (ESCAPE-1) The result is UTF-8 without control characters: it stays one line, and a
 *     terminal finds nothing in it to obey.
 * (ESCAPE-2) Where there is too little room it is cut between two characters, never
 *     within one or within an escape.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the UTF-8 character at `text`; 0: there is none. */
unsigned escape_utf8_length(const char *text);

/* For sentences: all that can be printed stays as it is.  `to` ends in a NUL. */
void escape_line(char *to, size_t room, const char *text);

/* For names of files: ASCII characters of which `is_plain` says no are escaped as well. */
typedef bool escape_is_plain_fn(char c, bool is_first);
void escape_name(char *to, size_t room, const char *text, escape_is_plain_fn *is_plain);

/* For between quotes: " and \ get a backslash, a newline is \n, the others \\x1b. */
void escape_quoted(char *to, size_t room, const char *text);
