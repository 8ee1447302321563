/* The log on standard error: one line for each event. */
#include "base/log.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

/* What `say` writes to standard error. */
static char *said_by(void (*say)(void))
{
	int kept = dup(STDERR_FILENO), pipes[2];
	char *text = calloc(1, 4096);

	cr_assert(text && kept >= 0 && !pipe(pipes));
	dup2(pipes[1], STDERR_FILENO);
	say();
	dup2(kept, STDERR_FILENO);
	close(pipes[1]);
	cr_assert(read(pipes[0], text, 4095) >= 0);
	close(pipes[0]);
	close(kept);
	return text;
}

static void say_all(void)
{
	log_error("set %d: gone", 7);
	log_warning("set %d: tired", 7);
	log_info("set %d: there", 7);
	log_debug("set %d: thinking", 7);
}

Test(log, names_the_level_of_what_is_wrong)
{
	autofree char *text = NULL;

	log_open(LOG_TO_STDERR, LOG_LEVEL_DEBUG);
	text = said_by(say_all);
	cr_expect(eq(str, text, "bcachefuse: error: set 7: gone\n"
				"bcachefuse: warning: set 7: tired\n"
				"bcachefuse: set 7: there\n"
				"bcachefuse: debug: set 7: thinking\n"));
}

Test(log, is_silent_above_its_level)
{
	autofree char *text = NULL;

	log_open(LOG_TO_STDERR, LOG_LEVEL_ERROR);
	text = said_by(say_all);
	cr_expect(eq(str, text, "bcachefuse: error: set 7: gone\n"));
}

static void say_two_lines(void)
{
	log_info("label %s", "home\nbcachefuse: error: no\x1b[31m");
}

Test(log, stays_on_one_line)
{
	autofree char *text = NULL;

	log_open(LOG_TO_STDERR, LOG_LEVEL_INFO);
	text = said_by(say_two_lines);
	cr_expect(eq(str, text, "bcachefuse: label home\\x0abcachefuse: error: no\\x1b[31m\n"));
}

static void say_much(void)
{
	char text[5000];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_info("%s", text);
}

Test(log, cuts_what_is_too_long)
{
	autofree char *text = NULL;

	log_open(LOG_TO_STDERR, LOG_LEVEL_INFO);
	text = said_by(say_much);
	cr_expect(strlen(text) > 1000 && strlen(text) < 1100);
	cr_expect(eq(chr, text[strlen(text) - 1], '\n'));
}
