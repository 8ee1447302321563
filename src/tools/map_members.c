/*
 * The maps of sets that nobody uses, from their members, which are only read.
 *
 * src/check looks at the set as `bcachefuse check` does, and passes on each extent that counts; its
 * faults are counted here, and a set that has some is drawn as far as it can be read.
 */
#include <errno.h>
#include <time.h>

#include "base/units.h"
#include "check/check.h"
#include "tools/inspect.h"
#include "tools/interrupt.h"
#include "tools/map_source.h"
#include "tools/progress.h"
#include "tools/tools.h"

struct map_run {
	struct check_watch watch;
	struct check check;
	struct map_sets *sets;
	struct map *map;		/* of the set that is looked at; NULL: not begun */
	struct progress progress;
	enum check_phase phase;
	bool has_phase;
	struct interrupt interrupt;
	uint64_t faults;
	struct error first;		/* of the faults */
	struct error *error;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

/* ---- volumes ---- */

static void describe(struct map_volume *map, const struct check_volume *volume)
{
	const char *label = volume->entry.label;

	map->is_flash = volume->entry.flags & UUID_FLASH_ONLY;
	units_print_uuid(map->uuid, volume->entry.uuid);
	if (!volume->backing)
		map_name_absent(map, label);
	else
		snprintf(map->name, MAP_NAME_BYTES, "%s%s%.200s", label, *label ? " on " : "",
			 volume->backing->path);
}

static void add_volume(struct map_run *run, const struct check *check, unsigned number)
{
	const struct check_volume *volume = &check->volume[number];
	uint64_t sectors = 0;

	if (uuid_is_zero(volume->entry.uuid) || uuid_is_retired(volume->entry.uuid))
		return;
	if (volume->backing)
		sectors = device_sectors(volume->backing->device);
	else if (volume->entry.flags & UUID_FLASH_ONLY)
		sectors = volume->entry.sectors;
	describe(map_add_volume(run->map, number, sectors), volume);
}

/* Before the first extent, when the table of volumes was read. */
static void begin_volumes(struct map_run *run, const struct check *check)
{
	if (run->map->volumes)
		return;
	for (unsigned i = 0; check->has_table && i < check->volumes; i++)
		add_volume(run, check, i);
}

/* ---- what check passes on ---- */

/* DRAW-1 was decided there: here all generations are 0. */
static void map_run_extent(struct check_watch *watch, const struct check *check,
			   const struct bkey *k)
{
	struct map_run *run = container_of(watch, struct map_run, watch);

	begin_volumes(run, check);
	map_take_extent(run->map, &(struct map_extent){
		.volume = bkey_volume(k), .start = bkey_start(k), .sectors = bkey_sectors(k),
		.is_dirty = bkey_is_dirty(k), .place = pointer_sector(k->ptr),
	});
}

static void map_run_take(struct check_watch *watch, const struct check *check UNUSED,
			 const struct check_fault *fault)
{
	struct map_run *run = container_of(watch, struct map_run, watch);

	if (check_kind(fault->id)->severity == CHECK_NOTE)
		return;
	if (!run->faults++)
		run->first = fault->error;
	if (run->faults == 1 && fault->path)
		error_prefix(&run->first, "%s", fault->path);
}

static bool map_run_goes_on(struct check_watch *watch, enum check_phase phase, uint64_t done,
			    uint64_t total)
{
	struct map_run *run = container_of(watch, struct map_run, watch);

	if (!run->has_phase || run->phase != phase)
		progress_phase(&run->progress, "reading the index", total, now_ns());
	run->has_phase = true;
	run->phase = phase;
	progress_update(&run->progress, done, now_ns());
	interrupt_look(&run->interrupt);
	if (run->interrupt.wants_progress)
		progress_print(&run->progress, now_ns());
	run->interrupt.wants_progress = false;
	return !run->interrupt.is_stopped;
}

/* ---- buckets ---- */

static bool is_of_tables(const struct check *check, uint64_t number)
{
	const struct space *space = &check->space;

	if (bkey_pointers(&check->uuid_bucket) &&
	    space_bucket_of(space, check->uuid_bucket.ptr) == number)
		return true;
	for (unsigned part = 0; check->has_priorities && part < space->setup.prio_parts; part++)
		if (space->table[part] == number)
			return true;
	return false;
}

/* As internal/buckets of a daemon tells it. */
static enum map_kind use_of(const struct check *check, uint64_t number)
{
	const struct superblock *sb = &check->cache->sb;
	const struct bucket *bucket;

