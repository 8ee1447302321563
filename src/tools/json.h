/*
 * Writes JSON to a stream, value by value.
 *
 * (JSON-1) Commas and line breaks come by themselves; what is opened must be closed.
 * (JSON-2) The result is valid whatever the strings hold: bytes that are not UTF-8
 *     become U+FFFD.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *stream;
	unsigned depth;
	bool is_first;		/* nothing stands yet in what was opened last */
};

void json_start(struct json *json, FILE *stream);
void json_end(struct json *json);

/* `name` is NULL in arrays and at the top. */
void json_open_object(struct json *json, const char *name);
void json_close_object(struct json *json);
void json_open_array(struct json *json, const char *name);
void json_close_array(struct json *json);
void json_string(struct json *json, const char *name, const char *value);
void json_number(struct json *json, const char *name, uint64_t value);
void json_bool(struct json *json, const char *name, bool value);
