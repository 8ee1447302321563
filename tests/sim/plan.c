/*
 * Draws a plan from the seed and formats its disks with the engine's own
 * encoders; what they write, the independent reader judges.
 */
#include "plan.h"

#include <stdio.h>
#include <string.h>

#include "aim.h"
#include "base/numbers.h"
#include "format/journal_entry.h"
#include "format/prio.h"
#include "format/superblock.h"
#include "format/uuid.h"

#define LATE UINT64_C(0x6c617465)
enum { SECTOR = 512, SLOTS_DRAWN_MAX = 24, SLOW_FLUSH_NS = 20000000, LAG_NS = 20000000 };

static void draw_uuid(uint8_t uuid[16])
{
	for (int i = 0; i < 16; i++)
		uuid[i] = sim_random(256);
	uuid[0] |= 1;
}

static void write_superblock(struct sim_disk *disk, struct superblock *sb)
{
	superblock_encode(sb);
	sim_disk_write(disk, &sb->disk, SUPERBLOCK_SECTOR, SUPERBLOCK_BYTES / SECTOR);
}

static void format_cache(const struct plan *plan, const struct plan_set *set)
{
	struct superblock sb = {
		.version = SUPERBLOCK_CACHE, .buckets = plan->buckets,
		.block_sectors = plan->block_sectors, .bucket_sectors = plan->bucket_sectors,
		.members = 1, .first_bucket = 23 / plan->bucket_sectors + 1,
	};

	draw_uuid(sb.uuid);
	memcpy(sb.set_uuid, set->uuid, sizeof(sb.set_uuid));
	superblock_set_replacement(&sb, plan->replacement);
	superblock_set_discard(&sb, plan->discards);
	write_superblock(set->cache, &sb);
}

static void format_backing(struct plan *plan, struct plan_volume *v)
{
	struct superblock sb = {
		.version = v->data_offset == DATA_START_DEFAULT ? SUPERBLOCK_BACKING
								: SUPERBLOCK_BACKING_WITH_OFFSET,
		.data_offset = v->data_offset, .block_sectors = v->block_sectors,
		.bucket_sectors = plan->bucket_sectors, .members = 1,
	};
	unsigned char data[SECTOR];

	memcpy(sb.uuid, v->uuid, sizeof(sb.uuid));
	if (plan->sets)
		memcpy(sb.set_uuid, plan->set[sim_random(plan->sets)].uuid, sizeof(sb.set_uuid));
	superblock_set_mode(&sb, v->mode);
	write_superblock(v->disk, &sb);
	for (uint64_t s = 0; s < v->sectors; s++) {
		model_first_content(v->model, s, data);
		sim_disk_write(v->disk, data, v->data_offset + s, 1);
	}
}

static void draw_hot_spots(struct plan_volume *v)
{
	for (unsigned i = 0; i < 4; i++)
		v->hot[i] = sim_random(v->sectors);
}

static void draw_set(struct plan *plan)
{
	struct plan_set *set = &plan->set[plan->sets];
	uint64_t odd_tail = sim_random(2) * sim_random(plan->bucket_sectors);

	snprintf(set->name, sizeof(set->name), "cache%u", plan->sets);
	set->cache = sim_disk_new(set->name, (uint64_t)plan->buckets * plan->bucket_sectors +
				  odd_tail / 8 * 8, plan->logical_block_bytes);
	sim_disk_set_atomic(set->cache, plan->block_sectors);
	sim_disk_set_discard(set->cache, plan->discards || sim_chance(50));
	draw_uuid(set->uuid);
	set->replacement = plan->replacement;
	format_cache(plan, set);
	plan->sets++;
}

