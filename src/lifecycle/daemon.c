/*
 * The daemon's lists of sets and volumes, and the ticks of its statistics.
 */
#include "lifecycle/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "base/numbers.h"
#include "base/sometimes.h"
#include "base/units.h"
#include "lifecycle/internal.h"

static void stats_step(struct op *op);

void daemon_init(struct daemon *daemon, struct reactor *reactor, struct blocking *blocking,
		 const struct daemon_options *options)
{
	*daemon = (struct daemon){
		.reactor = reactor, .blocking = blocking, .options = *options
	};
	list_init(&daemon->sets);
	list_init(&daemon->volumes);
	waitlist_init(&daemon->sequences);
	op_init(&daemon->stats_op, reactor, stats_step);
	timer_start(&daemon->stats_timer, STATS_TICK_NS, &daemon->stats_op);
}

void daemon_done(struct daemon *daemon)
{
	assert(list_empty(&daemon->sets) && list_empty(&daemon->volumes));
	assert(!daemon->sequence_is_running && !timer_running(&daemon->stats_timer));
	free(daemon->numbered);
}

static void add_to_history(struct volume *volume)
{
	const struct history_sample now = history_now(volume);

	history_add(&volume->history, &now);
}

static void stats_step(struct op *op)
{
	struct daemon *daemon = container_of(op, struct daemon, stats_op);
	struct volume *v;
	struct cache_set *set;

	op_take_error(op);
	if (daemon->is_stopping) {	/* daemon_stop() cancelled the timer, and awaits this */
		op_arrive(daemon->stopped, 0);
		return;
	}
	for (v = daemon_first_volume(daemon); v; v = daemon_next_volume(daemon, v)) {
		stats_tick(&v->stats);
		add_to_history(v);
	}
	for (set = daemon_first_set(daemon); set; set = daemon_next_set(daemon, set))
		stats_tick(&set->stats);
	timer_start(&daemon->stats_timer, STATS_TICK_NS, op);
}

void daemon_note_error(struct daemon *daemon, const struct error *error)
{
	daemon->last_error = *error;
	daemon->last_error_s = clock_epoch_seconds(daemon->reactor);
}

struct cache_set *daemon_find_set(struct daemon *daemon, const uint8_t uuid[16])
{
	struct cache_set *set;

	for (set = daemon_first_set(daemon); set; set = daemon_next_set(daemon, set))
		if (uuid_is_equal(set->cache.superblock.set_uuid, uuid))
			return set;
	return NULL;
}

/* Births are compared, not pointers: a new set may have the address of a freed one. */
struct cache_set *daemon_set_of_birth(const struct daemon *daemon, uint64_t birth)
{
	struct cache_set *set = daemon_first_set(daemon);

	while (set && set->birth != birth)
		set = daemon_next_set(daemon, set);
	return set;
}

struct volume *daemon_volume_of_birth(const struct daemon *daemon, uint64_t birth)
{
	struct volume *volume = daemon_first_volume(daemon);

	while (volume && volume->birth != birth)
		volume = daemon_next_volume(daemon, volume);
	return volume;
}

struct volume *daemon_find_volume(struct daemon *daemon, unsigned number)
{
	return number < daemon->numbers_room ? daemon->numbered[number] : NULL;
}

/* The table of numbers grows with the highest number ever used, and never shrinks. */
static void grow_numbers(struct daemon *daemon)
{
	unsigned room = daemon->numbers_room * 2 + 16;

	daemon->numbered = realloc(daemon->numbered, room * sizeof(*daemon->numbered));
	assert(daemon->numbered);
	for (unsigned i = daemon->numbers_room; i < room; i++)
		daemon->numbered[i] = NULL;
	daemon->numbers_room = room;
}

