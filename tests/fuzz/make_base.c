/*
 * make_base SEED LIVES cut|stop|fresh FOLDER: a base set made by the engine in the simulator.
 *
 * The disks of a plan of the simulator, after some lives; the last one ends with a power cut or
 * a clean stop.  They are written as cache.img, backing.img...; zstd makes of them what lies in
 * tests/fuzz/bases:
 *
 *	make_base 21 2 cut /tmp/x && zstd -19 --rm -r /tmp/x
 *
 * Each sector of data is made plain, one byte again and again, so that the files are small.
 * Which seed a base came from stands in tests/fuzz/bases/README.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../sim/life.h"
#include "../sim/plan.h"
#include "base/log.h"
#include "layout.h"

enum { SECTOR = 512 };

/* No disk fails, and members neither go nor come. */
static void stay_whole(struct plan *plan)
{
	static const enum swarm_thing moves[] = {
		SWARM_DETACH, SWARM_ATTACH, SWARM_STOP_VOLUME, SWARM_STOP_SET, SWARM_UNREGISTER,
		SWARM_REGISTER,
	};

	plan->has_errors = false;
	for (unsigned i = 0; i < sizeof(moves) / sizeof(*moves); i++)
		plan->swarm.weight[moves[i]] = 0;
}

static void live(struct life *life, struct plan *plan, bool is_cut)
{
	if (!life_start(life, plan) || !life_load(life, plan->requests))
		sim_fail("the power went without a cause");
	if (!is_cut && !life_stop(life))
		sim_fail("the power went without a cause");
	sim_power_cut();
	for (unsigned i = 0; i < plan->volumes; i++)
		(is_cut ? model_cut : model_stop)(plan->volume[i].model);
}

/* A byte for a sector's content; zeros stay zeros. */
static void make_plain(unsigned char *sector)
{
	unsigned sum = 0, any = 0;

	for (unsigned i = 0; i < SECTOR; i++) {
		sum = sum * 31 + sector[i];
		any |= sector[i];
	}
	memset(sector, any ? sum >> 8 | 1 : 0, SECTOR);
}

static bool is_metadata(const struct layout *layout, const unsigned char *cache, uint64_t bucket)
{
	uint64_t bucket_bytes = layout->sizes.bucket_bytes, at = bucket * bucket_bytes, magic;

	memcpy(&magic, cache + at + 8, sizeof(magic));
	magic = le64toh(magic) ^ layout->sizes.magic;
	return at < layout->journal_offset + layout->journal_buckets * bucket_bytes ||
	       magic == BSET_MAGIC || magic == PRIO_MAGIC ||
	       (layout->count[AREA_UUIDS] && at == layout->area[AREA_UUIDS][0].offset);
}

static void make_cache_plain(struct sim_disk *disk)
{
	unsigned char *cache = sim_disk_content(disk);
	struct layout *layout = layout_find(cache, sim_disk_sectors(disk) * SECTOR);
	const struct sound_sizes *sizes = &layout->sizes;

	for (uint64_t bucket = sizes->first_bucket; bucket < sizes->buckets; bucket++)
		for (unsigned at = 0; at < sizes->bucket_bytes; at += SECTOR)
			if (!is_metadata(layout, cache, bucket))
				make_plain(cache + bucket * sizes->bucket_bytes + at);
}

static void make_backing_plain(const struct plan_volume *v)
{
	for (uint64_t s = 0; s < v->sectors; s++)
		make_plain(sim_disk_content(v->disk) + (v->data_offset + s) * SECTOR);
}

static void save(struct sim_disk *disk, const char *folder, const char *name)
{
	char path[4096];
	FILE *file;
	size_t bytes = sim_disk_sectors(disk) * SECTOR;

	snprintf(path, sizeof(path), "%s/%s.img", folder, name);
	file = fopen(path, "wb");
	if (!file || fwrite(sim_disk_content(disk), 1, bytes, file) != bytes || fclose(file)) {
		perror(path);
		exit(1);
	}
}

static void save_all(const struct plan *plan, const char *folder)
{
	unsigned backings = 0, number = 0;
	char name[32];

	for (unsigned i = 0; i < plan->volumes; i++)
		backings += !plan->volume[i].is_flash;
	make_cache_plain(plan->set[0].cache);
	save(plan->set[0].cache, folder, "cache");
	for (unsigned i = 0; i < plan->volumes; i++) {
		if (plan->volume[i].is_flash)
			continue;
		snprintf(name, sizeof(name), backings > 1 ? "backing%u" : "backing", number++);
		make_backing_plain(&plan->volume[i]);
		save(plan->volume[i].disk, folder, name);
	}
}

int main(int argc, char **argv)
{
	struct life *life = sim_map(sizeof(*life));
	unsigned lives;
	struct plan plan;

	if (argc != 5) {
		fputs("usage: make_base SEED LIVES cut|stop|fresh FOLDER\n", stderr);
		return 2;
	}
	log_open(LOG_TO_STDERR, LOG_LEVEL_ERROR);
	sim_start(strtoull(argv[1], NULL, 10));
	plan_make(&plan, strtoull(argv[1], NULL, 10), false);
	plan_print(&plan);
	if (plan.sets != 1) {
		fprintf(stderr, "seed %s has %u sets, wanted 1\n", argv[1], plan.sets);
		return 2;
	}
	stay_whole(&plan);
	lives = strcmp(argv[3], "fresh") ? atoi(argv[2]) : 0;
	for (unsigned i = 1; i <= lives; i++) {
		live(life, &plan, i == lives && !strcmp(argv[3], "cut"));
		if (i < lives && plan.wants_flash)
			plan_add_flash(&plan);
	}
	save_all(&plan, argv[4]);
	return 0;
}
