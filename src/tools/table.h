/*
 * A table of text, whose columns are as wide as their cells need.
 *
 * Cells are added one after the other, row by row.  Control characters in them are printed escaped.
 */
#pragma once

#include <stdio.h>

#include "base/compiler.h"

enum { TABLE_COLUMNS_MAX = 24 };

struct table {
	const char *aligned;	/* a letter for each column: l(eft) or r(ight) */
	unsigned columns, count;	/* of all cells */
	char **cells;
};

void table_begin(struct table *table, const char *aligned);
void table_add(struct table *table, const char *format, ...) PRINTF(2, 3);
/* Prints all rows, each behind `indent`, and forgets them. */
void table_end(struct table *table, const char *indent, FILE *stream);
