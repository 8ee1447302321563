/* Collects cells, measures the columns, and prints. */
#include "tools/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "tools/tools.h"

void table_begin(struct table *table, const char *aligned)
{
	*table = (struct table){ .aligned = aligned, .columns = strlen(aligned) };
	assert(table->columns && table->columns <= TABLE_COLUMNS_MAX);
}

void table_add(struct table *table, const char *format, ...)
{
	va_list arguments;

	table->cells = realloc(table->cells, (table->count + 1) * sizeof(*table->cells));
	assert(table->cells);
	va_start(arguments, format);
	if (vasprintf(&table->cells[table->count++], format, arguments) < 0)
		abort();
	va_end(arguments);
}

/* The last column of a row is not filled with blanks. */
static char *line_of(const struct table *table, unsigned row, const int widths[TABLE_COLUMNS_MAX])
{
	size_t bytes;
	char *line;
	FILE *stream = open_memstream(&line, &bytes);

	assert(stream);
	for (unsigned column = 0; column < table->columns; column++) {
		const char *cell = table->cells[row * table->columns + column];
		bool is_last = column == table->columns - 1;

		if (table->aligned[column] == 'r')
			fprintf(stream, "%*s", widths[column], cell);
		else
			fprintf(stream, "%-*s", is_last ? 0 : widths[column], cell);
		if (!is_last)
			fputs("  ", stream);
	}
	fclose(stream);
	return line;
}

void table_end(struct table *table, const char *indent, FILE *stream)
{
	int widths[TABLE_COLUMNS_MAX] = { 0 };

	assert(table->count % table->columns == 0);
	for (unsigned i = 0; i < table->count; i++) {
		int *width = &widths[i % table->columns];

		*width = max_u64(*width, strlen(table->cells[i]));
	}
	for (unsigned row = 0; row < table->count / table->columns; row++) {
		autofree char *line = line_of(table, row, widths);

		tool_say(stream, "%s%s", indent, line);
	}
	for (unsigned i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	*table = (struct table){ 0 };
}