static void draw_backing(struct plan *plan)
{
	struct plan_volume *v = &plan->volume[plan->volumes];
	uint64_t cache_sectors = (uint64_t)plan->buckets * plan->bucket_sectors;

	snprintf(v->name, sizeof(v->name), "backing%u", plan->volumes);
	v->sectors = cache_sectors / 4 + sim_random(cache_sectors * 5 / 4);
	if (plan->is_deep)
		v->sectors = min_u64(cache_sectors, 65536) * (2 + sim_random(3)) / 4;
	v->sectors -= v->sectors % 8;
	v->data_offset = sim_chance(60) ? DATA_START_DEFAULT : 16 + 8 * sim_random(100);
	v->block_sectors = plan->block_sectors == 8 || (!plan->is_deep && sim_chance(50)) ? 8 : 1;
	if (plan->is_thin)
		v->block_sectors = 1;
	v->mode = plan->is_storm ? MODE_WRITEBACK : plan->volumes ? sim_random(4) : plan->seed % 4;
	draw_uuid(v->uuid);
	v->disk = sim_disk_new(v->name, v->data_offset + v->sectors,
			       v->block_sectors == 8 ? plan->logical_block_bytes : SECTOR);
	if (plan->dies_young || plan->hides || plan->is_deep || plan->is_thin)
		v->mode = MODE_WRITEBACK;
	v->slowness = plan->dies_young ? 1000 :
		      plan->is_storm ? 1 : (unsigned[]){ 1, 20, 200 }[sim_random(3)];
	sim_disk_set_discard(v->disk, plan->hides || sim_chance(50));
	v->model = model_volume_new(plan->volumes + 1, v->sectors, true);
	v->model->settles = !plan->sets;
	draw_hot_spots(v);
	format_backing(plan, v);
	plan->volumes++;
}

static void draw_sizes(struct plan *plan)
{
	plan->buckets = sim_chance(70) ? 513 : 513 + sim_random(188);
	plan->bucket_sectors = 8 << sim_random(4);
	plan->block_sectors = sim_chance(50) ? 8 : 1;
	if (sim_chance(25))	/* a node of one block, a journal bucket of one entry */
		plan->bucket_sectors = plan->block_sectors = 8;
	plan->node_memory_bytes = sim_chance(70) ? 1 : 1 << 20;
}

/* Nearly all requests want a journal entry of their own, at once: its ring is always full. */
static void draw_storm(struct plan *plan)
{
	plan->requests = 600 << sim_random(2);
	plan->slots = 8 + sim_random(SLOTS_DRAWN_MAX - 8);
	plan->pause_percent = 0;
	plan->swarm.weight[SWARM_WRITE] = 8 * SWARM_WEIGHT_MAX;
	plan->swarm.weight[SWARM_BLOCK] = 2 * SWARM_WEIGHT_MAX;
	plan->swarm.weight[SWARM_SLOW] = SWARM_WEIGHT_MAX;
	plan->swarm.weight[SWARM_LARGE] = plan->swarm.weight[SWARM_HUGE] = 0;
	plan->fua_percent = 80;
	plan->block_sectors = sim_chance(80) ? 8 : 1;	/* 1: entries of several blocks */
	plan->bucket_sectors = 8 << sim_random(2);
	if (plan->seed % 8 == 2)	/* and nothing else is written in half of them */
		plan->swarm.weight[SWARM_WRITEBACK] = plan->swarm.weight[SWARM_BYPASS] =
			plan->swarm.weight[SWARM_GC] = plan->swarm.weight[SWARM_DETACH] = 0;
}

/* What is written for the first time since the start, on a slow disk, is not there yet. */
static void draw_early_death(struct plan *plan)
{
	plan->dies_young = true;
	plan->cut_percent = 90;
	plan->swarm.weight[SWARM_WRITE] = SWARM_WEIGHT_MAX;
	for (unsigned i = SWARM_GC; i <= SWARM_REST; i++)
		plan->swarm.weight[i] = 0;
	plan->swarm.weight[SWARM_LABEL] = sim_chance(30) ? 1 : 0;	/* another superblock */
	plan->swarm.weight[SWARM_READ] = 0;
	plan->fua_percent = 70;
	plan->pause_percent = 0;
	plan->slots = 8 + sim_random(SLOTS_DRAWN_MAX - 8);
}

/*
 * As many keys as there is room for, since each is tiny.  In small nodes: parents have parents,
 * and split, and are forgotten.  In large ones: leaves that take more keys than one write of a
 * leaf can have, while they are written.
 */
static void draw_many_keys(struct plan *plan)
{
	bool are_large = sim_chance(50);

	plan->swarm.weight[SWARM_SMALL] = 0;
	plan->swarm.weight[SWARM_TINY] = SWARM_WEIGHT_MAX;
	plan->swarm.weight[SWARM_HUGE] = 0;
	plan->swarm.weight[SWARM_GC] = SWARM_WEIGHT_MAX;
	plan->requests = 24000 << sim_random(2);
	plan->fua_percent = 0;
	if (!are_large)
		return;
	plan->buckets = 600 + sim_random(600);
	plan->bucket_sectors = 32 << sim_random(2);
	plan->swarm.weight[SWARM_FLUSH] = 0;
	/* Writes of leaves are slow, those of data are not. */
	sim_set_flush_time(SLOW_FLUSH_NS);
}

