/*
 * How the daemon ended, for umount, which is no parent of it and gets no exit status.
 *
 * The daemon keeps a file in memory (memfd), which umount finds and opens by /proc/PID/fd while
 * both exist.  The daemon's last act is to write there; its file outlives it as long as umount
 * has it open.
 *
 *	nothing		it was killed, or left at once
 *	"\n"		all is on the devices
 *	a sentence	not all is
 */
#pragma once

enum { EXIT_REPORT_BYTES = 512 };

/* The daemon's side.  -1: there can be none, which only umount misses. */
int exit_report_new(void);
/* Says how it ends: `text` is one line, or empty if nothing failed.  Closes the file. */
void exit_report_write(int fd, const char *text);

/* The side of umount: the report of that process, or -1 if it cannot be found or opened. */
int exit_report_open(long pid);
/* After the end of the process: 0 and the text, without its newline.  -1: nothing was written. */
int exit_report_read(int fd, char text[EXIT_REPORT_BYTES]);
