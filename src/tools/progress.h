/*
 * How far a command has come, on standard error:
 *
 *	flush: writing back  41 %  12.3G of 30.0G  410.0M/s  0:43 left  2 errors
 *
 * On a terminal this is one line that is drawn again at most four times a second; otherwise a
 * line every ten seconds, without carriage returns or escapes; or one JSON object a line.
 *
 * (PROGRESS-1) It never says more than 100 %: a total that has turned out too small grows.
 * (PROGRESS-2) The rate and the time left are those of the last 30 seconds, and unknown until
 *     something was done in them.
 *
 * The caller gives the time, so that tests need not wait.  All times in ns.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum progress_style { PROGRESS_NONE, PROGRESS_TERMINAL, PROGRESS_LINES, PROGRESS_JSON };

enum {
	PROGRESS_TEXT_BYTES = 256,
	PROGRESS_SAMPLES = 31,		/* one a second: the ends of 30 seconds */
};

struct progress {
	const char *command, *phase;
	FILE *stream;
	enum progress_style style;
	uint64_t done, total, errors;	/* done and total in bytes */
	uint64_t began_ns, printed_ns;
	size_t width;			/* of the line on the terminal */
	struct progress_sample {
		uint64_t time_ns, done;
	} sample[PROGRESS_SAMPLES];	/* a ring; the newest is at `newest` */
	unsigned newest, samples;
};

/* PROGRESS_TERMINAL or PROGRESS_LINES, as standard error is. */
enum progress_style progress_style_of_stream(FILE *stream);

void progress_begin(struct progress *progress, const char *command, enum progress_style style,
		    FILE *stream, uint64_t now_ns);
/* Another phase, from 0 on. */
void progress_phase(struct progress *progress, const char *phase, uint64_t total, uint64_t now_ns);
/* Prints if it is time for that. */
void progress_update(struct progress *progress, uint64_t done, uint64_t now_ns);
/* Prints in any case (SIGUSR1), unless the style is NONE. */
void progress_print(struct progress *progress, uint64_t now_ns);
/* The line of the terminal goes, so that a report can follow. */
void progress_end(struct progress *progress);

/* ---- pure ---- */

/* Bytes a second; 0: unknown. */
uint64_t progress_rate(const struct progress *progress);
/* UINT64_MAX: unknown. */
uint64_t progress_ns_left(const struct progress *progress);
void progress_line(const struct progress *progress, char text[PROGRESS_TEXT_BYTES]);
/* phase, done, total, errors, rate, eta_ms (null if unknown), time_ms. */
void progress_json(const struct progress *progress, uint64_t now_ns,
		   char text[PROGRESS_TEXT_BYTES]);
