/*
 * stats_total, stats_five_minute, stats_hour, stats_day: of a set and of each
 * volume with a backing device.
 *
 * The directory gives the period: each of the four is a kind of node (control/tree.c), so one
 * table of files serves all of them.
 */
#include "control/control.h"

enum { SECTOR_BYTES = 512 };

/* While a volume is attached, volume_count() adds each event to its own and to those of its set. */
static const struct stats *stats_of(const struct control_subject *subject)
{
	return subject->volume ? &subject->volume->stats : &subject->set->stats;
}

static void show_counter(const struct control_subject *subject, enum stats_counter counter,
			 struct text *text)
{
	text_number(text, stats_value(stats_of(subject), subject->period, counter));
}

static void show_bypassed(const struct control_subject *subject, struct text *text)
{
	text_size(text, stats_value(stats_of(subject), subject->period, STATS_BYPASSED_SECTORS) *
			SECTOR_BYTES);
}

static void show_bypass_hits(const struct control_subject *subject, struct text *text)
{
	show_counter(subject, STATS_BYPASS_HITS, text);
}

static void show_bypass_misses(const struct control_subject *subject, struct text *text)
{
	show_counter(subject, STATS_BYPASS_MISSES, text);
}

static void show_hit_ratio(const struct control_subject *subject, struct text *text)
{
	text_number(text, stats_hit_ratio(stats_of(subject), subject->period));
}

static void show_hits(const struct control_subject *subject, struct text *text)
{
	show_counter(subject, STATS_HITS, text);
}

static void show_miss_collisions(const struct control_subject *subject, struct text *text)
{
	show_counter(subject, STATS_MISS_COLLISIONS, text);
}

static void show_misses(const struct control_subject *subject, struct text *text)
{
	show_counter(subject, STATS_MISSES, text);
}

/* Nothing is read ahead, but exporters require the file. */
static void show_readaheads(const struct control_subject *subject UNUSED, struct text *text)
{
	text_number(text, 0);
}

const struct control_file control_stats_files[] = {
	{ "bypassed", 0444, show_bypassed, NULL, "bytes that bypassed the cache" },
	{ "cache_bypass_hits", 0444, show_bypass_hits, NULL,
	  "bypassed reads whose data were in the cache" },
	{ "cache_bypass_misses", 0444, show_bypass_misses, NULL,
	  "bypassed reads whose data were not all in the cache" },
	{ "cache_hit_ratio", 0444, show_hit_ratio, NULL,
	  "hits as a percentage of hits and misses" },
	{ "cache_hits", 0444, show_hits, NULL, "reads answered from the cache alone" },
	{ "cache_miss_collisions", 0444, show_miss_collisions, NULL,
	  "misses not cached because a write changed the data meanwhile" },
	{ "cache_misses", 0444, show_misses, NULL,
	  "reads that needed data from the backing device" },
	{ "cache_readaheads", 0444, show_readaheads, NULL, "always 0: nothing is read ahead" },
	{ 0 },
};
