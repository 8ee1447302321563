/*
 * One look at the set through what is planned: runs check, and keeps the faults that it finds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repair/internal.h"

static void look_take(struct check_watch *watch, const struct check *check,
		      const struct check_fault *fault)
{
	struct repair *repair = container_of(watch, struct repair, check_watch);

	if (check_kind(fault->id)->severity == CHECK_NOTE || repair->faults == FAULTS_MAX)
		return;
	if (repair->faults == repair->faults_room) {
		unsigned room = repair->faults_room * 2 + 16;
		struct check_fault *grown = realloc(repair->fault, room * sizeof(*grown));

		if (!grown) {
			repair->is_short_of_memory = true;
			return;
		}
		repair->fault = grown;
		repair->faults_room = room;
	}
	(void)check;
	repair->fault[repair->faults++] = *fault;
}

static bool look_goes_on(struct check_watch *watch, enum check_phase phase, uint64_t done,
			 uint64_t total)
{
	struct repair *repair = container_of(watch, struct repair, check_watch);

	return !repair->watch || !repair->watch->go_on ||
	       repair->watch->go_on(repair->watch, repair->round, phase, done, total);
}

/* False: no memory. */
static bool make_counts(struct repair *repair, const struct check *check)
{
	if (repair->keeps)
		return true;
	repair->keeps = calloc(check->cache->sb.buckets, 1);
	repair->volume = calloc(check->volumes, sizeof(*repair->volume));
	if (repair->keeps && repair->volume)
		return true;
	repair->is_short_of_memory = true;
	return false;
}

static void count_in_volume(struct repair_volume *volume, const struct bkey *k)
{
	if (!volume->extents++)
		volume->first = bkey_start(k);
	volume->end = bkey_end(k);
	if (!bkey_is_dirty(k) && volume->samples < REPAIR_SAMPLES)
		volume->sample[volume->samples++] = *k;
}

static void remember_clean(struct repair *repair, const struct bkey *k)
{
	struct run *clean = &repair->clean;

	if (clean->count == clean->capacity &&
	    !run_try_reserve(clean, clean->count + clean->count / 2 + 64))
		repair->is_short_of_memory = true;
	else
		run_add(clean, k);
}

/* Counts what each bucket and each volume has (REPAIR-3). */
static void look_at_extent(struct check_watch *watch, const struct check *check,
			   const struct bkey *k)
{
	struct repair *repair = container_of(watch, struct repair, check_watch);
	uint64_t bucket = space_bucket_of(&check->space, k->ptr);

	if (!make_counts(repair, check))
		return;
	if (bkey_is_dirty(k))
		repair->keeps[bucket] = 1;
	else if (!check->has_priorities || repair->drops_clean)
		remember_clean(repair, k);
	count_in_volume(&repair->volume[bkey_volume(k)], k);
}

static void look_forget(struct repair *repair)
{
	free(repair->keeps);
	run_done(&repair->clean);
	free(repair->volume);
	repair->keeps = NULL;
	repair->volume = NULL;
}

static void look_begin(struct repair *repair)
{
	check_done(&repair->check);
	look_forget(repair);
	repair->faults = 0;
	repair->check_watch = (struct check_watch){
		.take = look_take, .go_on = look_goes_on, .extent = look_at_extent,
	};
	repair->check = (struct check){
		.member = repair->member, .members = repair->members,
		.watch = &repair->check_watch,
		.without_priorities = repair->without_priorities,
	};
	for (unsigned i = 0; i < repair->members; i++) {
		repair->member[i].is_known = repair->member[i].is_twice = false;
		repair->member[i].sb = (struct superblock){ .version = 0 };
	}
}

/* Several sets at once: which of them should be mended first? */
static int look_for_cache(const struct repair *repair, const struct check_member **cache,
			  struct error *error)
{
	*cache = NULL;
	for (unsigned i = 0; i < repair->members; i++) {
		const struct check_member *member = &repair->member[i];

		if (!check_member_is_cache(member))
			continue;
		if (*cache)
			return error_set(error, EINVAL, "%s and %s are cache devices: name the "
					 "members of one set", (*cache)->path, member->path);
		*cache = member;
	}
	return 0;
}

int repair_look(struct repair *repair, struct error *error)
{
	const struct check_member *cache;
	int failed;

	look_begin(repair);
	check_superblocks(&repair->check);
	failed = look_for_cache(repair, &cache, error);
	if (failed)
		return failed;
	if (!repair->check.is_stopped)
		check_without_cache(&repair->check);
	if (cache && !repair->check.is_stopped)
		check_set(&repair->check, cache);
	repair->round++;
	if (repair->check.is_stopped)
		return error_set(error, EINTR, "NOT FINISHED: stopped; nothing was written");
	return repair->is_short_of_memory ? repair_no_memory(error) : 0;
}
