/*
 * bcachefuse top: two readings of a mount's metrics, and the rates between them.
 *
 *	top_take --> top.now --> rates of each volume --> a page of text, or JSON
 *	             top.then                             (a screen shows the page)
 *
 * Counters of the daemon only grow; a volume that is new in the second reading has no rates yet.
 */
#pragma once

#include <stdio.h>
#include <time.h>

#include "tools/status.h"

enum {
	TOP_SPARKS = 60,		/* intervals in the line of the last minute */
	TOP_SPARK_BYTES = 3 * TOP_SPARKS + 1,	/* each up to three bytes of UTF-8 */
};

/* The rates of a volume, between two readings. */
struct top_rates {
	bool is_known;			/* it was in both */
	double reads, writes;		/* a second */
	double read_bytes, written_bytes;
	double dirty_bytes;		/* by which dirty data have become more */
	int hit_percent, bypass_percent;	/* of the reads; of all; -1: there were none */
	struct latency latency[TRAFFIC_WAYS];
};

/* Requests a second of a volume in the last intervals, by its name. */
struct top_spark {
	char name[STATUS_TEXT_BYTES];
	unsigned count;
	double rate[TOP_SPARKS];	/* the newest last */
};

enum top_page { TOP_VOLUMES, TOP_CACHE, TOP_LATENCIES, TOP_PAGES };
enum top_order { TOP_BY_NAME, TOP_BY_REQUESTS, TOP_BY_DIRTY, TOP_ORDERS };

struct top {
	const char *directory;
	struct status then, now;
	uint64_t then_ns, now_ns;	/* monotonic */
	struct top_spark *sparks;
	unsigned spark_count;
	enum top_order order;
	bool is_ascii;			/* sparks without UTF-8 */
};

/* ---- top_model.c ---- */

/* Reads the metrics: what was `now` is `then`.  0 or -errno, and the sentence. */
int top_take(struct top *top, struct error *error) MUST_CHECK;
void top_done(struct top *top);
/* Pure: the same with a reading of the caller's, which `top` owns from here on. */
void top_add(struct top *top, const struct status *status, uint64_t now_ns);
struct top_rates top_rates(const struct top *top, const struct status_volume *volume);
/* The volumes of `now` in the order of `top`; to be freed. */
const struct status_volume **top_sorted(const struct top *top);
/* A line of bars as high as the rates, of which the highest is full. */
const char *top_print_spark(char text[TOP_SPARK_BYTES], const struct top *top, const char *name);
/* Of several kinds of requests together. */
struct latency top_latency(const struct top_rates *rates, enum traffic_way first,
			   enum traffic_way last);

/* ---- top_pages.c, top_json.c ---- */

void top_print_page(const struct top *top, enum top_page page, FILE *stream);
/* One line. */
void top_print_json(const struct top *top, time_t when, FILE *stream);

/* ---- top_screen.c ---- */

/* Was the program built with ncurses? */
extern const bool top_has_screen;
/* Until a key or a signal ends it, or `rounds` were shown (0: no limit).  The exit code. */
int top_screen(struct top *top, unsigned interval_ms, unsigned rounds);
