/*
 * The last hour of a volume, as its control file `history` tells it: a table, whose first line
 * names the columns.  Their order does not matter, and others may be among them.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/map.h"

enum { COLUMNS_MAX = 64, MS_PER_SECOND = 1000 };

enum column {
	COLUMN_OTHER,
	COLUMN_AGE,
	COLUMN_SECONDS,
	COLUMN_DIRTY,
	COLUMN_HITS,
	COLUMN_READS,
	COLUMN_WRITES,
};

struct table {
	unsigned columns;
	enum column column[COLUMNS_MAX];
	bool is_latency[COLUMNS_MAX];	/* of the requests in the column before it, in us */
};

static enum column column_of(const char *name)
{
	static const struct {
		const char *name;
		enum column column;
	} columns[] = {
		{ "age_seconds", COLUMN_AGE },	{ "seconds", COLUMN_SECONDS },
		{ "dirty_bytes", COLUMN_DIRTY }, { "read_hit", COLUMN_HITS },
		{ "read_miss", COLUMN_READS },	{ "read_bypass", COLUMN_READS },
		{ "write_back", COLUMN_WRITES }, { "write_through", COLUMN_WRITES },
		{ "write_bypass", COLUMN_WRITES },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(columns); i++)
		if (!strcmp(columns[i].name, name))
			return columns[i].column;
	return COLUMN_OTHER;
}

static bool ends_in(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);

	return length >= end_length && !strcmp(text + length - end_length, end);
}

static void parse_columns(struct table *table, char *line)
{
	char *rest = line, *name;

	*table = (struct table){ .columns = 0 };
	while (table->columns < COLUMNS_MAX && (name = strsep(&rest, " "))) {
		unsigned at = table->columns++;

		table->is_latency[at] = at && ends_in(name, "_us");
		table->column[at] = table->is_latency[at] ? table->column[at - 1] :
							    column_of(name);
	}
}

static void take_value(struct map_interval *interval, enum column column, double value)
{
	switch (column) {
	case COLUMN_AGE:
		interval->age_ms = value * MS_PER_SECOND;
		break;
	case COLUMN_SECONDS:
		interval->ms = value * MS_PER_SECOND;
		break;
	case COLUMN_DIRTY:
		interval->dirty_bytes = value;
		break;
	case COLUMN_HITS:
		interval->hits += value;
		interval->reads += value;
		break;
	case COLUMN_READS:
		interval->reads += value;
		break;
	case COLUMN_WRITES:
		interval->writes += value;
		break;
	case COLUMN_OTHER:
		break;
	}
}

static void take_latency(struct map_interval *interval, enum column column, double requests,
			 double average_us)
{
	if (column == COLUMN_HITS || column == COLUMN_READS)
		interval->read_us += requests * average_us;
	else if (column == COLUMN_WRITES)
		interval->write_us += requests * average_us;
}

static void parse_interval(const struct table *table, char *line, struct map_interval *interval)
{
	char *rest = line, *word;
	double before = 0;

	*interval = (struct map_interval){ .ms = 0 };
	for (unsigned i = 0; i < table->columns && (word = strsep(&rest, " ")); i++) {
		double value = strtod(word, NULL);

		if (!(value >= 0 && value < 1e18))
			value = 0;
		if (table->is_latency[i])
			take_latency(interval, table->column[i], before, value);
		else
			take_value(interval, table->column[i], value);
		before = value;
	}
}

static void add(struct map_hour *hour, const struct map_interval *interval)
{
	struct map_interval *all = &hour->all;

	hour->interval = realloc(hour->interval, (hour->count + 1) * sizeof(*interval));
	assert(hour->interval);
	hour->interval[hour->count++] = *interval;
	all->ms += interval->ms;
	all->reads += interval->reads;
	all->hits += interval->hits;
	all->writes += interval->writes;
	all->read_us += interval->read_us;
	all->write_us += interval->write_us;
	if (interval->dirty_bytes > all->dirty_bytes)
		all->dirty_bytes = interval->dirty_bytes;
}

void map_hour_parse(struct map_hour *hour, const char *text)
{
	autofree char *copy = strdup(text);
	struct map_interval interval;
	char *rest = copy, *line;
	struct table table;

	assert(copy);
	*hour = (struct map_hour){ .count = 0 };
	parse_columns(&table, strsep(&rest, "\n"));
	while ((line = strsep(&rest, "\n"))) {
		if (!*line)
			continue;
		parse_interval(&table, line, &interval);
		add(hour, &interval);
	}
}

void map_hour_done(struct map_hour *hour)
{
	free(hour->interval);
	*hour = (struct map_hour){ .count = 0 };
}
