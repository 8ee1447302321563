/*
 * Writes JSON to a stream, value by value.
 *
 * (JSON-1) Commas and line breaks are added automatically; every object and array that is
 *     opened must be closed.
 * (JSON-2) The result is valid for all strings: bytes that are not UTF-8 become U+FFFD.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *stream;
	unsigned depth;
	bool is_line;		/* all on one line */
	bool is_first;		/* the innermost object or array is still empty */
};

void json_start(struct json *json, FILE *stream);
/* An object that is one line. */
void json_start_line(struct json *json, FILE *stream);
void json_end(struct json *json);

/* The head of each output: `"bcachefuse": {"command": ..., "schema": 1, "version": ...}`. */
void json_command(struct json *json, const char *command);

/* `name` is NULL in arrays and at the top level. */
void json_open_object(struct json *json, const char *name);
void json_close_object(struct json *json);
void json_open_array(struct json *json, const char *name);
void json_close_array(struct json *json);
void json_string(struct json *json, const char *name, const char *value);
void json_number(struct json *json, const char *name, uint64_t value);
void json_bool(struct json *json, const char *name, bool value);