/*
 * So many small keys that nodes do not all fit into memory and their parents split, many
 * requests at a time, and a small journal: who reads, writes and waits for nodes meets others.
 */
static void draw_deep_tree(struct plan *plan)
{
	plan->is_deep = true;
	plan->buckets = 3000 + sim_random(6000);
	plan->bucket_sectors = 8;
	plan->block_sectors = 1;
	plan->node_memory_bytes = 1;
	plan->lives = 2;
	plan->requests = 8000 << sim_random(3);
	plan->slots = SLOTS_DRAWN_MAX + sim_random(PLAN_SLOTS_MAX - SLOTS_DRAWN_MAX);
	plan->pause_percent = 0;
	plan->fua_percent = sim_chance(50) ? 3 : 0;
	plan->cut_percent = 20;
	for (unsigned i = SWARM_BLOCK; i <= SWARM_HUGE; i++)
		plan->swarm.weight[i] = 0;
	plan->swarm.weight[sim_chance(50) ? SWARM_SMALL : SWARM_TINY] = SWARM_WEIGHT_MAX;
	plan->swarm.weight[SWARM_HUGE] = sim_random(2);
	plan->swarm.weight[SWARM_WRITE] = 2 * SWARM_WEIGHT_MAX;
	plan->swarm.weight[SWARM_READ] = SWARM_WEIGHT_MAX;
	plan->swarm.weight[SWARM_ANYWHERE] = 4 * SWARM_WEIGHT_MAX;
	for (unsigned i = SWARM_MODE; i <= SWARM_REMAKE; i++)
		plan->swarm.weight[i] = 0;
	if (sim_chance(60))
		draw_many_keys(plan);
}

/* Durable keys, and a backing device that nobody flushes but for what they hide. */
static void draw_hiding(struct plan *plan)
{
	plan->hides = true;
	plan->cut_percent = 90;
	plan->swarm.weight[SWARM_WRITE] = SWARM_WEIGHT_MAX;
	plan->swarm.weight[SWARM_DISCARD] = SWARM_WEIGHT_MAX / 2;
	plan->swarm.weight[SWARM_ZERO] = SWARM_WEIGHT_MAX / 4;
	plan->swarm.weight[SWARM_FLUSH] = 0;
	plan->swarm.weight[SWARM_HOT] = SWARM_WEIGHT_MAX;
	plan->fua_percent = 70;
	plan->pause_percent = 0;
}

/*
 * Leaves that are nearly empty between others, and gc after gc that merges them while requests go
 * on: many tiny keys all over, and large discards.
 */
static void draw_thin_nodes(struct plan *plan)
{
	unsigned *weight = plan->swarm.weight;

	plan->is_thin = true;
	plan->buckets = 800 + sim_random(400);
	plan->bucket_sectors = 8;
	plan->block_sectors = 1;
	plan->requests = 2400;
	plan->slots = SLOTS_DRAWN_MAX;
	plan->tuners = PLAN_TUNERS_MAX;
	plan->pause_percent = 0;
	plan->fua_percent = 10;
	plan->cut_percent = 90;
	for (unsigned i = 0; i <= SWARM_SUPERBLOCK_ERROR; i++)
		weight[i] = 0;
	weight[SWARM_WRITE] = SWARM_WEIGHT_MAX;
	weight[SWARM_READ] = SWARM_WEIGHT_MAX / 16;
	weight[SWARM_DISCARD] = SWARM_WEIGHT_MAX / 64;
	weight[SWARM_TINY] = SWARM_WEIGHT_MAX;
	weight[SWARM_MEDIUM] = SWARM_WEIGHT_MAX / 16;
	weight[SWARM_ANYWHERE] = SWARM_WEIGHT_MAX;
	weight[SWARM_NEXT] = SWARM_WEIGHT_MAX / 8;
	weight[SWARM_GC] = SWARM_WEIGHT_MAX;
	weight[SWARM_DELAY] = SWARM_WEIGHT_MAX / 16;
}

/* Not drawn, so that no other draw depends on it. */
static bool wants_thin_nodes(const struct plan *plan)
{
	return plan->seed * UINT64_C(0x9e3779b97f4a7c15) >> 60 < 4;
}