void daemon_add_volume(struct daemon *daemon, struct volume *volume)
{
	volume->number = daemon->first_free_number;
	if (volume->number == daemon->numbers_room)
		grow_numbers(daemon);
	daemon->numbered[volume->number] = volume;
	while (daemon_find_volume(daemon, daemon->first_free_number))
		daemon->first_free_number++;
	snprintf(volume->name, sizeof(volume->name), "bcache%u", volume->number);
	list_add_last(&daemon->volumes, &volume->daemon_link);
	add_to_history(volume);
	if (volume->backing)
		watch_volume(volume);
}

void daemon_remove_volume(struct daemon *daemon, struct volume *volume)
{
	list_remove(&volume->daemon_link);
	daemon->numbered[volume->number] = NULL;
	daemon->first_free_number = min_u64(daemon->first_free_number, volume->number);
}

/*
 * A member's name must differ from the disk of a partition: both are directories in DIR/sys/block.
 */
static bool is_name_of_disk(const struct device *device, const char *name)
{
	const struct device_disk *disk = device ? device_disk(device) : NULL;

	return disk && !strcmp(disk->name, name);
}

static bool name_is_taken(const struct daemon *daemon, const char *name)
{
	const struct volume *v;
	const struct cache_set *set;

	for (v = daemon_first_volume(daemon); v; v = daemon_next_volume(daemon, v))
		if (!strcmp(v->member_name, name) || !strcmp(v->name, name) ||
		    is_name_of_disk(v->backing, name))
			return true;
	for (set = daemon_first_set(daemon); set; set = daemon_next_set(daemon, set))
		if (!strcmp(set->cache.member_name, name) ||
		    is_name_of_disk(set->cache.device, name))
			return true;
	return false;
}

/* "bcacheN" is reserved for volumes. */
static bool is_name_of_volumes(const char *name)
{
	unsigned digits;

	if (strncmp(name, "bcache", 6))
		return false;
	digits = strspn(name + 6, "0123456789");
	return digits && !name[6 + digits];
}

static bool is_plain_in_names(char c, bool is_first UNUSED)
{
	return c != '\\';
}

/* A file may have any name; names below DIR/sys are escaped to one printable word. */
void daemon_name_member(const struct daemon *daemon, const struct device *device, char name[64])
{
	char base[57];

	escape_name(base, sizeof(base), device_name(device), is_plain_in_names);
	snprintf(name, 64, "%s", base);
	for (unsigned i = 2; name_is_taken(daemon, name) || is_name_of_volumes(name); i++)
		snprintf(name, 64, "%s-%u", base, i);
}

/* ---- is every volume ready? ---- */

/* The reason why a volume waits: its set is missing, or refused it. */
static int say_incomplete(struct daemon *daemon, struct volume *volume, struct error *error)
{
	const char *path = device_path(volume->backing);

	if (!daemon_find_set(daemon, volume->superblock.set_uuid))
		return member_say_missing(path, &volume->superblock, error);
	return member_say_not_taken(path, &volume->superblock,
				    volume->attach_error.code ? volume->attach_error.text :
								"it is not in its table of volumes",
				    error);
}

/* Whoever mounts a device for writing must be told if it lacks a part of its dirty data. */
static int check_length(const struct volume *volume, struct error *error)
{
	typedef unsigned long long ull;

	if (!volume->set || volume->set->is_read_only || volume->dirty_end <= volume->sectors)
		return 0;
	return error_set(error, EINVAL,
			 "%s: is shorter than its dirty data: found %llu sectors, wanted %llu or "
			 "more; -o ro reads what is there",
			 device_path(volume->backing), (ull)volume->sectors,
			 (ull)volume->dirty_end);
}

int daemon_check_complete(struct daemon *daemon, struct error *error)
{
	struct volume *v;
	int failed;

	for (v = daemon_first_volume(daemon); v; v = daemon_next_volume(daemon, v)) {
		if (!v->is_exported)
			return say_incomplete(daemon, v, error);
		failed = check_length(v, error);
		if (failed)
			return failed;
		if (v->backing && !uuid_is_zero(v->superblock.set_uuid) &&
		    !daemon_find_set(daemon, v->superblock.set_uuid))
			member_warn_uncached(device_path(v->backing), &v->superblock);
	}
	return 0;
}
