/*
 * What a seed stands for: the disks and how they are formatted, the volumes, and
 * how rough the run will be.
 *
 * Sizes are mostly the smallest that are allowed, so that splits, full journals
 * and reuse are common.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "bcachefuse/superblock.h"
#include "model.h"
#include "sim.h"
#include "swarm.h"

enum { PLAN_SETS_MAX = 2, PLAN_VOLUMES_MAX = 6, PLAN_TUNERS_MAX = 3, PLAN_SLOTS_MAX = 32 };

struct volume;

/* A cache device, and what was formatted for its set. */
struct plan_set {
	char name[8];			/* of its disk */
	struct sim_disk *cache;
	uint8_t uuid[16];
	enum replacement replacement;	/* as it was set last, and whether that is certain */
	unsigned setting_changes;
};

struct plan_volume {
	char name[16];			/* of its disk; empty for flash-only volumes */
	struct sim_disk *disk;		/* NULL for flash-only volumes */
	uint8_t uuid[16];
	uint64_t sectors, data_offset;
	unsigned block_sectors;
	enum cache_mode mode;
	bool is_flash;
	struct model_volume *model;
	uint64_t hot[4];		/* where requests like to go */
	uint64_t last_end;
	uint64_t told_ns;		/* when a flush was last answered an error (BLAME-4) */
	uint64_t birth, seen_ns;	/* of the volume that is there, and since when */
	bool says_clean;		/* plan_forget_dirty(), and no start has mended it yet */
	struct volume *volume;		/* while it is there (life_refresh()) */
	/* How it was left, as far as that is certain: */
	unsigned moves, label_changes;	/* attaches, detaches, changes begun in this life */
	bool is_detached;
	bool is_reshaped;		/* a flash-only one is resized, or destroyed and made */
	char label[33];			/* empty: not known */
	unsigned slowness;
};

struct plan {
	uint64_t seed;
	struct plan_set set[PLAN_SETS_MAX];
	unsigned sets;			/* 0: all volumes run without one */
	unsigned buckets, bucket_sectors, block_sectors, logical_block_bytes;
	enum replacement replacement;
	bool discards;
	struct plan_volume volume[PLAN_VOLUMES_MAX];
	unsigned volumes;
	bool wants_flash;		/* the first set gets one after the first stop */
	uint64_t flash_sectors;
	size_t node_memory_bytes;
	unsigned lives, requests, slots, tuners, pause_percent;
	unsigned fua_percent, sync_percent, cut_percent;
	struct swarm swarm;
	struct random late;		/* of draws that came later: the others stay as they are */
	bool has_errors;		/* some of its lives have faulty disks */
	bool is_spared;			/* no disk fails in the life that prepares it */
	bool is_storm, is_deep;
	bool is_thin;			/* thin nodes, and gc all the time */
	bool ages;			/* generations are near their wrap after the first stop */
	bool dies_young;		/* cuts come while it starts or soon after */
	bool hides;			/* discards and zeros over durable dirty data */
};

static inline uint64_t plan_late_random(struct plan *plan, uint64_t limit)
{
	return random_below(&plan->late, limit);
}
static inline bool plan_late_chance(struct plan *plan, unsigned percent)
{
	return plan_late_random(plan, 100) < percent;
}
/* Draws everything and formats the disks; `deep`: it is to have a deep tree of nodes. */
void plan_make(struct plan *plan, uint64_t seed, bool deep);
void plan_done(struct plan *plan);
/* The set was stopped: a flash-only volume is written into its uuid table. */
void plan_add_flash(struct plan *plan);
/* The set was stopped: buckets that nothing points to have generations near their wrap. */
void plan_age(struct plan *plan);
/*
 * What a kernel leaves, which does not wait for the superblock that says dirty: backing devices
 * that say clean, whatever the cache has of them.
 */
void plan_forget_dirty(struct plan *plan);
/* Some backing devices are slow, until the load is over. */
void plan_set_slowness(struct plan *plan, bool slow);
void plan_set_faults(struct plan *plan, const struct sim_faults *faults);
/* "600 buckets of 8, block 8, lru; backing0 ..." */
/* Buckets that a step of a sweep looks at (SPACE-6). */
unsigned plan_slice_buckets(const struct plan *plan);
/* copy_gc_enabled, once a gc is wanted by hand. */
bool plan_moves(const struct plan *plan);
void plan_print(const struct plan *plan);
