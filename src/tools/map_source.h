/*
 * Where the maps of `bcachefuse map` come from.
 */
#pragma once

#include "tools/map.h"

struct map_sets {
	struct map *map;
	unsigned count;
};

/* Another one, which is zero. */
struct map *map_sets_add(struct map_sets *sets);
void map_sets_done(struct map_sets *sets);

/* The sets of the mount on `directory`; NULL: of all mounts. */
int map_read_mounts(struct map_sets *sets, const char *directory, struct error *error) MUST_CHECK;
/*
 * The sets of these members.  An exit code: TOOL_DONE, or another and the reason; there are maps
 * with TOOL_DONE and with TOOL_TROUBLE.
 */
int map_read_members(struct map_sets *sets, const char *const *paths, unsigned count,
		     bool is_quiet, struct error *error) MUST_CHECK;

/* ---- map_lines.c: pure ---- */

/* A line of internal/buckets, of internal/keys.  False: it is none. */
bool map_take_bucket_line(struct map *map, const char *line) MUST_CHECK;
bool map_take_key_line(struct map *map, const char *line) MUST_CHECK;
