/*
 * bcachefuse map: what is where in a cache, as pictures and as numbers.
 *
 *	members (map_members.c) --.                    .--> SVG, HTML (map_svg.c)
 *	                           >-- struct map --->-+--> terminal (map_text.c)
 *	a mount (map_mount.c) ----'                    '--> JSON     (map_json.c)
 *
 * A source says what each bucket is used for, and passes on all extents of the index; what is
 * live, dirty or stale is decided here, so both sources mean the same (map_model.c).
 *
 * (DRAW-1) An extent is live if its pointer has the generation of its bucket, the bucket has no
 *     metadata, and the set has its volume.  All others are left out.
 * (DRAW-2) Each bucket has one kind: the kinds' counts add up to all buckets.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

enum map_kind {
	MAP_FREE,	/* nothing points there */
	MAP_STALE,	/* no live data, but keys or gc's marks from before: gc makes it free */
	MAP_CLEAN,	/* live data, which the backing device has, too */
	MAP_DIRTY,	/* some of its live data are dirty */
	MAP_INDEX,
	MAP_JOURNAL,
	MAP_TABLES,	/* superblock, priorities, volumes */
	MAP_KINDS
};

enum {
	MAP_STRETCHES = 426,	/* of a volume's addresses, at most */
	MAP_NAME_BYTES = 256,
};

struct map_bucket {
	uint64_t clean_sectors, dirty_sectors;	/* live ones */
	uint16_t priority;		/* of live data: PRIO_INITIAL just after a use, then less */
	uint8_t generation;
	uint8_t use;			/* of metadata; otherwise MAP_FREE or MAP_STALE */
};

struct map_stretch {
	uint64_t clean_sectors, dirty_sectors;
};

/* Requests that ended in an interval, and the sums of their latencies. */
struct map_interval {
	uint64_t age_ms, ms;		/* how long ago it ended, and how long it was */
	uint64_t dirty_bytes;		/* at its end */
	uint64_t reads, hits, writes;	/* hits: reads from the cache alone */
	uint64_t read_us, write_us;
};

struct map_hour {
	unsigned count;
	struct map_interval *interval;	/* the oldest first */
	struct map_interval all;	/* sums; the most dirty bytes */
};

struct map_volume {
	unsigned number;		/* in keys */
	char name[MAP_NAME_BYTES];	/* for people */
	char uuid[40];			/* empty: not known */
	bool is_flash;
	uint64_t sectors;		/* of its backing device; 0: not known */
	uint64_t clean_sectors, dirty_sectors;
	/* Sectors of each, and how many of them there are: all, or until the last extent. */
	uint64_t stretch_sectors;
	unsigned stretches;
	struct map_stretch stretch[MAP_STRETCHES];
	struct map_hour hour;		/* of a mounted volume, otherwise empty */
};

struct map {
	char uuid[40];
	bool is_live;			/* of a mount: it may have changed meanwhile */
	uint64_t buckets;
	unsigned bucket_sectors;
	struct map_bucket *bucket;
	struct map_volume **volume;
	unsigned volumes;
	struct map_volume *last;	/* the one that map_take_extent() found */
};

struct map_extent {
	unsigned volume;
	uint64_t start;
	unsigned sectors;
	bool is_dirty;
	uint64_t place;			/* sector of the cache device */
	uint8_t generation;
};

/* ---- map_model.c: pure ---- */

int map_init(struct map *map, uint64_t buckets, unsigned bucket_sectors,
	     struct error *error) MUST_CHECK;
void map_done(struct map *map);
/* Before the extents.  `sectors` is 0 if it is not known where the volume ends. */
struct map_volume *map_add_volume(struct map *map, unsigned number, uint64_t sectors);
/* The name of one that has no backing device here. */
void map_name_absent(struct map_volume *volume, const char *label);
void map_take_extent(struct map *map, const struct map_extent *extent);
enum map_kind map_kind(const struct map_bucket *bucket);
extern const char *const map_kind_names[MAP_KINDS];

struct map_figures {
	uint64_t buckets[MAP_KINDS];
	uint64_t clean_sectors, dirty_sectors;		/* live ones */
	uint64_t data_buckets;				/* clean and dirty ones */
	uint16_t lowest, highest;			/* priorities of these; 0: there are none */
};
void map_figures(const struct map *map, struct map_figures *figures);
/* How much was read and written through the cache since data of this priority were used. */
uint64_t map_idle_bytes(const struct map *map, unsigned priority);

/* ---- map_hour.c: pure ---- */

/* The content of a volume's control file `history`.  Columns that are not known are left out. */
void map_hour_parse(struct map_hour *hour, const char *text);
void map_hour_done(struct map_hour *hour);

/* ---- map_picture.c: pure ---- */

enum { MAP_SIDE_MAX = 128, MAP_SHADES = 10 };

/* Some buckets that follow one another. */
struct map_cell {
	uint64_t first, count;
	enum map_kind kind;		/* of most of them; of as many, the one that matters more */
	bool has_data;
	unsigned priority;		/* average of its buckets with data */
	unsigned full_percent;		/* live data of these buckets */
};

/* All buckets of a cache, in cells: the cell at `at` on a Hilbert curve of this side. */
struct map_picture {
	unsigned side, cells;
	struct map_figures figures;
	struct map_cell *cell;
};
/* At most side_max, a power of two, and such that no cell is without a bucket. */
void map_picture_make(struct map_picture *picture, const struct map *map, unsigned side_max);
void map_picture_done(struct map_picture *picture);
/* 0: as new as the newest data of the set, to MAP_SHADES - 1: as old as the oldest. */
unsigned map_age_shade(const struct map_picture *picture, const struct map_cell *cell);
unsigned map_full_shade(const struct map_cell *cell);
/* A round number of percent, as the top of a picture in which no stretch has more cached. */
unsigned map_top_percent(const struct map_volume *volume);

/* ---- writers ---- */

struct map_page {
	const char *time;		/* RFC 3339; empty: it is not told */
	const struct map *map;
	unsigned maps;
};
void map_write_svg(FILE *stream, const struct map_page *page);
void map_write_html(FILE *stream, const struct map_page *page);
/* Figures; with `colours`, pictures of colours by escape sequences, too. */
void map_write_text(FILE *stream, const struct map_page *page, bool colours);
void map_write_json(FILE *stream, const struct map_page *page);
