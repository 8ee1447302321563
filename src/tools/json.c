/*
 * Writes JSON, value by value.
 *
 * DEL is escaped, too, which JSON does not require, since the output may go to a terminal.
 */
#include "tools/json.h"

#include <assert.h>
#include <inttypes.h>

#include "base/escape.h"

static void indent(struct json *json)
{
	for (unsigned i = 0; i < json->depth && !json->is_line; i++)
		fputs("  ", json->stream);
}

static void break_line(struct json *json)
{
	if (json->depth && !json->is_line)
		fputc('\n', json->stream);
	indent(json);
}

static void print_string(struct json *json, const char *value)
{
	const char *c = value;

	fputc('"', json->stream);
	while (*c) {
		unsigned length = escape_utf8_length(c);

		if (!length)
			fputs("\\ufffd", json->stream);
		else if (*c == 0x7f || (length == 1 && *c < 0x20))
			fprintf(json->stream, "\\u%04x", *c);
		else if (*c == '"' || *c == '\\')
			fprintf(json->stream, "\\%c", *c);
		else
			fwrite(c, 1, length, json->stream);
		c += length ? length : 1;
	}
	fputc('"', json->stream);
}

/* Writes the comma after the previous value, the indentation and the name (JSON-1). */
static void begin_value(struct json *json, const char *name)
{
	if (!json->is_first)
		fputc(',', json->stream);
	break_line(json);
	if (name) {
		print_string(json, name);
		fputs(json->is_line ? ":" : ": ", json->stream);
	}
	json->is_first = false;
}

static void open_bracket(struct json *json, const char *name, char bracket)
{
	begin_value(json, name);
	fputc(bracket, json->stream);
	json->depth++;
	json->is_first = true;
}

/* An empty object or array stays on one line. */
static void close_bracket(struct json *json, char bracket)
{
	assert(json->depth);	/* JSON-1 */
	json->depth--;
	if (!json->is_first && !json->is_line) {
		fputc('\n', json->stream);
		indent(json);
	}
	fputc(bracket, json->stream);
	json->is_first = false;
}

void json_start_line(struct json *json, FILE *stream)
{
	*json = (struct json){ .stream = stream, .is_line = true, .is_first = true };
}

void json_start(struct json *json, FILE *stream)
{
	*json = (struct json){ .stream = stream, .is_first = true };
}

void json_end(struct json *json)
{
	assert(!json->depth);	/* JSON-1 */
	fputc('\n', json->stream);
}

void json_open_object(struct json *json, const char *name)
{
	open_bracket(json, name, '{');
}

void json_close_object(struct json *json)
{
	close_bracket(json, '}');
}

void json_open_array(struct json *json, const char *name)
{
	open_bracket(json, name, '[');
}

void json_close_array(struct json *json)
{
	close_bracket(json, ']');
}

void json_string(struct json *json, const char *name, const char *value)
{
	begin_value(json, name);
	print_string(json, value);
}

/*
 * Readers that take numbers for doubles lose digits above 2^53; what may be larger and must be
 * exact, like a checksum, is written as a string.
 */
void json_number(struct json *json, const char *name, uint64_t value)
{
	begin_value(json, name);
	fprintf(json->stream, "%" PRIu64, value);
}

void json_bool(struct json *json, const char *name, bool value)
{
	begin_value(json, name);
	fputs(value ? "true" : "false", json->stream);
}

void json_command(struct json *json, const char *command)
{
	json_open_object(json, "bcachefuse");
	json_string(json, "command", command);
	json_number(json, "schema", 1);
	json_string(json, "version", PACKAGE_VERSION);
	json_close_object(json);
}