	if (number < sb->first_bucket)
		return MAP_TABLES;
	if (number < sb->first_bucket + sb->journal_buckets)
		return MAP_JOURNAL;
	if (!check->has_space)
		return MAP_FREE;
	bucket = &check->space.bucket[number];
	if (bucket->mark == MARK_METADATA)
		return is_of_tables(check, number) ? MAP_TABLES : MAP_INDEX;
	return bucket->mark != MARK_NONE || bucket->generation != bucket->oldest ? MAP_STALE :
										   MAP_FREE;
}

static void take_buckets(struct map_run *run, const struct check *check)
{
	for (uint64_t i = 0; i < run->map->buckets; i++) {
		run->map->bucket[i].use = use_of(check, i);
		if (check->has_space)
			run->map->bucket[i].priority = check->space.bucket[i].prio;
	}
}

/* ---- sets ---- */

static bool map_set(struct map_run *run, const struct check_member *cache)
{
	const struct superblock *sb = &cache->sb;

	run->map = map_sets_add(run->sets);
	if (map_init(run->map, sb->buckets, sb->bucket_sectors, run->error)) {
		run->sets->count--;
		return false;
	}
	units_print_uuid(run->map->uuid, sb->set_uuid);
	check_set(&run->check, cache);
	begin_volumes(run, &run->check);
	take_buckets(run, &run->check);
	check_done(&run->check);
	progress_end(&run->progress);
	return true;
}

static int map_all_sets(struct map_run *run)
{
	const struct check *check = &run->check;

	for (unsigned i = 0; i < check->members && !check->is_stopped; i++) {
		const struct check_member *member = &check->member[i];

		if (check_member_is_cache(member) && !member->is_twice && !map_set(run, member))
			return TOOL_REFUSED;
	}
	if (check->is_stopped) {
		error_set(run->error, EINTR, "NOT FINISHED: stopped before all was read");
		return TOOL_UNFINISHED;
	}
	if (!run->sets->count) {
		error_set(run->error, ENOENT, "found no cache device among the members%s%s",
			  run->faults ? ": " : "", run->faults ? run->first.text : "");
		return TOOL_REFUSED;
	}
	if (!run->faults)
		return TOOL_DONE;
	error_set(run->error, EINVAL, "the set has faults, and is drawn as far as it can be read; "
		  "\"bcachefuse check\" tells them");
	return TOOL_TROUBLE;
}

static int map_inspected(struct map_run *run, const char *const *paths, unsigned count)
{
	struct inspect inspect;
	int code = TOOL_REFUSED;

	if (!inspect_open(&inspect, paths, count, run->error)) {
		run->check.member = inspect.member;
		run->check.members = inspect.count;
		run->check.watch = &run->watch;
		check_superblocks(&run->check);
		code = map_all_sets(run);
	}
	inspect_close(&inspect);
	return code;
}

int map_read_members(struct map_sets *sets, const char *const *paths, unsigned count,
		     bool is_quiet, struct error *error)
{
	struct map_run run = {
		.watch = { .take = map_run_take, .go_on = map_run_goes_on,
			   .extent = map_run_extent },
		.sets = sets,
		.error = error,
	};
	int code;

	interrupt_begin(&run.interrupt);
	progress_begin(&run.progress, "map",
		       is_quiet ? PROGRESS_NONE : progress_style_of_stream(stderr), stderr,
		       now_ns());
	code = map_inspected(&run, paths, count);
	progress_end(&run.progress);
	interrupt_end(&run.interrupt);
	return code;
}
