/*
 * Escapes text from outside (labels, paths, names of processes), so that it can be shown.
 *
 * A control character, and a byte that is not valid UTF-8, is written as \x1b.
 *
 * (ESCAPE-1) The result is UTF-8 without control characters: it is one line, without
 *     terminal escape sequences.
 * (ESCAPE-2) If it does not fit, it is cut between two characters, never inside a character
 *     or an escape.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the UTF-8 character at `text`; 0: there is none. */
unsigned escape_utf8_length(const char *text);

/* For sentences: printable characters are unchanged.  `to` ends with a NUL. */
void escape_line(char *to, size_t room, const char *text);

/* For file names: ASCII characters that are not `is_plain` are escaped, too. */
typedef bool escape_is_plain_fn(char c, bool is_first);
void escape_name(char *to, size_t room, const char *text, escape_is_plain_fn *is_plain);

/* For quoted strings: " and \ get a backslash, a newline becomes \n, others \\x1b. */
void escape_quoted(char *to, size_t room, const char *text);