/*
 * In a quarter of the seeds writes of one kind take far longer than all others, so that what must
 * wait for them has time to go wrong where it does not.  Not drawn, like wants_thin_nodes().
 */
static void set_lag(const struct plan *plan)
{
	static const enum sim_write kinds[] = {
		SIM_PARENT_APPENDED, SIM_PARENT_APPENDED, SIM_NODE, SIM_NODE, SIM_LEAF_APPENDED,
		SIM_PRIO_TABLE, SIM_UUID_TABLE, SIM_CACHE_SUPERBLOCK,
	};
	uint64_t mixed = plan->seed * UINT64_C(0x9e3779b97f4a7c15) >> 40;

	if (plan->is_thin && mixed % 4)	/* parents change all the time */
		sim_set_lag(SIM_PARENT_APPENDED, LAG_NS);
	else if (mixed % 4 == 1)
		sim_set_lag(kinds[mixed / 4 % ARRAY_SIZE(kinds)], LAG_NS);
}

/* Most seeds write a lot, and none is so busy with rare things that nothing is in the cache. */
static void draw_weights(struct plan *plan)
{
	unsigned *weight = plan->swarm.weight;

	swarm_draw(&plan->swarm);
	if (sim_chance(80))
		weight[SWARM_WRITE] = SWARM_WEIGHT_MAX << sim_random(2);
	weight[SWARM_FLUSH] /= 4;
	weight[SWARM_DISCARD] /= 4;
	weight[SWARM_ZERO] /= 4;
	weight[SWARM_HUGE] /= 16;
	if (plan->has_errors)	/* at least one of them comes */
		weight[SWARM_READ_ERROR + sim_random(3)] = SWARM_WEIGHT_MAX;
	weight[SWARM_STOP_VOLUME] /= 4;
	weight[SWARM_STOP_SET] /= 16;
	weight[SWARM_UNREGISTER] /= 16;
	if (weight[SWARM_STOP_VOLUME] || weight[SWARM_STOP_SET] || weight[SWARM_UNREGISTER])
		weight[SWARM_REGISTER] = SWARM_WEIGHT_MAX;
}

static void draw_load(struct plan *plan, bool deep)
{
	plan->lives = 3 + sim_random(3);
	plan->requests = 150 << sim_random(4);
	plan->slots = 1 + sim_random(SLOTS_DRAWN_MAX);
	plan->tuners = 1 + sim_random(PLAN_TUNERS_MAX);
	plan->pause_percent = (unsigned[]){ 0, 2, 20, 60 }[sim_random(4)];
	plan->fua_percent = (unsigned[]){ 0, 3, 10, 70 }[sim_random(4)]; /* 70: a full journal */
	plan->sync_percent = (unsigned[]){ 0, 50, 100 }[sim_random(3)];
	plan->cut_percent = 70;
	plan->has_errors = sim_chance(25);
	draw_weights(plan);
	if (deep || sim_chance(3)) {
		draw_deep_tree(plan);
		return;
	}
	plan->is_storm = plan->seed % 4 == 2;
	if (plan->is_storm)
		draw_storm(plan);
	else if (sim_chance(20))
		draw_early_death(plan);
	else if (sim_chance(15))
		draw_hiding(plan);
	if (!plan->is_storm && !plan->dies_young && !plan->hides && wants_thin_nodes(plan))
		draw_thin_nodes(plan);
	set_lag(plan);
}

void plan_make(struct plan *plan, uint64_t seed, bool deep)
{
	*plan = (struct plan){ .seed = seed, .late.state = seed ^ LATE };
	draw_sizes(plan);
	draw_load(plan, deep);
	plan->logical_block_bytes = plan->block_sectors == 8 && sim_chance(30) ? 4096 : SECTOR;
	plan->replacement = sim_random(3);
	plan->discards = sim_chance(20);
	for (unsigned n = seed % 16 == 13 ? 0 : 1 + sim_chance(15); n; n--)
		draw_set(plan);
	for (unsigned n = plan->sets / 2 + 1 + sim_chance(30) + 2 * sim_chance(10); n; n--)
		draw_backing(plan);
	plan->wants_flash = plan->sets && sim_chance(30);
	if (plan->wants_flash && !plan->is_deep && sim_chance(50))
		plan->swarm.weight[SWARM_RESIZE] = plan->swarm.weight[SWARM_REMAKE] =
			SWARM_WEIGHT_MAX;
	plan->ages = plan->sets && sim_chance(20);
	plan->flash_sectors = (uint64_t)plan->buckets * plan->bucket_sectors / 8;
	/* Any size: its last block is whole in the cache, and users see what they asked for. */
	plan->flash_sectors -= sim_chance(70) ? plan->flash_sectors % 8 : sim_random(17);
}

