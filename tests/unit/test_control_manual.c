/*
 * The tables of control files are in order, and man/bcachefuse-control.7 lists
 * exactly their rows, with the same modes and the same words.
 *
 * A row is there ".It Pa name Pq mode", and its help the lines up to the next
 * macro; a table is the rows up to ".El".
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/control.h"

enum { LINE_BYTES = 256, HELP_BYTES = 1024 };

struct table {
	const char *title;	/* of its section in the manual */
	const struct control_file *files;
};

/* In the order of the manual. */
static const struct table tables[] = {
	{ "The mounted directory", control_root_files },
	{ "sys", control_system_files },
	{ "sys/fs/bcache", control_daemon_files },
	{ "sys/fs/bcache/<set uuid>", control_set_files },
	{ "sys/fs/bcache/<set uuid>/internal", control_set_internal_files },
	{ "stats_total, stats_five_minute, stats_hour, stats_day", control_stats_files },
	{ "sys/block/<backing device>/bcache", control_backing_files },
	{ "sys/block/<backing device>", control_backing_block_files },
	{ "sys/block/<cache device>/bcache", control_device_files },
	{ "sys/block/<cache device>", control_device_block_files },
	{ "sys/block/<disk>", control_disk_files },
	{ "sys/block/bcacheN/bcache of a flash-only volume", control_flash_files },
	{ "sys/block/bcacheN", control_volume_block_files },
};

static void check_row(const struct table *table, const struct control_file *file)
{
	unsigned mode = file->mode & CONTROL_MODE_BITS;
	bool reads = mode & 0444, writes = mode & 0200;

	cr_expect(file->help && *file->help, "%s/%s has no help", table->title, file->name);
	cr_expect(mode == 0444 || mode == 0400 || mode == 0200 || mode == 0644,
		  "%s/%s has mode %04o", table->title, file->name, mode);
	cr_expect(reads == !!file->show, "%s/%s: show and mode", table->title, file->name);
	cr_expect(writes == !!file->store, "%s/%s: store and mode", table->title, file->name);
	cr_expect(strpbrk(file->name, "/ \n") == NULL, "%s/%s: a bad name", table->title,
		  file->name);
}

Test(tables, have_rows_that_fit_and_are_sorted)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		const struct control_file *file = tables[i].files;

		cr_expect(file->name != NULL, "%s is empty", tables[i].title);
		for (; file->name; file++) {
			check_row(&tables[i], file);
			cr_expect(file == tables[i].files || strcmp(file[-1].name, file->name) < 0,
				  "%s/%s is not in its place", tables[i].title, file->name);
		}
	}
}

/* ---- the manual ---- */

struct manual {
	FILE *file;
	char line[LINE_BYTES];	/* the next one, without its newline; not yet used */
	bool has_ended;
};

static void next_line(struct manual *manual)
{
	manual->has_ended = !fgets(manual->line, sizeof(manual->line), manual->file);
	if (manual->has_ended)
		manual->line[0] = '\0';
	manual->line[strcspn(manual->line, "\n")] = '\0';
}

static void open_manual(struct manual *manual)
{
	const char *srcdir = getenv("srcdir");
	char path[4096];

	snprintf(path, sizeof(path), "%s/man/bcachefuse-control.7", srcdir ? srcdir : ".");
	manual->file = fopen(path, "re");
	cr_assert(manual->file != NULL, "%s cannot be opened", path);
	next_line(manual);
}

/* Up to the line, and past it. */
static void pass(struct manual *manual, const char *line)
{
	while (!manual->has_ended && strcmp(manual->line, line))
		next_line(manual);
	cr_assert(not(manual->has_ended), "no line \"%s\" in its place", line);
	next_line(manual);
}

/* The lines up to the next macro, joined by blanks. */
static void read_help(struct manual *manual, char help[HELP_BYTES])
{
	size_t used = 0;

	help[0] = '\0';
	for (; !manual->has_ended && manual->line[0] != '.'; next_line(manual)) {
		used += snprintf(help + used, HELP_BYTES - used, "%s%s", used ? " " : "",
				 manual->line);
		cr_assert(lt(sz, used, HELP_BYTES));
	}
}

static void compare_row(struct manual *manual, const struct control_file *file)
{
	char wanted[LINE_BYTES], help[HELP_BYTES];

	snprintf(wanted, sizeof(wanted), ".It Pa %s Pq %04o", file->name,
		 file->mode & CONTROL_MODE_BITS);
	cr_assert(eq(str, manual->line, wanted));
	next_line(manual);
	read_help(manual, help);
	cr_expect(eq(str, help, (char *)file->help), "of %s", file->name);
}

Test(manual, lists_the_tables)
{
	struct manual manual;
	char title[LINE_BYTES];

	open_manual(&manual);
	pass(&manual, ".Sh FILES");
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		snprintf(title, sizeof(title), ".Ss %s", tables[i].title);
		pass(&manual, title);
		pass(&manual, ".Bl -tag -width Ds");
		for (const struct control_file *file = tables[i].files; file->name; file++)
			compare_row(&manual, file);
		cr_assert(eq(str, manual.line, ".El"));
	}
	while (!manual.has_ended) {
		cr_expect(strncmp(manual.line, ".It Pa", 6) != 0, "one too many: %s", manual.line);
		next_line(&manual);
	}
	fclose(manual.file);
}
