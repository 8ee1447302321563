/*
 * The commands of the program, a file for each.
 *
 * Each gets its own argv, with the name of the command in argv[0], and returns the exit
 * code.  Results go to standard output; an error is one line on standard error, by
 * tool_complain().
 *
 * Where a command takes the place of another one (make-bcache, bcache-super-show, the helpers of
 * mount(8)), its exit codes are those that scripts expect of that.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "base/compiler.h"

enum {	/* of most commands */
	TOOL_DONE = 0,
	TOOL_REFUSED = 1,
	TOOL_USAGE = 2,
	TOOL_TROUBLE = 3,	/* ran to its end, and found or left trouble */
	TOOL_UNFINISHED = 4,	/* stopped before its end */
};
enum {	/* of mount and umount: those of mount(8) */
	MOUNT_DONE = 0,
	MOUNT_USAGE = 1,
	MOUNT_SYSTEM = 2,
	MOUNT_FAILED = 32,
};
enum {	/* of show: those of bcache-super-show */
	SHOW_DONE = 0,
	SHOW_USAGE = 1,
	SHOW_BAD = 2,
	SHOW_EXPERIMENTAL = 3,
};

int tool_mount(int argc, char **argv);
int tool_umount(int argc, char **argv);
int tool_format(int argc, char **argv);
int tool_convert(int argc, char **argv);
int tool_overlay(int argc, char **argv);
int tool_show(int argc, char **argv);
int tool_check(int argc, char **argv);
int tool_repair(int argc, char **argv);
int tool_dump(int argc, char **argv);
int tool_restore(int argc, char **argv);
int tool_flush(int argc, char **argv);
int tool_export(int argc, char **argv);
int tool_map(int argc, char **argv);
int tool_import(int argc, char **argv);
int tool_forget(int argc, char **argv);
int tool_status(int argc, char **argv);
int tool_top(int argc, char **argv);
int tool_ctl(int argc, char **argv);
int tool_set(int argc, char **argv);
int tool_wait(int argc, char **argv);
int tool_attach(int argc, char **argv);
int tool_detach(int argc, char **argv);
int tool_register(int argc, char **argv);
int tool_stop(int argc, char **argv);

/* "bcachefuse COMMAND: sentence" on standard error. */
void tool_complain(const char *command, const char *format, ...) PRINTF(2, 3);
/* The argument of --progress=; false: it is another one, and a complaint was printed. */
bool tool_progress_is_json(const char *command, const char *style);
/*
 * Prints a line and a newline.  Paths, labels and arguments in it are escaped, so that they cannot
 * contain terminal escape sequences.
 */
void tool_say(FILE *stream, const char *format, ...) PRINTF(2, 3);
/* The versions of the program and of its libraries. */
void tool_print_version(void);