void plan_done(struct plan *plan)
{
	for (unsigned i = 0; i < plan->volumes; i++)
		model_volume_free(plan->volume[i].model);
}

void plan_set_slowness(struct plan *plan, bool slow)
{
	for (unsigned i = 0; i < plan->volumes; i++)
		if (plan->volume[i].disk)
			sim_disk_set_slowness(plan->volume[i].disk,
					      slow ? plan->volume[i].slowness : 1);
}

void plan_set_faults(struct plan *plan, const struct sim_faults *faults)
{
	for (unsigned i = 0; i < plan->sets; i++)
		sim_disk_set_faults(plan->set[i].cache, faults);
	for (unsigned i = 0; i < plan->volumes; i++)
		if (plan->volume[i].disk)
			sim_disk_set_faults(plan->volume[i].disk, faults);
}

void plan_forget_dirty(struct plan *plan)
{
	for (unsigned i = 0; i < plan->volumes; i++) {
		struct plan_volume *v = &plan->volume[i];
		struct superblock_disk disk;
		struct superblock sb;

		if (v->is_flash)
			continue;
		sim_disk_read(v->disk, &disk, SUPERBLOCK_SECTOR, SUPERBLOCK_BYTES / SECTOR);
		superblock_decode_unchecked(&sb, &disk);
		if (superblock_state(&sb) != STATE_DIRTY)
			continue;
		superblock_set_state(&sb, STATE_CLEAN);
		write_superblock(v->disk, &sb);
		v->says_clean = true;
	}
}

/* ---- a flash-only volume ---- */

/* What the newest entry of the journal names: the table of volumes, the priority table. */
struct tables {
	uint64_t uuid_bucket, prio_bucket;
};

static struct tables find_tables(struct plan *plan, const struct superblock *sb)
{
	struct tables tables = { 0 };
	unsigned bytes = plan->bucket_sectors * SECTOR;
	unsigned char *bucket = sim_alloc(bytes);
	uint64_t newest = 0;
	struct bkey found = { 0 };

	for (unsigned i = 0; i < sb->journal_buckets; i++) {
		unsigned at = 0;

		sim_disk_read(plan->set[0].cache, bucket,
			      sb->journal_bucket[i] * plan->bucket_sectors, plan->bucket_sectors);
		while (at < bytes) {
			struct journal_entry_disk *entry = (void *)(bucket + at);
			unsigned block = plan->block_sectors * SECTOR, length;

			if (!journal_entry_is_valid(entry, bytes - at, superblock_set_magic(sb)))
				break;
			if (le64_get(entry->sequence) > newest) {
				newest = le64_get(entry->sequence);
				bkey_slot_decode(&found, &entry->uuid_bucket);
				tables.prio_bucket = le64_get(entry->prio_bucket[0]);
			}
			length = journal_entry_bytes(le32_get(entry->words));
			at += (length + block - 1) / block * block;
		}
	}
	sim_free(bucket);
	if (!newest)
		sim_fail("after a clean stop the journal has no entry");
	tables.uuid_bucket = found.ptr;
	return tables;
}

static void put_uuid(struct plan *plan, struct plan_volume *v, uint64_t table_sector)
{
	struct uuid_entry_disk entries[SECTOR / sizeof(struct uuid_entry_disk)];
	struct uuid_entry entry = { .first_registered = 1, .last_registered = 1,
				    .flags = UUID_FLASH_ONLY, .sectors = v->sectors };

	memcpy(entry.uuid, v->uuid, sizeof(entry.uuid));
	for (unsigned sector = 0; sector < plan->bucket_sectors; sector++) {
		sim_disk_read(plan->set[0].cache, entries, table_sector + sector, 1);
		for (unsigned i = 0; i < SECTOR / sizeof(entries[0]); i++) {
			if (!uuid_is_zero(entries[i].uuid))
				continue;
			memset(&entries[i], 0, sizeof(entries[i]));
			uuid_entry_encode(&entries[i], &entry);
			sim_disk_write(plan->set[0].cache, entries, table_sector + sector, 1);
			return;
		}
	}
	sim_fail("the uuid table has no free slot");
}

void plan_add_flash(struct plan *plan)
{
	struct plan_volume *v = &plan->volume[plan->volumes];
	struct superblock_disk disk;
	struct superblock sb;

	plan->wants_flash = false;
	v->is_flash = true;
	v->sectors = plan->flash_sectors;
	v->block_sectors = plan->block_sectors;
	draw_uuid(v->uuid);
	v->model = model_volume_new(plan->volumes + 1, v->sectors, false);
	v->model->settles = true;
	draw_hot_spots(v);
	sim_disk_read(plan->set[0].cache, &disk, SUPERBLOCK_SECTOR, SUPERBLOCK_BYTES / SECTOR);
	superblock_decode_unchecked(&sb, &disk);
	put_uuid(plan, v, pointer_sector(find_tables(plan, &sb).uuid_bucket));
	plan->volumes++;
}

/* ---- generations near their wrap ---- */

/* Such a bucket was never used, so nothing points to it. */
static bool was_never_used(const struct bucket_prio_disk *bucket)
{
	return !bucket->generation && le16_get(bucket->prio) == PRIO_NEVER_USED;
}

static void age_part(struct prio_part_disk *part, unsigned buckets)
{
	for (unsigned i = 0; i < buckets; i++)
		if (was_never_used(&part->buckets[i]))
			part->buckets[i].generation = 250 + sim_random(6);
}

void plan_age(struct plan *plan)
{
	unsigned bytes = plan->bucket_sectors * SECTOR, left = plan->buckets, per_part, count;
	struct prio_part_disk *part = sim_alloc(bytes);
	struct superblock_disk disk;
	struct superblock sb;
	uint64_t bucket;

	plan->ages = false;
	sim_disk_read(plan->set[0].cache, &disk, SUPERBLOCK_SECTOR, SUPERBLOCK_BYTES / SECTOR);
	superblock_decode_unchecked(&sb, &disk);
	bucket = find_tables(plan, &sb).prio_bucket;
	per_part = superblock_prio_per_part(&sb);
	for (; left; left -= count) {
		uint64_t sector = bucket * plan->bucket_sectors;

		count = left < per_part ? left : per_part;
		sim_disk_read(plan->set[0].cache, part, sector, plan->bucket_sectors);
		age_part(part, count);
		bucket = le64_get(part->next);
		prio_part_seal(part, bytes, bytes, superblock_set_magic(&sb),
			       le64_get(part->sequence), bucket);
		sim_disk_write(plan->set[0].cache, part, sector, plan->bucket_sectors);
	}
	sim_free(part);
}

/* Not drawn, so that no other draw depends on it.  Sets are small: most slices must be, too. */
unsigned plan_slice_buckets(const struct plan *plan)
{
	uint64_t mixed = plan->seed * UINT64_C(0x9e3779b97f4a7c15) >> 32;

	return 1 + mixed % (mixed & (1 << 20) ? 50 : 600);
}

/* Not drawn either: half of the seeds. */
bool plan_moves(const struct plan *plan)
{
	return plan->seed * UINT64_C(0x9e3779b97f4a7c15) >> 50 & 1;
}

void plan_print(const struct plan *plan)
{
	static const char *const modes[] = { "writethrough", "writeback", "writearound", "none" };
	static const char *const policies[] = { "lru", "fifo", "random" };

	printf("seed %llu:", (unsigned long long)plan->seed);
	if (plan->sets)
		printf(" %u of %u buckets of %u, block %u, %s%s, nodes %zu;", plan->sets,
		       plan->buckets, plan->bucket_sectors, plan->block_sectors,
		       policies[plan->replacement],
		       plan->discards ? ", discards" : "", plan->node_memory_bytes);
	for (unsigned i = 0; i < plan->volumes; i++)
		printf(" %s %llu at %llu block %u %s;",
		       plan->volume[i].is_flash ? "flash" : plan->volume[i].name,
		       (unsigned long long)plan->volume[i].sectors,
		       (unsigned long long)plan->volume[i].data_offset,
		       plan->volume[i].block_sectors, modes[plan->volume[i].mode]);
	printf(" %u lives of %u requests in %u slots, %u tuners, %u %% durable, %u %% sync%s%s\n",
	       plan->lives, plan->requests, plan->slots, plan->tuners, plan->fua_percent,
	       plan->sync_percent, plan->wants_flash ? ", flash" : "",
	       plan->has_errors ? ", errors" : "");
	swarm_print(&plan->swarm);
}
